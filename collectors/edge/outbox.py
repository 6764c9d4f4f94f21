"""The edge collector's outbox: messages in an SQLite file until the platform has them for good.

What was put survives a power cut (WAL, synchronous=FULL). Numbers count up and are never used again in the file's life;
the outbox's name is made with the file, so a new file is another outbox. Nothing is dropped for its age: a message goes
only by its durable acknowledgement. See docs/decisions/edge-outbox.md.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any, TextIO

import msgspec
import structlog

from collectors.edge.readings import MeterReading, SinkFullError
from collectors.edge.space import Ballast, free_bytes
from metering.errors import SettingError

log = structlog.get_logger(__name__)

#: A message stays well under the 512 KiB that the platform takes.
MOST_READINGS = 200
MOST_BYTES = 128 * 1024
#: Messages that the platform rejected whole are kept up to this number, the newest.
MOST_REFUSED = 10_000

_SCHEMA = files("collectors.edge").joinpath("queries/outbox_schema.sql").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Message:
    """A message that waits. readings: the JSON array; put_us: microseconds since 1970, by the edge's clock."""

    seq: int
    put_us: int
    readings: str


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What is in the platform's database, or in its dead letters (seq -> reason), for good."""

    stored: frozenset[int]
    rejected: dict[int, str]


