"""The picture of `bench forecast`: errors and coverage by month; SVG without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from alerts.report_charts import nice_ticks

_WIDTH, _PANEL, _TOP, _LEFT, _RIGHT = 900, 330, 58, 58, 250
_GAP = 70
_ERRORS = (
    ("forecast", "预测 · forecast", "#c8553d"),
    ("last_shape", "去年曲线 · last year's shape", "#6d597a"),
    ("run_rate", "累计×12 · run rate × 12", "#4f772d"),
    ("last_total", "去年总量 · last year's total", "#1f6f8b"),
)
_COVERED = (
    ("by_month", "全部 · all", "#c8553d"),
    ("large_by_month", "≥ 3,000 m²", "#1f6f8b"),
    ("small_by_month", "< 3,000 m²", "#4f772d"),
)


def forecast_chart(report: dict[str, Any]) -> str:
    """Two panels over the month at whose end the forecast was made: absolute errors, and the band's coverage."""
    honest = report["honest"]
    months = list(honest["by_month"])
    mape = [
        (name, colour, [100 * honest["by_month"][m][key] for m in months]) for key, name, colour in _ERRORS
    ]
    covered = [
        (name, colour, [100 * honest[key][m]["inside"] for m in months])
        for key, name, colour in _COVERED
        if key in honest
    ]
    years = f"{report['years'][0]}-{report['years'][-1]}"
    height = _TOP + 2 * _PANEL + _GAP + 46
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        _text(
            _LEFT,
            24,
            f"年末预测回测 · Backtest of the year-end forecast, {report['buildings']} × {years}",
            16,
        ),
    ]
    parts += _panel("平均绝对百分比误差 · MAPE (%)", mape, _TOP, months)
    second = _TOP + _PANEL + _GAP
    parts += _panel("落在 p10-p90 内 · Inside p10-p90 (%)", covered, second, months, target=(75.0, 85.0))
    parts.append(
        _text(
            (_WIDTH + _LEFT - _RIGHT) / 2, height - 8, "预测所在月末 · made at the end of month", 13, "middle"
        )
    )
    return "\n".join([*parts, "</svg>", ""])


def _panel(
    title: str,
    lines: Sequence[tuple[str, str, list[float]]],
    top: float,
    months: Sequence[str],
    target: tuple[float, float] | None = None,
) -> list[str]:
    ticks = [0.0, 20.0, 40.0, 60.0, 80.0, 100.0] if target else nice_ticks(max(max(v) for *_, v in lines))
    right, bottom = _WIDTH - _RIGHT, top + _PANEL

    def x(n: int) -> float:
        return _LEFT + (right - _LEFT) * n / max(len(months) - 1, 1)

    def y(value: float) -> float:
        return bottom - _PANEL * value / ticks[-1]

    parts = [_text(_LEFT, top - 12, title, 14)]
    if target:
        parts.append(
            f'<rect x="{_LEFT}" y="{y(target[1]):.1f}" width="{right - _LEFT}" '
            f'height="{y(target[0]) - y(target[1]):.1f}" fill="#f3e9d2"/>'
        )
    for t in ticks:
        parts.append(
            f'<line x1="{_LEFT}" x2="{right}" y1="{y(t):.1f}" y2="{y(t):.1f}" stroke="#ddd"/>'
            + _text(_LEFT - 8, y(t) + 4, f"{t:g}", 13, "end")
        )
    parts += [_text(x(n), bottom + 18, month, 13, "middle") for n, month in enumerate(months)]
    for n, (name, colour, values) in enumerate(lines):
        points = " ".join(f"{x(i):.1f},{y(v):.1f}" for i, v in enumerate(values))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2.2"/>')
        parts.append(f'<rect x="{right + 22}" y="{top + 24 * n}" width="14" height="4" fill="{colour}"/>')
        parts.append(_text(right + 44, top + 24 * n + 7, name, 13))
    return parts


def _text(x: float, y: float, text: str, size: int, anchor: str = "start") -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;")
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}">{plain}</text>'
