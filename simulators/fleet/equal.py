"""A fleet of one electricity meter a site, each with the same use over the run: to compare faults kWh by kWh."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np

from metering.records import Floats, Ints
from simulators.consumption import UNITS_PER_KWH
from simulators.fleet.loads import Instants, Loads
from simulators.fleet.plan import FleetPlan
from simulators.registers import RegisterFace

_FACE = RegisterFace(6, 2, Decimal(1), Decimal("12345.67"))


def totals_only(plan: FleetPlan) -> tuple[FleetPlan, list[int]]:
    """The plan with the first electricity root of each site alone, and which points those were."""
    kept: dict[int, int] = {}
    for i, p in enumerate(plan.points):
        if p.parent is None and p.item_code.startswith("01"):
            kept.setdefault(p.site, i)
    chosen = list(kept.values())
    return replace(plan, points=[replace(plan.points[i], instants=()) for i in chosen]), chosen


def equal_totals(plan: FleetPlan, loads: TotalLoads, total: float) -> tuple[FleetPlan, TotalLoads]:
    """The plan and loads of which each point uses `total` over the run, with a meter without transformers."""
    options = plan.options
    used = sum(loads.energy(options.start + timedelta(days=n)).sum(axis=1) for n in range(options.days))
    factor: Floats = total * UNITS_PER_KWH / np.asarray(used, np.float64)
    points = [
        replace(p, face=_FACE, rated_per_hour=p.rated_per_hour * float(f))
        for p, f in zip(plan.points, factor, strict=True)
    ]
    return replace(plan, points=points), TotalLoads(loads.inner, loads.chosen, factor)


class TotalLoads:
    """See simulators.fleet.loads.Loads: chosen points of other loads, each by a factor."""

    def __init__(self, inner: Loads, chosen: Sequence[int], factor: Floats | None = None) -> None:
        self.inner = inner
        self.chosen = list(chosen)
        self._factor = np.ones(len(self.chosen)) if factor is None else factor

    def energy(self, day: date) -> Ints:
        """See Loads."""
        scaled: Ints = np.rint(self.inner.energy(day)[self.chosen] * self._factor[:, None]).astype(np.int64)
        return scaled

    def instants(self, day: date, energy: Ints) -> list[Instants]:  # noqa: ARG002
        """None are sent."""
        return []
