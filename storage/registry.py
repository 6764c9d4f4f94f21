"""Import, check and export of the registry: CSV in, CSV out, all or nothing, each import a version.

See docs/decisions/registry-versions.md.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import psycopg

from metering.errors import InputFileError
from metering.instants import from_us
from metering.spans import END, START
from storage import locks
from storage.copying import copy_in
from storage.registry_check import in_order, misfits
from storage.registry_codes import RegistryCodes
from storage.registry_digits import beyond_digits
from storage.registry_effects import affected, balanced_otherwise, plans_of, touched_sites
from storage.registry_files import QUOTAS, RegistryFiles, read_file, read_folder
from storage.registry_state import Key, RegistryState, load_state
from storage.retention import floor_us
from storage.sql import query

T = TypeVar("T")
Connection = psycopg.Connection[Any]
Cursor = psycopg.Cursor[Any]

#: Kinds of rows, in the order in which they are written, with the attribute of RegistryState that holds them.
KINDS = {
    "site": "sites",
    "point": "points",
    "installation": "installations",
    "rule": "rules",
    "quota": "quotas",
    "contact": "contacts",
}


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of one kind in the files: new, changed, as they were."""

    new: int = 0
    changed: int = 0
    same: int = 0


@dataclass(frozen=True, slots=True)
class Behind:
    """Points whose rows change energy before the floor: those hours stay as they are, for their readings are gone."""

    floor: datetime
    points: int


@dataclass(frozen=True, slots=True)
class ImportResult:
    """What an import did, or would do. version: the registry's new version, None where nothing changed; behind: what of
    it reaches to before retention's floor, None: nothing; quotas: keys of the quotas in the files.
    """

    version: int | None
    counts: dict[str, Counts]
    behind: Behind | None = None
    quotas: frozenset[Key] = frozenset()


@dataclass(slots=True)
class Plan:
    """What an import would change: keys of new and changed rows by kind (changed)."""

    before: RegistryState
    after: RegistryState
    counts: dict[str, Counts]
    changed: dict[str, list[Key]] = field(default_factory=dict)


def import_registry(
    connection: Connection,
    folder: Path,
    actor: str,
    codes: RegistryCodes | None = None,
    note: str | None = None,
) -> ImportResult:
    """Take in the CSV files in `folder`, all or nothing; in force for every message received afterwards.

    Raises InputFileError naming every problem by file and line.
    """
    codes = codes or RegistryCodes()
    return _import(connection, read_folder(folder, codes), actor, codes, note)


def import_quota_file(
    connection: Connection, path: Path, actor: str, codes: RegistryCodes | None = None
) -> ImportResult:
    """Take in one file of the form of quotas.csv, as `import_registry` does."""
    codes = codes or RegistryCodes()
    files = RegistryFiles()
    files.quotas = read_file(path, QUOTAS, codes, files)
    return _import(connection, files, actor, codes, f"quotas from {path.name}")


def check_registry(
    connection: Connection | None, folder: Path, codes: RegistryCodes | None = None
) -> ImportResult:
    """What `import_registry` would do, changing nothing; without a connection, against an empty registry.

    Raises InputFileError naming every problem by file and line.
    """
    codes = codes or RegistryCodes()
    files = read_folder(folder, codes)
    if connection is None:
        return ImportResult(None, _planned(RegistryState(), files, codes).counts)
    with connection.transaction(), connection.cursor() as cursor:
        plan = _planned(load_state(cursor), files, codes, cursor)
        return ImportResult(None, plan.counts, _behind(cursor, plan))


def _import(
    connection: Connection, files: RegistryFiles, actor: str, codes: RegistryCodes, note: str | None
) -> ImportResult:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (locks.REGISTRY_IMPORT,))
        plan = _planned(load_state(cursor), files, codes, cursor)
        if not any(plan.changed.values()):
            return ImportResult(None, plan.counts, quotas=frozenset(files.quotas))
        for kind in KINDS:
            write_rows(cursor, kind, [getattr(plan.after, KINDS[kind])[key] for key in plan.changed[kind]])
        write_effects(cursor, plan)
        behind = _behind(cursor, plan)
        version = _write_version(cursor, plan, actor, note)
        # From here to the commit no reading is judged or placed by the registry as it was.
        cursor.execute("select pg_advisory_xact_lock(%s)", (locks.REGISTRY,))
    return ImportResult(version, plan.counts, behind, frozenset(files.quotas))


def _planned(
    before: RegistryState, files: RegistryFiles, codes: RegistryCodes, cursor: Cursor | None = None
) -> Plan:
    """What an import would change; with a cursor, also held against the readings that are stored."""
    after = before.overlaid(files)
    problems = [*files.problems, *misfits(after, files, codes)]
    if cursor is not None:
        problems += beyond_digits(cursor, before, files)
    if problems:
        raise InputFileError(in_order(problems))
    plan = Plan(before, after, {})
    for kind, attribute in KINDS.items():
        plan.changed[kind], plan.counts[kind] = _compared(
            getattr(before, attribute), getattr(files, attribute)
        )
    return plan


def _compared(stored: Mapping[Key, Any], rows: Mapping[Key, Any]) -> tuple[list[Key], Counts]:
    new = [key for key in rows if key not in stored]
    changed = [key for key, row in rows.items() if key in stored and stored[key] != row.value]
    return new + changed, Counts(len(new), len(changed), len(rows) - len(new) - len(changed))


def _columns(rows: Sequence[Any]) -> dict[str, list[Any]]:
    """Rows of one frozen type as columns by field."""
    return {f.name: [getattr(row, f.name) for row in rows] for f in fields(rows[0])}


