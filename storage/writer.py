"""The writer: what came through Kafka goes into the database, an intake a transaction.

Offsets move by compare-and-set in the same transaction as readings, rejects, books and marks of what changed,
so that everything is taken exactly once whatever dies when. See docs/decisions/natural-key.md.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import psycopg
import structlog

from metering.records import Advance, Intake, IntakeResult, OwnershipLostError, Partition
from storage import locks, metrics
from storage.copying import copy_in
from storage.errors import TRY_AGAIN, DatabaseAwayError, away_as_typed
from storage.identities import Identities, sort_identities
from storage.intake_columns import Columns, merge, runs_of
from storage.registry_maps import RegistryMaps, load_maps
from storage.retention import floor_us
from storage.settle import Outcome
from storage.sql import query
from storage.writer_books import (
    Account,
    LocalDays,
    acks_of,
    open_accounts,
    write_gateways,
    write_ledger,
    write_statuses,
)
from storage.writer_deliveries import without_redelivered
from storage.writer_readings import ReadingTable
from storage.writer_rejects import RejectRow, rows_of_messages, rows_of_records, write_rejects
from storage.writer_sequences import write_sequences
from storage.writer_stamps import note_stamps

log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class WriterOptions:
    """attempts: tries of a transaction that deadlocks; run_gap_us: readings further apart are marked
    apart.
    """

    attempts: int = 10
    run_gap_us: int = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of an intake's values: an account a message, then one a record of rejects; the values that are
    rejected, each with the number of its account; days: the ledger's.
    """

    accounts: list[Account]
    rejects: list[RejectRow]
    days: LocalDays


