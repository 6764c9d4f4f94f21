"""Rejected values of an intake: one row each in nengliu.reject, none for a resend by an outbox."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from metering.errors import RejectReason
from metering.instants import from_us
from metering.records import RejectRecord
from storage.intake_columns import REFUSALS, Columns
from storage.sql import query
from storage.texts import int8_or_none, key_text, storable, time_or_none

_ONE_READING = b'{"v":1,"readings":['
#: Longer rejected values are not searched for their meter.
_LONGEST_READ = 4096


@dataclass(frozen=True, slots=True)
class RejectRow:
    """A rejected value on its way into the table. owner: which message, or record, of the intake it belongs to.
    reading: which reading of the intake's columns it is, where the registry refused a good one; then an equal one is a
    repeat even in the same message.
    """

    owner: int
    received_us: int
    gateway: str
    outbox: str | None
    seq: int | None
    topic: str
    reason: str
    detail: str
    payload: bytes
    user_properties: tuple[tuple[str, str], ...] = ()
    meter: str | None = None
    reading: int | None = None

    @property
    def identity(self) -> tuple[object, ...] | None:
        """What makes a resend the same; None without seq."""
        return None if self.seq is None else (self.gateway, self.outbox, self.seq, self.reason, self.payload)


def rows_of_messages(columns: Columns) -> Iterator[RejectRow]:
    """What the bridge rejected of messages that held more, and what the registry refuses."""
    for owner, message in enumerate(columns.messages):
        for value in message.rejected:
            yield RejectRow(
                owner,
                message.received_us,
                message.gateway,
                message.outbox,
                message.seq,
                message.topic,
                value.reason,
                value.detail,
                value.payload,
                message.user_properties,
                meter_of(value.payload),
            )
    for at in np.flatnonzero(columns.refused).tolist():
        yield _refused_row(columns, at)


def _refused_row(columns: Columns, at: int) -> RejectRow:
    owner = int(columns.message[at])
    message = columns.messages[owner]
    meter, register = columns.meters[columns.meter[at]], columns.registers[columns.register[at]]
    reason = REFUSALS[columns.refused[at]]
    assert reason is not None
    return RejectRow(
        owner,
        message.received_us,
        message.gateway,
        message.outbox,
        message.seq,
        message.topic,
        reason.value,
        _detail(reason, meter, register, message.gateway),
        reading_message(
            meter, register, int(columns.ts_us[at]), float(columns.value[at]), bool(columns.correction[at])
        ),
        meter=meter,
        reading=at,
    )


def _detail(reason: RejectReason, meter: str, register: str, gateway: str) -> str:
    match reason:
        case RejectReason.UNKNOWN_METER:
            return f"meter {meter[:80]!r}: the registry has no installation of it at any time"
        case RejectReason.UNAUTHORIZED:
            return f"meter {meter[:80]!r}: no installation of it names gateway {gateway[:80]!r}"
        case RejectReason.UNKNOWN_REGISTER:
            return f"register {register[:80]!r} of meter {meter[:80]!r} is not in the table"
        case RejectReason.OLDER_THAN_RETENTION:
            return f"meter {meter[:80]!r}: before the floor up to which readings are kept (nengliu retention show)"
        case _:
            return f"register {register[:80]!r} of meter {meter[:80]!r}: the value is not finite"


def reading_message(meter: str, register: str, ts_us: int, value: float, correction: bool) -> bytes:
    """A v1 message of one reading, without outbox and seq: what `requeue` puts in again."""
    finite = bool(np.isfinite(value))
    reading: dict[str, Any] = {
        "meter": meter,
        "ts": from_us(ts_us).isoformat(),
        "values": {register: value if finite else None},
    }
    if correction:
        reading["correction"] = True
    return json.dumps({"v": 1, "readings": [reading]}, ensure_ascii=False, separators=(",", ":")).encode(
        "utf-8", "replace"
    )


def meter_of(payload: bytes) -> str | None:
    """Whose the reading of a rejected value is, where its bytes are a short v1 message of one reading."""
    if not payload.startswith(_ONE_READING) or len(payload) > _LONGEST_READ:
        return None
    try:
        (reading,) = json.loads(payload)["readings"]
        meter = reading["meter"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    return meter if isinstance(meter, str) else None


def rows_of_records(records: Sequence[RejectRecord], first_owner: int) -> Iterator[RejectRow]:
    """Messages of which nothing was usable: a row for each value that they name, or one for the whole."""
    for owner, record in enumerate(records, start=first_owner):
        values = [(i.reason, i.detail, i.payload) for i in record.items]
        for reason, detail, payload in values or [(record.reason, record.detail, record.payload)]:
            yield RejectRow(
                owner,
                record.received_us,
                record.gateway,
                record.outbox,
                record.seq,
                record.topic,
                reason,
                detail,
                payload,
                record.user_properties,
                meter_of(payload) if values else None,
            )


def write_rejects(cursor: psycopg.Cursor[Any], rows: Sequence[RejectRow]) -> list[bool]:
    """Insert the rows; returns for each whether it is new (False: a resend)."""
    nth = _nth_of_its_message(rows)
    new = _first_of_its_kind(rows, nth)
    for at in _known(cursor, rows, nth):
        new[at] = False
    kept = [row for row, is_new in zip(rows, new, strict=True) if is_new]
    insert_rejects(cursor, kept)
    return new


def insert_rejects(cursor: psycopg.Cursor[Any], rows: Sequence[RejectRow]) -> None:
    """Insert the rows, whatever is there."""
    if rows:
        meters = [None if r.meter is None else key_text(r.meter) for r in rows]
        cursor.execute(query("writer_reject"), _parameters(rows) | {"meter": meters})


def _nth_of_its_message(rows: Sequence[RejectRow]) -> list[int]:
    """How often a message held the same until there: a bridge's reject twice in it is two, a reading twice is one."""
    seen: Counter[object] = Counter()
    nth = []
    for row in rows:
        key = (row.owner, row.reason, row.payload)
        seen[key] += 1
        nth.append(1 if row.reading is not None else seen[key])
    return nth


