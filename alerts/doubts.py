"""Energy that may be none: what a ratio that seems to have been entered too high adds to what a series has used.

Alerts that rest on it wait until the registry is put right or somebody says that the load is real, at most as many
days as [doubt] in parameters.toml says. As of a day only the days before it tell of an exchange: how fast data comes
does not matter.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import psycopg

from alerts.days import Bools, DayGrid, Floats, end_of_day
from alerts.frames import Series, copy_columns, part_weights
from alerts.parameters import DoubtParameters
from alerts.sql import query
from metering.exchanges import ExchangeRule, exchange_step
from metering.findings import FindingState
from metering.registers import energy_registers

#: A scale is measured to so much (docs/decisions/exchanges.md).
_MARGIN = 1.15
#: For so many days after an exchange nothing is told for want of days.
_EARLY_DAYS = 4


@dataclass(frozen=True, slots=True)
class Doubt:
    """An exchange that may have raised what a series uses. day: index; scale: of the step, None: too early to tell."""

    point_code: str
    day: int
    scale: float | None

    def told(self, days: DayGrid) -> dict[str, Any]:
        """As an alert's evidence keeps it."""
        scale = None if self.scale is None else round(self.scale, 3)
        return {"point_code": self.point_code, "day": days.day(self.day).isoformat(), "scale": scale}


@dataclass(frozen=True, slots=True)
class Doubts:
    """energy: S x N, of the year as of each day in the series' unit, that may be none. of: what is in doubt as of a day
    (series, day).
    """

    energy: Floats
    of: dict[tuple[int, int], list[Doubt]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Exchange:
    part: int
    point_id: int
    point_code: str
    day: int
    accepted: bool


def load_doubts(
    conn: psycopg.Connection[Any],
    series: list[Series],
    days: DayGrid,
    first: date,
    parameters: DoubtParameters,
) -> Doubts:
    """Doubts as of each day from `first` to the grid's end, all in one year: of an exchange that nobody judged for so
    many days; of one that was accepted as wrong until it is put right; of one that was refused none.
    """
    rule = ExchangeRule(least_scale=parameters.least_scale)
    doubts = Doubts(np.zeros((len(series), days.size)))
    parts = [(ix, s, item) for ix, s in enumerate(series) for item in s.parts]
    found = _exchanges(conn, parts, days, first)
    if not found:
        return doubts
    kinds = [(parts[x.part][2], parts[x.part][1].item_code) for x in found]
    weights = np.nan_to_num(part_weights(conn, kinds, days))
    energy, measured = _energy(conn, found, days, rule)
    counted = energy * weights
    begin, year = days.index(first), days.index(date(first.year, 1, 1))
    counted_share: dict[tuple[int, int, int], float] = defaultdict(float)
    for n, x in enumerate(found):
        ix, since = parts[x.part][0], max(x.day, year)
        stop = days.size if x.accepted else min(days.size, x.day + parameters.days + 1)
        for as_of in range(max(begin, x.day), stop):
            scale = _scale(measured[n], days.day_off, x.day, as_of, rule)
            if scale is not None and scale <= 1.0:
                continue
            # An earlier exchange at the point has the energy since this one in doubt too: it is once.
            share, place = _doubtful(scale), (x.part, x.point_id, as_of)
            more = max(share - counted_share[place], 0.0)
            counted_share[place] += more
            doubts.energy[ix, as_of] += more * _since(counted[n], since, as_of)
            doubts.of.setdefault((ix, as_of), []).append(Doubt(x.point_code, x.day, scale))
    return doubts


def _doubtful(scale: float | None) -> float:
    """The share of what came since an exchange that may be none."""
    return 1.0 if scale is None else 1.0 - 1.0 / (_MARGIN * scale)


def _since(energy: Floats, begin: int, as_of: int) -> float:
    """Energy from a day on up to the end of another, which counts as the day before it: it may not be known yet."""
    sums = energy[begin:as_of]
    return float(sums.sum() + sums[-1]) if len(sums) else 0.0


def _exchanges(
    conn: psycopg.Connection[Any],
    parts: list[tuple[int, Series, str]],
    days: DayGrid,
    first: date,
) -> list[_Exchange]:
    asked = {
        "sites": [s.site_id for _, s, _ in parts],
        "items": [item for _, _, item in parts],
        "counting": list(energy_registers()),
        "begins": end_of_day(date(first.year - 1, 1, 1), days.zone),
        "ends": end_of_day(days.day(days.size - 1), days.zone),
    }
    return [
        _Exchange(
            part, point_id, code, days.index(at.astimezone(days.zone).date()), judged == FindingState.ACCEPTED
        )
        for part, point_id, code, at, judged in conn.execute(query("exchanges"), asked).fetchall()
        if judged != FindingState.REFUSED
    ]


def _energy(
    conn: psycopg.Connection[Any], found: list[_Exchange], days: DayGrid, rule: ExchangeRule
) -> tuple[Floats, Floats]:
    """E x N: energy of each exchange's point around it and since; and the same, NaN where not measured wholly."""
    energy, measured = np.zeros((len(found), days.size)), np.full((len(found), days.size), np.nan)
    asked = {
        "points": [x.point_id for x in found],
        "from_days": [days.day(x.day - rule.window_days) for x in found],
        "to_days": [days.day(days.size - 1)] * len(found),
        "first": days.first,
    }
    row, day, kwh, wholly = copy_columns(conn, "exchange_days", asked, ("int4", "int4", "float8", "int4"))
    within = (day >= 0) & (day < days.size)
    row, day, kwh, wholly = row[within], day[within], kwh[within], wholly[within] > 0
    energy[row, day] = kwh
    measured[row[wholly], day[wholly]] = kwh[wholly]
    return energy, measured


def _scale(measured: Floats, day_off: Bools, at: int, as_of: int, rule: ExchangeRule) -> float | None:
    """The step at an exchange as days before `as_of` tell it; 1: none, or nothing to tell it by; None: too early."""
    begin, stop = max(at - rule.window_days, 0), min(as_of, at + 1 + rule.window_days)
    before, after = measured[begin:at], measured[at + 1 : stop]
    known = np.isfinite(before).sum() >= rule.least_before
    if known and as_of <= at + _EARLY_DAYS and np.isfinite(after).sum() < rule.least_after:
        return None
    step = exchange_step(before, day_off[begin:at], after, day_off[at + 1 : stop], rule)
    return 1.0 if step is None else step.scale
