"""What the points of a fleet truly use: energy by interval, and the instant values that go with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Protocol

from metering.records import Floats, Ints


@dataclass(frozen=True, slots=True)
class Instants:
    """Instant values of one register at the ends of intervals: of points[k] (index into the plan) values[k, n]."""

    register: str
    decimals: int
    points: Ints
    values: Floats


class Loads(Protocol):
    """True loads of a plan, by local day. The same for a day whatever was asked before."""

    def energy(self, day: date) -> Ints:
        """int64[points, n] in 1e-9 of the item's unit: use in each interval of the local day (n: 96 of quarter-hours,
        more or fewer where clocks change). Children add up to their parent less a loss that is never negative.
        """
        ...

    def instants(self, day: date, energy: Ints) -> list[Instants]:
        """Power, voltages, currents, heat flow and temperatures that fit `energy`, at the ends of the intervals."""
        ...
