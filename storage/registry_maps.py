"""The registry as the writer needs it at every reading: who may report what, and where a series is installed.

A snapshot of one registry version in dicts (by name, once a name and batch) and numpy arrays (by reading).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.records import Ints
from metering.registers import Role, register_table
from metering.spans import END
from storage.sql import query

Numbers = npt.NDArray[np.int32]

_QUARTER_S = 900
#: What a person imports comes under such a name, which no gateway can have: it is no one level of a topic. An import
#: may report every meter that the registry knows.
IMPORT = "import/"


@dataclass(frozen=True, slots=True)
class InstalledSeries:
    """A meter's register at a site for a time, as stored: microseconds, `removed_us` END while open; interval_s: how
    often it should be read.
    """

    meter: str
    register: str
    gateway: str
    site_id: int
    installed_us: int
    removed_us: int
    interval_s: int


class RegistryMaps:
    """Lookups of one registry version. Series that are allocated later are added with `add_series`.

    A slot numbers a (meter, register) of a known meter; `slot_of` is the table meter number x register
    number.
    """

    def __init__(
        self, version: int, installed: Sequence[InstalledSeries], series: Iterable[tuple[str, str, int]]
    ) -> None:
        self.version = version
        self.register_numbers = {code: n for n, code in enumerate(register_table())}
        self.register_codes = list(self.register_numbers)
        self._energetic = np.array([r.role is not Role.INSTANT for r in register_table().values()])
        self.meter_numbers: dict[str, int] = {}
        self.granted: dict[str, set[str]] = {}
        for i in installed:
            self.meter_numbers.setdefault(i.meter, len(self.meter_numbers))
            self.granted.setdefault(i.gateway, set()).add(i.meter)
        self._meters = list(self.meter_numbers)
        self._slot_of = np.full(len(self._meters) * len(self.register_codes), -1, dtype=np.int32)
        self._place(installed)
        self._series_of = np.full(len(self._slot_of), -1, dtype=np.int32)
        self.add_series(series)

    def _place(self, installed: Sequence[InstalledSeries]) -> None:
        """Build the table of installations, those of one slot side by side."""
        cells = np.array([self._cell(i.meter, i.register) for i in installed], dtype=np.int64)
        order = np.argsort(cells, kind="stable")
        self._from_us = np.array([i.installed_us for i in installed], dtype=np.int64)[order]
        self._to_us = np.array([i.removed_us for i in installed], dtype=np.int64)[order]
        self.site_ids = np.array([i.site_id for i in installed], dtype=np.int32)[order]
        slots, first, counts = np.unique(cells[order], return_index=True, return_counts=True)
        self._slot_of[slots] = np.arange(len(slots), dtype=np.int32)
        self._first, self._count = first.astype(np.int64), counts.astype(np.int64)
        grid_s = np.gcd(np.array([i.interval_s for i in installed], dtype=np.int64)[order], _QUARTER_S)
        self._grid_us = np.gcd.reduceat(grid_s, first) * 1_000_000 if len(first) else grid_s
        self._read_us = np.zeros(len(slots), dtype=np.int64)

    def _cell(self, meter: str, register: str) -> int:
        return self.meter_numbers[meter] * len(self.register_codes) + self.register_numbers[register]

    def add_series(self, series: Iterable[tuple[str, str, int]]) -> None:
        """Take in the series ids of (meter, register); those of meters that the registry does not know are
        left.
        """
        for meter, register, series_id in series:
            if meter in self.meter_numbers and register in self.register_numbers:
                self._series_of[self._cell(meter, register)] = series_id

    def reported_by(self, gateway: str) -> Collection[str]:
        """The meters that a gateway, or an import, may report."""
        return self.meter_numbers if gateway.startswith(IMPORT) else self.granted.get(gateway, ())

    def cells(self, meter_no: Ints, register_no: Ints) -> Ints:
        """The table cell of each (meter number, register number)."""
        return meter_no * len(self.register_codes) + register_no

    def series_ids(self, cells: Ints) -> Numbers:
        """The series id of each cell; -1 where none is allocated yet."""
        return self._series_of[cells]

    def names(self, cells: Ints) -> list[tuple[str, str]]:
        """(meter, register) of each cell."""
        width = len(self.register_codes)
        return [(self._meters[c // width], self.register_codes[c % width]) for c in cells.tolist()]

    def grids_us(self, cells: Ints) -> Ints:
        """How far apart the stamps of each cell may lie, read when they should be: a quarter of an hour, or what
        divides it and the interval; 0 where nothing is installed, or no energy register.
        """
        return self._of_energy(self._grid_us, cells)

    def read_us(self, cells: Ints) -> Ints:
        """When each cell was read last by `note_read`; 0, which is on every grid, where it was not noted."""
        return self._of_energy(self._read_us, cells)

    def note_read(self, cells: Ints, ts_us: Ints) -> None:
        """Keep when cells that have a grid were read, of one the last counts; forgotten with these maps."""
        self._read_us[self._slot_of[cells]] = ts_us

    def _of_energy(self, by_slot: Ints, cells: Ints) -> Ints:
        """What a column by slot has of installed energy registers, else 0."""
        slots = self._slot_of[cells]
        known = (slots >= 0) & self._energetic[cells % len(self.register_codes)]
        found: Ints = np.zeros(len(cells), dtype=np.int64)
        found[known] = by_slot[slots[known]]
        return found

    def installations_at(self, cells: Ints, ts_us: Ints) -> Ints:
        """Which installation holds each (cell, time), as an index into `site_ids`; -1: none, or no energy
        register.
        """
        found = np.full(len(cells), -1, dtype=np.int64)
        slots = self._slot_of[cells]
        candidates = np.flatnonzero((slots >= 0) & self._energetic[cells % len(self.register_codes)])
        nth = 0
        while len(candidates):
            at = self._first[slots[candidates]] + nth
            inside = (self._from_us[at] <= ts_us[candidates]) & (ts_us[candidates] < self._to_us[at])
            found[candidates[inside]] = at[inside]
            nth += 1
            candidates = candidates[~inside]
            candidates = candidates[self._count[slots[candidates]] > nth]
        return found


def load_maps(cursor: psycopg.Cursor[Any], version: int) -> RegistryMaps:
    """Read the registry as of now; `version` is what was read before it in the same transaction."""
    cursor.execute(query("registry_installed_series"))
    installed = [
        InstalledSeries(
            meter, register, gateway, site_id, from_us, END if to_us is None else to_us, interval_s
        )
        for meter, register, gateway, site_id, from_us, to_us, interval_s in cursor.fetchall()
        if register in register_table()
    ]
    cursor.execute("select meter, register, series_id from nengliu.series")
    return RegistryMaps(version, installed, cursor.fetchall())
