"""How long raw readings are kept: some years, then they are dropped by chunk; hours for ever.

The floor is the moment before which no hour is derived again: a reading before it is rejected, a change before it
is left out. It moves up only when chunks go, and these end 77 days before it, so that whatever hours after it need
is there. See docs/decisions/retention.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from metering.spans import START
from storage import locks
from storage.retention_metrics import CHUNKS, FLOOR, READINGS, WAITS
from storage.sql import query

Connection = psycopg.Connection[Any]


@dataclass(frozen=True, slots=True)
class Going:
    """What is old enough to go. begin, end: of its chunks (None: there is none); floor: what the floor would be;
    waits: something before it is still to be derived.
    """

    chunks: int
    readings: int
    size_bytes: int
    begin: datetime | None
    end: datetime | None
    floor: datetime | None
    waits: bool = False


@dataclass(frozen=True, slots=True)
class Kept:
    """How it stands. floor, dropped_before: None where nothing was ever dropped; chunks, readings: dropped so far."""

    floor: datetime | None
    dropped_before: datetime | None
    chunks: int
    readings: int
    applied_at: datetime | None


def floor_us(cursor: psycopg.Cursor[Any]) -> int:
    """The floor in µs since 1970; metering.spans.START where nothing was ever dropped."""
    row = cursor.execute(query("retention_floor")).fetchone()
    return START if row is None else int(row[0])


def kept(connection: Connection) -> Kept:
    """How it stands now; also sets the metrics of it."""
    row = connection.execute(query("retention_state")).fetchone()
    assert row is not None  # the migration made it
    state = Kept(*row)
    CHUNKS.set(state.chunks)
    READINGS.set(state.readings)
    FLOOR.set(0 if state.floor is None else state.floor.timestamp())
    return state


def going(connection: Connection, keep_years: int, now: datetime) -> Going:
    """What readings of more than `keep_years` before `now` would go; counts them."""
    row = connection.execute(
        "select %s::timestamptz - make_interval(years => %s)", (now, keep_years)
    ).fetchone()
    assert row is not None
    found = connection.execute(query("retention_due"), {"floor": row[0]}).fetchone()
    assert found is not None
    chunks, begin, end, size = found
    if not chunks:
        return Going(0, 0, 0, None, None, None)
    counted = connection.execute(query("retention_readings"), {"from": begin, "to": end}).fetchone()
    raised = connection.execute("select %s::timestamptz + nengliu.retention_margin()", (end,)).fetchone()
    assert counted is not None
    assert raised is not None
    waiting = connection.execute(query("retention_waits"), {"floor": raised[0]}).fetchone()
    return Going(chunks, counted[0], size, begin, end, raised[0], bool(waiting and waiting[0]))


def apply_retention(connection: Connection, keep_years: int, now: datetime) -> Kept:
    """Raise the floor and drop what lies before it; nothing where what is before it waits to be derived.

    `connection` is in autocommit. The floor is committed first, and no writer's transaction is open then that knew
    the one before: what is dropped after can get nothing more. One that died in between is made up for here.
    """
    waits = False
    with connection.transaction():
        due = going(connection, keep_years, now)
        if due.floor is not None:
            connection.execute("select pg_advisory_xact_lock(%s)", (locks.REGISTRY,))
            row = connection.execute(query("retention_waits"), {"floor": due.floor}).fetchone()
            waits = bool(row and row[0])
            if not waits:
                connection.execute(query("retention_raise"), {"floor": due.floor})
    connection.execute("select * from nengliu.drop_readings()")
    WAITS.set(waits)
    return kept(connection)
