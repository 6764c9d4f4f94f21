"""The outbox of notifications in the database: written with an alert's transition, leased by senders, ended once.

Delivered at least once: who sends a row has a lease on it, not a lock; who lives renews it, a sender that dies between
sending and saying so leaves a row whose lease runs out, and another sends it again under the same key.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import psycopg
from psycopg.rows import class_row, dict_row

from alerts.notify.errors import DeliveryError
from alerts.notify.policy import Policy
from alerts.sql import query
from metering.contacts import EXAMPLE, is_example
from storage import locks

Connection = psycopg.Connection[Any]
Clock = Callable[[Connection], datetime]

#: Why an example's address is not told.
_NO_ONE = "an example's address (RFC 2606): nobody is there"
_FORGET_AT_ONCE = 5000
_RANKS = ("warning", "major", "critical")


@dataclass(frozen=True, slots=True)
class Leased:
    """A notification that a sender has in hand. attempts: this one included; route: what is broken together."""

    notification_id: int
    key: str
    kind: str
    alert_id: int | None
    transition_no: int | None
    to_state: str | None
    severity: str
    name: str
    language: str
    channel: str
    address: str
    route: str
    created_at: datetime
    attempts: int
    lease: str


@dataclass(frozen=True, slots=True)
class Counts:
    """The outbox now. failed: given up within a week; oldest_s: age of the oldest that waits, 0 where none does."""

    waiting: int = 0
    held: int = 0
    failed: int = 0
    oldest_s: float = 0.0


def database_clock(conn: Connection) -> datetime:
    """The database's wall clock, which all senders share."""
    row = conn.execute("select clock_timestamp()").fetchone()
    assert row is not None  # a select without a table yields one row
    now: datetime = row[0]
    return now


def enqueue_transition(conn: Connection, alert_id: int) -> int:
    """Write the notifications of an alert's newest transition, in the caller's transaction; returns how many."""
    return conn.execute(
        query("notify_enqueue"), {"alert_id": alert_id, "example": EXAMPLE, "no_one": _NO_ONE}
    ).rowcount


def lease_batch(
    conn: Connection,
    policy: Policy,
    *,
    lease: str,
    lease_for: timedelta,
    limit: int,
    busy: Sequence[str] = (),
    clock: Clock = database_clock,
) -> list[Leased]:
    """Lease up to `limit` notifications that are due, none of the `busy` routes; hold back what must wait.

    In a transaction of its own; one sender chooses at a time.
    """
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s)", (locks.NOTIFICATIONS,))
        now = clock(conn)
        keys = {"now": now, "busy": list(busy), "limit": limit}
        with conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("notify_candidates"), keys).fetchall()
        send, put_off = _chosen(rows, policy, now)
        if put_off:
            ids, states, reasons, next_tries = zip(*put_off, strict=True)
            held = {"ids": ids, "states": states, "reasons": reasons, "next_tries": next_tries}
            conn.execute(query("notify_hold"), {k: list(v) for k, v in held.items()} | {"now": now})
        if send:
            until = {"lease": lease, "until": now + lease_for, "ids": [r["notification_id"] for r in send]}
            conn.execute(query("notify_lease"), until)
    names = [f.name for f in fields(Leased)]
    return [Leased(**{k: v for k, v in _leased(r, lease).items() if k in names}) for r in send]


def _leased(row: dict[str, Any], lease: str) -> dict[str, Any]:
    return {**row, "attempts": row["attempts"] + 1, "lease": lease}


_PutOff = tuple[int, str, str | None, datetime | None]


def _chosen(
    rows: Sequence[dict[str, Any]], policy: Policy, now: datetime
) -> tuple[list[dict[str, Any]], list[_PutOff]]:
    """Which rows are sent, and which are held, dropped or tried later: (id, state, reason, next try)."""
    send: list[dict[str, Any]] = []
    put_off: list[_PutOff] = []
    chosen: Counter[tuple[str, str]] = Counter()
    for r in rows:
        place = (r["channel"], r["address"])
        if is_example(r["address"]):
            put_off.append((r["notification_id"], "dropped", _NO_ONE, None))
        elif not r["wanted"]:
            put_off.append((r["notification_id"], "dropped", "the contact wants nothing any more", None))
        elif r["kind"] == "alert" and not r["attempts"]:
            why = policy.hold(now, r["severity"], r["sent_within_hour"] + chosen[place])
            if why is None:
                send.append(r)
                chosen[place] += 1
            else:
                put_off.append((r["notification_id"], "held", why.value, None))
        elif r["severity"] != "critical" and r["kind"] == "alert" and policy.is_quiet(now):
            # It may have arrived already: it is repeated under its own key, in the morning.
            put_off.append((r["notification_id"], "waiting", None, policy.quiet_until(now)))
        else:
            send.append(r)
    return send, put_off