def _first_of_its_kind(rows: Sequence[RejectRow], nth: Sequence[int]) -> list[bool]:
    seen: set[object] = set()
    first = []
    for row, n in zip(rows, nth, strict=True):
        identity = None if row.identity is None else (row.identity, n)
        first.append(identity is None or identity not in seen)
        seen.add(identity)
    return first


def _known(cursor: psycopg.Cursor[Any], rows: Sequence[RejectRow], nth: Sequence[int]) -> list[int]:
    numbered = [n for n, row in enumerate(rows) if int8_or_none(row.seq) is not None]
    if not numbered:
        return []
    asked = _parameters([rows[n] for n in numbered]) | {"n": numbered, "nth": [nth[n] for n in numbered]}
    cursor.execute(query("writer_known_rejects"), asked)
    return [n for (n,) in cursor.fetchall()]


def _parameters(rows: Sequence[RejectRow]) -> dict[str, list[Any]]:
    return {
        "received_at": [time_or_none(r.received_us) for r in rows],
        "gateway": [key_text(r.gateway) for r in rows],
        "outbox": [None if r.outbox is None else key_text(r.outbox) for r in rows],
        "seq": [int8_or_none(r.seq) for r in rows],
        "source_topic": [storable(r.topic) for r in rows],
        "user_properties": [_properties(r.user_properties) for r in rows],
        "reason": [storable(r.reason) for r in rows],
        "detail": [storable(r.detail) for r in rows],
        "payload": [r.payload for r in rows],
    }


def _properties(pairs: tuple[tuple[str, str], ...]) -> Jsonb | None:
    return Jsonb([[storable(k), storable(v)] for k, v in pairs]) if pairs else None
