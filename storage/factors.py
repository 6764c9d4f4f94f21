"""Versions of conversion factors in the database: recorded and superseded, never overwritten.

The api views apply factors when they are read, so nothing is derived again; assessments of quotas in tonnes are marked
for the days whose value changed. See docs/decisions/factors.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from metering.errors import InputFileError
from metering.factors import Days, Factor, Key, changed_days, laid_over, misfits, shipped_factors, timelines
from storage import locks
from storage.registry_codes import RegistryCodes
from storage.registry_files import FACTORS, Placed, RegistryFiles, read_file
from storage.sql import query

Connection = psycopg.Connection[Any]

#: Who records the factors that come with the software.
_SOFTWARE = "nengliu"


@dataclass(frozen=True, slots=True)
class FactorChange:
    """What taking in factors did, or would do.

    recorded, superseded: versions; days: (item, quantity) -> [first day, first after) whose value is another.
    """

    recorded: int
    superseded: int
    days: dict[Key, list[Days]]


def import_factors(conn: Connection, path: Path, actor: str) -> FactorChange:
    """Lay the factors of a CSV file over those that are known, all or nothing.

    Raises InputFileError naming every problem by file and line.
    """
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s)", (locks.FACTORS,))
        stored = _current(conn)
        return _record(conn, stored, _laid(stored, path), actor)


def check_factors(conn: Connection | None, path: Path) -> FactorChange:
    """What `import_factors` would do, changing nothing; without a connection, over the shipped factors.

    Raises InputFileError naming every problem by file and line.
    """
    if conn is None:
        stored = list(shipped_factors())
    else:
        with conn.transaction():
            stored = _current(conn)
    after = _laid(stored, path)
    recorded, superseded = _differences(stored, after)
    return FactorChange(len(recorded), len(superseded), changed_days(stored, after))


def load_factors(conn: Connection) -> int:
    """Put the shipped factors under those that people took in; the number of versions that this recorded."""
    with conn.transaction():
        conn.execute("select pg_advisory_xact_lock(%s)", (locks.FACTORS,))
        stored = _current(conn)
        after = laid_over(shipped_factors(), [f for f in stored if not f.shipped])
        return _record(conn, stored, after, _SOFTWARE).recorded


def known_factors(
    conn: Connection, item: str | None = None, on: date | None = None, known_at: datetime | None = None
) -> list[dict[str, Any]]:
    """Versions known at a time (default now), by item, quantity and first day; `on`: only those in force then."""
    with conn.cursor(row_factory=dict_row) as cursor:
        asked = {"item": item, "on": on, "known_at": known_at}
        return cursor.execute(query("factors_known"), asked).fetchall()


def _current(conn: Connection) -> list[Factor]:
    with conn.cursor(row_factory=dict_row) as cursor:
        return [Factor(**row) for row in cursor.execute(query("factors_current")).fetchall()]


def _laid(stored: Sequence[Factor], path: Path) -> list[Factor]:
    files = RegistryFiles()
    placed = read_file(path, FACTORS, RegistryCodes(), files)
    problems = files.problems + _file_misfits(placed)
    after = laid_over(stored, [row.value for row in placed.values()])
    problems = problems or _stored_misfits(placed, after)
    if problems:
        raise InputFileError(problems)
    return after


def _file_misfits(placed: Mapping[Any, Placed[Factor]]) -> list[str]:
    """Gaps and overlaps within the file."""
    rows = {id(row.value): row.place for row in placed.values()}
    lines = timelines(row.value for row in placed.values()).values()
    return [
        f"{rows[id(later)]}: {what}, see {rows[id(earlier)]}"
        for line in lines
        for earlier, later, what in misfits(line)
    ]


def _stored_misfits(placed: Mapping[Any, Placed[Factor]], after: Iterable[Factor]) -> list[str]:
    """Gaps between the file and what is known."""
    rows = {id(row.value): row.place for row in placed.values()}
    return [
        f"{rows.get(id(later)) or rows[id(earlier)]}: {what} (with what is known already)"
        for line in timelines(after).values()
        for earlier, later, what in misfits(line)
        if id(later) in rows or id(earlier) in rows
    ]


def _differences(before: Sequence[Factor], after: Sequence[Factor]) -> tuple[list[Factor], list[Factor]]:
    """What is to be recorded and what superseded."""
    old, new = set(before), set(after)
    return [f for f in after if f not in old], [f for f in before if f not in new]


def _record(conn: Connection, before: Sequence[Factor], after: Sequence[Factor], actor: str) -> FactorChange:
    recorded, superseded = _differences(before, after)
    days = changed_days(before, after)
    row = conn.execute("select clock_timestamp()").fetchone()
    assert row is not None
    with conn.cursor() as cursor:
        for factor in superseded:
            cursor.execute(query("factors_supersede"), {**asdict(factor), "at": row[0]})
        for factor in recorded:
            cursor.execute(query("factors_record"), {**asdict(factor), "at": row[0], "by": actor})
    _mark(conn, days)
    return FactorChange(len(recorded), len(superseded), days)


def _mark(conn: Connection, days: Mapping[Key, Sequence[Days]]) -> None:
    rows = [(item, quantity, *span) for (item, quantity), spans in days.items() for span in spans]
    if rows:
        names = ("item_code", "quantity", "from_day", "to_day")
        columns = map(list, zip(*rows, strict=True))
        conn.execute(query("factors_mark_assessments"), dict(zip(names, columns, strict=True)))
