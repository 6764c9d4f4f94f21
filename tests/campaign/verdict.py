"""What became of the readings of a run, as the `api` views, the ledger and `reconcile` say, against the truth."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from storage.reconcile import reconcile

from .truth import Plan

_READINGS = """
select meter, register, extract(epoch from ts)::bigint, value from api.reading where meter = any(%s)
"""
_REJECTS = """
select gateway, reason, count(*) from api.reject where gateway = any(%s) group by gateway, reason
"""
_LEDGER = """
select sum(received)::bigint, sum(stored)::bigint, sum(repeated)::bigint, sum(conflicting)::bigint,
       sum(rejected)::bigint, sum(missing)::bigint
from api.ingest_ledger where gateway = any(%s)
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Counts of values. readings: of the truth, rejected ones included; lost: neither stored nor among the dead
    letters; doubled: stored, or rejected, more than once; wrong: stored with another value, or never read; missing:
    messages, in the ledger; problems: what `reconcile` finds wrong, and what does not add up.
    """

    readings: int
    lost: int
    doubled: int
    wrong: int
    missing: int
    rejected: int
    repeated: int
    problems: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Whether nothing is wanting."""
        return not (self.lost or self.doubled or self.wrong or self.missing or self.problems)


def judge(connection: psycopg.Connection[Any], plans: Sequence[Plan]) -> Verdict:
    """Compare what is stored of the gateways' readings with what they read."""
    truth = {key: value for plan in plans for key, value in plan.stored()}
    gateways = [plan.gateway for plan in plans]
    found = connection.execute(_READINGS, [[m for plan in plans for m in plan.meters]]).fetchall()
    stored: dict[tuple[str, str, int], float] = {(m, r, ts): value for m, r, ts, value in found}
    bad = Counter({(plan.gateway, why): n for plan in plans for why, n in plan.rejected().items()})
    dead = Counter({(g, why): n for g, why, n in connection.execute(_REJECTS, [gateways]).fetchall()})
    row = connection.execute(_LEDGER, [gateways]).fetchone()
    received, kept, repeated, conflicting, rejected, missing = [int(n or 0) for n in row or [0] * 6]
    problems = [f"{p.kind} {p.gateway} {p.outbox} {p.detail}" for p in reconcile(connection).problems]
    if received != kept + repeated + conflicting + rejected:
        problems.append("received is not stored + repeated + conflicting + rejected")
    if rejected != bad.total():
        problems.append(f"the ledger has {rejected} rejected, {bad.total()} were")
    return Verdict(
        readings=len(truth) + bad.total(),
        lost=len(truth.keys() - stored.keys()) + (bad - dead).total(),
        doubled=len(found) - len(stored) + abs(kept - len(stored)) + conflicting + (dead - bad).total(),
        wrong=sum(truth.get(key) != value for key, value in stored.items()),
        missing=missing,
        rejected=dead.total(),
        repeated=repeated,
        problems=tuple(problems),
    )
