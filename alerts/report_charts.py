"""The report's charts as SVG text: no library, no font, no script; colours come from the page's style sheet.

All that is written in a chart is numbers and dates, so that it reads the same in every language.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

from alerts.report_data import Assessed, QuotaYear

_WIDTH, _HEIGHT = 460, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 14, 26, 24
_STRIP = 14  # room below the month axis for the completeness strip

_LARGER = {"kWh": ("MWh", 1000.0), "m3": ("10³ m³", 1000.0), "GJ": ("TJ", 1000.0)}


@dataclass(frozen=True, slots=True)
class _Frame:
    """Where data units land on the picture: x in [0, x_top], y in [0, y_top]."""

    x_top: float
    y_top: float
    bottom: float

    def x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.x_top

    def y(self, value: float) -> float:
        return self.bottom - (self.bottom - _TOP) * value / self.y_top

    def points(self, xy: Iterable[tuple[float, float]]) -> str:
        return " ".join(f"{self.x(x):.1f},{self.y(y):.1f}" for x, y in xy)


def months_chart(q: QuotaYear) -> str:
    """Bars of the months against each month's share of the limit, with completeness in a strip below."""
    shares = [None if q.limit_value is None else q.limit_value * s for s in q.shape]
    values = [consumption for consumption, _ in q.months]
    unit, scale = display_unit(q.unit, max(sum(values), 1.0))
    ticks = nice_ticks(max([*values, *(s for s in shares if s is not None)], default=1.0) / scale)
    f = _Frame(12, ticks[-1] * scale, _HEIGHT - _BOTTOM - _STRIP)
    out = _axes(f, ticks, scale, unit)
    for m, ((value, completeness), share) in enumerate(zip(q.months, shares, strict=True)):
        label = f"{q.year}-{m + 1:02d}: {number(value / scale)}"
        label += "" if share is None else f" / {number(share / scale)} {unit}"
        over = share is not None and value > share
        x0, x1 = f.x(m + 0.16), f.x(m + 0.84)
        out.append(
            f'<rect class="bar{" over" if over else ""}" x="{x0:.1f}" y="{f.y(value):.1f}" '
            f'width="{x1 - x0:.1f}" height="{f.bottom - f.y(value):.1f}" rx="2"><title>{label}</title></rect>'
        )
        if share is not None:
            out.append(_line(f.x(m + 0.06), f.y(share), f.x(m + 0.94), f.y(share), "share"))
        out.append(_text(f.x(m + 0.5), f.bottom + 16, str(m + 1), "tick mid"))
        out.append(_strip(f.x(m + 0.06), f.x(m + 0.94), completeness))
    return _svg(out, f"{q.site_code} {q.year}")


def pace_chart(q: QuotaYear) -> str:
    """The cumulative line against the limit and its pace, with the forecast band as it stood at the first
    alert.

    Without an alert the band is that of the middle of the year.
    """
    length = (date(q.year + 1, 1, 1) - date(q.year, 1, 1)).days
    line = _cumulative(q)
    band = band_shown(q)
    limit = q.limit_value
    tops = [line[-1][1], limit or 0.0, (band.p90 or 0.0) if band else 0.0]
    unit, scale = display_unit(q.unit, max(tops))
    ticks = nice_ticks(max(tops) / scale)
    f = _Frame(length, ticks[-1] * scale, _HEIGHT - _BOTTOM)
    out = _axes(f, ticks, scale, unit)
    starts = [(date(q.year, m, 1) - date(q.year, 1, 1)).days for m in range(1, 13)] + [length]
    for m in range(12):
        out.append(_text(f.x((starts[m] + starts[m + 1]) / 2), f.bottom + 16, str(m + 1), "tick mid"))
    if limit is not None:
        pace = [(0.0, 0.0)]
        for m in range(12):
            pace.append((starts[m + 1], pace[-1][1] + limit * q.shape[m]))
        out.append(f'<polyline class="pace" points="{f.points(pace)}"/>')
        out.append(_line(f.x(0), f.y(limit), f.x(length), f.y(limit), "limit"))
        out.append(_text(f.x(0) + 4, f.y(limit) - 5, number(limit / scale), "limit-label"))
    out.append(f'<polygon class="used-area" points="{f.points([(0, 0), *line, (line[-1][0], 0)])}"/>')
    if band is not None:
        out += _band(f, q, band, length, scale)
    out.append(f'<polyline class="used" points="{f.points(line)}"/>')
    out += _marks(f, q)
    return _svg(out, f"{q.site_code} {q.year}")


