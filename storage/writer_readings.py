"""Put accepted readings into nengliu.reading and find out what became of each value."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg import errors, sql

from metering.instants import from_us
from metering.records import Floats, Ints
from storage.copying import copy_in, copy_out
from storage.identities import Identities, contested, rows_found, settle_contested
from storage.settle import Settled
from storage.sql import query

#: Readings are looked up in windows of this length, so that each query opens few chunks (chunks are as long).
WINDOW_US = 28 * 86_400_000_000

Mask = npt.NDArray[np.bool_]


class ReadingTable:
    """Writes identities; remembers whether repeats are coming in, so as not to try the short way in vain."""

    #: After a repeat was seen, so many batches take the staged way.
    STAGED_AFTER_REPEAT = 8

    def __init__(self) -> None:
        self._staged_batches = 0

    def write(
        self,
        cursor: psycopg.Cursor[Any],
        identities: Identities,
        received_us: Ints,
        gateway_of: Callable[[int], str],
    ) -> None:
        """Insert, replace and keep beside, in the cursor's transaction; sets `outcome` and `changed`.

        received_us: receipt (µs) of each value of `identities`, in its order; gateway_of: gateway of the nth.
        """
        if len(identities.row) == 0:
            return
        inserted = self._insert(cursor, identities, received_us)
        if inserted.all() and len(identities.head) == len(identities.row):
            return
        current = identities.value[identities.head].copy()
        old = np.flatnonzero(~inserted)
        if len(old):
            _arrive(cursor, identities, received_us, old)
            n, values = _look_up(cursor, identities.ts_us[identities.head[old]])
            current[n] = values
        which = contested(identities, inserted, current)
        if len(which):
            settled = _settle(cursor, identities, received_us, which, inserted, current)
            _keep(cursor, identities, received_us, gateway_of, settled)

    def _insert(self, cursor: psycopg.Cursor[Any], identities: Identities, received_us: Ints) -> Mask:
        """Insert the first value of each identity; returns which of them are new."""
        if self._staged_batches == 0:
            try:
                with cursor.connection.transaction():
                    copy_in(cursor, "nengliu.reading", _columns(identities, received_us, identities.head))
                return np.ones(len(identities.head), dtype=bool)
            except errors.UniqueViolation:
                self._staged_batches = self.STAGED_AFTER_REPEAT
        self._staged_batches -= 1
        _arrive(cursor, identities, received_us, np.arange(len(identities.head)))
        series_id, ts_us = copy_out(cursor, query("writer_insert_arriving"), ("int4", "timestamptz"))
        inserted = rows_found(identities, series_id, ts_us)
        if not inserted.all():
            self._staged_batches = self.STAGED_AFTER_REPEAT
        return inserted


def _columns(identities: Identities, received_us: Ints, at: Ints) -> dict[str, tuple[str, npt.NDArray[Any]]]:
    return {
        "series_id": ("int4", identities.series_id[at]),
        "ts": ("timestamptz", identities.ts_us[at]),
        "value": ("float8", identities.value[at]),
        "received_at": ("timestamptz", received_us[at]),
    }


def _arrive(cursor: psycopg.Cursor[Any], identities: Identities, received_us: Ints, which: Ints) -> None:
    """Put the first values of the identities `which` into the temporary table, numbered by identity."""
    cursor.execute(query("writer_arriving"))
    cursor.execute("truncate pg_temp.arriving")
    columns = _columns(identities, received_us, identities.head[which])
    copy_in(cursor, "pg_temp.arriving", {"n": ("int4", which), **columns})


def _look_up(
    cursor: psycopg.Cursor[Any], ts_us: Ints, lock: bool = False
) -> tuple[npt.NDArray[np.int32], Floats]:
    """The current value of every identity in the temporary table: (identity, value). `ts_us`: their times."""
    found = []
    for low, high in _windows(ts_us):
        text = sql.SQL(query("writer_window_current")).format(
            low=sql.Literal(from_us(low)), high=sql.Literal(from_us(high)), lock=sql.SQL("for update" * lock)
        )
        found.append(copy_out(cursor, text.as_string(cursor), ("int4", "float8")))
    return np.concatenate([n for n, _ in found]), np.concatenate([value for _, value in found])


def _windows(ts_us: Ints) -> Iterator[tuple[int, int]]:
    for window in np.unique(ts_us // WINDOW_US).tolist():
        yield window * WINDOW_US, (window + 1) * WINDOW_US


def _settle(
    cursor: psycopg.Cursor[Any],
    identities: Identities,
    received_us: Ints,
    which: Ints,
    inserted: Mask,
    current: Floats,
) -> dict[int, Settled]:
    """Lock what is contested and was there before, read its versions, and apply the rule."""
    versions: dict[int, list[float]] = {}
    old = which[~inserted[which]]
    if len(old):
        _arrive(cursor, identities, received_us, old)
        n, values = _look_up(cursor, identities.ts_us[identities.head[old]], lock=True)
        current[n] = values
        for identity, value in zip(
            *copy_out(cursor, query("writer_versions"), ("int4", "float8")), strict=True
        ):
            versions.setdefault(int(identity), []).append(float(value))
    now = {int(i): float(current[i]) for i in which}
    return settle_contested(identities, which.tolist(), inserted, now, versions)


def _keep(
    cursor: psycopg.Cursor[Any],
    identities: Identities,
    received_us: Ints,
    gateway_of: Callable[[int], str],
    settled: dict[int, Settled],
) -> None:
    """Write other values beside, then what corrections replace, window by window."""
    windows: dict[int, list[int]] = {}
    for identity in settled:
        windows.setdefault(int(identities.ts_us[identities.head[identity]]) // WINDOW_US, []).append(identity)
    for window, members in sorted(windows.items()):
        bounds = {"low": from_us(window * WINDOW_US), "high": from_us((window + 1) * WINDOW_US)}
        beside, replaced = _version_rows(identities, received_us, gateway_of, settled, members)
        if beside["series"]:
            cursor.execute(query("writer_keep_versions"), beside | bounds)
        if replaced["series"]:
            cursor.execute(query("writer_replace"), replaced | bounds)


def _version_rows(
    identities: Identities,
    received_us: Ints,
    gateway_of: Callable[[int], str],
    settled: dict[int, Settled],
    members: list[int],
) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
    """Columns for writer_keep_versions.sql and writer_replace.sql."""
    beside: dict[str, list[Any]] = {
        k: [] for k in ("series", "ts", "value", "kind", "gateway", "received_at")
    }
    replaced: dict[str, list[Any]] = {k: [] for k in ("series", "ts", "value", "received_at")}
    for identity in members:
        end = settled[identity]
        head = int(identities.head[identity])
        key = (int(identities.series_id[head]), from_us(int(identities.ts_us[head])))
        for kept in end.kept:
            receipt = None if kept.origin is None else from_us(int(received_us[kept.origin]))
            _append(beside, (*key, kept.value, kept.kind, gateway_of(kept.arrival), receipt))
        if end.source is not None:
            _append(replaced, (*key, end.value, from_us(int(received_us[end.source]))))
    return beside, replaced


def _append(columns: dict[str, list[Any]], row: tuple[Any, ...]) -> None:
    for column, cell in zip(columns.values(), row, strict=True):
        column.append(cell)
