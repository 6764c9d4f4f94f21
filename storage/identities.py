"""Readings sorted into their identities (series, ts), and what became of each value. No I/O.

The writer fills in what the database holds; the rule itself is storage/settle.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.records import Floats, Ints
from storage.settle import Outcome, Settled, settle

Numbers = npt.NDArray[np.int32]


@dataclass(slots=True)
class Identities:
    """n values in order of (series, ts, arrival), m identities.

    row: index of each value in the intake's columns; group: identity of each value, 0..m-1; head: first value
    of each identity. outcome is filled by `settle_values`. changed: identities whose current value is new.
    """

    row: Ints
    series_id: Numbers
    ts_us: Ints
    value: Floats
    correction: npt.NDArray[np.bool_]
    group: Ints
    head: Ints
    outcome: npt.NDArray[np.int8]
    changed: npt.NDArray[np.bool_]


def sort_identities(
    row: Ints, series_id: Numbers, ts_us: Ints, value: Floats, correction: npt.NDArray[np.bool_]
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
        correction=correction[order],
        group=np.cumsum(new) - 1,
        head=head,
        outcome=np.full(len(order), Outcome.STORED, dtype=np.int8),
        changed=np.ones(len(head), dtype=bool),
    )


def contested(identities: Identities, inserted: npt.NDArray[np.bool_], current: Floats) -> Ints:
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


def settle_contested(
    identities: Identities,
    which: Sequence[int],
    inserted: npt.NDArray[np.bool_],
    current: Mapping[int, float],
    versions: Mapping[int, list[float]],
) -> dict[int, Settled]:
    """Take the values of contested identities one after the other; marks outcomes and changed identities.

    Arrivals in the result are numbered as the values of `identities` are.
    """
    ends = np.append(identities.head[1:], len(identities.row))
    settled: dict[int, Settled] = {}
    for identity in which:
        start = int(identities.head[identity]) + int(inserted[identity])
        stop = int(ends[identity])
        arrivals = zip(
            identities.value[start:stop].tolist(), identities.correction[start:stop].tolist(), strict=True
        )
        end = settle(current[identity], versions.get(identity, ()), arrivals, first=start)
        identities.outcome[start:stop] = end.outcomes
        identities.changed[identity] |= end.source is not None
        settled[identity] = end
    return settled


def rows_found(identities: Identities, series_id: Numbers, ts_us: Ints) -> npt.NDArray[np.bool_]:
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
