"""Carries out what rules say of loads: alerts of nights, days off and levels above a building's own habit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import psycopg

from alerts.alert_care import move_as_seen
from alerts.alert_rows import FollowUp, NewAlert, open_alert
from alerts.alert_store import Hearing
from alerts.assess_set import SERIES_AT_ONCE
from alerts.days import DayGrid
from alerts.frames import Series, copy_columns
from alerts.lifecycle import FINAL, Observation, State, observe
from alerts.load_rules import (
    HABIT_DAYS,
    RULES,
    RUN_DAYS,
    YEAR_OF_WEEKS,
    Judged,
    LoadParameters,
    Loads,
    Runs,
    runs,
)
from alerts.parameters import Parameters
from alerts.sql import query
from metering.items import item_unit

#: Only these items: what heats or cools follows the weather, not habit.
ITEMS = frozenset({"01"})
#: Days before the first one judged that are read.
_BEFORE = YEAR_OF_WEEKS + HABIT_DAYS + 2 * RUN_DAYS
_LISTED = 14


@dataclass(slots=True)
class _Known:
    """An alert as it stands. A row of an earlier day than `as_of` tells it nothing; covered: of a resolved one the
    last day that it spoke of: a run of days that began by then is no other's ground.
    """

    alert_id: int
    state: State
    as_of: date
    covered: date | None


def hear_loads(
    conn: psycopg.Connection[Any],
    series: list[Series],
    first: date,
    last: date,
    parameters: Parameters,
    follow_up: FollowUp,
    hearing: Hearing,
) -> int:
    """Let the rules see the loads as of each local day from `first` to `last`: a day is judged as of the end of the
    next, when the readings that close it are there. Returns the transitions; the caller holds the assessor's lock.
    """
    wanted = [s for s in series if s.item_code in ITEMS]
    made = 0
    for n in range(0, len(wanted), SERIES_AT_ONCE):
        some = wanted[n : n + SERIES_AT_ONCE]
        begin = first - timedelta(days=1)
        days = DayGrid.spanning(begin - timedelta(days=_BEFORE), last - timedelta(days=1), follow_up.zone)
        loads = _read(conn, some, days, days.index(begin) - RUN_DAYS)
        known = _known(conn, some, parameters.loads, follow_up.zone)
        for name, p, members in _as_parameterised(some, parameters):
            judged = RULES[name](loads.of(members), p)
            above = judged.above(p)
            told = _Told(
                name,
                p,
                [some[m] for m in members],
                days,
                judged,
                runs(above, judged.counts, days.index(begin)),
            )
            made += told.hear(conn, days.index(begin), known, follow_up, hearing)
    return made


def _as_parameterised(
    series: list[Series], parameters: Parameters
) -> Iterator[tuple[str, LoadParameters, list[int]]]:
    """Each rule with each of its parameters in force, and the series that these are for."""
    for name in parameters.loads:
        groups: dict[LoadParameters, list[int]] = {}
        for ix, s in enumerate(series):
            groups.setdefault(parameters.load(name, s.site_code, s.building_type), []).append(ix)
        for p, members in groups.items():
            yield name, p, members


@dataclass(frozen=True, slots=True)
class _Told:
    """What a rule says of some series."""

    name: str
    p: LoadParameters
    series: list[Series]
    days: DayGrid
    judged: Judged
    runs: Runs

    def hear(
        self,
        conn: psycopg.Connection[Any],
        first: int,
        known: dict[tuple[str, str], _Known],
        follow_up: FollowUp,
        hearing: Hearing,
    ) -> int:
        made = 0
        holds = self.judged.counts & (self.runs.held >= self.p.days)
        calm = self.judged.counts & (self.runs.calm >= self.p.calm_days)
        spoken_of = np.array([(self.name, _subject(s)) in known for s in self.series], dtype=np.bool_)
        spoken_of |= holds[:, first:].any(axis=1)
        says = holds | (calm & spoken_of[:, None])
        for day, ix in np.argwhere(says[:, first:].T).tolist():
            made += self._step(conn, ix, first + day, Observation(bool(holds[ix, first + day]), True,
                               calm=bool(calm[ix, first + day])), known, follow_up, hearing)  # fmt: skip
        return made

    def _step(
        self,
        conn: psycopg.Connection[Any],
        ix: int,
        day: int,
        seen: Observation,
        known: dict[tuple[str, str], _Known],
        follow_up: FollowUp,
        hearing: Hearing,
    ) -> int:
        series, as_of = self.series[ix], self.days.day(day + 1)
        key = (self.name, _subject(series))
        alert = known.get(key)
        if alert is not None and as_of < alert.as_of:
            return 0
        if alert is not None and alert.state in FINAL:
            began = self.days.day(self.runs.began[ix, day])
            if alert.covered is not None and began <= alert.covered:
                return 0
            alert = None
        if alert is None and not self.p.enabled:
            return 0
        step = observe(alert.state if alert else None, seen)
        if step is None:
            return 0
        at = hearing.time_of(as_of)
        if alert is None:
            new = NewAlert(
                self.name,
                self.p.severity,
                key[1],
                self._evidence(ix, day),
                series.site_id,
                series.site_code,
                series.item_code,
            )
            row = open_alert(conn, new, step, at, follow_up)
            known[key] = _Known(row.alert_id, step.to_state, as_of, None)
            return 1
        judged = self.days.day(day)
        moved, made = move_as_seen(
            conn, alert.alert_id, seen, at, follow_up, hearing.by_event, judged, self.p.calm_days
        )
        if moved is not None:
            known[key] = _Known(alert.alert_id, moved.to_state, as_of, judged)
        return made

    def _evidence(self, ix: int, day: int) -> dict[str, Any]:
        j = self.judged
        listed = [d for d in range(max(0, day - RUN_DAYS + 1), day + 1) if j.counts[ix, d]][-_LISTED:]
        return {
            "as_of": self.days.day(day + 1).isoformat(),
            "day": self.days.day(day).isoformat(),
            "item_code": self.series[ix].item_code,
            "unit": f"{item_unit(self.series[ix].item_code)}/h",
            "actual": round(float(j.actual[ix, day]), 3),
            "habit": round(float(j.habit[ix, day]), 3),
            "rule": asdict(self.p),
            "days_on_end": int(self.runs.held[ix, day]),
            "since": self.days.day(self.runs.began[ix, day]).isoformat(),
            "days": [
                {
                    "day": self.days.day(d).isoformat(),
                    "actual": round(float(j.actual[ix, d]), 3),
                    "habit": round(float(j.habit[ix, d]), 3),
                }
                for d in listed
            ],
        }


def _subject(series: Series) -> str:
    return f"{series.site_code}/{series.item_code}"


def _read(conn: psycopg.Connection[Any], series: list[Series], days: DayGrid, first: int) -> Loads:
    keys = {
        "sites": [s.site_id for s in series],
        "items": [s.item_code for s in series],
        "first": days.first,
        "last": days.day(days.size - 1),
        # Nights of a year ago say nothing.
        "begins": datetime.fromtimestamp(
            float(days.edges_s[max(first - HABIT_DAYS - RUN_DAYS, 0)]), days.zone
        ),
        "ends": datetime.fromtimestamp(float(days.edges_s[-1]), days.zone),
        "zone": str(days.zone),
    }
    night, day = np.full((len(series), days.size), np.nan), np.full((len(series), days.size), np.nan)
    for name, into in (("load_nights", night), ("load_days", day)):
        ix, d, value = copy_columns(conn, name, keys, ("int4", "int4", "float8"))
        into[ix, d] = value
    weekday = (days.dates.astype("datetime64[D]").astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    return Loads(night, day, days.day_off, days.day_off & (weekday >= 5), first)


def _known(
    conn: psycopg.Connection[Any], series: list[Series], rules: Iterable[str], zone: ZoneInfo
) -> dict[tuple[str, str], _Known]:
    """The newest alert of each rule and subject; retracted ones do not count."""
    keys = {"rules": list(rules), "subjects": [_subject(s) for s in series]}
    known = {}
    for alert_id, rule, subject, state, as_of, resolved_at, settled in conn.execute(
        query("alerts_of_loads"), keys
    ):
        closed = (resolved_at - timedelta(microseconds=1)).astimezone(zone).date() if resolved_at else None
        known[rule, subject] = _Known(alert_id, State(state), as_of, settled or closed)
    return known
