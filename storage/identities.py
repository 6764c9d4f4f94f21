"""Readings sorted into their identities (series, ts), and what became of each value. No I/O.

The writer fills in what the database holds; the rule itself is storage/settle.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.records import Floats, Ints
from storage.settle import Outcome, settle

Numbers = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Identities:
    """n values in order of (series, ts, arrival), m identities.

    row: index of each value in the intake's columns; group: identity of each value, 0..m-1; head: first value
    of each identity. What the writer finds out: outcome of each value; changed: identities whose value is
    new.
    """

    row: Ints
    series_id: Numbers
    ts_us: Ints
    value: Floats
    received_us: Ints
    correction: Mask
    group: Ints
    head: Ints
    outcome: npt.NDArray[np.int8]
    changed: Mask


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database holds of identities: the current value and its receipt (m), other values (identity,
    value).
    """

    value: Floats
    received_us: Ints
    version_of: Ints
    version: Floats


@dataclass(slots=True)
class Upkeep:
    """What settling leaves to write. Other values: identity, value, superseded (else conflict), arrival that
    brought it about, receipt of the value. New current values: identity, arrival.
    """

    beside: list[tuple[int, float, bool, int, int]]
    replaced: list[tuple[int, int]]


def sort_identities(
    row: Ints, series_id: Numbers, ts_us: Ints, value: Floats, received_us: Ints, correction: Mask
) -> Identities:
    """Sort values by identity, keeping the order of arrival within each."""
    order = np.lexsort((ts_us, series_id))
    series_id, ts_us = series_id[order], ts_us[order]
    new = np.ones(len(order), dtype=bool)
    new[1:] = (series_id[1:] != series_id[:-1]) | (ts_us[1:] != ts_us[:-1])
    head = np.flatnonzero(new)
    return Identities(
        row=row[order],
        series_id=series_id,
        ts_us=ts_us,
        value=value[order],
        received_us=received_us[order],
        correction=correction[order],
        group=np.cumsum(new) - 1,
        head=head,
        outcome=np.full(len(order), Outcome.STORED, dtype=np.int8),
        changed=np.ones(len(head), dtype=bool),
    )


def contested(identities: Identities, inserted: Mask, current: Floats) -> Ints:
    """Which identities hold a value that differs from their current one; all other values are marked as
    repeats.

    inserted: identities whose first value was inserted just now; current: the value of each identity (m).
    """
    first = np.zeros(len(identities.row), dtype=bool)
    first[identities.head[inserted]] = True
    identities.outcome[~first] = Outcome.REPEATED
    identities.changed = inserted.copy()
    differs = ~first & (identities.value != current[identities.group])
    return np.unique(identities.group[differs])


def settle_contested(identities: Identities, which: Ints, inserted: Mask, stored: Stored) -> Upkeep:
    """Settle the contested identities `which` (sorted); marks outcomes and changed identities.

    Those with one value to settle, all but a few, are settled together.
    """
    ends = np.append(identities.head[1:], len(identities.row))
    start, stop = identities.head[which] + inserted[which], ends[which]
    single = stop - start == 1
    upkeep = _settle_singles(identities, which[single], start[single], stored)
    for identity, a, b in zip(
        which[~single].tolist(), start[~single].tolist(), stop[~single].tolist(), strict=True
    ):
        _settle_several(identities, identity, a, b, stored, upkeep)
    return upkeep


def _settle_singles(identities: Identities, which: Ints, at: Ints, stored: Stored) -> Upkeep:
    """The rule of storage/settle.py for identities with one differing value each, at index `at`."""
    known = np.zeros(len(identities.head), dtype=bool)
    value_of = np.full(len(identities.head), np.nan)
    value_of[which] = identities.value[at]
    known[stored.version_of[stored.version == value_of[stored.version_of]]] = True
    known[which] |= identities.value[at] == stored.value[which]
    correction = identities.correction[at]
    replaced, conflict = ~known[which] & correction, ~known[which] & ~correction
    identities.outcome[at[replaced]] = Outcome.STORED
    identities.outcome[at[conflict]] = Outcome.CONFLICTING
    identities.changed[which[replaced]] = True
    return Upkeep(
        [
            *_rows(
                which[conflict],
                identities.value[at[conflict]],
                False,
                at[conflict],
                identities.received_us[at[conflict]],
            ),
            *_rows(
                which[replaced],
                stored.value[which[replaced]],
                True,
                at[replaced],
                stored.received_us[which[replaced]],
            ),
        ],
        list(zip(which[replaced].tolist(), at[replaced].tolist(), strict=True)),
    )


def _rows(
    which: Ints, value: Floats, superseded: bool, arrival: Ints, received_us: Ints
) -> list[tuple[int, float, bool, int, int]]:
    flags = [superseded] * len(which)
    return list(
        zip(which.tolist(), value.tolist(), flags, arrival.tolist(), received_us.tolist(), strict=True)
    )


def _settle_several(
    identities: Identities, identity: int, start: int, stop: int, stored: Stored, upkeep: Upkeep
) -> None:
    """Take the values start..stop of an identity one after the other."""
    versions: Sequence[float] = stored.version[stored.version_of == identity].tolist()
    arrivals = zip(
        identities.value[start:stop].tolist(), identities.correction[start:stop].tolist(), strict=True
    )
    end = settle(float(stored.value[identity]), versions, arrivals, first=start)
    identities.outcome[start:stop] = end.outcomes
    for kept in end.kept:
        receipt = stored.received_us[identity] if kept.origin is None else identities.received_us[kept.origin]
        upkeep.beside.append((identity, kept.value, kept.kind == "superseded", kept.arrival, int(receipt)))
    if end.source is not None:
        identities.changed[identity] = True
        upkeep.replaced.append((identity, end.source))


def rows_found(identities: Identities, series_id: Numbers, ts_us: Ints) -> Mask:
    """Which identities are among the given (series, ts), as a mask (m)."""
    own_series, own_ts = identities.series_id[identities.head], identities.ts_us[identities.head]
    series = np.concatenate([own_series, series_id])
    ts = np.concatenate([own_ts, ts_us])
    order = np.lexsort((np.arange(len(series)), ts, series))
    series, ts = series[order], ts[order]
    twin = np.flatnonzero((series[1:] == series[:-1]) & (ts[1:] == ts[:-1]))
    found = np.zeros(len(identities.head), dtype=bool)
    found[order[twin]] = True
    return found
