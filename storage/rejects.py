"""What could not be used: counts, and one value with its bytes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from storage.sql import query


@dataclass(frozen=True, slots=True)
class RejectCount:
    """Rejected values of one reason, gateway and meter (None: the bytes do not say); waiting: of them, those that
    were not put in again; newest_id, last_detail: of the one received last.
    """

    reason: str
    gateway: str
    meter: str | None
    count: int
    waiting: int
    first_at: datetime
    last_at: datetime
    newest_id: int
    last_detail: str


@dataclass(frozen=True, slots=True)
class Reject:
    """One rejected value. payload: a v1 message of just that reading, or what came where nothing could be
    decoded.
    """

    reject_id: int
    received_at: datetime
    gateway: str
    outbox: str | None
    seq: int | None
    source_topic: str
    user_properties: list[list[str]] | None
    reason: str
    detail: str
    payload: bytes
    requeued_at: datetime | None
    meter: str | None


def count_rejects(
    connection: psycopg.Connection[Any],
    reason: str | None = None,
    gateway: str | None = None,
    meter: str | None = None,
) -> list[RejectCount]:
    """Counts by reason, gateway and meter, most first."""
    wanted = {"reason": reason, "gateway": gateway, "meter": meter}
    with connection.cursor(row_factory=class_row(RejectCount)) as cursor:
        return cursor.execute(query("rejects_count"), wanted).fetchall()


def find_reject(connection: psycopg.Connection[Any], reject_id: int) -> Reject | None:
    """The reject of that number."""
    with connection.cursor(row_factory=class_row(Reject)) as cursor:
        return cursor.execute(query("rejects_find"), {"reject_id": reject_id}).fetchone()


def readable(payload: bytes) -> str | None:
    """The payload as text, where it is printable text."""
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if text.isprintable() else None
