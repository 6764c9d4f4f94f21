"""What a run is made from: true energy and instant values, a stretch of time after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from metering.records import Floats, Ints
from simulators.scenario.draw import RunWindow
from simulators.scenario.points import MeteredPoint

Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Instant:
    """Values float64[n] of an instant register that one point sends along, rounded to `decimals` when sent.

    power: whether it follows the power that a meter measures, as power and currents of electricity do; phase: of which
    it is, 1 to 3 (0: of none).
    """

    register: str
    values: Floats
    decimals: int
    power: bool = False
    phase: int = 0


Instants = Mapping[int, Sequence[Instant]]


def no_instants(energy: Ints) -> Instants:  # noqa: ARG001
    """Of points that send none."""
    return {}


@dataclass(frozen=True, slots=True)
class Stretch:
    """A local day or so: ts_us int64[n], ends of intervals; energy int64[points, n] in them, units of 1e-9.

    present: bool[points, n], whether a reading is taken there, None: always; instants: of each point that has any, for
    energy int64[points, n], which real changes may have made another than `energy`.
    """

    day: date
    ts_us: Ints
    energy: Ints
    present: Bools | None = None
    instants: Callable[[Ints], Instants] = no_instants


class Source(Protocol):
    """Where true energy comes from: a fleet or real consumption. begun: int64[points], energy counted before."""

    points: Sequence[MeteredPoint]
    window: RunWindow
    begun: Ints

    def stretches(self) -> Iterator[Stretch]:
        """All stretches in order, without a gap, from the beginning each time it is asked."""
        ...


def joined(first: Any, values: Floats) -> Floats:
    """float64[n + 1]: `values` with one before them."""
    whole: Floats = np.concatenate([np.array([first], np.float64), values])
    return whole
