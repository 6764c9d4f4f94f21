"""The versions of the registry: when, by whom, and what changed from what to what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from storage.sql import query


@dataclass(frozen=True, slots=True)
class RowVersion:
    """One row of the registry as an import changed it.

    kind: site, point, installation, rule, quota or contact; key: what makes the row unique. changed: column ->
    (before, after) as JSON has it, before None in a row that is new.
    """

    version: int
    imported_at: datetime
    actor: str
    note: str | None
    kind: str
    key: tuple[Any, ...]
    new: bool
    changed: dict[str, tuple[Any, Any]]


def registry_history(
    conn: psycopg.Connection[Any], site: str | None = None, point: str | None = None, meter: str | None = None
) -> list[RowVersion]:
    """All versions, oldest first; only those of a site (with its points and their installations), point or meter."""
    with conn.cursor(row_factory=dict_row) as cursor:
        cursor.execute(query("registry_history"), {"site": site, "point": point, "meter": meter})
        return [_row_version(**row) for row in cursor.fetchall()]


def _row_version(
    key: list[Any], before: dict[str, Any] | None, after: dict[str, Any], **version: Any
) -> RowVersion:
    was = before or {}
    changed = {c: (was.get(c), after.get(c)) for c in {**was, **after} if not _same(was.get(c), after.get(c))}
    return RowVersion(key=tuple(key), new=before is None, changed=changed, **version)


def _same(was: Any, now: Any) -> bool:
    """Whether two cells are equal; times are, whatever their offsets."""
    if was == now or not isinstance(was, str) or not isinstance(now, str):
        return bool(was == now)
    try:
        moments = datetime.fromisoformat(was), datetime.fromisoformat(now)
    except ValueError:
        return False
    return all(m.tzinfo for m in moments) and moments[0] == moments[1]
