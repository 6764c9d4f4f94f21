"""Readings of many series at once, each in its own slice of time.

A slice is a series and a span of time, both ends included, in microseconds since 1970. Whatever a query is
asked for, it gets plain bounds of time too, so that chunks of the hypertable that hold nothing for any slice
are not opened.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.instants import from_us
from metering.spans import END, HOUR_US
from storage.copying import arrays, unpack
from storage.sql import query

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: No reading is older (readings before 2000 are rejected); PostgreSQL's calendar ends before -2^62.
EARLIEST_US = 0
#: How far back the reading before a moment is looked for first, on top of a few of its intervals.
NEAR_US = 3 * HOUR_US


@dataclass(frozen=True, slots=True)
class Slices:
    """Series and spans of time as columns of equal length."""

    series_id: Ints
    from_us: Ints
    to_us: Ints

    def __len__(self) -> int:
        return len(self.series_id)

    def take(self, chosen: npt.NDArray[Any]) -> Slices:
        """The slices that an index or mask chooses."""
        return Slices(self.series_id[chosen], self.from_us[chosen], self.to_us[chosen])


@dataclass(frozen=True, slots=True)
class Found:
    """Readings found, as columns of equal length: index of the slice, time, value. In no order."""

    slice_ix: Ints
    ts_us: Ints
    value: Floats


def bound(moment_us: int) -> datetime | str:
    """A moment as a parameter of a query; infinity where it is beyond any calendar."""
    if moment_us >= END // 2:
        return "infinity"
    return "-infinity" if moment_us <= EARLIEST_US else from_us(moment_us)


def readings_between(cursor: psycopg.Cursor[Any], slices: Slices) -> Found:
    """All readings in the slices."""
    return _find(cursor, "derive_between", slices, {})


def readings_after(cursor: psycopg.Cursor[Any], slices: Slices, most: int) -> Found:
    """The first readings in each slice, at most `most`."""
    return _find(cursor, "derive_after", slices, {"most": most})


def readings_before(cursor: psycopg.Cursor[Any], slices: Slices, most: int) -> Found:
    """The last readings in each slice, at most `most`."""
    return _find(cursor, "derive_before", slices, {"most": most})


def last_readings(cursor: psycopg.Cursor[Any], slices: Slices, near_us: Ints, most: int) -> Found:
    """The last readings in each slice, at most `most`, looked for in its last near_us first, and further only where
    there are fewer.
    """
    near = Slices(slices.series_id, np.maximum(slices.from_us, slices.to_us - near_us), slices.to_us)
    found = readings_before(cursor, near, most)
    few = np.bincount(found.slice_ix, minlength=len(slices)) < most
    missing = np.flatnonzero(few & (near.from_us > slices.from_us))
    if len(missing) == 0:
        return found
    far = readings_before(cursor, slices.take(missing), most)
    kept = ~np.isin(found.slice_ix, missing)
    return Found(
        np.concatenate([found.slice_ix[kept], missing[far.slice_ix]]),
        np.concatenate([found.ts_us[kept], far.ts_us]),
        np.concatenate([found.value[kept], far.value]),
    )


def _find(cursor: psycopg.Cursor[Any], name: str, slices: Slices, options: dict[str, int]) -> Found:
    begin = np.maximum(slices.from_us, EARLIEST_US)
    some = np.flatnonzero(begin <= slices.to_us)
    if len(some) == 0:
        return Found(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float64))
    chosen = {
        "slice": ("int4", some),
        "series_id": ("int4", slices.series_id[some]),
        "slice_from": ("timestamptz", begin[some]),
        "slice_to": ("timestamptz", slices.to_us[some]),
    }
    bounds = {"from_ts": bound(int(begin[some].min())), "to_ts": bound(int(slices.to_us[some].max()))}
    row = cursor.execute(query(name), {**arrays(chosen), **bounds, **options}, binary=True).fetchone()
    ix, ts, value = unpack(row[0] if row else None, ("int4", "timestamptz", "float8"))
    return Found(ix.astype(np.int64), ts, value)
