"""The books that a writer keeps beside the readings: ledger by day and gateway, gateways,
acknowledgements.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from metering.instants import from_us
from metering.records import AckRecord, MessageHeader, RejectRecord, StatusRecord
from storage.sql import query
from storage.texts import finite_or_none, int8_or_none, key_text, storable, time_or_none

HOUR_US = 3_600_000_000
_S = 1_000_000

#: Messages whose clock offset is remembered for each gateway.
_OFFSETS = 20


@dataclass(slots=True)
class Account:
    """What became of the values of one message, or of one record of rejects.

    newest_us: greatest time of a value that was not rejected; first_reason: why the first rejected value was.
    """

    gateway: str
    received_us: int
    outbox: str | None
    seq: int | None
    sent_us: int | None = None
    stored: int = 0
    repeated: int = 0
    conflicting: int = 0
    rejected: int = 0
    newest_us: int | None = None
    in_database: bool = False
    first_reason: str | None = None


def open_accounts(messages: Sequence[MessageHeader], records: Sequence[RejectRecord]) -> list[Account]:
    """An account for each message, then for each record of rejects."""
    return [Account(m.gateway, m.received_us, m.outbox, m.seq, m.sent_us) for m in messages] + [
        Account(r.gateway, r.received_us, r.outbox, r.seq) for r in records
    ]


@dataclass(slots=True)
class _Hearing:
    heard_us: int
    newest_us: int | None = None
    offsets_s: list[float] = field(default_factory=list)


class LocalDays:
    """Local dates of microseconds, remembered by hour (zones have whole-hour offsets)."""

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._days: dict[int, date] = {}

    def day(self, us: int) -> date:
        """The local date of `us`."""
        hour = us // HOUR_US
        if hour not in self._days:
            self._days[hour] = from_us(hour * HOUR_US).astimezone(self._zone).date()
        return self._days[hour]


#: (gateway, outbox), as the tables have them.
Outbox = tuple[str, str | None]


def outbox_of(gateway: str, outbox: str | None) -> Outbox:
    """A gateway's outbox as the tables have it."""
    return key_text(gateway), None if outbox is None else key_text(outbox)


def write_ledger(
    cursor: psycopg.Cursor[Any],
    accounts: Sequence[Account],
    days: LocalDays,
    seen: Mapping[tuple[date, Outbox], int],
) -> None:
    """Add the accounts to the ledger, and how many sequence numbers were `seen` for the first time."""
    totals: dict[tuple[date, str, str | None], list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for a in accounts:
        total = totals[days.day(a.received_us), a.gateway, a.outbox]
        for i, count in enumerate((a.stored, a.repeated, a.conflicting, a.rejected)):
            total[i] += count
    rows: dict[tuple[date, Outbox], list[int]] = {key: [0, 0, 0, 0, count] for key, count in seen.items()}
    for (day, gateway, outbox), total in totals.items():
        if any(total):
            row = rows.setdefault((day, outbox_of(gateway, outbox)), [0, 0, 0, 0, 0])
            for i, count in enumerate(total):
                row[i] += count
    names = ("day", "gateway", "outbox", "stored", "repeated", "conflicting", "rejected", "seen")
    flat = [(day, *outbox, *row) for (day, outbox), row in rows.items()]
    if flat:
        cursor.execute(
            query("writer_ledger"), dict(zip(names, map(list, zip(*flat, strict=True)), strict=True))
        )


def write_gateways(cursor: psycopg.Cursor[Any], accounts: Sequence[Account]) -> None:
    """Note that gateways were heard, how far their readings have come, and how their clocks stand."""
    heard: dict[str, _Hearing] = {}
    for a in accounts:
        if not a.gateway:
            continue
        hearing = heard.setdefault(key_text(a.gateway), _Hearing(a.received_us))
        hearing.heard_us = max(hearing.heard_us, a.received_us)
        if a.newest_us is not None:
            hearing.newest_us = max(a.newest_us, hearing.newest_us or a.newest_us)
        live = a.stored or a.conflicting or a.rejected
        if live and a.sent_us is not None:
            hearing.offsets_s.append((a.sent_us - a.received_us) / _S)
    if heard:
        cursor.execute(query("writer_gateway"), _gateway_parameters(heard))


def _gateway_parameters(heard: Mapping[str, _Hearing]) -> dict[str, list[Any]]:
    return {
        "gateway": list(heard),
        "heard_at": [time_or_none(h.heard_us) for h in heard.values()],
        "newest": [time_or_none(h.newest_us) for h in heard.values()],
        "offsets": ["{" + ",".join(map(repr, h.offsets_s[-_OFFSETS:])) + "}" for h in heard.values()],
    }


def write_statuses(cursor: psycopg.Cursor[Any], statuses: Sequence[StatusRecord]) -> None:
    """Apply what gateways said of themselves, one after the other."""
    rows = [
        {
            "gateway": key_text(s.gateway),
            "state": storable(s.state),
            "received_at": time_or_none(s.received_us),
            "clock_offset_s": finite_or_none(s.clock_offset_s),
            "outbox_depth": int8_or_none(s.outbox_depth),
            "outbox_oldest": time_or_none(s.outbox_oldest_us),
            "final": s.final,
        }
        for s in statuses
        if s.gateway
    ]
    if rows:
        cursor.executemany(query("writer_status"), rows)


def acks_of(accounts: Sequence[Account]) -> tuple[AckRecord, ...]:
    """What to tell the outboxes, once committed: each sequence number is stored, or rejected with a
    reason.
    """
    stored: dict[tuple[str, str | None], dict[int, None]] = defaultdict(dict)
    rejected: dict[tuple[str, str | None], dict[int, str]] = defaultdict(dict)
    for a in accounts:
        if a.seq is None:
            continue
        outbox = (a.gateway, a.outbox)
        if a.first_reason is None or a.in_database:
            stored[outbox][a.seq] = None
        else:
            rejected[outbox].setdefault(a.seq, a.first_reason)
    return tuple(
        AckRecord(
            gateway,
            outbox,
            tuple(stored[gateway, outbox]),
            tuple((s, r) for s, r in rejected[gateway, outbox].items() if s not in stored[gateway, outbox]),
        )
        for gateway, outbox in {**dict.fromkeys(stored), **dict.fromkeys(rejected)}
    )