def mark_sent(conn: Connection, row: Leased) -> float | None:
    """The other side has taken it: s since it was written; None where another had said so before."""
    found = conn.execute(query("notify_sent"), {"id": row.notification_id}).fetchone()
    return None if found is None else float(found[0])


def mark_failed(
    conn: Connection, row: Leased, error: DeliveryError, policy: Policy, clock: Clock = database_clock
) -> bool:
    """An attempt failed; whether it was the last."""
    last = error.for_good or policy.gives_up(row.created_at, clock(conn))
    after = policy.retry_in(row.attempts)
    if error.after_s is not None:
        after = max(after, min(timedelta(seconds=error.after_s), policy.most_delay))
    keys = {
        "id": row.notification_id,
        "lease": row.lease,
        "last": last,
        "reason": str(error)[:500],
        "after": after,
    }
    conn.execute(query("notify_failed"), keys)
    return last


def renew(
    conn: Connection, rows: Sequence[Leased], lease_for: timedelta, clock: Clock = database_clock
) -> None:
    """Lease anew what is still in hand; what another has taken over stays with that one."""
    if rows:
        keys = {
            "ids": [r.notification_id for r in rows],
            "leases": list({r.lease for r in rows}),
            "until": clock(conn) + lease_for,
        }
        conn.execute(query("notify_renew"), keys)


def release(conn: Connection, rows: Sequence[Leased]) -> None:
    """Give back what was leased and not tried."""
    if rows:
        keys = {"ids": [r.notification_id for r in rows], "lease": rows[0].lease}
        conn.execute(query("notify_release"), keys)


def make_digests(conn: Connection, policy: Policy, clock: Clock = database_clock) -> int:
    """Put what was held before the newest moment of a digest into a digest for each contact; returns how many."""
    made = 0
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s)", (locks.NOTIFICATIONS,))
        cut = policy.digest_cut(clock(conn))
        with conn.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("notify_digest_due"), {"cut": cut}).fetchall()
        _drop(conn, [r["notification_id"] for r in rows if r["told_since"]])
        left = [r for r in rows if not r["told_since"]]
        for _, group in groupby(left, key=lambda r: (r["channel"], r["address"], r["name"])):
            _insert_digest(conn, list(group))
            made += 1
    return made


def _drop(conn: Connection, ids: Sequence[int]) -> None:
    if ids:
        conn.execute(
            "update nengliu.notification set state = 'dropped', reason = 'told since' where notification_id = any (%s)",
            (list(ids),),
        )


def _insert_digest(conn: Connection, held: Sequence[dict[str, Any]]) -> None:
    """One digest of what was held for a contact. Its key names what it holds: the same entries are the same digest."""
    ids = [r["notification_id"] for r in held]
    keys = conn.execute(
        "select array_agg(key order by notification_id) from nengliu.notification where notification_id = any (%s)",
        (ids,),
    ).fetchone()
    assert keys is not None  # an aggregate yields one row
    digest = {k: held[-1][k] for k in ("name", "language", "channel", "address", "route")}
    digest["severity"] = max((r["severity"] for r in held), key=_rank)
    digest["key"] = hashlib.sha256(json.dumps(["digest", *keys[0]]).encode()).hexdigest()[:40]
    row = conn.execute(query("notify_digest_insert"), digest).fetchone()
    assert row is not None  # insert … returning
    conn.execute(
        "update nengliu.notification set state = 'digested', digest_id = %s where notification_id = any (%s)",
        (row[0], ids),
    )


def _rank(severity: str) -> int:
    return _RANKS.index(severity) if severity in _RANKS else 0


def forget_old(conn: Connection, keep_years: int, link_days: int) -> int:
    """Delete notifications that were sent, told in a digest or dropped more than `keep_years` ago, of alerts that are
    over; links of what goes have expired. What was never delivered stays, and alerts and their steps do. Returns how
    many; `conn` is in autocommit.
    """
    keys = {"years": keep_years, "days": link_days, "limit": _FORGET_AT_ONCE}
    gone = 0
    while count := conn.execute(query("notify_forget"), keys).rowcount:
        gone += count
    return gone


def read_counts(conn: Connection) -> Counts:
    """How the outbox stands."""
    with conn.cursor(row_factory=class_row(Counts)) as cursor:
        return cursor.execute(query("notify_counts")).fetchone() or Counts()


def read_secret_of(conn: Connection) -> bytes:
    """The secret that links and calls are signed with, made at random the first time and kept in the database."""
    text = "select secret from nengliu.notification_secret"
    row = conn.execute(text).fetchone()
    if row is None:
        conn.execute(
            "insert into nengliu.notification_secret (secret) values (sha256((gen_random_uuid()::text "
            "|| gen_random_uuid()::text || gen_random_uuid()::text)::bytea)) on conflict do nothing"
        )
        row = conn.execute(text).fetchone()
        assert row is not None  # it is there now, whoever made it
    return bytes(row[0])
