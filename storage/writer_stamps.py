"""Note where meters are stamped otherwise than before, or at a time that has another value already, for whoever judges
clocks (storage/clocks.py).

Of meters that are read at the same second of every quarter of an hour nothing is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg

from metering.records import Ints
from storage.copying import copy_in
from storage.identities import Identities
from storage.registry_maps import RegistryMaps
from storage.settle import Outcome

#: Seconds that a bus takes, and a gateway to come round, are no clock's fault.
BESIDE_US = 20_000_000


def note_stamps(
    cursor: psycopg.Cursor[Any], registry: RegistryMaps, cells: Ints, identities: Identities, gap_us: int
) -> None:
    """Note stretches of new readings beside the grid that their meter was on when this was written last (at first: the
    quarter hour), and of other values of known readings, split where neighbours are more than `gap_us` apart. cells: of
    the intake's readings.
    """
    new = identities.head[identities.changed]
    own = cells[identities.row[new]]
    ts_us = identities.ts_us[new]
    moved = beside_us(registry.grids_us(own), ts_us - registry.read_us(own)) > BESIDE_US
    if moved.any():
        _note(cursor, identities, new[moved], gap_us, twice=False)
        registry.note_read(own[moved], ts_us[moved])
    other = np.flatnonzero(identities.outcome == Outcome.CONFLICTING)
    if len(other):
        energetic = registry.grids_us(cells[identities.row[other]]) > 0
        _note(cursor, identities, other[energetic], gap_us, twice=True)


def beside_us(grid_us: Ints, ts_us: Ints) -> Ints:
    """How far each moment is from the nearest place of its grid; 0 where it has none."""
    known = np.maximum(grid_us, 1)
    half = known // 2
    found: Ints = np.abs((ts_us + half) % known - half)
    return found


def _note(
    cursor: psycopg.Cursor[Any], identities: Identities, which: Ints, gap_us: int, *, twice: bool
) -> None:
    """Write stretches of values, which are in order of (series, time)."""
    if not len(which):
        return
    series_id, ts_us = identities.series_id[which], identities.ts_us[which]
    new = np.flatnonzero((np.diff(series_id) != 0) | (np.diff(ts_us) > gap_us)) + 1
    first, last = np.concatenate([[0], new]), np.concatenate([new, [len(which)]]) - 1
    copy_in(
        cursor,
        "nengliu.stamp_doubt",
        {
            "series_id": ("int4", series_id[first]),
            "from_ts": ("timestamptz", ts_us[first]),
            "to_ts": ("timestamptz", ts_us[last]),
            "twice": ("bool", np.full(len(first), twice)),
        },
    )
