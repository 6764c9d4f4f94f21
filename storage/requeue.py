"""Put dead letters in again: the kept bytes, as the gateway that sent them, at their first receipt.

See docs/decisions/requeue.md.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import class_row

from metering.instants import to_us
from metering.records import Intake, ReadingBatch, RejectRecord
from storage.rejects import Reject
from storage.sql import query
from storage.writer import Writer
from storage.writer_books import Account, LocalDays, write_gateways, write_ledger
from storage.writer_rejects import RejectRow, insert_rejects
from storage.writer_sequences import write_sequences

#: A transaction takes at most so many rejects and, but for the first, so many of their bytes.
BATCH_REJECTS = 500
BATCH_BYTES = 8 * 1024 * 1024

#: Decodes a reject's bytes: a batch of one message, or a record of rejects; None: there is no decoder for them.
Decode = Callable[[Reject], ReadingBatch | RejectRecord | None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rejects: all that hold; None: any. since, until: of the first receipt, until not included."""

    reason: str | None = None
    gateway: str | None = None
    meter: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    ids: tuple[int, ...] | None = None


@dataclass(slots=True)
class Requeued:
    """What became of rejects. found = requeued + unchanged + undecodable.

    unchanged: rejected again for the same reason, they stay as they are; undecodable: no decoder takes their
    topic. Of the values of the others: stored, repeated, conflicting; rejected: anew, by reason.
    """

    found: int = 0
    requeued: int = 0
    unchanged: int = 0
    undecodable: int = 0
    stored: int = 0
    repeated: int = 0
    conflicting: int = 0
    rejected: Tally[str] = field(default_factory=Tally)

    def add(self, other: Requeued) -> None:
        """Count another's in."""
        for name in ("found", "requeued", "unchanged", "undecodable", "stored", "repeated", "conflicting"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.rejected += other.rejected


def requeue(writer: Writer, wanted: Wanted, decode: Decode, dry_run: bool = False) -> Requeued:
    """Put in again what is wanted and was not yet, some at a time, each time all or nothing.

    dry_run: find out what would become of them and change nothing. Raises DatabaseAwayError.
    """
    found = writer.run(lambda cursor: _waiting(cursor, wanted))
    total = Requeued()
    for ids in _batches(found):

        def work(cursor: psycopg.Cursor[Any], ids: list[int] = ids) -> Requeued:
            return _requeue(cursor, writer, ids, decode)

        total.add(writer.run(work, undone=dry_run))
    return total


def _waiting(cursor: psycopg.Cursor[Any], wanted: Wanted) -> list[tuple[int, int]]:
    asked = {
        "reason": wanted.reason,
        "gateway": wanted.gateway,
        "meter": wanted.meter,
        "since": wanted.since,
        "until": wanted.until,
        "ids": None if wanted.ids is None else list(wanted.ids),
    }
    return cursor.execute(query("requeue_waiting"), asked).fetchall()


def _batches(found: Sequence[tuple[int, int]]) -> Iterator[list[int]]:
    batch: list[int] = []
    size = 0
    for reject_id, length in found:
        if batch and (len(batch) >= BATCH_REJECTS or size + length > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(reject_id)
        size += length
    if batch:
        yield batch


def _requeue(cursor: psycopg.Cursor[Any], writer: Writer, ids: Sequence[int], decode: Decode) -> Requeued:
    """Put some in again, in the cursor's transaction."""
    rejects = _lock(cursor, ids)
    decoded = [(reject, decode(reject)) for reject in rejects]
    messages = [(r, d) for r, d in decoded if isinstance(d, ReadingBatch)]
    records = [(r, d) for r, d in decoded if isinstance(d, RejectRecord)]
    taken = writer.take(cursor, Intake(tuple(d for _, d in messages), tuple(d for _, d in records)))
    rows: dict[int, list[RejectRow]] = defaultdict(list)
    for row in taken.rejects:
        rows[row.owner].append(row)
    result = Requeued(found=len(rejects), undecodable=len(rejects) - len(messages) - len(records))
    done: list[tuple[Reject, Account]] = []
    anew: list[RejectRow] = []
    for owner, reject in enumerate(r for r, _ in [*messages, *records]):
        account = taken.accounts[owner]
        if _is_unchanged(reject, account, rows[owner]):
            result.unchanged += 1
            continue
        account.rejected = len(rows[owner])
        anew += rows[owner]
        done.append((reject, account))
    insert_rejects(cursor, anew)
    cursor.execute(query("requeue_done"), {"ids": [r.reject_id for r, _ in done]})
    _book(cursor, taken.days, done)
    result.requeued = len(done)
    result.stored = sum(a.stored for _, a in done)
    result.repeated = sum(a.repeated for _, a in done)
    result.conflicting = sum(a.conflicting for _, a in done)
    result.rejected = Tally(row.reason for row in anew)
    return result


def _lock(cursor: psycopg.Cursor[Any], ids: Sequence[int]) -> list[Reject]:
    """Those of the rejects that were not put in again by now, locked."""
    with cursor.connection.cursor(row_factory=class_row(Reject)) as found:
        return found.execute(query("requeue_lock"), {"ids": list(ids)}).fetchall()


def _is_unchanged(reject: Reject, account: Account, rows: Sequence[RejectRow]) -> bool:
    """Whether nothing came of it but the same reject."""
    if account.stored or account.repeated or account.conflicting or len(rows) != 1:
        return False
    return (rows[0].reason, rows[0].payload) == (reject.reason, reject.payload)


def _book(cursor: psycopg.Cursor[Any], days: LocalDays, done: Sequence[tuple[Reject, Account]]) -> None:
    """Enter what became of them on the day of their first receipt, and take the rejected value back there."""
    accounts = [account for _, account in done]
    taken_back = [
        Account(reject.gateway, to_us(reject.received_at), reject.outbox, reject.seq, rejected=-1)
        for reject, _ in done
    ]
    learnt = [account for reject, account in done if reject.seq is None]
    seen = write_sequences(cursor, learnt, days)
    write_ledger(cursor, [*accounts, *taken_back], days, seen)
    write_gateways(cursor, accounts)
