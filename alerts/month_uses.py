"""Reads what series used in months, and what of it was known at the ends of local days."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from alerts.days import DayGrid, end_of_day
from alerts.frames import Series, load_energy
from alerts.month_rule import Month
from alerts.sql import query
from metering.registers import Role, register_table


@dataclass(frozen=True, slots=True)
class MonthUse:
    """What a series used in a month in its unit, as known at the end of local day `known_on`; completeness: NaN where
    nothing was installed.
    """

    series: Series
    month: Month
    known_on: date
    use: float
    completeness: float


def month_uses(
    conn: psycopg.Connection[Any],
    asked: Sequence[tuple[Series, Month]],
    days: DayGrid,
    now: datetime | None,
    by_event: bool,
) -> Iterator[MonthUse]:
    """The uses of months, all within `days` and over; those with days whose energy is not known in the series' unit are
    left out.

    By the wall clock one a month, as known now. By the event clock one as known at its end, without what was open then,
    and one as known at the end of the day on which readings had closed it.
    """
    series = sorted({s for s, _ in asked}, key=lambda s: (s.site_code, s.item_code))
    row_of = {s: i for i, s in enumerate(series)}
    nothing = np.zeros((len(series), days.size), dtype=np.bool_)
    data = load_energy(conn, series, days, nothing, now, hindsight=not by_event)
    is_open = (data.open_energy > 0) | (data.open_covered_s > 0)
    cut = [(s, m) for s, m in asked if is_open[row_of[s], days.index(m.last)]]
    closed = _closings(conn, cut, days) if cut else {}
    for s, m in asked:
        i, begin, last = row_of[s], days.index(m.first), days.index(m.last)
        if data.unknown[i, begin : last + 1].any():
            continue
        use = float(data.energy[i, begin : last + 1].sum())
        covered = float(data.covered_s[i, begin : last + 1].sum())
        installed = float(data.installed_s[i, begin : last + 1].sum())
        open_use, open_covered = float(data.open_energy[i, last]), float(data.open_covered_s[i, last])
        yield MonthUse(s, m, m.last, _sum(use - open_use), _share(covered - open_covered, installed))
        if (s, m) in closed:
            yield MonthUse(s, m, closed[s, m], _sum(use), _share(covered, installed))


def _closings(
    conn: psycopg.Connection[Any], cut: Sequence[tuple[Series, Month]], days: DayGrid
) -> dict[tuple[Series, Month], date]:
    """The local days at whose end readings had closed months that were open at theirs."""
    parts = [(key, item) for key in cut for item in key[0].parts]
    keys = {
        "sites": [s.site_id for (s, _), _ in parts],
        "items": [item for _, item in parts],
        "ends": [end_of_day(m.last, days.zone) for (_, m), _ in parts],
        "registers": [r.code for r in register_table().values() if r.role in (Role.TOTAL, Role.TARIFF)],
    }
    found: dict[tuple[Series, Month], datetime | None] = {}
    for ix, closed_at in conn.execute(query("month_closings"), keys):
        key = parts[ix][0]
        before = found.get(key, closed_at)
        found[key] = None if closed_at is None or before is None else max(closed_at, before)
    return {
        key: (at.astimezone(days.zone) - timedelta(microseconds=1)).date() for key, at in found.items() if at
    }


def _sum(use: float) -> float:
    return round(max(use, 0.0), 6)


def _share(covered: float, installed: float) -> float:
    return round(min(max(covered / installed, 0.0), 1.0), 9) if installed > 0 else math.nan