class Writer:
    """Writes intakes. Not thread-safe: one connection, one transaction at a time. Several writers may run."""

    def __init__(
        self, connect: Callable[[], psycopg.Connection[Any]], options: WriterOptions | None = None
    ) -> None:
        self._connect = connect
        self._options = options or WriterOptions()
        self._connection: psycopg.Connection[Any] | None = None
        self._maps: RegistryMaps | None = None
        self._days: LocalDays | None = None
        self._table = ReadingTable()

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._connection.close()
        self._connection = None

    def positions(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The stored next offset of those partitions that have one. Raises DatabaseAwayError."""
        with self._reached() as cursor:
            cursor.execute(
                "select cluster_id, topic_id, partition_no, next_offset from nengliu.stream_offset"
            )
            stored = {
                (cluster, topic, number): offset for cluster, topic, number, offset in cursor.fetchall()
            }
        keys = {p: (p.cluster_id, p.topic_id, p.partition) for p in partitions}
        return {p: stored[key] for p, key in keys.items() if key in stored}

    def topic_ids(self) -> dict[str, str]:
        """Topic -> the id under which its offsets were stored last. Raises DatabaseAwayError."""
        with self._reached() as cursor:
            cursor.execute("select topic, topic_id from nengliu.stream_offset order by updated_at")
            return dict(cursor.fetchall())

    def write(self, intake: Intake) -> IntakeResult:
        """Take in everything or nothing. A reading counts once, however often and by whomever it is handed
        in.

        Raises OwnershipLostError (another writer is further: nothing was changed) and DatabaseAwayError (it
        may have been committed or not: the offsets tell, when the same intake is handed in again).
        """
        started = time.monotonic()
        result, messages = self.run(lambda cursor: self._transact(cursor, intake))
        _count(result, messages, time.monotonic() - started)
        return result

    def run(self, work: Callable[[psycopg.Cursor[Any]], T], undone: bool = False) -> T:
        """Do `work` in one transaction, again where it deadlocks; undone: and roll it back after all.

        Raises what `work` raises, and DatabaseAwayError.
        """
        attempt = 1
        while True:
            try:
                return self._attempt(work, undone)
            except TRY_AGAIN as e:
                if attempt == self._options.attempts:
                    raise DatabaseAwayError(f"{attempt} attempts deadlocked, last: {e}") from e
                metrics.RETRIES.inc()
                log.info("transaction_again", attempt=attempt, error=str(e).strip())
                attempt += 1

    # ------------------------------------------------------------ one transaction

    def _attempt(self, work: Callable[[psycopg.Cursor[Any]], T], undone: bool) -> T:
        done = False
        with self._reached() as cursor:
            try:
                with cursor.connection.transaction(force_rollback=undone):
                    result = work(cursor)
                done = not undone
                return result
            finally:
                if not done:  # What the maps learnt in the transaction (series) is gone with it.
                    self._maps = None

    def _transact(self, cursor: psycopg.Cursor[Any], intake: Intake) -> tuple[IntakeResult, int]:
        for advance in intake.advances:
            _advance(cursor, advance)
        intake = without_redelivered(cursor, intake)
        taken = self.take(cursor, intake)
        accounts, rows = taken.accounts, taken.rejects
        reasons: Tally[str] = Tally()
        for row, is_new in zip(rows, write_rejects(cursor, rows), strict=True):
            account = accounts[row.owner]
            account.rejected += is_new
            account.repeated += not is_new
            account.first_reason = account.first_reason or row.reason
            reasons[row.reason] += is_new
        write_ledger(cursor, accounts, taken.days, write_sequences(cursor, accounts, taken.days))
        write_gateways(cursor, accounts)
        write_statuses(cursor, intake.statuses)
        return _result(accounts, +reasons), len(accounts)

    def take(self, cursor: psycopg.Cursor[Any], intake: Intake) -> Taken:
        """Write the readings of an intake and mark what they change, in the cursor's transaction (see `run`). The
        books and the rejects are the caller's to write.
        """
        maps, days = self._registry(cursor)
        columns = merge(intake.readings, maps, floor_us(cursor))
        accounts = open_accounts(columns.messages, intake.rejects)
        accepted = np.flatnonzero(columns.refused == 0)
        identities = self._identities(cursor, maps, columns, accepted)

        def gateway_of(value: int) -> str:
            return columns.messages[int(columns.message[identities.row[value]])].gateway

        self._table.write(cursor, identities, gateway_of)
        _mark(cursor, maps, columns, identities, self._options.run_gap_us)
        note_stamps(cursor, maps, columns.cell, identities, self._options.run_gap_us)
        _book_readings(accounts, columns, identities)
        rows = [*rows_of_messages(columns), *rows_of_records(intake.rejects, len(columns.messages))]
        return Taken(accounts, rows, days)

    def _registry(self, cursor: psycopg.Cursor[Any]) -> tuple[RegistryMaps, LocalDays]:
        """The registry as of this transaction: an import waits for us with its commit, so none is
        overlooked.
        """
        cursor.execute("select pg_advisory_xact_lock_shared(%s)", (locks.REGISTRY,))
        cursor.execute("select coalesce(max(version), 0), nengliu.local_zone() from nengliu.registry_version")
        row = cursor.fetchone()
        assert row is not None
        version, timezone = row
        if self._maps is None or self._maps.version != version:
            self._maps = load_maps(cursor, version)
            metrics.REGISTRY_VERSION.set(version)
            log.info("registry_loaded", version=version, meters=len(self._maps.meter_numbers))
        if self._days is None:
            self._days = LocalDays(timezone)
        return self._maps, self._days

    def _identities(
        self, cursor: psycopg.Cursor[Any], maps: RegistryMaps, columns: Columns, accepted: Any
    ) -> Identities:
        cells = columns.cell[accepted]
        series = maps.series_ids(cells)
        missing = np.unique(cells[series < 0])
        if len(missing):
            _allocate(cursor, maps, maps.names(missing))
            series = maps.series_ids(cells)
        received_us = np.array([m.received_us for m in columns.messages], dtype=np.int64)
        return sort_identities(
            accepted,
            series,
            columns.ts_us[accepted],
            columns.value[accepted],
            received_us[columns.message[accepted]],
            columns.correction[accepted],
        )

    @contextmanager
    def _reached(self) -> Iterator[psycopg.Cursor[Any]]:
        """A cursor on the connection, opened anew where it is gone."""
        with away_as_typed():
            if self._connection is None or self._connection.closed:
                self._connection = self._connect()
                self._connection.autocommit = True
            with self._connection.cursor() as cursor:
                yield cursor


def _advance(cursor: psycopg.Cursor[Any], advance: Advance) -> None:
    """Move a stored offset by compare-and-set. Raises OwnershipLostError where it is not as expected."""
    p = advance.partition
    values = {
        "cluster_id": p.cluster_id,
        "topic_id": p.topic_id,
        "partition_no": p.partition,
        "topic": p.topic,
        "expected": advance.expected,
        "following": advance.following,
    }
    cursor.execute(query("writer_advance"), values)
    if cursor.rowcount == 0 and advance.expected == 0:
        cursor.execute(query("writer_first_advance"), values)
    if cursor.rowcount != 1:
        raise OwnershipLostError(f"{p.topic}/{p.partition} is not at offset {advance.expected} any more")


def _allocate(cursor: psycopg.Cursor[Any], maps: RegistryMaps, names: Sequence[tuple[str, str]]) -> None:
    """Give (meter, register) pairs their series ids, or find those that another writer gave them."""
    asked = {"meters": [m for m, _ in names], "registers": [r for _, r in names]}
    cursor.execute(query("writer_new_series"), asked)
    cursor.execute(query("writer_find_series"), asked)
    maps.add_series(cursor.fetchall())


def _mark(
    cursor: psycopg.Cursor[Any], maps: RegistryMaps, columns: Columns, identities: Identities, gap_us: int
) -> None:
    """Mark what changed, so that derivation does just that again."""
    at = identities.head[identities.changed]
    runs = runs_of(
        maps, columns.cell[identities.row[at]], identities.series_id[at], identities.ts_us[at], gap_us
    )
    if len(runs.site_id):
        copy_in(
            cursor,
            "nengliu.change",
            {
                "site_id": ("int4", runs.site_id),
                "series_id": ("int4", runs.series_id),
                "from_ts": ("timestamptz", runs.from_us),
                "to_ts": ("timestamptz", runs.to_us),
            },
        )


def _book_readings(accounts: Sequence[Account], columns: Columns, identities: Identities) -> None:
    """Enter what became of the accepted values into the accounts of their messages."""
    count = len(columns.messages)
    if not count:
        return
    message = columns.message[identities.row]
    width = len(Outcome)
    outcomes = np.bincount(message * width + identities.outcome, minlength=count * width).reshape(
        count, width
    )
    newest = np.full(count, np.iinfo(np.int64).min)
    np.maximum.at(newest, message, identities.ts_us)
    for account, (stored, repeated, conflicting), last in zip(
        accounts, outcomes.tolist(), newest.tolist(), strict=False
    ):
        account.stored, account.repeated, account.conflicting = stored, repeated, conflicting
        if stored or repeated or conflicting:
            account.in_database, account.newest_us = True, last


def _result(accounts: Sequence[Account], reasons: Tally[str]) -> IntakeResult:
    stored = sum(a.stored for a in accounts)
    repeated = sum(a.repeated for a in accounts)
    conflicting = sum(a.conflicting for a in accounts)
    return IntakeResult(
        acks=acks_of(accounts),
        received=stored + repeated + conflicting + reasons.total(),
        stored=stored,
        repeated=repeated,
        conflicting=conflicting,
        rejected=dict(reasons),
    )


def _count(result: IntakeResult, messages: int, seconds: float) -> None:
    for outcome in ("stored", "repeated", "conflicting"):
        metrics.VALUES.labels(outcome).inc(getattr(result, outcome))
    metrics.VALUES.labels("rejected").inc(sum(result.rejected.values()))
    for reason, count in result.rejected.items():
        metrics.REJECTS.labels(reason).inc(count)
    metrics.MESSAGES.inc(messages)
    metrics.TRANSACTION_SECONDS.observe(seconds)
    metrics.TRANSACTION_VALUES.observe(result.received)
    metrics.LAST_SUCCESS.set_to_current_time()
