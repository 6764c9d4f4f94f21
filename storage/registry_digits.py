"""Whether the digits of installations hold the readings that are stored for their time."""

from __future__ import annotations

from typing import Any

import psycopg

from metering.meters import Installation
from storage.registry_files import Placed, RegistryFiles
from storage.registry_state import RegistryState
from storage.sql import query


def beyond_digits(cursor: psycopg.Cursor[Any], before: RegistryState, files: RegistryFiles) -> list[str]:
    """Problems of rows that are new, or got fewer digits or more time, and whose register showed 10^digits or more.

    Readings that are in doubt, or that a person refused, do not count: a garbled one must not bar a good row.
    """
    rows = [
        row for key, row in files.installations.items() if _to_check(before.installations.get(key), row.value)
    ]
    if not rows:
        return []
    cursor.execute(
        query("registry_beyond_digits"),
        {
            "meter": [row.value.meter for row in rows],
            "register": [row.value.register for row in rows],
            "installed": [row.value.installed_at for row in rows],
            "removed": [row.value.removed_at for row in rows],
            "bound": [10.0**row.value.digits for row in rows],
        },
    )
    return [_problem(rows[ix - 1], *found) for ix, *found in cursor.fetchall()]


def _to_check(old: Installation | None, new: Installation) -> bool:
    if new.is_void or not new.kind.cumulative:
        return False
    return old is None or old.is_void or new.digits < old.digits or new.span[1] > old.span[1]


def _problem(row: Placed[Installation], ts: Any, value: float, count: int) -> str:
    i = row.value
    return (
        f"{row.place}: digits {i.digits} of register {i.register} of meter {i.meter} are too few: it showed {value:g} "
        f"at {ts.isoformat()} ({count} readings of that time are stored that do not fit); correct digits or "
        "installed_at, or refuse the reading (nengliu readings review)"
    )
