"""The registry as a whole: as stored, and as it would be with files laid over it. Rows are those of
metering/meters.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import psycopg

from metering.meters import Contact, Installation, Point, Quota, Site
from metering.rules import RuleSetting
from storage.registry_files import (
    CONTACTS,
    INSTALLATIONS,
    POINTS,
    QUOTAS,
    RULES,
    SITES,
    Layout,
    Placed,
    RegistryFiles,
)
from storage.sql import query

T = TypeVar("T")
Key = tuple[Any, ...]


@dataclass(slots=True)
class RegistryState:
    """All rows of the registry by key (see the layouts in storage/registry_files.py)."""

    sites: dict[Key, Site] = field(default_factory=dict)
    points: dict[Key, Point] = field(default_factory=dict)
    installations: dict[Key, Installation] = field(default_factory=dict)
    quotas: dict[Key, Quota] = field(default_factory=dict)
    contacts: dict[Key, Contact] = field(default_factory=dict)
    rules: dict[Key, RuleSetting] = field(default_factory=dict)

    def overlaid(self, files: RegistryFiles) -> RegistryState:
        """This registry with the rows of `files` in place of those with the same key."""
        return RegistryState(
            _overlaid(self.sites, files.sites),
            _overlaid(self.points, files.points),
            _overlaid(self.installations, files.installations),
            _overlaid(self.quotas, files.quotas),
            _overlaid(self.contacts, files.contacts),
            _overlaid(self.rules, files.rules),
        )


def _overlaid(stored: Mapping[Key, T], placed: Mapping[Key, Placed[T]]) -> dict[Key, T]:
    return {**stored, **{key: row.value for key, row in placed.items()}}


def load_state(cursor: psycopg.Cursor[Any]) -> RegistryState:
    """Everything that is stored."""
    return RegistryState(
        _loaded(cursor, "site", SITES),
        _loaded(cursor, "point", POINTS),
        _loaded(cursor, "installation", INSTALLATIONS),
        _loaded(cursor, "quota", QUOTAS),
        _loaded(cursor, "contact", CONTACTS),
        _loaded(cursor, "rule", RULES),
    )


def _loaded(cursor: psycopg.Cursor[Any], name: str, layout: Layout[T]) -> dict[Key, T]:
    cursor.execute(query(f"registry_load_{name}"))
    columns = [column.name for column in cursor.description or ()]
    rows = (layout.make(**_cells(columns, row)) for row in cursor.fetchall())
    return {layout.key(row): row for row in rows}


def _cells(columns: list[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return {c: tuple(v) if isinstance(v, list) else v for c, v in zip(columns, row, strict=True)}
