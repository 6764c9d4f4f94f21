"""The registry as the six CSV files that it can be imported from again without a change."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from datetime import date, datetime, tzinfo
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from metering.errors import InputFileError
from storage.registry_files import CONTACTS, INSTALLATIONS, POINTS, QUOTAS, RULES, SITES, Layout
from storage.registry_state import load_state


def export_registry(connection: psycopg.Connection[Any], folder: Path) -> dict[str, int]:
    """Write the six files into `folder` (made if need be), rows sorted by key; the number of rows by file.

    Times carry the node's local offset. Raises InputFileError where the folder cannot be written.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("set transaction isolation level repeatable read, read only")
        cursor.execute("select nengliu.local_zone()")
        row = cursor.fetchone()
        assert row is not None
        zone = ZoneInfo(row[0])
        state = load_state(cursor)
    tables: list[tuple[Layout[Any], list[Any]]] = [
        (SITES, list(state.sites.values())),
        (POINTS, list(state.points.values())),
        (INSTALLATIONS, list(state.installations.values())),
        (RULES, list(state.rules.values())),
        (QUOTAS, list(state.quotas.values())),
        (CONTACTS, list(state.contacts.values())),
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for layout, rows in tables:
            write_file(folder / layout.name, layout, sorted(rows, key=layout.key), zone)
    except OSError as e:
        raise InputFileError([f"{folder}: cannot be written: {e.strerror}"]) from e
    return {layout.name: len(rows) for layout, rows in tables}


def write_file(path: Path, layout: Layout[Any], rows: Sequence[Any], zone: tzinfo) -> None:
    """Write rows as one CSV file, times with the offset of `zone`."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(layout.columns)
        for row in rows:
            cells = dict(zip((f.name for f in fields(row)), astuple(row), strict=True))
            writer.writerow(_cell(cells[name], zone) for name in layout.columns)


def _cell(value: Any, zone: tzinfo) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return value.astimezone(zone).isoformat()
        case date():
            return value.isoformat()
        case tuple():
            return ";".join(_cell(part, zone) for part in value)
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case _:
            return str(value)
