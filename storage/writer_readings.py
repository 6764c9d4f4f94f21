"""Put accepted readings into nengliu.reading and find out what became of each value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import errors

from metering.instants import from_us
from metering.records import Floats, Ints
from storage.copying import copy_in, unpack
from storage.identities import (
    Identities,
    Mask,
    Stored,
    Upkeep,
    contested,
    rows_found,
    settle_contested,
)
from storage.sql import query

#: Readings are looked up in windows of this length, so that each query opens few chunks (chunks are as long).
WINDOW_US = 28 * 86_400_000_000


@dataclass(slots=True)
class ReadingTable:
    """Writes identities; remembers whether repeats are coming in, so as not to try the short way in vain.

    staged_after_repeat: so many batches after one with a repeat take the staged way.
    """

    staged_after_repeat: int = 8
    _staged_batches: int = 0

    def write(
        self, cursor: psycopg.Cursor[Any], identities: Identities, gateway_of: Callable[[int], str]
    ) -> None:
        """Insert, replace and keep beside, in the cursor's transaction; sets `outcome` and `changed`.

        gateway_of: the gateway of the nth value of `identities`.
        """
        if len(identities.row) == 0:
            return
        inserted = self._insert(cursor, identities)
        if inserted.all() and len(identities.head) == len(identities.row):
            return
        current = identities.value[identities.head]
        old = np.flatnonzero(~inserted)
        if len(old):
            _arrive(cursor, identities, old, identities.head[old])
            for n, values in _by_window(cursor, "writer_differing", identities, old, ("int4", "float8")):
                current[n] = values
        which = contested(identities, inserted, current)
        if len(which):
            stored = _lock(cursor, identities, which[~inserted[which]])
            _keep(cursor, identities, gateway_of, settle_contested(identities, which, inserted, stored))

    def _insert(self, cursor: psycopg.Cursor[Any], identities: Identities) -> Mask:
        """Insert the first value of each identity; returns which of them are new."""
        if self._staged_batches == 0:
            try:
                with cursor.connection.transaction():
                    copy_in(cursor, "nengliu.reading", _columns(identities, identities.head))
                return np.ones(len(identities.head), dtype=bool)
            except errors.UniqueViolation:
                self._staged_batches = self.staged_after_repeat
        self._staged_batches -= 1
        _arrive(cursor, identities, np.arange(len(identities.head)), identities.head)
        series_id, ts_us = _packed(cursor, "writer_insert_arriving", ("int4", "timestamptz"))
        inserted = rows_found(identities, series_id, ts_us)
        if not inserted.all():
            self._staged_batches = self.staged_after_repeat
        return inserted


def _columns(identities: Identities, at: Ints) -> dict[str, tuple[str, npt.NDArray[Any]]]:
    return {
        "series_id": ("int4", identities.series_id[at]),
        "ts": ("timestamptz", identities.ts_us[at]),
        "value": ("float8", identities.value[at]),
        "received_at": ("timestamptz", identities.received_us[at]),
    }


def _arrive(cursor: psycopg.Cursor[Any], identities: Identities, which: Ints, at: Ints) -> None:
    """Put the values `at` into the temporary table, each numbered by its identity `which`."""
    cursor.execute(query("writer_arriving"))
    # The planner knows nothing of the temporary table; looking up each row by the key is never far from best.
    cursor.execute("set local enable_hashjoin = off; set local enable_mergejoin = off")
    cursor.execute("truncate pg_temp.arriving")
    copy_in(cursor, "pg_temp.arriving", {"n": ("int4", which), **_columns(identities, at)})


def _packed(
    cursor: psycopg.Cursor[Any],
    name: str,
    types: tuple[str, ...],
    parameters: dict[str, datetime] | None = None,
) -> list[npt.NDArray[Any]]:
    """The columns of a query that packs its rows into one bytea.

    Planned anew each time: a generic plan would not know the window, and open every chunk.
    """
    row = cursor.execute(query(name), parameters, prepare=False, binary=True).fetchone()
    return unpack(row[0] if row else None, types)


def _by_window(
    cursor: psycopg.Cursor[Any], name: str, identities: Identities, which: Ints, types: tuple[str, ...]
) -> Iterator[list[npt.NDArray[Any]]]:
    """A query's columns, window by window, for the identities `which` that are in the temporary table."""
    for bounds in _windows(identities, which):
        yield _packed(cursor, name, types, bounds)


def _windows(identities: Identities, which: Ints) -> Iterator[dict[str, datetime]]:
    for window in np.unique(identities.ts_us[identities.head[which]] // WINDOW_US).tolist():
        yield {"low": from_us(window * WINDOW_US), "high": from_us((window + 1) * WINDOW_US)}


def _lock(cursor: psycopg.Cursor[Any], identities: Identities, old: Ints) -> Stored:
    """What the database holds of the contested identities, those that were there before (`old`) locked."""
    values = identities.value[identities.head]
    receipts = identities.received_us[identities.head]
    version_of: Ints = np.empty(0, dtype=np.int64)
    version: Floats = np.empty(0)
    if len(old):
        _arrive(cursor, identities, old, identities.head[old])
        types = ("int4", "float8", "timestamptz")
        for n, value, received_us in _by_window(cursor, "writer_lock", identities, old, types):
            values[n], receipts[n] = value, received_us
        version_of, version = _packed(cursor, "writer_versions", ("int4", "float8"))
    return Stored(values, receipts, version_of, version)


def _keep(
    cursor: psycopg.Cursor[Any], identities: Identities, gateway_of: Callable[[int], str], upkeep: Upkeep
) -> None:
    """Write other values beside, and what corrections replace."""
    cursor.execute(query("writer_arriving"))
    if upkeep.beside:
        which, value, superseded, arrival, received_us = map(np.array, zip(*upkeep.beside, strict=True))
        names: dict[str, int] = {}
        numbers = [names.setdefault(gateway_of(n), len(names)) for n in arrival.tolist()]
        head = identities.head[which]
        columns = {
            "series_id": ("int4", identities.series_id[head]),
            "ts": ("timestamptz", identities.ts_us[head]),
            "value": ("float8", value),
            "superseded": ("bool", superseded),
            "gateway_no": ("int4", np.array(numbers)),
            "received_at": ("timestamptz", received_us),
        }
        copy_in(cursor, "pg_temp.beside", columns)
        cursor.execute(query("writer_keep_versions"), {"gateways": list(names)})
    if upkeep.replaced:
        which, arrival = map(np.array, zip(*upkeep.replaced, strict=True))
        _arrive(cursor, identities, which, arrival)
        for bounds in _windows(identities, which):
            cursor.execute(query("writer_replace"), bounds, prepare=False)
