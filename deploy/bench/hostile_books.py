"""What a hostile run must leave in the database, and what it left there, both as columns: a million messages in some
tens of megabytes.

What must be is generated a second time, as a run is a rule of its seed; what is comes by one COPY a table.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from deploy.sql import query
from simulators.hostile.mix import Sent
from storage.copying import decode

Ints = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]

#: What the ledger counts, in its order.
COUNTS = ("stored", "repeated", "conflicting", "rejected", "missing")


@dataclass(frozen=True, slots=True)
class Readings:
    """series: number of (meter, register) in the vocabulary, -1: not in it; origin: number of the message, 0 where
    found.
    """

    series: Ints
    ts_us: Ints
    value: Floats
    origin: Ints


@dataclass(frozen=True, slots=True)
class Rejects:
    """place and content: digests of topic and bytes; reason: its number in the vocabulary; origin: number of the
    message, or reject_id where found.
    """

    place: Ints
    reason: Ints
    content: Ints
    origin: Ints


@dataclass(frozen=True, slots=True)
class Books:
    """ledger: gateway -> as many counts as COUNTS has."""

    readings: Readings
    rejects: Rejects
    ledger: Mapping[str, Sequence[int]]


@dataclass(slots=True)
class Vocabulary:
    """Numbers of what is named again and again."""

    series: dict[tuple[str, str], int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, int] = field(default_factory=dict)

    def kind(self, number: int) -> str:
        """The name of a class."""
        return list(self.kinds)[number]


@dataclass(frozen=True, slots=True)
class Expected:
    """kind_of: number of a message, from 1 -> number of its class; 0 has none."""

    books: Books
    words: Vocabulary
    kind_of: Ints

    def kind(self, origin: int) -> str:
        """The class of a message."""
        return self.words.kind(int(self.kind_of[origin])) if 0 < origin < len(self.kind_of) else "unknown"


def digest(data: bytes) -> int:
    """The first 64 bits of SHA-256, signed, as the queries make them."""
    return int.from_bytes(hashlib.sha256(data).digest()[:8], "big", signed=True)


def expected_of(run: Iterable[Sent], gateways: Sequence[str]) -> Expected:
    """What must be in the database after a run of these gateways."""
    words = Vocabulary()
    series, ts_us, value, of_reading = array("i"), array("q"), array("d"), array("i")
    place, reason, content, of_reject = array("q"), array("i"), array("q"), array("q")
    kind_of = array("h", [-1])
    ledger = {g: [0] * len(COUNTS) for g in gateways}
    for number, sent in enumerate(run, start=1):
        m = sent.message
        kind_of.append(words.kinds.setdefault(sent.kind, len(words.kinds)))
        for r in m.stored:
            series.append(words.series.setdefault((r.meter, r.register), len(words.series)))
            ts_us.append(r.ts_us)
            value.append(r.value)
            of_reading.append(number)
        for reject in m.rejects:
            place.append(digest(m.topic.encode()))
            reason.append(words.reasons.setdefault(reject.reason, len(words.reasons)))
            content.append(digest(reject.payload))
            of_reject.append(number)
        counts = (len(m.stored), m.repeated, m.conflicting, len(m.rejects))
        book = ledger[gateways[sent.gateway]]
        for i, count in enumerate(counts):
            book[i] += count
    books = Books(
        Readings(*map(np.asarray, (series, ts_us, value, of_reading))),
        Rejects(*map(np.asarray, (place, reason, content, of_reject))),
        ledger,
    )
    return Expected(books, words, np.asarray(kind_of))


# ---------------------------------------------------------------- what is there


def found_in(connection: psycopg.Connection[Any], words: Vocabulary, gateways: Sequence[str]) -> Books:
    """What the database has of these gateways, by the numbers of `words`; reasons that it lacks are added."""
    with connection.cursor() as cursor:
        return Books(_readings(cursor, words), _rejects(cursor, words, gateways), _ledger(cursor, gateways))


def received(connection: psycopg.Connection[Any], gateways: Sequence[str]) -> int:
    """Values of these gateways that are in the ledger."""
    row = connection.execute(query("hostile_received"), {"gateways": list(gateways)}).fetchone()
    assert row is not None
    return int(row[0])


def reject_shown(connection: psycopg.Connection[Any], reject_id: int) -> str:
    """A dead letter for people."""
    row = connection.execute(query("hostile_reject"), {"reject_id": reject_id}).fetchone()
    return "gone" if row is None else f"{row[0]} on {row[1][:200]}: {row[2]!r}"


def _readings(cursor: psycopg.Cursor[Any], words: Vocabulary) -> Readings:
    rows = cursor.execute(query("hostile_series")).fetchall()
    number_of = np.full(max((s for s, _, _ in rows), default=0) + 1, -1)
    for series_id, meter, register in rows:
        number_of[series_id] = words.series.get((meter, register), -1)
    copied = _copied(cursor, "hostile_readings", {}, ("int4", "timestamptz", "float8"))
    series_id, ts_us, value = copied
    return Readings(number_of[series_id], ts_us, value, np.zeros(len(ts_us), np.int64))


def _rejects(cursor: psycopg.Cursor[Any], words: Vocabulary, gateways: Sequence[str]) -> Rejects:
    for (reason,) in cursor.execute(query("hostile_reasons")).fetchall():
        words.reasons.setdefault(reason, len(words.reasons))
    parameters = {"reasons": list(words.reasons), "gateways": list(gateways)}
    return Rejects(*_copied(cursor, "hostile_rejects", parameters, ("int8", "int4", "int8", "int8")))


def _copied(
    cursor: psycopg.Cursor[Any], name: str, parameters: dict[str, Any], types: tuple[str, ...]
) -> list[Any]:
    with cursor.copy(query(name), parameters) as copy:
        return decode(b"".join(map(bytes, copy)), types)


def _ledger(cursor: psycopg.Cursor[Any], gateways: Sequence[str]) -> dict[str, Sequence[int]]:
    rows = cursor.execute(query("hostile_ledger"), {"gateways": list(gateways)}).fetchall()
    return {g: [0] * len(COUNTS) for g in gateways} | {name: counts for name, *counts in rows}
