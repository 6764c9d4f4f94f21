"""Rolling assessment: the worker calls `run_once` after every derivation; what is due is assessed.

Wall clock: series are assessed as of today and yesterday when something changed that they rest on (due.py), and all of
them once a local day has ended; a year that has ended is assessed again as of its last day. Event clock: every local
day from the first with data up to the low-water mark, in order. Both work in sets; a set is one transaction:
assessments, limits, alerts, their events and the cursor or the marks. One assessor works at a time; another skips.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import structlog
from psycopg import IsolationLevel, errors

from alerts.alert_care import follow_up_at, follow_up_to
from alerts.alert_rows import FollowUp, due_anew
from alerts.alert_store import Hearing, evaluate_alerts
from alerts.assess_set import ROWS_AT_ONCE, Scope, assess_days
from alerts.assessment_store import write_assessments
from alerts.days import end_of_day
from alerts.due import Mark, day_has_ended, drop_marks, judged, mark_all, series_by_year, take_marks
from alerts.event_clock import last_assessable, read_event_clock
from alerts.finding_alerts import hear_findings
from alerts.frames import Series, first_energy_day, load_series
from alerts.limit_store import refresh_limits, refresh_limits_of_days
from alerts.load_alerts import hear_loads
from alerts.metrics import ASSESSED, ASSESSED_THROUGH, ASSESSMENT_SECONDS, LAST_ASSESSMENT, TRANSITIONS
from alerts.month_alerts import judge_months
from alerts.parameter_file import shipped_parameters
from alerts.parameters import Parameters
from alerts.sql import query

log = structlog.get_logger(__name__)

#: A set is at most so many local days, so that its transaction stays short.
DAYS_AT_ONCE = 400
#: By the wall clock, after a standstill, loads of so many days before are looked at.
LOAD_DAYS_BACK = 14
#: So many marks make a set by the wall clock.
MARKS_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class RollingOptions:
    """by_event: follow the event clock; patience_s: silence after which a gateway leaves it.

    debounce_s: wall clock: least time between two runs, or ten times what the last one took, if that is longer, but at
    most debounce_most_s: an alert is not to wait because a whole city was just assessed.
    """

    by_event: bool
    patience_s: float = 600.0
    debounce_s: float = 5.0
    debounce_most_s: float = 30.0
    parameters: Parameters = field(default_factory=shipped_parameters)

    def pause_s(self, took_s: float) -> float:
        """Seconds until the next run by the wall clock, after one that took so long."""
        return max(self.debounce_s, min(10 * took_s, self.debounce_most_s))


@dataclass(frozen=True, slots=True)
class RollingResult:
    """What a run did: rows assessed, rows written, alert transitions, and the last local day assessed."""

    assessed: int = 0
    written: int = 0
    transitions: int = 0
    through: date | None = None

    def plus(self, later: RollingResult) -> RollingResult:
        """Both together."""
        return RollingResult(
            self.assessed + later.assessed,
            self.written + later.written,
            self.transitions + later.transitions,
            later.through,
        )


class RollingAssessor:
    """Assesses what is due. Holds no truth: what it remembers only saves work."""

    def __init__(
        self,
        connect: Callable[[], psycopg.Connection[Any]],
        options: RollingOptions,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`connect` opens a connection of the pipeline role; `clock` is the wall clock."""
        self._connect = connect
        self._options = options
        self._clock = clock
        self._watched_since = clock()
        self._next = float("-inf")
        self._cared = False  # whether alerts are due by the care of our parameters

    def run_once(self) -> RollingResult:
        """Assess what is due now; nothing, if another assessor is at it."""
        with self._connect() as conn:
            conn.isolation_level = IsolationLevel.REPEATABLE_READ
            try:
                result = self._by_event(conn) if self._options.by_event else self._by_wall(conn)
                with conn.transaction():
                    result = result.plus(
                        RollingResult(transitions=self._look_around(conn), through=result.through)
                    )
            except errors.SerializationFailure:
                # Another assessor finished a set between our snapshot and our lock.
                conn.rollback()
                return RollingResult()
        return result

    def _look_around(self, conn: psycopg.Connection[Any]) -> int:
        """Hear the findings and follow alerts up, by the clock in use; the transitions."""
        if not _lock_cursor(conn):
            return 0
        p, zone = self._options.parameters, local_zone(conn)
        follow_up, now = FollowUp(p.care, zone), self._clock()
        if not self._cared:
            due_anew(conn, follow_up)
            self._cared = True
        if not self._options.by_event:
            hearing = Hearing(lambda _: now, None, by_event=False)
            yesterday = now.astimezone(zone).date() - timedelta(days=1)
            made = self._hear_loads(conn, yesterday, follow_up, hearing)
            made += hear_findings(conn, p, now, follow_up, by_event=False)
            return made + follow_up_at(conn, now, follow_up)
        through = read_event_clock(conn, self._options.patience_s, self._watched_since)[0].assessed_through
        if through is None:
            return 0
        until = end_of_day(through, zone).astimezone(UTC)
        hearing = Hearing(lambda day: end_of_day(day, zone).astimezone(UTC), None, by_event=True)
        made = self._hear_loads(conn, through, follow_up, hearing)
        made += hear_findings(conn, p, until, follow_up, by_event=True)
        return made + follow_up_to(conn, until, follow_up)

    def _hear_loads(
        self, conn: psycopg.Connection[Any], through: date, follow_up: FollowUp, hearing: Hearing
    ) -> int:
        """Let the rules about loads see each ended local day once, up to `through`."""
        row = conn.execute("select loads_heard from nengliu.assessment_cursor").fetchone()
        assert row is not None  # the cursor has one row
        first = _day_after(row[0]) or (first_energy_day(conn) if hearing.by_event else through)
        if first is None or first > through:
            return 0
        if not hearing.by_event:
            first = max(first, through - timedelta(days=LOAD_DAYS_BACK))
        made = hear_loads(
            conn, load_series(conn), first, through, self._options.parameters, follow_up, hearing
        )
        conn.execute("update nengliu.assessment_cursor set loads_heard = %s", (through,))
        return made

    def _by_event(self, conn: psycopg.Connection[Any]) -> RollingResult:
        total = RollingResult()
        while True:
            with conn.transaction():
                result = self._next_set(conn)
            if result is None:
                return total
            total = total.plus(result)

    def _next_set(self, conn: psycopg.Connection[Any]) -> RollingResult | None:
        started = time.monotonic()
        if not _lock_cursor(conn):
            return None
        drop_marks(conn)
        zone = local_zone(conn)
        state, pending = read_event_clock(conn, self._options.patience_s, self._watched_since)
        if state.mark.at is None:
            return None
        begin = _day_after(state.assessed_through) or first_energy_day(conn)
        if begin is None:
            return None
        before, furthest = begin - timedelta(days=1), begin + timedelta(days=DAYS_AT_ONCE - 1)
        last = last_assessable(state.mark, pending, before, furthest, zone)
        if last is None:
            return None
        series = load_series(conn)
        last = min(last, begin + timedelta(days=ROWS_AT_ONCE // max(1, len(series))))
        refresh_limits_of_days(conn, self._options.parameters.limits, zone, last, self._clock())
        scope = Scope(zone, self._options.parameters, by_event=True)
        result = assess_and_alert(
            conn, series, begin, last, scope, lambda day: end_of_day(day, zone).astimezone(UTC), self._clock()
        )
        conn.execute("update nengliu.assessment_cursor set assessed_through = %s", (last,))
        _record(result, last, time.monotonic() - started)
        return result

    def _by_wall(self, conn: psycopg.Connection[Any]) -> RollingResult:
        started = time.monotonic()
        total, more = RollingResult(), True
        while more:
            with conn.transaction():
                result, more = self._marked_set(conn, started)
            total = total.plus(result) if result else total
        took = time.monotonic() - started
        if total.assessed:
            self._next = time.monotonic() + self._options.pause_s(took)
        return total

    def _marked_set(
        self, conn: psycopg.Connection[Any], run_started: float
    ) -> tuple[RollingResult | None, bool]:
        """Take marks and assess what they mean, if any wait and it is time; and whether more marks wait."""
        started, now, p = time.monotonic(), self._clock(), self._options.parameters
        zone = local_zone(conn)
        today = now.astimezone(zone).date()
        day_ended, waiting = day_has_ended(conn, today)
        if not (day_ended or (waiting and run_started >= self._next)) or not _lock_cursor(conn):
            return None, False
        if day_ended:
            mark_all(conn, today)
            self._next = run_started
        marks = take_marks(conn, MARKS_AT_ONCE)
        more = len(marks) == MARKS_AT_ONCE
        # Limits rest on years that have ended and on the terms; one that moves makes what was judged by it stale.
        sites = sorted({m.site_code for m in marks if m.terms or m.year < today.year})
        if sites:
            moved = refresh_limits(conn, p.limits, zone, now, sites).moved
            marks += [Mark(*place, terms=False) for place in moved]
        series = load_series(conn, sorted({m.site_code for m in marks}))
        years = series_by_year(series, marks, today.year, p.forecast.years)
        scope = Scope(zone, p, by_event=False, now=now)
        revision = energy_revision(conn)
        total = RollingResult(through=today)
        closed = judged(conn, {year: group for year, group in years.items() if year < today.year})
        for year, group in sorted(closed.items()):
            end = date(year, 12, 31)
            total = total.plus(assess_and_alert(conn, group, end, end, scope, lambda _: now, now, revision))
        if today.year in years:
            first = today - timedelta(days=1)
            total = total.plus(
                assess_and_alert(conn, years[today.year], first, today, scope, lambda _: now, now, revision)
            )
        _record(total, today, time.monotonic() - started)
        return total, more


def assess_and_alert(
    conn: psycopg.Connection[Any],
    series: list[Series],
    first: date,
    last: date,
    scope: Scope,
    time_of: Callable[[date], datetime],
    assessed_at: datetime,
    energy_revision: int | None = None,
) -> RollingResult:
    """Assess `series` as of each day from `first` to `last`, write, and let the rules see it; the caller commits."""
    sets = list(assess_days(conn, series, first, last, scope))
    written = sum(write_assessments(conn, found, assessed_at) for found in sets)
    for found in sets:
        for s in found.without:
            log.warning("no_factor", site=s.site_code, item=s.item_code, year=found.year)
    follow_up = FollowUp(scope.parameters.care, scope.zone)
    hearing = Hearing(time_of, energy_revision, scope.by_event, newest_only=not scope.by_event)
    transitions = evaluate_alerts(conn, sets, scope.parameters, follow_up, hearing)
    transitions += judge_months(conn, series, first, last, scope, hearing)
    return RollingResult(sum(int(found.asked.sum()) for found in sets), written, transitions, last)


def _day_after(day: date | None) -> date | None:
    return None if day is None else day + timedelta(days=1)


def _lock_cursor(conn: psycopg.Connection[Any]) -> bool:
    """Take the lock of the one assessor for this transaction; False if another has it."""
    row = conn.execute("select 1 from nengliu.assessment_cursor for update skip locked").fetchone()
    return row is not None


def local_zone(conn: psycopg.Connection[Any]) -> ZoneInfo:
    row = conn.execute("select nengliu.local_zone()").fetchone()
    assert row is not None  # a select without a table yields one row
    return ZoneInfo(row[0])


def energy_revision(conn: psycopg.Connection[Any]) -> int:
    """The newest revision of energy, which an assessment rests on."""
    row = conn.execute(query("energy_revision")).fetchone()
    assert row is not None  # a select without a table yields one row
    return int(row[0])


def _record(result: RollingResult, through: date, seconds: float) -> None:
    ASSESSED.inc(result.assessed)
    TRANSITIONS.inc(result.transitions)
    ASSESSMENT_SECONDS.observe(seconds)
    ASSESSED_THROUGH.set(datetime.combine(through, datetime.min.time(), UTC).timestamp())
    LAST_ASSESSMENT.set_to_current_time()
    log.info(
        "assessed",
        through=through.isoformat(),
        rows=result.assessed,
        written=result.written,
        transitions=result.transitions,
        seconds=round(seconds, 3),
    )
