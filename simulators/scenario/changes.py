"""Real changes of a building, which are no faults: they change the true energy, before any meter sees it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import numpy as np

from metering.records import Floats, Ints
from simulators.scenario.draw import Fault
from simulators.scenario.points import MeteredPoint

#: When a new chiller runs: month and day, both included. Beijing's cooling season as offices have it [M-m].
_COOLING = ((5, 15), (9, 15))
_WITHOUT_SUBMETER = 0.3


def change_energy(
    energy: Ints, ts_us: Ints, day: date, changes: Sequence[Fault], points: Sequence[MeteredPoint]
) -> Ints:
    """int64[points, n] with the changes that are in force; ts_us: int64[n], ends of the intervals. What no change
    touches is given back as it came.
    """
    active = [c for c in changes if c.from_us < ts_us[-1] and ts_us[0] <= c.to_us]
    if not active:
        return energy
    changed = energy.astype(np.float64)
    for change in active:
        inside = (ts_us > change.from_us) & (ts_us <= change.to_us)
        factor = float(change.values["factor"])
        if change.kind != "new_chiller":
            changed[np.ix_(np.array(change.points), inside)] *= factor
        elif _COOLING[0] <= (day.month, day.day) <= _COOLING[1]:
            _more_cooling(changed, inside, change, factor - 1, points)
    result: Ints = np.rint(changed).astype(np.int64)
    return result


def _more_cooling(
    energy: Floats,
    inside: np.ndarray[tuple[int, ...], np.dtype[np.bool_]],
    change: Fault,
    more: float,
    points: Sequence[MeteredPoint],
) -> None:
    """The air conditioning's meters show more by a share, and what they hang on by as much energy."""
    cooling = [p for p in change.points if points[p].item_code.startswith("01B")]
    if not cooling:
        roots = [p for p in change.points if points[p].item_code == "01" and points[p].parent is None]
        energy[np.ix_(np.array(roots, np.intp), inside)] *= 1 + _WITHOUT_SUBMETER * more
    extra = {p: energy[p, inside] * more for p in cooling}
    for p, gain in extra.items():
        energy[p, inside] += gain
        above = points[p].parent
        if above in extra:
            continue  # it grows by its own share
        while above is not None:
            energy[above, inside] += gain
            above = points[above].parent
