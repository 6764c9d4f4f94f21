"""All readings of an intake as one set of columns, and which of them the registry refuses. No I/O."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metering.errors import RejectReason
from metering.records import Floats, Ints, MessageHeader, ReadingBatch
from metering.spans import START
from storage.registry_maps import RegistryMaps

#: Why the writer refuses a reading, by code in `Columns.refused`; 0: it does not. The first that holds
#: counts.
REFUSALS = (
    None,
    RejectReason.BAD_VALUE,
    RejectReason.UNKNOWN_REGISTER,
    RejectReason.UNKNOWN_METER,
    RejectReason.UNAUTHORIZED,
    RejectReason.OLDER_THAN_RETENTION,
)


@dataclass(frozen=True, slots=True)
class Columns:
    """Readings in order of arrival; every array has one entry a reading.

    message: index into `messages`; meter, register: index into `meters`, `registers` (names may repeat
    there); cell: of the registry's table, -1 where refused; refused: index into REFUSALS.
    """

    messages: tuple[MessageHeader, ...]
    meters: list[str]
    registers: list[str]
    message: Ints
    meter: Ints
    register: Ints
    cell: Ints
    ts_us: Ints
    value: Floats
    correction: npt.NDArray[np.bool_]
    refused: npt.NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.ts_us)


@dataclass(slots=True)
class _Names:
    """Names of meters once a batch and gateway, of registers once a batch; what the registry says of each."""

    meters: list[str]
    registers: list[str]
    meter_base: list[int]
    register_base: list[int]
    granted: list[bool]


def merge(batches: Sequence[ReadingBatch], registry: RegistryMaps, floor_us: int = START) -> Columns:
    """Put the batches together and judge every reading by the registry, and by retention's floor."""
    messages = tuple(m for b in batches for m in b.messages)
    counts = np.array([m.count for m in messages], dtype=np.int64)
    names = _collect_names(batches, registry)
    meter = _joined([b.meter_ix for b in batches]) + np.repeat(_ints(names.meter_base), counts)
    register = _joined([b.register_ix for b in batches]) + np.repeat(_ints(names.register_base), counts)
    number_of = registry.meter_numbers.get
    meter_no = _ints([number_of(name, -1) for name in names.meters])[meter]
    code_of = registry.register_numbers.get
    register_no = _ints([code_of(name, -1) for name in names.registers])[register]
    # -0.0 and 0.0 are the same value; adding zero makes them the same bits.
    value = np.concatenate([b.value for b in batches] or [np.empty(0)]) + 0.0
    ts_us = _joined([b.ts_us for b in batches])
    refused = np.select(
        [
            ~np.isfinite(value),
            register_no < 0,
            meter_no < 0,
            ~np.array(names.granted, dtype=bool)[meter],
            ts_us < floor_us,
        ],
        [1, 2, 3, 4, 5],
        0,
    ).astype(np.int8)
    return Columns(
        messages=messages,
        meters=names.meters,
        registers=names.registers,
        message=np.repeat(np.arange(len(messages)), counts),
        meter=meter,
        register=register,
        cell=np.where(refused == 0, registry.cells(meter_no, register_no), -1),
        ts_us=ts_us,
        value=value,
        correction=np.concatenate([b.correction for b in batches] or [np.empty(0, dtype=bool)]),
        refused=refused,
    )


def _collect_names(batches: Sequence[ReadingBatch], registry: RegistryMaps) -> _Names:
    names = _Names([], [], [], [], [])
    for batch in batches:
        bases: dict[str, int] = {}
        for message in batch.messages:
            base = bases.get(message.gateway)
            if base is None:
                base = bases[message.gateway] = len(names.meters)
                granted = registry.reported_by(message.gateway)
                names.meters.extend(batch.meters)
                names.granted.extend([meter in granted for meter in batch.meters])
            names.meter_base.append(base)
            names.register_base.append(len(names.registers))
        names.registers.extend(batch.registers)
    return names


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _joined(parts: Sequence[npt.NDArray[Any]]) -> Ints:
    return np.concatenate(parts or [np.empty(0, dtype=np.int64)]).astype(np.int64, copy=False)


@dataclass(frozen=True, slots=True)
class Runs:
    """Stretches of neighbouring readings of a series within one installation; times in µs, both included."""

    site_id: npt.NDArray[np.int32]
    series_id: npt.NDArray[np.int32]
    from_us: Ints
    to_us: Ints


def runs_of(
    registry: RegistryMaps, cell: Ints, series_id: npt.NDArray[np.int32], ts_us: Ints, gap_us: int
) -> Runs:
    """The runs of readings sorted by (series, time), split where neighbours are more than `gap_us` apart.

    Readings outside every installation, and registers that never become energy, are in none: when the
    registry places them, its import marks their point.
    """
    at = registry.installations_at(cell, ts_us)
    placed = np.flatnonzero(at >= 0)
    at, series_id, ts_us = at[placed], series_id[placed], ts_us[placed]
    new = np.ones(len(placed), dtype=bool)
    new[1:] = (at[1:] != at[:-1]) | (np.diff(ts_us) > gap_us)
    first = np.flatnonzero(new)
    last = np.append(first[1:], len(placed)) - 1 if len(placed) else first
    return Runs(registry.site_ids[at[first]], series_id[first], ts_us[first], ts_us[last])
