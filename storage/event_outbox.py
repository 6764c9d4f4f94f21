"""Events that leave the database: written in the transaction they speak of, read back and published by a relay.

Delivered at least once and in order of event_id: a consumer knows a repeat by its event_id.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from storage.sql import query

#: Key of the advisory lock of the one relay that publishes: "outbox" as bytes.
_LOCK = int.from_bytes(b"outbox")


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """An event: the topic's contract name, its key, and a JSON value."""

    event_id: int
    topic: str
    key: str
    value: dict[str, Any]


def enqueue(conn: psycopg.Connection[Any], topic: str, key: str, value: dict[str, Any]) -> None:
    """Write an event in the caller's transaction."""
    conn.execute(
        "insert into nengliu.event_outbox (topic, key, value) values (%s, %s, %s)", (topic, key, Jsonb(value))
    )


def relay_events(
    connect: Callable[[], psycopg.Connection[Any]],
    publish: Callable[[Sequence[OutboxEvent]], None],
    limit: int = 1000,
) -> int:
    """Publish up to `limit` waiting events and mark them; returns how many.

    `publish` returns when all of them are safe, or raises: then they wait. One relay works at a time, so that order
    holds; another finds 0.
    """
    with connect() as conn:
        locked = conn.execute("select pg_try_advisory_xact_lock(%s)", (_LOCK,)).fetchone()
        if locked is None or not locked[0]:
            return 0
        rows = conn.execute(query("unpublished_events"), {"limit": limit}).fetchall()
        if not rows:
            return 0
        publish([OutboxEvent(*row) for row in rows])
        conn.execute(
            "update nengliu.event_outbox set published_at = clock_timestamp() where event_id = any (%s)",
            ([row[0] for row in rows],),
        )
    return len(rows)
