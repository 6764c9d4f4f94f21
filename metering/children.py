"""A total estimated from its sub-meters: gaps of known energy shaped by them, silence filled from them. Pure.

Only hours count that every sub-meter (child) of a point measured in full. See docs/decisions/estimation.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.estimation import BEFORE_US
from metering.spans import HOUR_US

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: A gap is shaped by children that measured at least this part of its energy; else typical hours tell more.
SHAPING_SHARE = 0.5
#: Silence is filled from children that usually measure at least this part of the total.
FILLING_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class ChildHours:
    """Hours in which all children of an owner were measured in full; columns of equal length, by (owner, hour).

    hour: since the epoch; energy: the children's sum in the item's unit; own: what the owner measured, NaN where it did
    not measure all of the hour; family: which children they are, as a number; known_us: from when on readings tell all
    of it, not before the hour's end.
    """

    owner: Ints
    hour: Ints
    energy: Floats
    own: Floats
    family: Ints
    known_us: Ints

    @classmethod
    def none(cls) -> ChildHours:
        """No hours of anyone."""
        empty = np.zeros(0, dtype=np.int64)
        return cls(empty, empty, np.zeros(0), np.zeros(0), empty, empty)

    def of(self, owner: int) -> ChildHours:
        """The hours of one owner."""
        return self._rows(self.owner, owner, owner)

    def between(self, first: int, last: int) -> ChildHours:
        """Of one owner, the hours from `first` to `last`, both included."""
        return self._rows(self.hour, first, last)

    def _rows(self, column: Ints, first: int, last: int) -> ChildHours:
        """Those from `first` to `last`, both included, of an ascending column."""
        chosen = slice(int(np.searchsorted(column, first)), int(np.searchsorted(column, last, "right")))
        return ChildHours(*(getattr(self, name)[chosen] for name in self.__slots__))

    def __len__(self) -> int:
        return len(self.hour)


def shape(children: ChildHours, start_us: int, end_us: int, energy: float, *, typical: bool) -> Floats | None:
    """How the energy of a gap lies in its hours, by what the children measured in them; its sum is `energy`.

    children: of the owner; typical: whether typical hours of the total could tell it instead. None where an hour of the
    children is missing, or they measured too little of it.
    """
    first, last = start_us // HOUR_US, (end_us - 1) // HOUR_US
    found = children.between(first, last)
    if len(found) != last - first + 1:
        return None
    part = np.ones(len(found))
    part[0] -= (start_us - first * HOUR_US) / HOUR_US
    part[-1] -= ((last + 1) * HOUR_US - end_us) / HOUR_US
    weight = found.energy * part
    total = float(weight.sum())
    if total <= 0 or (typical and total < SHAPING_SHARE * energy):
        return None
    shaped: Floats = energy * (weight / total)
    return shaped


@dataclass(frozen=True, slots=True)
class Filled:
    """Parts of silent hours as columns of equal length: [begin_us, end_us), energy, and from when on that is known."""

    begin_us: Ints
    end_us: Ints
    energy: Floats
    known_us: Ints


def fill(children: ChildHours, read_to_us: int, until_us: int, gap_us: float) -> Filled | None:
    """A total's silence from its last reading on, from its children and the usual loss; None where they tell nothing.

    children: of the owner, with the eight weeks before; gap_us: how long a step may be without being a gap. Each hour
    stands for itself, but the first ones, up to a gap's length, count only if all of them are known: no estimate where
    just the last reading is still on its way.
    """
    first = read_to_us // HOUR_US
    near_last = int((read_to_us + gap_us) // HOUR_US)
    if until_us <= read_to_us:
        return None
    silent = children.between(first, (until_us - 1) // HOUR_US)
    near = silent.hour <= near_last
    together = int(near.sum()) == min(near_last, (until_us - 1) // HOUR_US) - first + 1
    chosen = np.flatnonzero(~near | together)
    if len(chosen) == 0:
        return None
    begin = np.maximum(silent.hour[chosen] * HOUR_US, read_to_us)
    end = np.minimum((silent.hour[chosen] + 1) * HOUR_US, until_us)
    known = silent.known_us[chosen].copy()
    known[near[chosen]] = known[near[chosen]].max(initial=0)
    before = children.between(-((BEFORE_US - read_to_us) // HOUR_US), first - 1)
    families, inverse = np.unique(silent.family[chosen], return_inverse=True)
    usual = np.array([_usual(before, family) for family in families.tolist()])[inverse]
    some = np.isfinite(usual)
    energy = silent.energy[chosen] * usual * ((end - begin) / HOUR_US)
    return Filled(begin[some], end[some], energy[some], known[some]) if some.any() else None


def _usual(before: ChildHours, family: int) -> float:
    """The total over the sum of its children in the hours that both have, of the same children where there are any; 1
    where nothing is known; NaN where they are too small a part.
    """
    common = np.isfinite(before.own)
    if (common & (before.family == family)).any():
        common &= before.family == family
    whole, parts = float(before.own[common].sum()), float(before.energy[common].sum())
    if whole <= 0 and parts <= 0:
        return 1.0
    return whole / parts if parts > 0 and parts >= FILLING_SHARE * whole else float("nan")
