"""The chart of a mail as PNG: the year so far, the limit and its pace, and the forecast. Mail programs show no SVG.

Drawn at twice its size, smoothed down. Labels are digits and Latin only, in the font that Pillow brings: a machine has
no Chinese font for sure, so legends stand in the mail's own text. See docs/decisions/notification-chart.md.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

from PIL import Image, ImageDraw, ImageFont

from alerts.report_charts import display_unit, nice_ticks, number
from alerts.report_data import Assessed, QuotaYear

#: Pixels of the picture; a mail shows it at half of that, so that fine screens show it sharp.
WIDTH, HEIGHT = 1104, 520
_LEFT, _RIGHT, _TOP, _BOTTOM = 104, 26, 56, 52
_OVER = 2  # drawn so many times as large

_INK, _SOFT, _GRID, _PAGE = (23, 36, 45), (92, 111, 123), (233, 238, 241), (255, 255, 255)
_USED, _LIMIT, _ALERT = (31, 122, 140), (192, 57, 43), (217, 130, 0)
_USED_AREA, _BAND = (230, 241, 243), (247, 224, 189)

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where data land on the picture: x in days of the year, y in the item's unit."""

    days: int
    top: float

    def at(self, day: float, value: float) -> Point:
        x = _LEFT + (WIDTH - _LEFT - _RIGHT) * day / self.days
        y = HEIGHT - _BOTTOM - (HEIGHT - _BOTTOM - _TOP) * value / self.top
        return x, y


def pace_png(q: QuotaYear, as_of: date | None = None) -> bytes:
    """The cumulative line against limit and pace, with the forecast as it stood at the end of `as_of` (default: the
    newest).
    """
    first = date(q.year, 1, 1)
    length = (date(q.year + 1, 1, 1) - first).days
    line = _cumulative(q)
    band = q.assessed_on(as_of) if as_of is not None else q.last
    tops = [line[-1][1], q.limit_value or 0.0, (band.p90 if band else None) or 0.0]
    unit, scale = display_unit(q.unit, max(tops))
    ticks = nice_ticks(max(tops) / scale)
    frame = _Frame(length, ticks[-1] * scale)
    image = Image.new("RGB", (WIDTH * _OVER, HEIGHT * _OVER), _PAGE)
    pen = _Pen(ImageDraw.Draw(image))
    for tick in ticks[1:]:
        pen.line([frame.at(0, tick * scale), frame.at(length, tick * scale)], _GRID, 1.5)
    pen.area([frame.at(*p) for p in [*line, (line[-1][0], 0.0)]], _USED_AREA)
    pen.line([frame.at(0, 0.0), frame.at(length, 0.0)], _SOFT, 1.5)
    if band is not None:
        _draw_band(pen, frame, band, (band.as_of - first).days + 1.0)
    _draw_limit(pen, frame, q)
    pen.line([frame.at(*p) for p in line], _USED, 5)
    if band is not None:
        pen.dot(frame.at((band.as_of - first).days + 1.0, band.used), 8, _ALERT)
    image = image.reduce(_OVER)
    _write_labels(ImageDraw.Draw(image), frame, q, ticks, (unit, scale), band)
    out = io.BytesIO()
    image.quantize(128, Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE).save(out, "PNG", optimize=True)
    return out.getvalue()


def _draw_band(pen: _Pen, frame: _Frame, band: Assessed, day: float) -> None:
    if band.p10 is None or band.p50 is None or band.p90 is None:
        return
    start = frame.at(day, band.used)
    pen.area([start, frame.at(frame.days, band.p90), frame.at(frame.days, band.p10)], _BAND)
    pen.dashed([start, frame.at(frame.days, band.p50)], _ALERT, 3)


def _draw_limit(pen: _Pen, frame: _Frame, q: QuotaYear) -> None:
    if q.limit_value is None:
        return
    pace, level = [(0.0, 0.0)], 0.0
    for month, share in enumerate(q.shape, 1):
        level += q.limit_value * share
        pace.append((float(_month_start(q.year, month + 1)), level))
    pen.dashed([frame.at(*p) for p in pace], _SOFT, 3)
    pen.line([frame.at(0, q.limit_value), frame.at(frame.days, q.limit_value)], _LIMIT, 4)


