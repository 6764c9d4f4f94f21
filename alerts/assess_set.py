"""Assesses a set of sites x days: reads once, computes in arrays, year by year. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import psycopg

from alerts.assessment import Assessments, Assessor
from alerts.days import Bools, DayGrid, Floats, Ints, end_of_day
from alerts.doubts import Doubts, load_doubts
from alerts.frames import Series, as_of_rows, load_energy
from alerts.parameters import Parameters
from alerts.sql import query

#: Rows x 366 doubles are held a few times over: this many rows are worked on at once.
ROWS_AT_ONCE = 8000
SERIES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Scope:
    """What assessments rest on.

    by_event: each day knows the limits and readings of its end; else all that is known now counts for every day.
    known_at: only quota versions recorded by then (None: all). now: how far time has passed (None: all days ended).
    """

    zone: ZoneInfo
    parameters: Parameters
    by_event: bool
    known_at: datetime | None = None
    now: datetime | None = None


@dataclass(frozen=True, slots=True)
class AssessedSet:
    """Assessments of one year with what their indices mean. `asked`: rows that were asked for; the others are the
    days before, which rules about several days on end need. limit_id: quota_limit_id of each row, 0 for none. doubts:
    what of the use may be none.
    without: series of which rows were asked for that cannot be assessed, since no factor covers what they used."""

    series: list[Series]
    days: DayGrid
    year: int
    rows: Assessments
    limit_id: Ints
    asked: Bools
    without: list[Series]
    doubts: Doubts


def assess_days(
    conn: psycopg.Connection[Any], series: list[Series], first: date, last: date, scope: Scope
) -> Iterator[AssessedSet]:
    """Assess every series as of each local day from `first` to `last`, in sets of one year and bounded size."""
    for year in range(first.year, last.year + 1):
        begin, end = max(first, date(year, 1, 1)), min(last, date(year, 12, 31))
        per_series = (end - begin).days + 1
        step = max(1, min(SERIES_AT_ONCE, ROWS_AT_ONCE // per_series))
        for n in range(0, len(series), step):
            yield _assess_year(conn, series[n : n + step], begin, end, scope)


def _assess_year(
    conn: psycopg.Connection[Any], series: list[Series], first: date, last: date, scope: Scope
) -> AssessedSet:
    p, year = scope.parameters, first.year
    # The same grid for every day of a year, whatever set it is worked on in: the same sums.
    days = DayGrid.spanning(date(year - p.forecast.years, 1, 1), last, scope.zone)
    lead = p.longest_run - 1
    begin = max(first - timedelta(days=lead), date(year, 1, 1))
    ix, as_of = as_of_rows(series, days, begin, last)
    asked = _asked(len(series), days, ix, as_of)
    data = load_energy(conn, series, days, asked, scope.now, hindsight=not scope.by_event)
    limits, limit_ids = _limit_matrix(conn, series, days, scope)
    assessor = Assessor(data, year, p)
    rows = assessor.assess(ix, as_of, limits[ix, as_of], _severe_before(assessor, limits, days, year, p)[ix])
    asked, unknown = as_of >= days.index(first), assessor.unknown(ix, as_of)
    without = [series[i] for i in np.unique(ix[asked & unknown])]
    doubts = load_doubts(conn, series, days, begin, p.doubt)
    return AssessedSet(series, days, year, rows, limit_ids[ix, as_of], asked & ~unknown, without, doubts)


def _asked(count: int, days: DayGrid, ix: Ints, as_of: Ints) -> Bools:
    """The days assessed, and the last day of every year before: what was known then is what the year starts from."""
    asked = np.zeros((count, days.size), dtype=np.bool_)
    asked[ix, as_of] = True
    asked[:, np.flatnonzero(days.years[1:] != days.years[:-1])] = True
    return asked


def _severe_before(assessor: Assessor, limits: Floats, days: DayGrid, year: int, p: Parameters) -> Bools:
    """For each series: was its use severe at the end of the year before?"""
    ix = np.arange(len(limits))
    day = np.full(len(limits), days.index(date(year - 1, 12, 31)), dtype=np.int64)
    severe = assessor.used(ix, day) > p.levels.severe * limits[ix, day]
    return np.asarray(severe & ~assessor.unknown(ix, day))


def _limit_matrix(
    conn: psycopg.Connection[Any], series: list[Series], days: DayGrid, scope: Scope
) -> tuple[Floats, Ints]:
    """S x N: limit in force as of each day (NaN: none) and its quota_limit_id (0: none), this year and the last."""
    limits = np.full((len(series), days.size), np.nan)
    ids = np.zeros((len(series), days.size), dtype=np.int64)
    position = {(s.site_id, s.item_code): i for i, s in enumerate(series)}
    last_year = int(days.years[-1])
    keys = {
        "sites": sorted({s.site_id for s in series}),
        "first_year": last_year - 1,
        "last_year": last_year,
        "known_at": scope.known_at,
    }
    for row in conn.execute(query("quota_rows"), keys):
        site_id, item, year, effective_from, limit_id, value, given, recorded_at, superseded_at = row
        i = position.get((site_id, item))
        if i is None:
            continue
        year_start, stop = days.index(date(year, 1, 1)), min(days.index(date(year, 12, 31)) + 1, days.size)
        start = max(year_start, days.index(effective_from))
        begin, end = start, stop
        if limit_id is None:
            value, limit_id = np.nan, 0
        elif scope.by_event and not given:
            begin = max(start, _first_day_knowing(days, recorded_at, scope.zone))
        elif superseded_at is not None and (scope.known_at is None or superseded_at <= scope.known_at):
            value, limit_id = np.nan, 0
        if begin < end:
            limits[i, begin:end], ids[i, begin:end] = value, limit_id
    return limits, ids


def _first_day_knowing(days: DayGrid, moment: datetime, zone: ZoneInfo) -> int:
    """Index of the first local day whose end is at or after `moment`."""
    day = moment.astimezone(zone).date()
    before = day - timedelta(days=1)
    return days.index(before if end_of_day(before, zone) >= moment else day)
