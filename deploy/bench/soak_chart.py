"""The curves of `bench soak` as a picture: SVG without a plotting library, see docs/decisions/report-charts.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from deploy.bench.soak import Curve

Scale = Callable[[float], float]

_WIDTH, _HEIGHT = 900, 420
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 96, 52, 48
_COLOURS = ("#1f6f8b", "#c8553d", "#4f772d", "#6d597a")
_STEPS = (1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000)


def soak_chart(curves: Sequence[Curve]) -> str:
    """Resident memory in MB over minutes, a line a service, from 0."""
    seconds = max([1.0, *(t for c in curves for t in c.seconds)])
    most_mb = max([1.0, *(m for c in curves for m in c.rss_mb)])
    step_mb = _step(most_mb, 5)
    top_mb = step_mb * (int(most_mb / step_mb) + 1)
    step_s = 60 * _step(seconds / 60, 8) if seconds > 120 else _step(seconds, 8)

    def x(s: float) -> float:
        return _LEFT + s / seconds * (_WIDTH - _LEFT - _RIGHT)

    def y(mb: float) -> float:
        return _HEIGHT - _BOTTOM - mb / top_mb * (_HEIGHT - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="13">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="26" font-size="16">常驻内存 (MB) · Resident memory (MB)</text>',
    ]
    for i in range(round(top_mb / step_mb) + 1):
        at = y(i * step_mb)
        parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{i * step_mb:g}</text>')
    for i in range(int(seconds / step_s) + 1):
        at, shown = x(i * step_s), i * step_s / (60 if seconds > 120 else 1)
        parts.append(f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{shown:g}</text>')
    unit = "分钟 · minutes" if seconds > 120 else "秒 · seconds"
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">{unit}</text>'
    )
    parts += _lines(curves, x, y)
    return "\n".join([*parts, "</svg>", ""])


def _lines(curves: Sequence[Curve], x: Scale, y: Scale) -> list[str]:
    parts: list[str] = []
    taken: list[float] = []
    for number, curve in enumerate(sorted(curves, key=lambda c: -c.rss_mb[-1])):
        colour = _COLOURS[number % len(_COLOURS)]
        points = " ".join(f"{x(s):.1f},{y(m):.1f}" for s, m in zip(curve.seconds, curve.rss_mb, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        at = max([y(curve.rss_mb[-1]) + 4, *(t + 16 for t in taken)])
        taken.append(at)
        parts.append(
            f'<text x="{_WIDTH - _RIGHT + 8}" y="{at:.1f}" fill="{colour}">{escape(curve.name)}</text>'
        )
    return parts


def _step(most: float, parts: int) -> float:
    """A round step of which about `parts` make up `most`."""
    return next((s for s in _STEPS if most / s <= parts), _STEPS[-1])