def write_rows(cursor: Cursor, kind: str, rows: Sequence[Any]) -> None:
    if not rows:
        return
    columns = _columns(rows)
    if kind == "quota":
        for name in ("base_years", "monthly_plan"):
            columns[name] = ["{" + ",".join(map(repr, numbers)) + "}" for numbers in columns[name]]
    cursor.execute(query(f"registry_upsert_{kind}"), columns)
    if kind == "quota":
        cursor.execute(query("registry_mark_quotas"), columns)
    if kind == "point":
        cursor.execute(query("registry_set_parents"), columns)


# ---------------------------------------------------------------- what it means for energy


def write_effects(cursor: Cursor, plan: Plan) -> None:
    """Rewrite the spans of the touched sites, and mark what of their energy may differ."""
    sites = touched_sites(plan.before, plan.after, plan.changed)
    if not sites:
        return
    old, new = plans_of(plan.before, sites), plans_of(plan.after, sites)
    site_ids = _ids(cursor, "select site_code, site_id from nengliu.site where site_code = any(%s)", sites)
    codes = {code for plans in (old, new) for p in plans.values() for code in p.points}
    point_ids = _ids(
        cursor, "select point_code, point_id from nengliu.point where point_code = any(%s)", codes
    )
    points = [
        (point_ids[code], *span) for p in new.values() for code in p.points for span in p.installed[code]
    ]
    roots = [
        (site_ids[site], item, point_ids[code], *span)
        for site, p in new.items()
        for (item, code), spans in p.roots.items()
        for span in spans
    ]
    cursor.execute("delete from nengliu.root_span where site_id = any(%s)", (list(site_ids.values()),))
    cursor.execute("delete from nengliu.point_span where point_id = any(%s)", (list(point_ids.values()),))
    _copy_spans(cursor, "nengliu.point_span", ("point_id",), points)
    _insert_roots(cursor, roots)
    changes = [
        (site_ids[site], point_ids[code], *span)
        for site in sites
        for code, spans in affected(old[site], new[site]).items()
        for span in spans
    ]
    _copy_spans(cursor, "nengliu.change", ("site_id", "point_id"), changes)
    if any(plan.changed[kind] for kind in ("rule", "point", "installation")):
        again = balanced_otherwise(plan.before, plan.after)
        cursor.execute(query("registry_mark_levels"), {"codes": sorted(again)})
    _mark_assessments(cursor, [(site, begin, end) for site, _, begin, end in changes])


def _behind(cursor: Cursor, plan: Plan) -> Behind | None:
    """What the plan would change in energy before retention's floor."""
    floor = floor_us(cursor)
    if floor == START:
        return None
    sites = touched_sites(plan.before, plan.after, plan.changed)
    old, new = plans_of(plan.before, sites), plans_of(plan.after, sites)
    points = sum(
        any(begin < floor for begin, _ in spans)
        for site in sites
        for spans in affected(old[site], new[site]).values()
    )
    return Behind(from_us(floor), points) if points else None


def _ids(cursor: Cursor, text: str, codes: Iterable[str]) -> dict[str, int]:
    cursor.execute(text, (list(codes),))
    return dict(cursor.fetchall())


def _copy_spans(cursor: Cursor, table: str, keys: tuple[str, ...], rows: Sequence[tuple[int, ...]]) -> None:
    """COPY rows of integer keys and a span; for `change` both ends are included."""
    if not rows:
        return
    table_of = np.array(rows, dtype=np.int64)
    columns = {key: ("int4", table_of[:, i]) for i, key in enumerate(keys)}
    columns["from_ts"] = ("timestamptz", table_of[:, -2])
    columns["to_ts"] = ("timestamptz", table_of[:, -1])
    copy_in(cursor, table, columns)


def _mark_assessments(cursor: Cursor, spans: Iterable[tuple[int, int, int]]) -> None:
    rows = list(zip(*set(spans), strict=True))
    if rows:
        names = ("site", "from", "to")
        cursor.execute(query("registry_mark_spans"), dict(zip(names, map(list, rows), strict=True)))


def _insert_roots(cursor: Cursor, roots: Sequence[tuple[int, str, int, int, int]]) -> None:
    if not roots:
        return
    names = ("site_id", "item_code", "point_id", "from_us", "to_us")
    columns = dict(zip(names, map(list, zip(*roots, strict=True)), strict=True))
    cursor.execute(query("registry_insert_roots"), columns | {"start": START, "end": END})


# ---------------------------------------------------------------- versions


def _write_version(cursor: Cursor, plan: Plan, actor: str, note: str | None) -> int:
    cursor.execute(
        "insert into nengliu.registry_version (actor, note) values (%s, %s) returning version", (actor, note)
    )
    row = cursor.fetchone()
    assert row is not None
    version: int = row[0]
    with cursor.copy(query("registry_record_changes")) as copy:
        for kind, attribute in KINDS.items():
            before, after = getattr(plan.before, attribute), getattr(plan.after, attribute)
            for key in plan.changed[kind]:
                copy.write_row(
                    (version, kind, _key_text(key), _row_json(before.get(key)), _row_json(after[key]))
                )
    return version


def _key_text(key: Key) -> str:
    return json.dumps([_plain(part) for part in key], ensure_ascii=False)


def _row_json(row: Any) -> str | None:
    if row is None:
        return None
    return json.dumps({f.name: _plain(getattr(row, f.name)) for f in fields(row)}, ensure_ascii=False)


def _plain(cell: Any) -> Any:
    return cell.isoformat() if isinstance(cell, date | datetime) else cell
