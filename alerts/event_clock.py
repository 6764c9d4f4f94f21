"""The event clock: how far event time has come, as a low-water mark over the gateways that open installations name.

A gateway leaves the mark when it says that it will send no more (final), or when it was not heard for longer than
`patience_s` of wall time; then the promise that any speed gives the same alerts is off, and `status` warns. The mark
and what was assessed never go back. See docs/decisions/event-clock.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from alerts.days import end_of_day
from alerts.sql import query


@dataclass(frozen=True, slots=True)
class GatewayProgress:
    """How far a gateway has come. event_ts: newest time of an accepted reading; heard_at: wall time of the newest
    receipt of anything, or of the newest import of installations if later; None: never."""

    gateway: str
    event_ts: datetime | None
    final: bool
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class Mark:
    """The low-water mark. at: None while a gateway is waited for that never sent a reading.

    all_final: nobody will send any more; else further readings of exactly `at` may be on their way.
    left_out: gateways that were not heard for too long; waiting_for: those that hold the mark back by having sent
    nothing yet.
    """

    at: datetime | None
    all_final: bool
    left_out: tuple[str, ...]
    waiting_for: tuple[str, ...]

    def passed(self, moment: datetime) -> bool:
        """Whether every reading up to and at `moment` is there."""
        return self.at is not None and (moment <= self.at if self.all_final else moment < self.at)


@dataclass(frozen=True, slots=True)
class EventClockState:
    """For `nengliu status`: the mark and the last local day assessed."""

    mark: Mark
    assessed_through: date | None


def low_water_mark(
    gateways: Sequence[GatewayProgress],
    newest: datetime | None,
    now: datetime,
    patience_s: float,
    watched_since: datetime | None,
) -> Mark:
    """The mark over `gateways` (those that open installations name).

    newest: how far any gateway has come, the mark when nobody is left to wait for. watched_since: since when somebody
    has been listening: silence before that is not the gateway's.
    """
    speaking = [g for g in gateways if not g.final]
    left_out = tuple(g.gateway for g in speaking if _silent(g, now, patience_s, watched_since))
    counted = [g for g in speaking if g.gateway not in left_out]
    if not counted:
        return Mark(newest if gateways else None, True, left_out, ())
    waiting_for = tuple(g.gateway for g in counted if g.event_ts is None)
    times = [g.event_ts for g in counted if g.event_ts is not None]
    return Mark(None if waiting_for else min(times), False, left_out, waiting_for)


def _silent(g: GatewayProgress, now: datetime, patience_s: float, watched_since: datetime | None) -> bool:
    moments = [m for m in (g.heard_at, watched_since) if m is not None]
    return bool(moments) and now - max(moments) > timedelta(seconds=patience_s)


def read_event_clock(
    conn: psycopg.Connection[Any], patience_s: float, watched_since: datetime | None = None
) -> tuple[EventClockState, datetime | None]:
    """The state of the clock, and the time of the oldest reading that is not derived yet (None: all are)."""
    gateways = [GatewayProgress(*row) for row in conn.execute(query("event_gateways")).fetchall()]
    row = conn.execute(query("event_bounds")).fetchone()
    assert row is not None  # a select without a table yields one row
    newest, pending, assessed_through, now = row
    mark = low_water_mark(gateways, newest, now, patience_s, watched_since)
    return EventClockState(mark, assessed_through), pending


def event_clock_state(conn: psycopg.Connection[Any], patience_s: float) -> EventClockState:
    """What `nengliu status` shows of the event clock; `mark.left_out` is worth a warning."""
    return read_event_clock(conn, patience_s)[0]


def last_assessable(
    mark: Mark, pending: datetime | None, after: date, limit: date, zone: ZoneInfo
) -> date | None:
    """The last local day in (after, limit] whose readings are all there and derived; None: not even the first."""
    found = None
    day = after + timedelta(days=1)
    while day <= limit:
        end = end_of_day(day, zone)
        if not mark.passed(end) or (pending is not None and pending <= end):
            break
        found, day = day, day + timedelta(days=1)
    return found