class Outbox:
    """Messages that wait. One process a file; any thread of it. A Sink."""

    def __init__(self, path: Path, ballast_bytes: int = 0, low_space_bytes: int = 0) -> None:
        """Open or make the file. ballast_bytes: space held in reserve for totals; low_space_bytes: with less free space
        extras are no longer wanted. Raises SettingError where another process has it or the folder cannot be used.
        """
        self.path = path
        self.on_put: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._held = _sole(path)
        self._low_space = low_space_bytes
        # On a full disk neither a row nor its removal can be written: the second part is for forgetting alone.
        self._for_totals = Ballast(path.with_suffix(".reserve"), ballast_bytes * 3 // 4)
        self._for_forgetting = Ballast(path.with_suffix(".reserve-forget"), ballast_bytes // 4)
        self._database = _opened(path)
        self._restore()
        self._depth = int(self._one("select count(*) from message") or 0)
        self.name = str(self._one("select name from outbox"))

    # ------------------------------------------------------------ putting

    def put(self, readings: Sequence[MeterReading]) -> None:
        """Keep readings durably, as one message or several. Raises SinkFullError: none of them was kept."""
        bodies = list(_bodies(readings))
        if not bodies:
            return
        now_us = time.time_ns() // 1000
        with self._lock:
            if not self._for_forgetting.held:
                raise self._full("what waits must be forgotten first")
            try:
                self._depth += self._somehow(lambda: self._insert(bodies, now_us), self._for_totals.give_up)
            except sqlite3.OperationalError as e:
                raise self._full(str(e)) from e
        self.on_put()

    def _somehow(self, change: Callable[[], int], *ways: Callable[[], bool]) -> int:
        """Make a change; on a full disk, after each of the ways to make room. Raises sqlite3.OperationalError."""
        try:
            return change()
        except sqlite3.OperationalError as e:
            error = e
        for make_room in (self._checkpoint, *ways):
            log.error("outbox_disk_full", path=str(self.path), error=str(error), extras="stopped")
            if make_room():
                try:
                    return change()
                except sqlite3.OperationalError as e:
                    error = e
        raise error

    def _full(self, why: str) -> SinkFullError:
        return SinkFullError(f"the outbox {self.path} cannot grow ({why}): make room on its disk")

    def _checkpoint(self) -> bool:
        """Empty the write-ahead log into the file, whose free pages take what they can."""
        try:
            [(busy, _, _)] = self._database.execute("pragma wal_checkpoint(truncate)").fetchall()
        except sqlite3.OperationalError:
            return False
        return not busy

    def _restore(self) -> bool:
        """Hold both reserves again where there is room. Returns whether there is room for more than totals."""
        spare = 2 * self._low_space
        forgetting = self._for_forgetting.restore(0)
        totals = forgetting and self._for_totals.restore(spare)
        return totals and free_bytes(self.path.parent) > self._low_space

    def _insert(self, bodies: Sequence[str], now_us: int) -> int:
        with self._database:
            self._database.execute("begin immediate")
            self._database.executemany(
                "insert into message (put_us, readings) values (?, ?)", [(now_us, body) for body in bodies]
            )
        return len(bodies)

    @property
    def extras_allowed(self) -> bool:
        """False while the disk is nearly full."""
        with self._lock:
            return self._restore()

    # ------------------------------------------------------------ sending

    @property
    def depth(self) -> int:
        """How many messages wait."""
        return self._depth

    @property
    def last_seq(self) -> int:
        """The last number given; 0 before the first."""
        with self._lock:
            return int(self._one("select seq from sqlite_sequence where name = 'message'") or 0)

    @property
    def oldest_us(self) -> int | None:
        """When the oldest message that waits was put, in microseconds since 1970."""
        with self._lock:
            found = self._one("select put_us from message order by seq limit 1")
        return None if found is None else int(found)

    def between(self, after: int, up_to: int, limit: int) -> list[Message]:
        """Messages with after < seq <= up_to, in order, at most `limit`."""
        query = "select seq, put_us, readings from message where seq > ? and seq <= ? order by seq limit ?"
        with self._lock:
            return [Message(*row) for row in self._database.execute(query, (after, up_to, limit))]

    def these(self, seqs: Sequence[int]) -> list[Message]:
        """The messages of these numbers that still wait."""
        query = "select seq, put_us, readings from message where seq = ?"
        with self._lock:
            found = [self._database.execute(query, (seq,)).fetchone() for seq in seqs]
        return [Message(*row) for row in found if row is not None]

    def settle(self, ack: Acknowledgement) -> None:
        """Forget what is acknowledged for good. On a full disk it stays: it is sent and acknowledged again."""
        with self._lock:
            try:
                gone = self._somehow(lambda: self._forget(ack), self._for_forgetting.give_up)
            except sqlite3.OperationalError as e:
                log.warning("outbox_acknowledgement_not_kept", path=str(self.path), error=str(e))
                return
            self._depth -= gone
            if not self._for_forgetting.held:
                self._checkpoint()
                self._restore()

    def _forget(self, ack: Acknowledgement) -> int:
        with self._database:
            self._database.execute("begin immediate")
            self._database.executemany(
                "insert or ignore into refused (seq, put_us, readings, reason) "
                "select seq, put_us, readings, ? from message where seq = ?",
                [(reason, seq) for seq, reason in ack.rejected.items()],
            )
            if ack.rejected:
                self._database.execute(
                    "delete from refused where seq not in (select seq from refused order by seq desc limit ?)",
                    (MOST_REFUSED,),
                )
            deleted = self._database.executemany(
                "delete from message where seq = ?", [(seq,) for seq in ack.stored | ack.rejected.keys()]
            )
            return deleted.rowcount

    def close(self) -> None:
        """Close the file; another process may have it then."""
        with self._lock:
            self._database.close()
            self._held.close()

    def _one(self, query: str) -> Any:
        row = self._database.execute(query).fetchone()
        return None if row is None else row[0]


def _bodies(readings: Sequence[MeterReading]) -> Iterable[str]:
    """JSON arrays of at most MOST_READINGS readings and about MOST_BYTES bytes each."""
    part: list[str] = []
    size = 0
    for reading in readings:
        text = msgspec.json.encode(
            {"meter": reading.meter, "ts": reading.ts.isoformat(), "values": reading.values}
        ).decode()
        if part and (len(part) == MOST_READINGS or size + len(text) > MOST_BYTES):
            yield f"[{','.join(part)}]"
            part, size = [], 0
        part.append(text)
        size += len(text)
    if part:
        yield f"[{','.join(part)}]"


def _sole(path: Path) -> TextIO:
    """Hold the file's lock for this process. Raises SettingError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        held = path.with_suffix(".lock").open("a", encoding="utf-8")
    except OSError as e:
        raise SettingError(f"NENGLIU_EDGE_OUTBOX: {path} cannot be used: {e.strerror}") from e
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        held.close()
        raise SettingError(f"NENGLIU_EDGE_OUTBOX: {path} is in use by another edge collector") from e
    return held


def _opened(path: Path) -> sqlite3.Connection:
    """The database; one that cannot be read is set aside, not deleted, and a new outbox begun."""
    try:
        return _connected(path)
    except sqlite3.DatabaseError as e:
        if isinstance(e, sqlite3.OperationalError):
            raise SettingError(f"NENGLIU_EDGE_OUTBOX: {path} cannot be opened: {e}") from e
        aside = path.with_name(f"{path.name}.unreadable-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
        log.error("outbox_unreadable", path=str(path), error=str(e), kept_as=str(aside))
        for ending in ("", "-wal", "-shm"):
            part = path.with_name(path.name + ending)
            if part.exists():
                part.rename(aside.with_name(aside.name + ending))
        return _connected(path)


def _connected(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
    try:
        database.execute("pragma journal_mode = wal")
        database.execute("pragma synchronous = full")
        [(found,)] = database.execute("pragma quick_check(1)").fetchall()
        if found != "ok":
            raise sqlite3.DatabaseError(found)
        database.executescript(_SCHEMA)
        database.execute(
            "insert or ignore into outbox values (1, ?, ?)",
            (secrets.token_hex(6), datetime.now(UTC).isoformat(timespec="seconds")),
        )
    except sqlite3.DatabaseError:
        database.close()
        raise
    os.chmod(path, 0o600)
    return database


@dataclass(frozen=True, slots=True)
class OutboxState:
    """What an outbox file says, also of an edge collector that runs. name: empty while it is only just being made."""

    name: str
    waiting: int
    last_seq: int
    oldest: datetime | None
    refused: dict[str, int]


def outbox_state(path: Path) -> OutboxState:
    """Look into an outbox without touching it. Raises SettingError where there is none."""
    if not path.is_file():
        raise SettingError(f"there is no outbox {path}; see NENGLIU_EDGE_OUTBOX")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
        made = {
            str(row[0]) for row in database.execute("select name from sqlite_schema where type = 'table'")
        }
        if not {"outbox", "message", "refused"} <= made:
            return OutboxState("", 0, 0, None, {})
        name = database.execute("select name from outbox").fetchone()
        [(waiting, oldest)] = database.execute("select count(*), min(put_us) from message").fetchall()
        last = database.execute("select seq from sqlite_sequence where name = 'message'").fetchone()
        refused = database.execute("select reason, count(*) from refused group by reason").fetchall()
    return OutboxState(
        name[0] if name else "",
        int(waiting),
        int(last[0]) if last else 0,
        None if oldest is None else datetime.fromtimestamp(oldest / 1e6, UTC),
        {str(reason): int(count) for reason, count in refused},
    )
