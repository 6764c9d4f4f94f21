"""The derivation: what changed becomes energy, at every level, in one transaction for each batch of sites.

Readings and registry edits mark what they change (nengliu.change). A worker claims sites that wait, takes
their marks, derives again exactly the hours that these can touch, and rolls them up. Sites are locked by row,
so any number of workers run side by side; a worker that dies leaves the marks where they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime
from math import ceil
from typing import Any

import psycopg

from metering.calendar import LocalCalendar, local_calendar
from metering.errors import NengliuError
from metering.instants import to_us
from metering.spans import union
from storage.derive_metrics import (
    BACKLOG,
    BACKLOG_READINGS,
    BATCH_SECONDS,
    CHANGES,
    HOURS,
    LAST_SUCCESS,
    OLDEST,
    OLDEST_LIVE,
    READINGS,
    SITES,
)
from storage.hanging import derive_hanging
from storage.point_hours import Source
from storage.retention import floor_us
from storage.rollup import make_work_tables, write_sites
from storage.sql import query
from storage.touched import Change, Places, load_registers, touched_hours

#: What changed of so many hours up to now is live.
LIVE_HOURS = 24.0


@dataclass(frozen=True, slots=True)
class DeriveOptions:
    """Bounds of a batch: sites and hours of points in a transaction, readings in memory at a time.

    whole_hours: how many hours a change of a long time counts for at most. live_hours: changes of so many hours up to
    now are live, and go before the backlog; backlog_every: but every so manyth batch takes of the backlog first.
    """

    sites: int = 500
    point_hours: int = 400_000
    readings: int = 500_000
    whole_hours: int = 20_000
    live_hours: float = LIVE_HOURS
    backlog_every: int = 4


@dataclass(frozen=True, slots=True)
class DeriveResult:
    """What a batch did: sites taken, changes they had, readings read, hours of points that came out
    differently.
    """

    sites: int = 0
    changes: int = 0
    readings: int = 0
    hours: int = 0
    seconds: float = 0.0

    def plus(self, other: DeriveResult) -> DeriveResult:
        """Both together."""
        return DeriveResult(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))


@dataclass(frozen=True, slots=True)
class Backlog:
    """Changes that wait, and about how many readings they are: exact of changes of one reading, else as many as the
    meters' intervals put into the time. For how many seconds the oldest has waited, and the oldest of the last hours.
    """

    changes: int = 0
    readings: int = 0
    oldest_s: float = 0.0
    oldest_live_s: float = 0.0


def read_backlog(connection: psycopg.Connection[Any], live_hours: float = LIVE_HOURS) -> Backlog:
    """How far behind the derivation is, as the database has it now."""
    row = connection.execute(query("derive_backlog"), {"live_hours": live_hours}).fetchone()
    connection.rollback()
    return Backlog(*row) if row else Backlog()


class Deriver:
    """Derives what changed, batch by batch. Not for use by several threads at once."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], options: DeriveOptions | None = None
    ) -> None:
        self._connect = connect
        self._options = options or DeriveOptions()
        self._connection: psycopg.Connection[Any] | None = None
        self._calendar: LocalCalendar | None = None
        self._turn = 0

    def run_once(self) -> DeriveResult:
        """Derive one batch of the sites that have waited longest; DeriveResult() where nothing waits.

        Raises psycopg.OperationalError where the database is away; then nothing was changed.
        """
        started = time.monotonic()
        connection = self._ready()
        try:
            with connection.transaction(), connection.cursor() as cursor:
                result = self._batch(cursor)
        except psycopg.Error:
            self.close()
            raise
        seconds = time.monotonic() - started
        if result.sites:
            SITES.inc(result.sites)
            CHANGES.inc(result.changes)
            READINGS.inc(result.readings)
            HOURS.inc(result.hours)
            BATCH_SECONDS.observe(seconds)
        else:
            LAST_SUCCESS.set_to_current_time()
        return replace(result, seconds=seconds)

    @contextmanager
    def rehearsal(self) -> Iterator[tuple[psycopg.Connection[Any], Callable[[Sequence[int]], None]]]:
        """A connection in a transaction that is rolled back at the end, and what derives sites in it."""
        connection = self._ready()
        with connection.transaction(force_rollback=True), connection.cursor() as cursor:
            cursor.execute("set local work_mem = '64MB'")

            def derive(sites: Sequence[int]) -> None:
                for n in range(0, len(sites), self._options.sites):
                    self._derive(cursor, sites[n : n + self._options.sites], live=False)

            yield connection, derive

    def backlog(self) -> Backlog:
        """How much waits, by now; also sets the metrics of it."""
        backlog = read_backlog(self._ready(), self._options.live_hours)
        BACKLOG.set(backlog.changes)
        BACKLOG_READINGS.set(backlog.readings)
        OLDEST.set(backlog.oldest_s)
        OLDEST_LIVE.set(backlog.oldest_live_s)
        return backlog

    def mark_due_removals(self) -> None:
        """Mark installations whose removal, recorded ahead, has come by now."""
        connection = self._ready()
        with connection.transaction():
            connection.execute(query("derive_due_removals"))

    def run_all(self) -> DeriveResult:
        """Derive until nothing waits that no other worker has."""
        started = time.monotonic()
        total = DeriveResult()
        while (done := self.run_once()).sites:
            total = total.plus(done)
        return replace(total, seconds=time.monotonic() - started)

    def close(self) -> None:
        """Give the connection up; the next run makes another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ready(self) -> psycopg.Connection[Any]:
        if self._connection is None or self._connection.closed:
            connection = self._connect()
            connection.prepare_threshold = None  # plans depend on the bounds of time
            make_work_tables(connection)
            self._connection = connection
        return self._connection

    def _batch(self, cursor: psycopg.Cursor[Any]) -> DeriveResult:
        cursor.execute("set local work_mem = '64MB'")
        if cursor.execute("select exists (select from nengliu.change where site_id is null)").fetchone() == (
            True,
        ):
            cursor.execute(query("derive_adopt"))
        claimed, live = self._claim(cursor)
        return self._derive(cursor, claimed, live) if claimed else DeriveResult()

    def _derive(self, cursor: psycopg.Cursor[Any], claimed: Sequence[int], live: bool) -> DeriveResult:
        """Derive what changed of sites that this transaction holds."""
        known = {"live": live, "live_hours": self._options.live_hours}
        cursor.execute(query("derive_take"), {"sites": list(claimed), **known})
        changes = [Change(*row) for row in cursor]
        calendar, now_us = self._clock(cursor)
        places = _places(cursor, claimed, changes)
        touched = touched_hours(cursor, changes, places)
        _hand_over(cursor, touched.elsewhere)
        source = Source(
            cursor,
            {r.point_id for r in places.registers if r.site_id in places.claimed},
            places.registers,
            touched.last,
            calendar,
            now_us,
            self._options.readings,
            floor_us(cursor),
        )
        done = derive_hanging(source, touched.points)
        for point, spans in done.points.items():
            touched.sites.setdefault(places.site_of[point], []).extend(spans)
        write_sites(cursor, {site: union(spans) for site, spans in touched.sites.items()}, calendar)
        return DeriveResult(len(claimed), len(changes), done.readings, done.hours)

    def _claim(self, cursor: psycopg.Cursor[Any]) -> tuple[list[int], bool]:
        """Lock waiting sites for a batch, and whether it is one of live changes: of these first, else of the backlog;
        every few batches the other way round, so that the backlog is never left.
        """
        self._turn = (self._turn + 1) % self._options.backlog_every
        first = self._turn != 0
        for live in (first, not first):
            if claimed := self._claim_kind(cursor, live):
                return claimed, live
        return [], first

    def _claim_kind(self, cursor: psycopg.Cursor[Any], live: bool) -> list[int]:
        """Lock sites with live changes, or with older ones, the oldest first, until the batch is full: in growing
        helpings, so as to lock few, and by what those had, so as to look through the changes a few times only.
        """
        options = self._options
        known = {"whole_hours": options.whole_hours, "live_hours": options.live_hours, "live": live}
        claimed: list[int] = []
        hours, helping = 0.0, 4
        while hours < options.point_hours and len(claimed) < options.sites:
            helping = min(helping, options.sites - len(claimed))
            cursor.execute(query("derive_claim"), {"claimed": claimed, "sites": helping, **known})
            rows = cursor.fetchall()
            claimed.extend(row[0] for row in rows)
            hours += sum(row[1] for row in rows)
            if len(rows) < helping:
                break
            helping = min(16 * helping, ceil((options.point_hours - hours) * len(claimed) / hours))
        return claimed

    def _clock(self, cursor: psycopg.Cursor[Any]) -> tuple[LocalCalendar, int]:
        row = cursor.execute("select timezone, clock_timestamp() from nengliu.node").fetchone()
        if row is None:
            raise NengliuError("the database has no row in nengliu.node; run `nengliu migrate`")
        zone: str = row[0]
        now: datetime = row[1]
        if self._calendar is None or self._calendar.zone != zone:
            self._calendar = local_calendar(zone)
        return self._calendar, to_us(now)


def _places(cursor: psycopg.Cursor[Any], claimed: Sequence[int], changes: Sequence[Change]) -> Places:
    series = {c.series_id for c in changes if c.series_id is not None}
    registers = load_registers(cursor, claimed, sorted(series))
    named = sorted({c.point_id for c in changes if c.point_id is not None})
    cursor.execute("select point_id, site_id from nengliu.point where point_id = any (%s)", (named,))
    return Places.of(registers, dict(cursor.fetchall()), set(claimed))


def _hand_over(cursor: psycopg.Cursor[Any], changes: Sequence[Change]) -> None:
    """Mark points of sites that are not in this batch, so that the worker that claims those sites derives
    them.
    """
    for change in changes:
        cursor.execute(
            query("derive_mark"),
            {"site": change.site_id, "point": change.point_id, "from": change.from_us, "to": change.to_us},
        )
