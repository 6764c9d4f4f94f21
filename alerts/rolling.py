"""Rolling assessment: the worker calls `run_once` after every derivation; what is due is assessed.

Wall clock: today is assessed when energy changed (debounced) and yesterday once more when a day has ended. Event
clock: every local day from the first with data up to the low-water mark, in order, in sets. A set is one
transaction: assessments, limits, alerts, their events and the cursor. One assessor works at a time; another skips.
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

from alerts.alert_store import evaluate_alerts
from alerts.assess_set import ROWS_AT_ONCE, Scope, assess_days
from alerts.assessment_store import write_assessments
from alerts.days import end_of_day
from alerts.event_clock import last_assessable, read_event_clock
from alerts.frames import Series, first_energy_day, load_series
from alerts.limit_store import refresh_limits, refresh_limits_of_days
from alerts.metrics import ASSESSED, ASSESSED_THROUGH, ASSESSMENT_SECONDS, LAST_ASSESSMENT, TRANSITIONS
from alerts.parameters import Parameters, shipped_parameters
from alerts.sql import query

log = structlog.get_logger(__name__)

#: A set is at most so many local days, so that its transaction stays short.
DAYS_AT_ONCE = 400


@dataclass(frozen=True, slots=True)
class RollingOptions:
    """by_event: follow the event clock; patience_s: silence after which a gateway leaves it.

    debounce_s: wall clock: least time between two assessments of today, or so many times what the last one took.
    """

    by_event: bool
    patience_s: float = 600.0
    debounce_s: float = 5.0
    parameters: Parameters = field(default_factory=shipped_parameters)


@dataclass(frozen=True, slots=True)
class RollingResult:
    """What a run did: rows assessed, rows written, alert transitions, and the last local day assessed."""

    assessed: int = 0
    written: int = 0
    transitions: int = 0
    through: date | None = None


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
        self._due = _Due()

    def run_once(self) -> RollingResult:
        """Assess what is due now; nothing, if another assessor is at it."""
        with self._connect() as conn:
            conn.isolation_level = IsolationLevel.REPEATABLE_READ
            try:
                result = self._by_event(conn) if self._options.by_event else self._by_wall(conn)
            except errors.SerializationFailure:
                # Another assessor finished a set between our snapshot and our lock.
                conn.rollback()
                return RollingResult()
        return result

    def _by_event(self, conn: psycopg.Connection[Any]) -> RollingResult:
        total = RollingResult()
        while True:
            with conn.transaction():
                result = self._next_set(conn)
            if result is None:
                return total
            total = RollingResult(
                total.assessed + result.assessed,
                total.written + result.written,
                total.transitions + result.transitions,
                result.through,
            )

    def _next_set(self, conn: psycopg.Connection[Any]) -> RollingResult | None:
        started = time.monotonic()
        if not _lock_cursor(conn):
            return None
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
        with conn.transaction():
            zone = local_zone(conn)
            now = self._clock()
            today = now.astimezone(zone).date()
            revision = energy_revision(conn)
            if not self._due.now(started, revision, today, self._options.debounce_s) or not _lock_cursor(
                conn
            ):
                return RollingResult()
            refresh_limits(conn, self._options.parameters.limits, zone, now)
            first = today - timedelta(days=1) if self._due.day_ended(today) else today
            series = load_series(conn)
            result = RollingResult()
            if series:
                scope = Scope(zone, self._options.parameters, by_event=False, now=now)
                result = assess_and_alert(conn, series, first, today, scope, lambda _: now, now, revision[0])
        took = time.monotonic() - started
        self._due.done(time.monotonic(), took, revision, today)
        _record(result, today, took)
        return result


class _Due:
    """When today is to be assessed again: energy or the day changed, and the last time is long enough ago."""

    def __init__(self) -> None:
        self._revision: tuple[int, int] | None = None
        self._day: date | None = None
        self._next = float("-inf")

    def now(self, moment: float, revision: tuple[int, int], today: date, debounce_s: float) -> bool:
        self._debounce_s = debounce_s
        return self.day_ended(today) or (revision != self._revision and moment >= self._next)

    def day_ended(self, today: date) -> bool:
        return today != self._day

    def done(self, moment: float, took: float, revision: tuple[int, int], today: date) -> None:
        self._revision, self._day = revision, today
        self._next = moment + max(self._debounce_s, 10 * took)


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
    transitions = evaluate_alerts(conn, sets, scope.parameters, time_of, energy_revision)
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


def energy_revision(conn: psycopg.Connection[Any]) -> tuple[int, int]:
    """Newest revisions of energy and of the registry: what an assessment rests on."""
    row = conn.execute(query("energy_revision")).fetchone()
    assert row is not None  # a select without a table yields one row
    return int(row[0]), int(row[1])


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
