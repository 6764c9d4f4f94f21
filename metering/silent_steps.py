"""Steps between neighbouring readings that are longer than may be, of a meter or of a gateway. Pure; no I/O.

The readings of a meter are those of all its registers, a gateway's those of all its meters. How long a meter may be
silent is what its installation at the step's begin says. How long a gateway may be follows those of its registers that
were heard around the step (`gateway_patience`), so that a dead meter of a short interval does not call it silent
while all others send at their own. Times are microseconds since 1970, END is without end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from metering.spans import END, Span

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

#: What holds in a span of time: how long a silence may be, in µs.
Patience = tuple[Span, int]


@dataclass(frozen=True, slots=True)
class Looks:
    """What is looked through, as columns: from `first`, a reading or (initial) the begin of the installation, to
    `last`, the reading after, the end of the installation, or END for what has no reading after and is not over.
    shortest_us: no step of it is too long that is not longer.
    """

    first: Ints
    initial: Bools
    last: Ints
    shortest_us: Ints


@dataclass(frozen=True, slots=True)
class LongSteps:
    """Steps as columns: which look, from where to where, whether it begins with an installation, not with a reading."""

    look: Ints
    begin: Ints
    end: Ints
    initial: Bools

    def take(self, chosen: npt.NDArray[Any]) -> LongSteps:
        """The steps that an index or mask chooses."""
        return LongSteps(self.look[chosen], self.begin[chosen], self.end[chosen], self.initial[chosen])


def long_steps(looks: Looks, look: Ints, ts_us: Ints) -> LongSteps:
    """The steps that are longer than `shortest_us`; look, ts_us: readings, in any order, each within its look."""
    n = np.arange(len(looks.first))
    initial = looks.initial.copy()
    initial[look[ts_us == looks.first[look]]] = False
    ends = looks.last < END
    which = np.concatenate([look, n, n[ends]])
    moments = np.concatenate([ts_us, looks.first, looks.last[ends]])
    order = np.lexsort((moments, which))
    which, moments = which[order], moments[order]
    found = np.flatnonzero(
        (which[1:] == which[:-1]) & (moments[1:] - moments[:-1] > looks.shortest_us[which[:-1]])
    )
    k, begin = which[found], moments[found]
    return LongSteps(k, begin, moments[found + 1], initial[k] & (begin == looks.first[k]))


def patience_at(patiences: Sequence[Patience], moment_us: int) -> int:
    """The shortest that holds at a moment; END where none does."""
    return min((us for (begin, end), us in patiences if begin <= moment_us < end), default=END)


@dataclass(frozen=True, slots=True)
class Register:
    """A register of a gateway's meter while installed there with one interval, and the times that it was read, in
    order; those near the steps suffice, and none are needed where no patience of the gateway is longer.
    """

    span: Span
    patience_us: int
    ts_us: Ints


def gateway_patience(steps: LongSteps, registers: Sequence[Register], newest_us: int) -> Ints:
    """How long the gateway may be silent in each of its steps, µs: the shortest patience of the registers installed at
    its begin that were heard within that patience before the step and again within it after the step.

    So a meter that is dead, or died just then, does not count: its silence is its own. Where the gateway's newest
    reading does not yet reach that far after the step it counts as if heard after it: nobody can know, and live it is
    the same rule. Where no register counts: the longest of those installed; before the first reading the shortest. All
    of it follows from readings and registry as they are, whenever they came. END where none is installed.
    """
    shortest, counted = np.full(len(steps.begin), END), np.full(len(steps.begin), END)
    longest = np.full(len(steps.begin), -1)
    for r in registers:
        there = (r.span[0] <= steps.begin) & (steps.begin < r.span[1])
        shortest[there] = np.minimum(shortest[there], r.patience_us)
        longest[there] = np.maximum(longest[there], r.patience_us)
        last = np.searchsorted(r.ts_us, steps.begin - r.patience_us)
        before = last < np.searchsorted(r.ts_us, steps.begin, "right")
        upto = steps.end + r.patience_us
        after = np.searchsorted(r.ts_us, steps.end) < np.searchsorted(r.ts_us, upto, "right")
        counts = there & before & (after | (newest_us < upto))
        counted[counts] = np.minimum(counted[counts], r.patience_us)
    heard = np.where(counted < END, counted, longest)
    return np.where(longest < 0, END, np.where(steps.initial, shortest, heard))
