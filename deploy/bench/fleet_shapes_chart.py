"""Metered weeks beside generated ones as one picture: SVG without a plotting library."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from deploy.bench.fleet_shapes import Pair, Weeks
from metering.records import Floats

_COLUMNS = 2
_CELL, _WEEK_HEIGHT, _GAP = 560, 92, 34
_HALF = _CELL // 2 - 14
_REAL, _GENERATED = "#1f6f8b", "#c8553d"


def weeks_chart(pairs: Iterable[Pair]) -> str:
    """Each pair side by side, left metered, right generated; each from 0 to its own peak, Monday to Sunday."""
    cells = [_cell(k, *pair) for k, pair in enumerate(pairs)]
    rows = -(-len(cells) // _COLUMNS)
    width, height = _COLUMNS * _CELL + 20, rows * (_WEEK_HEIGHT + _GAP) + 60
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
            'font-family="sans-serif" font-size="11">',
            f'<rect width="{width}" height="{height}" fill="#fff"/>',
            f'<text x="16" y="24" font-size="16"><tspan fill="{_REAL}">实测周 · Metered weeks</tspan>  /  '
            f'<tspan fill="{_GENERATED}">模拟周 · Generated weeks</tspan></text>',
            *cells,
            "</svg>",
            "",
        ]
    )


def _cell(number: int, real: Weeks, week: int, generated: Weeks, other: int) -> str:
    x = 16 + number % _COLUMNS * _CELL
    y = 58 + number // _COLUMNS * (_WEEK_HEIGHT + _GAP)
    return "\n".join(
        [
            _week(x, y, real, week, _REAL),
            _week(x + _HALF + 10, y, generated, other, _GENERATED),
        ]
    )


def _week(x: float, y: float, weeks: Weeks, number: int, colour: str) -> str:
    kw: Floats = weeks.kw[number].reshape(-1)
    top = float(kw.max())
    points = " ".join(
        f"{x + (i + 0.5) / len(kw) * _HALF:.1f},{y + _WEEK_HEIGHT * (1 - float(v) / top):.1f}"
        for i, v in enumerate(kw)
    )
    lines = "".join(
        f'<line x1="{x + d / 7 * _HALF:.1f}" x2="{x + d / 7 * _HALF:.1f}" y1="{y}" y2="{y + _WEEK_HEIGHT}" '
        'stroke="#ddd"/>'
        for d in range(8)
    )
    title = f"{weeks.name}, {weeks.first[number].isoformat()}, 0–{top:.0f} kW"
    return (
        f'{lines}<line x1="{x}" x2="{x + _HALF}" y1="{y + _WEEK_HEIGHT}" y2="{y + _WEEK_HEIGHT}" stroke="#888"/>'
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.3"/>'
        f'<text x="{x}" y="{y - 5}" fill="#444">{escape(title)}</text>'
    )


def shapes_table(report: dict[str, Any]) -> str:
    """The figures as lines of text: 10th, 50th and 90th percentile of both, D and p of each."""
    head = f"{'':<22}{'metered p10 p50 p90':>24}{'generated p10 p50 p90':>24}{'D':>8}{'p':>8}"
    rows = [*report["figures"].items(), ("profile_distance", report["profile_distance"])]
    lines = [
        f"{name:<22}{_three(f['real']):>24}{_three(f['generated']):>24}{f['d']:>8.2f}{f['p']:>8.3f}"
        for name, f in rows
    ]
    real, generated = report["real_buildings"], report["generated_buildings"]
    counts = f"{real} metered, {generated} generated buildings, {report['year']}"
    return "\n".join([counts, head, *lines])


def _three(values: Sequence[float]) -> str:
    return " ".join(f"{v:.2f}" for v in values)