def _write_labels(
    draw: ImageDraw.ImageDraw,
    frame: _Frame,
    q: QuotaYear,
    ticks: Sequence[float],
    shown: tuple[str, float],
    band: Assessed | None,
) -> None:
    unit, scale = shown
    small, bold = ImageFont.load_default(22), ImageFont.load_default(24)
    for tick in ticks:
        x, y = frame.at(0, tick * scale)
        draw.text((x - 12, y), f"{tick:,.10g}", _SOFT, small, anchor="rm")
    draw.text((_LEFT - 12, 22), _latin(unit), _SOFT, small, anchor="rm")
    draw.text((WIDTH - _RIGHT, 22), str(q.year), _SOFT, small, anchor="rm")
    for month in range(1, 13):
        middle = (_month_start(q.year, month) + _month_start(q.year, month + 1)) / 2
        draw.text((frame.at(middle, 0)[0], HEIGHT - 26), str(month), _SOFT, small, anchor="mm")
    if q.limit_value is not None:
        x, y = frame.at(0, q.limit_value)
        draw.text((x + 10, y - 6), number(q.limit_value / scale), _LIMIT, bold, anchor="lb")
    if band is not None:
        x, y = frame.at((band.as_of - date(q.year, 1, 1)).days + 1.0, band.used)
        label, left = f"{band.as_of:%m-%d}  {number(band.used / scale)}", x > WIDTH / 2
        draw.text((x - 16 if left else x + 16, y - 16 if left else y + 18), label, _INK, bold,
                  anchor="rb" if left else "lt")  # fmt: skip


def _latin(unit: str) -> str:
    """A unit in the letters that the font has for sure."""
    return unit.replace("10³ m³", "1000 m3")


def _cumulative(q: QuotaYear) -> list[Point]:
    first, line = date(q.year, 1, 1), [(0.0, 0.0)]
    for d in q.days:
        line.append(((d.day - first).days + 1.0, line[-1][1] + d.consumption))
    return line


def _month_start(year: int, month: int) -> int:
    """Day of the year, from 0, that a month begins with; month 13 is the year's end."""
    day = date(year + 1, 1, 1) if month > 12 else date(year, month, 1)
    return (day - date(year, 1, 1)).days


class _Pen:
    """Draws in pixels of the finished picture."""

    def __init__(self, draw: ImageDraw.ImageDraw) -> None:
        self._draw = draw

    def line(self, points: Sequence[Point], colour: tuple[int, int, int], width: float) -> None:
        self._draw.line(_large(points), colour, round(width * _OVER), joint="curve")

    def area(self, points: Sequence[Point], colour: tuple[int, int, int]) -> None:
        if len(points) > 2:
            self._draw.polygon(_large(points), colour)

    def dot(self, at: Point, radius: float, colour: tuple[int, int, int]) -> None:
        x, y = at
        for r, c in ((radius + 2.5, _PAGE), (radius, colour)):
            self._draw.ellipse(_large([(x - r, y - r), (x + r, y + r)]), c)

    def dashed(
        self, points: Sequence[Point], colour: tuple[int, int, int], width: float, dash: float = 12
    ) -> None:
        left, on = dash, True
        for (x0, y0), (x1, y1) in pairwise(points):
            length = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
            done = 0.0
            while done < length:
                step = min(left, length - done)
                if on:
                    a, b = done / length, (done + step) / length
                    ends = [(x0 + (x1 - x0) * t, y0 + (y1 - y0) * t) for t in (a, b)]
                    self.line(ends, colour, width)
                done, left = done + step, left - step
                if left <= 0:
                    left, on = dash, not on


def _large(points: Sequence[Point]) -> list[Point]:
    return [(x * _OVER, y * _OVER) for x, y in points]
