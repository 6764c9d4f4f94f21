"""Times of readings of many series, to look for silences in them."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.spans import END
from storage.copying import arrays, unpack
from storage.slices import EARLIEST_US, Slices, bound, last_readings, readings_after, readings_before
from storage.sql import query

Ints = npt.NDArray[np.int64]
#: The reading before a moment is looked for in so much time before it first, µs.
_NEAR_US = 2 * 86_400_000_000


class TooManyReadingsError(Exception):
    """More than asked for at most."""


def last_before(cursor: psycopg.Cursor[Any], slices: Slices, missing: int) -> Ints:
    """The time of the last reading in each slice, `missing` where there is none."""
    found = last_readings(cursor, slices, np.full(len(slices), _NEAR_US), 1)
    return _each(len(slices), found.slice_ix, found.ts_us, missing)


def newest(cursor: psycopg.Cursor[Any], slices: Slices, missing: int) -> Ints:
    """The same of slices that may have no end."""
    found = readings_before(cursor, slices, 1)
    return _each(len(slices), found.slice_ix, found.ts_us, missing)


def first_after(cursor: psycopg.Cursor[Any], slices: Slices, missing: int) -> Ints:
    """The time of the first reading in each slice, `missing` where there is none."""
    found = readings_after(cursor, slices, 1)
    return _each(len(slices), found.slice_ix, found.ts_us, missing)


def _each(count: int, ix: Ints, ts_us: Ints, missing: int) -> Ints:
    times = np.full(count, missing, dtype=np.int64)
    times[ix] = ts_us
    return times


def times_between(cursor: psycopg.Cursor[Any], slices: Slices, most: int) -> tuple[Ints, Ints]:
    """The readings in the slices: index of the slice, time, in no order. Raises TooManyReadingsError beyond `most`."""
    begin = np.maximum(slices.from_us, EARLIEST_US)
    some = np.flatnonzero(begin <= slices.to_us)
    if len(some) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    chosen = {
        "slice": ("int4", some),
        "series_id": ("int4", slices.series_id[some]),
        "slice_from": ("timestamptz", begin[some]),
        "slice_to": ("timestamptz", slices.to_us[some]),
    }
    bounds = {"from_ts": bound(int(begin[some].min())), "to_ts": bound(int(slices.to_us[some].max()))}
    row = cursor.execute(
        query("silence_between"), {**arrays(chosen), **bounds, "most": most + 1}, binary=True
    ).fetchone()
    ix, ts_us = unpack(row[0] if row else None, ("int4", "timestamptz"))
    if len(ix) > most:
        raise TooManyReadingsError
    return ix.astype(np.int64), ts_us


def slices_of(rows: list[tuple[int, int, int]]) -> Slices:
    """Slices of rows of series, first and last moment (END: no end)."""
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Slices(columns[:, 0], columns[:, 1], columns[:, 2])


def to_last(end_us: int) -> int:
    """The last moment before the end of a span."""
    return end_us if end_us == END else end_us - 1
