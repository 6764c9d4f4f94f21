"""The rows of a site as the registry had them at a time: put back, in a transaction that is rolled back."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import psycopg

from metering.meters import Installation
from storage import locks
from storage.registry import KINDS, Plan, write_effects, write_rows
from storage.registry_files import INSTALLATIONS, POINTS, RULES, SITES, Layout
from storage.registry_state import Key, RegistryState, load_state
from storage.sql import query

_LAYOUTS: dict[str, Layout[Any]] = {
    "site": SITES,
    "point": POINTS,
    "installation": INSTALLATIONS,
    "rule": RULES,
}
_TIMES = frozenset({"installed_at", "removed_at"})


def put_back(connection: psycopg.Connection[Any], site_code: str, known_at: datetime) -> int:
    """Bring a site, its points, their installations and all rules to what they were at `known_at`, and mark what of
    their energy may differ; returns the rows. Installations that were not there are void, rules not set; a point that
    was not there stays without any. Only ever in a transaction that is rolled back.
    """
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (locks.REGISTRY_IMPORT,))
        cursor.execute(query("registry_since"), {"site": site_code, "known_at": known_at})
        rows = cursor.fetchall()
        if not rows:
            return 0
        before = load_state(cursor)
        plan = Plan(before, RegistryState(**{a: dict(getattr(before, a)) for a in KINDS.values()}), {})
        plan.changed = {kind: [] for kind in KINDS}
        for kind, was, first in rows:
            stored = getattr(plan.after, KINDS[kind])
            key, row = _row(kind, was, first, stored)
            if row is not None and stored[key] != row:
                stored[key] = row
                plan.changed[kind].append(key)
        for kind in KINDS:
            write_rows(cursor, kind, [getattr(plan.after, KINDS[kind])[key] for key in plan.changed[kind]])
        write_effects(cursor, plan)
    return sum(map(len, plan.changed.values()))


def _row(
    kind: str, was: dict[str, Any] | None, first: dict[str, Any], stored: dict[Key, Any]
) -> tuple[Key, Any]:
    """A row by its key as it was, `was`; of one that was not there, `first` set, what stands for its absence, if
    anything does.
    """
    layout = _LAYOUTS[kind]
    cells = {n: datetime.fromisoformat(v) if n in _TIMES and v else v for n, v in (was or first).items()}
    row = layout.make(**cells)
    key = layout.key(row)
    if was is not None:
        return key, row
    now = stored[key]
    if isinstance(now, Installation):
        return key, replace(now, removed_at=now.installed_at, start_value=None, end_value=None)
    return key, replace(now, value=None) if kind == "rule" else None
