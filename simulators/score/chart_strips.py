"""Strips of the score's picture: the hours of a point by the truth and by the platform, around its fault."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from html import escape
from zoneinfo import ZoneInfo

import numpy as np

from metering.records import Floats
from simulators.score.hours import Bools
from simulators.score.platform import hour_instant
from simulators.score.result import Score, Strip

Scale = Callable[[float], float]

STRIP_HEIGHT = 176
_TOP, _BOTTOM, _LEFT = 34, 34, 44
#: Hours shown before and after what is wrong, and at most.
_AROUND, _AT_MOST = 18, 24 * 8
#: A platform's hour is drawn up to so many times the highest true one; what is higher is cut and named.
_HIGHEST = 2.2
_TRUE, _PLATFORM, _FAULT, _ESTIMATED = "#555", "#c8553d", "#fbf0d9", "#1f6f8b"


def strip_panel(strip: Strip, score: Score, at: tuple[float, float], width: float, zh: bool) -> list[str]:
    """The panel with its upper left corner at `at`."""
    part = _around(strip)
    hours = strip.hours.part(part)
    count = part.stop - part.start
    top, bottom = at[1] + _TOP, at[1] + STRIP_HEIGHT - _BOTTOM
    highest = float(hours.truth.max()) or float(np.abs(hours.platform).max()) or 1.0
    low = min(0.0, max(float(hours.platform.min()), -highest * (_HIGHEST - 1)))
    high = min(max(highest, float(hours.platform.max())), _HIGHEST * highest) * 1.05

    def x(hour: float) -> float:
        return float(at[0] + _LEFT + hour / count * (width - _LEFT))

    def y(energy: Floats) -> Floats:
        return bottom - (np.clip(energy, low, high) - low) / (high - low) * (bottom - top)

    parts = [*_title(strip, at, zh), *_bands(strip.in_fault[part], x, top, bottom, _FAULT)]
    parts += _bands(hours.flagged, x, bottom + 2, bottom + 6, _ESTIMATED)
    for value in _ticks(high):
        parts.append(
            f'<text x="{at[0] + _LEFT - 5}" y="{float(y(np.array(value))) + 4:.1f}" text-anchor="end" font-size="10" '
            f'fill="#888">{value:g}</text>'
        )
    zero = float(y(np.array(0.0)))
    parts.append(f'<line x1="{x(0):.1f}" x2="{x(count):.1f}" y1="{zero:.1f}" y2="{zero:.1f}" stroke="#bbb"/>')
    parts += _days(score, part.start, count, x, bottom)
    parts.append(_line(y(hours.truth), np.ones(count, np.bool_), x, _TRUE, 2.6, 0.55))
    parts.append(_line(y(hours.platform), ~hours.missing, x, _PLATFORM, 1.3, 1))
    return parts + _cut(hours.platform, high, low, x, top, bottom)


def strip_keys(left: float, y: float, zh: bool) -> list[str]:
    """What the colours of the panels mean, in one line; energy is of an hour."""
    keys = (
        (_TRUE, "真值" if zh else "truth"),
        (_PLATFORM, "平台" if zh else "platform"),
        (_FAULT, "故障窗口" if zh else "window of the fault"),
        (_ESTIMATED, "平台标记为估算" if zh else "flagged as estimated"),
    )
    return [
        f'<rect x="{left + n * 150}" y="{y - 8}" width="12" height="8" fill="{colour}"/>'
        f'<text x="{left + n * 150 + 17}" y="{y}" font-size="11" fill="#666">{name}</text>'
        for n, (colour, name) in enumerate(keys)
    ]


def _energy(value: float, sign: str = "") -> str:
    return f"{value:{sign},.0f}" if abs(value) >= 1000 else f"{value:{sign}.3g}"


def _around(strip: Strip) -> slice:
    """The hours to show: those of the fault about the worst hour, or of what is off there, and some around."""
    off = np.abs(strip.hours.platform - strip.hours.truth)
    worst = int(off.argmax())
    marked = strip.in_fault if strip.in_fault[worst] else strip.hours.wrong | strip.hours.missing
    begin = end = worst
    while begin > 0 and marked[begin - 1] and worst - begin < _AT_MOST // 2:
        begin -= 1
    while end + 1 < len(off) and marked[end + 1] and end - worst < _AT_MOST // 2:
        end += 1
    return slice(max(begin - _AROUND, 0), min(end + 1 + _AROUND, len(off)))


def _title(strip: Strip, at: tuple[float, float], zh: bool) -> list[str]:
    t, point = strip.score.tally, strip.score.point
    percent = t.percent(t.error)
    off = f"{_energy(t.error, '+')} {point.unit}" + ("" if percent is None else f" ({percent:+.2f}%)")
    wrong = t.wrong + t.missing
    said = f"全程误差 {off}，错误小时 {wrong:,}" if zh else f"whole run {off}, {wrong:,} hours wrong"
    name = point.point_code + (f" · {', '.join(strip.score.labels)}" if strip.score.labels else "")
    return [
        f'<text x="{at[0]:.1f}" y="{at[1] + 12:.1f}" font-size="12" font-weight="bold">{escape(name[:60])}</text>',
        f'<text x="{at[0]:.1f}" y="{at[1] + 27:.1f}" font-size="11" fill="#666">{escape(said)}</text>',
    ]


def _bands(marked: Bools, x: Scale, top: float, bottom: float, colour: str) -> list[str]:
    """A rectangle for each run of marked hours."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], marked.astype(np.int8), [0]])))
    return [
        f'<rect x="{x(begin):.1f}" width="{x(end) - x(begin):.1f}" y="{top:.1f}" height="{bottom - top:.1f}" '
        f'fill="{colour}"/>'
        for begin, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _line(y: Floats, known: Bools, x: Scale, colour: str, width: float, opacity: float) -> str:
    """Hours as steps; where one is not known the line is broken."""
    path, pen = [], "M"
    for hour, (level, is_known) in enumerate(zip(y, known, strict=True)):
        if not is_known:
            pen = "M"
            continue
        path.append(f"{pen}{x(hour):.1f} {level:.1f}H{x(hour + 1):.1f}")
        pen = "L"
    return f'<path d="{"".join(path)}" fill="none" stroke="{colour}" stroke-width="{width}" opacity="{opacity}"/>'


def _cut(platform: Floats, high: float, low: float, x: Scale, top: float, bottom: float) -> list[str]:
    """The values that are beyond the drawing, the furthest of each side named."""
    parts = []
    for beyond, furthest, at in (
        (platform > high, platform.argmax(), top),
        (platform < low, platform.argmin(), bottom),
    ):
        if beyond.any():
            right = furthest > 0.7 * len(platform)
            parts.append(
                f'<text x="{x(float(furthest) + (-0.5 if right else 1.5)):.1f}" y="{at + 9:.1f}" font-size="11" '
                f'text-anchor="{"end" if right else "start"}" fill="{_PLATFORM}">'
                f"{_energy(float(platform[furthest]))}</text>"
            )
    return parts


def _ticks(high: float) -> list[float]:
    """0 and one round value."""
    power = 10.0 ** np.floor(np.log10(high))
    return [0.0, float(power * max(m for m in (1, 2, 5) if m * power <= high))]


def _days(score: Score, first: int, count: int, x: Scale, bottom: float) -> list[str]:
    """Local midnights, of at most seven the dates."""
    zone = ZoneInfo(score.facts.get("timezone", "Asia/Shanghai"))
    begin = hour_instant(score.first_hour + first).astimezone(zone)
    day = begin.replace(hour=0) + timedelta(days=begin.hour > 0)
    midnights = []
    while (hour := (day - begin) / timedelta(hours=1)) < count:
        midnights.append((hour, day))
        day += timedelta(days=1)
    every = -(-len(midnights) // 7) or 1
    return [
        f'<line x1="{x(hour):.1f}" x2="{x(hour):.1f}" y1="{bottom:.1f}" y2="{bottom + 8:.1f}" stroke="#bbb"/>'
        f'<text x="{x(hour) + 3:.1f}" y="{bottom + 18:.1f}" font-size="10" fill="#888">{day:%m-%d}</text>'
        for hour, day in midnights[::every]
    ]
