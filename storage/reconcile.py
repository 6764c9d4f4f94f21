"""The daily proof: what came of each outbox, what is missing, and whether the ledger agrees with the rows.

See docs/decisions/sequence-numbers.md, and for what closes a day, docs/decisions/reconcile.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import psycopg
from psycopg.rows import class_row

from storage.errors import TRY_AGAIN
from storage.sequences import Run
from storage.sql import query

_ATTEMPTS = 5


@dataclass(slots=True)
class OutboxDay:
    """A local day of one outbox (None: messages that name none).

    first_seq, last_seq: smallest and greatest number it ever showed (None: no numbers); seen: numbers first seen
    that day; received to rejected: values; gaps: numbers first to last that are missing, noticed that day; lost: those
    of them that a person accepted as lost.
    """

    day: date
    gateway: str
    outbox: str | None
    first_seq: int | None
    last_seq: int | None
    seen: int
    received: int
    stored: int
    repeated: int
    conflicting: int
    rejected: int
    gaps: list[Run] = field(default_factory=list)
    lost: list[Run] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Messages that are missing, those accepted as lost included."""
        return sum(high - low + 1 for low, high in self.gaps)


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is missing or does not agree. kind: missing, stored, conflicting, rejected or seen."""

    day: date | None
    gateway: str | None
    outbox: str | None
    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """The days that were looked at, their outboxes, what is wrong, and which days are closed now."""

    days: tuple[date, ...]
    outboxes: tuple[OutboxDay, ...]
    problems: tuple[Problem, ...]
    closed: tuple[date, ...]

    @property
    def missing(self) -> int:
        """Messages that are missing in all."""
        return sum(o.missing for o in self.outboxes)


def reconcile(
    connection: psycopg.Connection[Any], day: date | None = None, with_rows: bool = True
) -> Reconciliation:
    """Reconcile a local day, or every one that is not closed, and close those that are over and whole.

    `connection` is idle. All is read as of one moment, so that writers at work disturb nothing. with_rows: also
    count the rows of readings and rejects, which reads those tables once; without, no day is closed.
    """
    for _ in range(_ATTEMPTS - 1):
        try:
            return _reconcile(connection, day, with_rows)
        except TRY_AGAIN:  # another one closed the same day at the same moment
            continue
    return _reconcile(connection, day, with_rows)


def _reconcile(connection: psycopg.Connection[Any], day: date | None, with_rows: bool) -> Reconciliation:
    with connection.transaction():
        connection.execute("set transaction isolation level repeatable read")
        days = [d for (d,) in connection.execute(query("reconcile_open_days"))] if day is None else [day]
        outboxes = _outboxes(connection, days)
        problems = [*_missing(outboxes), *_wrong_numbers(connection, days)]
        if with_rows and days:
            problems += [
                *_wrong_readings(connection, days, outboxes),
                *_wrong_rejects(connection, days, outboxes),
            ]
        bad = {p.day for p in problems}
        whole = [d for d in days if d not in bad and None not in bad] if with_rows else []
        closed = [d for (d,) in connection.execute(query("reconcile_close"), {"days": whole})]
    return Reconciliation(tuple(days), tuple(outboxes), tuple(problems), tuple(closed))


def _outboxes(connection: psycopg.Connection[Any], days: Sequence[date]) -> list[OutboxDay]:
    with connection.cursor(row_factory=class_row(OutboxDay)) as cursor:
        found = cursor.execute(query("reconcile_outboxes"), {"days": days}).fetchall()
    by_key = {(o.day, o.gateway, o.outbox): o for o in found}
    for day, gateway, outbox, low, high, lost in connection.execute(query("reconcile_gaps"), {"days": days}):
        by_key[day, gateway, outbox].gaps.append((low, high))
        if lost:
            by_key[day, gateway, outbox].lost.append((low, high))
    return found


def named(gaps: Sequence[Run], at_most: int = 20) -> str:
    """Ranges of numbers as text: "11-13, 15", and how many more there are."""
    texts = [str(low) if low == high else f"{low}-{high}" for low, high in gaps[:at_most]]
    more = [f"and {len(gaps) - at_most} more"] if len(gaps) > at_most else []
    return ", ".join(texts + more)


def _missing(outboxes: Sequence[OutboxDay]) -> Iterator[Problem]:
    for o in outboxes:
        gaps = [gap for gap in o.gaps if gap not in o.lost]
        if gaps:
            count = sum(high - low + 1 for low, high in gaps)
            yield Problem(o.day, o.gateway, o.outbox, "missing", f"{count} messages: {named(gaps)}")


def _wrong_numbers(connection: psycopg.Connection[Any], days: Sequence[date]) -> Iterator[Problem]:
    for gateway, outbox, expected, seen in connection.execute(query("reconcile_numbers"), {"days": days}):
        detail = f"the days saw {seen} numbers for the first time, the outbox has {expected}"
        yield Problem(None, gateway, outbox, "seen", detail)


def _wrong_readings(
    connection: psycopg.Connection[Any], days: Sequence[date], outboxes: Sequence[OutboxDay]
) -> Iterator[Problem]:
    rows = {
        day: {"stored": stored, "conflicting": conflicting}
        for day, stored, conflicting in connection.execute(query("reconcile_readings"), {"days": days})
    }
    booked: dict[date, dict[str, int]] = defaultdict(lambda: {"stored": 0, "conflicting": 0})
    for o in outboxes:
        booked[o.day]["stored"] += o.stored
        booked[o.day]["conflicting"] += o.conflicting
    for day in days:
        for kind, count in booked[day].items():
            found = rows.get(day, {}).get(kind, 0)
            if found != count:
                yield Problem(day, None, None, kind, f"{count} in the ledger, {found} in the tables")


def _wrong_rejects(
    connection: psycopg.Connection[Any], days: Sequence[date], outboxes: Sequence[OutboxDay]
) -> Iterator[Problem]:
    found = {
        (day, gateway): count
        for day, gateway, count in connection.execute(query("reconcile_rejects"), {"days": days})
        if day in set(days)
    }
    booked: dict[tuple[date, str], int] = defaultdict(int)
    for o in outboxes:
        booked[o.day, o.gateway] += o.rejected
    for day, gateway in sorted({*found, *booked}):
        count, rows = booked[day, gateway], found.get((day, gateway), 0)
        if count != rows:
            yield Problem(
                day, gateway, None, "rejected", f"{count} in the ledger, {rows} in the dead letters"
            )