def band_shown(q: QuotaYear) -> Assessed | None:
    """The assessment whose forecast the pace chart shows: at the first alert, else in the middle of the
    year.
    """
    at = q.first_alert.as_of if q.first_alert else date(q.year, 6, 30)
    return q.assessed_on(at)


def display_unit(unit: str, top: float) -> tuple[str, float]:
    """The unit to show values up to `top` of `unit` in, and how many of `unit` it is."""
    larger = _LARGER.get(unit)
    return larger if larger and top >= 20_000 else (unit, 1.0)


def nice_ticks(top: float) -> list[float]:
    """Round tick values from 0 to `top` or just over it; at most six of them."""
    if top <= 0:
        return [0.0, 1.0]
    raw = top / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 2.5, 5.0, 10.0) if m * power >= raw * 0.999999)
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def number(value: float) -> str:
    """A value with thousands separators and as many decimals as it bears."""
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{digits}f}"


def _cumulative(q: QuotaYear) -> list[tuple[float, float]]:
    first = date(q.year, 1, 1)
    line = [(0.0, 0.0)]
    for d in q.days:
        line.append(((d.day - first).days + 1.0, line[-1][1] + d.consumption))
    return line


def _band(f: _Frame, q: QuotaYear, band: Assessed, length: int, scale: float) -> list[str]:
    if band.p10 is None or band.p50 is None or band.p90 is None:
        return []
    at = ((band.as_of - date(q.year, 1, 1)).days + 1.0, band.used)
    title = " / ".join(number(p / scale) for p in (band.p10, band.p50, band.p90))
    return [
        f'<polygon class="band" points="{f.points([at, (length, band.p90), (length, band.p10)])}">'
        f"<title>{band.as_of}: {title}</title></polygon>",
        f'<polyline class="median" points="{f.points([at, (length, band.p50)])}"/>',
    ]


def _marks(f: _Frame, q: QuotaYear) -> list[str]:
    """The day of the first alert and the day that the limit was passed, each with its date."""
    out = []
    first = date(q.year, 1, 1)
    if q.first_alert is not None and (at := q.assessed_on(q.first_alert.as_of)) is not None:
        x, y = f.x((at.as_of - first).days + 1), f.y(at.used)
        out.append(_line(x, f.bottom, x, _TOP, "alert-line"))
        out.append(
            f'<circle class="alert-dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{at.as_of}</title></circle>'
        )
        side, anchor = (5.0, "") if x < _WIDTH - 70 else (-5.0, " end")
        early = x < _LEFT + (_WIDTH - _LEFT) * 0.3  # clear of the line, which is still low there
        level = f.bottom - (0.4 * (f.bottom - _TOP) if early else 8)
        out.append(_text(x + side, level, f"{at.as_of:%m-%d}", f"alert-label{anchor}"))
    if q.passed_on is not None and (at := q.assessed_on(q.passed_on)) is not None:
        x, y = f.x((at.as_of - first).days + 1), f.y(at.used)
        out.append(
            f'<circle class="passed-dot" cx="{x:.1f}" cy="{y:.1f}" r="4.5"><title>{at.as_of}</title></circle>'
        )
        out.append(_text(x - 6, y - 8, f"{at.as_of:%m-%d}", "passed-label end"))
    return out


def _axes(f: _Frame, ticks: Sequence[float], scale: float, unit: str) -> list[str]:
    out = [_text(_LEFT - 6, 12, unit, "tick unit end")]
    for t in ticks:
        y = f.y(t * scale)
        out.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, "grid" if t else "axis"))
        out.append(_text(_LEFT - 6, y + 4, f"{t:,.10g}", "tick end"))
    return out


def _strip(x0: float, x1: float, completeness: float | None) -> str:
    kind = "none" if completeness is None else "full" if completeness >= 0.999 else "part"
    kind = "poor" if completeness is not None and completeness < 0.9 else kind
    title = "" if completeness is None else f"<title>{completeness:.1%}</title>"
    return (
        f'<rect class="strip {kind}" x="{x0:.1f}" y="{_HEIGHT - 10}" width="{x1 - x0:.1f}" height="7" rx="2">'
        f"{title}</rect>"
    )


def _line(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def _text(x: float, y: float, text: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _svg(parts: Sequence[str], label: str) -> str:
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(label)}"'
    return f"<svg {box}>{''.join(parts)}</svg>"
