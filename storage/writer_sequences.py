"""Keep the books of sequence numbers in the writer's transaction: one statement, and more only where numbers are
missing, fill a gap or repeat.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import psycopg

from storage.sequences import Gap, Run, Seen, runs_of_numbers, take
from storage.sql import query
from storage.texts import int8_or_none, time_or_none
from storage.writer_books import HOUR_US, Account, LocalDays, Outbox, outbox_of

#: Runs of sequence numbers by local day, in order of the days.
Arrivals = Mapping[date, list[Run]]


def write_sequences(
    cursor: psycopg.Cursor[Any], accounts: Sequence[Account], days: LocalDays
) -> dict[tuple[date, Outbox], int]:
    """Note the sequence numbers of the accounts' messages; how many of them each day saw for the first time."""
    arrivals = _arrivals(accounts, days)
    if not arrivals:
        return {}
    priors = _extend(cursor, arrivals, _read_at(accounts))
    before = _gaps(cursor, priors, arrivals)
    seen: dict[tuple[date, Outbox], int] = {}
    gone: list[tuple[int, Gap]] = []
    new: list[tuple[int, Gap]] = []
    for outbox, runs_by_day in arrivals.items():
        outbox_id, hull = priors[outbox]
        old = before.get(outbox_id, [])
        state = Seen(hull, tuple(old))
        for day, runs in runs_by_day.items():
            state, seen[day, outbox] = take(state, runs, day)
        if state.gaps != tuple(old):
            gone += [(outbox_id, g) for g in sorted(set(old) - set(state.gaps))]
            new += [(outbox_id, g) for g in sorted(set(state.gaps) - set(old))]
    _write_gaps(cursor, gone, new)
    return {key: count for key, count in seen.items() if count}


def _arrivals(accounts: Sequence[Account], days: LocalDays) -> dict[Outbox, Arrivals]:
    numbers: dict[tuple[str, str | None, int], list[int]] = defaultdict(list)
    for a in accounts:  # every message comes through here
        if a.seq is not None:
            numbers[a.gateway, a.outbox, a.received_us // HOUR_US].append(a.seq)
    stored_as: dict[tuple[date, Outbox], list[int]] = defaultdict(list)
    for (gateway, outbox, hour), arrived in numbers.items():
        booked = [n for n in arrived if int8_or_none(n) is not None] if _is_beyond(arrived) else arrived
        if booked:
            stored_as[days.day(hour * HOUR_US), outbox_of(gateway, outbox)] += booked
    found: dict[Outbox, dict[date, list[Run]]] = defaultdict(dict)
    for (day, key), arrived in sorted(stored_as.items(), key=lambda item: item[0][0]):
        found[key][day] = runs_of_numbers(arrived)
    return dict(found)


def _read_at(accounts: Sequence[Account]) -> dict[Outbox, tuple[int, int]]:
    """Of each outbox the newest reading's time of its first and of its last message by number; µs."""
    found: dict[tuple[str, str | None], list[tuple[int, int]]] = defaultdict(list)
    for a in accounts:
        if a.seq is not None and a.newest_us is not None:
            found[a.gateway, a.outbox].append((a.seq, a.newest_us))
    return {outbox_of(*key): (min(read)[1], max(read)[1]) for key, read in found.items()}


def _is_beyond(numbers: list[int]) -> bool:
    """Whether one of them does not fit the tables."""
    return int8_or_none(min(numbers)) is None or int8_or_none(max(numbers)) is None


def _extend(
    cursor: psycopg.Cursor[Any],
    arrivals: Mapping[Outbox, Arrivals],
    read_at: Mapping[Outbox, tuple[int, int]],
) -> dict[Outbox, tuple[int, Run | None]]:
    """Widen the outboxes' hulls, their rows locked; the id and the hull before of each."""
    times = [read_at.get(outbox, (None, None)) for outbox in arrivals]
    asked = {
        "gateway": [gateway for gateway, _ in arrivals],
        "outbox": [outbox for _, outbox in arrivals],
        "low": [min(runs[0][0] for runs in by_day.values()) for by_day in arrivals.values()],
        "high": [max(runs[-1][1] for runs in by_day.values()) for by_day in arrivals.values()],
        "first_ts": [time_or_none(first) for first, _ in times],
        "last_ts": [time_or_none(last) for _, last in times],
    }
    cursor.execute(query("writer_outbox"), asked)
    return {
        (gateway, outbox): (outbox_id, None if low is None else (low, high))
        for gateway, outbox, outbox_id, low, high in cursor.fetchall()
    }


def _gaps(
    cursor: psycopg.Cursor[Any],
    priors: Mapping[Outbox, tuple[int, Run | None]],
    arrivals: Mapping[Outbox, Arrivals],
) -> dict[int, list[Gap]]:
    """The gaps that numbers within the hulls touch, sorted."""
    asked: list[tuple[int, int, int]] = []
    for outbox, by_day in arrivals.items():
        outbox_id, hull = priors[outbox]
        if hull is not None:
            asked += [
                (outbox_id, a, b)
                for runs in by_day.values()
                for a, b in runs
                if a <= hull[1] and b >= hull[0]
            ]
    found: dict[int, list[Gap]] = defaultdict(list)
    if asked:
        names = ("outbox_id", "low", "high")
        cursor.execute(
            query("writer_gaps"), dict(zip(names, map(list, zip(*asked, strict=True)), strict=True))
        )
        for outbox_id, low, high, noticed_on in cursor.fetchall():
            found[outbox_id].append(Gap(low, high, noticed_on))
    return found


def _write_gaps(
    cursor: psycopg.Cursor[Any], gone: Sequence[tuple[int, Gap]], new: Sequence[tuple[int, Gap]]
) -> None:
    if gone:
        cursor.execute(
            query("writer_gaps_gone"),
            {"outbox_id": [i for i, _ in gone], "low": [g.low for _, g in gone]},
        )
    if new:
        cursor.execute(
            query("writer_gaps_new"),
            {
                "outbox_id": [i for i, _ in new],
                "low": [g.low for _, g in new],
                "high": [g.high for _, g in new],
                "noticed_on": [g.noticed_on for _, g in new],
            },
        )
