"""Note which of the new readings are stamped beside the grid, for whoever judges clocks (storage/clocks.py).

Of readings that come when they should nothing is written.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import psycopg

from metering.records import Ints
from storage.copying import copy_in
from storage.registry_maps import Numbers, RegistryMaps

#: Seconds that a bus takes, and a gateway to come round, are no clock's fault.
BESIDE_US = 20_000_000


def note_stamps(
    cursor: psycopg.Cursor[Any],
    registry: RegistryMaps,
    cells: Ints,
    series_id: Numbers,
    ts_us: Ints,
    gap_us: int,
) -> None:
    """Note stretches of stamps beside the grid, split where neighbours are more than `gap_us` apart. Readings in order
    of (series, time).
    """
    grid_us = registry.grids_us(cells)
    known = np.flatnonzero(grid_us > 2 * BESIDE_US)
    half = grid_us[known] // 2
    far = np.abs((ts_us[known] + half) % grid_us[known] - half) > BESIDE_US
    beside = known[far]
    if not len(beside):
        return
    series_id, ts_us = series_id[beside], ts_us[beside]
    new = np.flatnonzero((np.diff(series_id) != 0) | (np.diff(ts_us) > gap_us)) + 1
    first, last = np.concatenate([[0], new]), np.concatenate([new, [len(beside)]]) - 1
    copy_in(
        cursor,
        "nengliu.stamp_beside",
        {
            "series_id": ("int4", series_id[first]),
            "from_ts": ("timestamptz", ts_us[first]),
            "to_ts": ("timestamptz", ts_us[last]),
        },
    )
