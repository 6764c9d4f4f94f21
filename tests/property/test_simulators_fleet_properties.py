"""Whatever the seed and the day: no load is negative or over its branch's rating, and parts add up to their total."""

from __future__ import annotations

from datetime import date

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.fleet.plan import FleetOptions
from simulators.fleet.planning import plan_fleet
from simulators.fleet.simulated_loads import SimulatedLoads

DAYS = st.dates(date(2005, 1, 1), date(2030, 12, 31))


@settings(max_examples=25)
@given(seed=st.integers(0, 2**31), day=DAYS, interval_s=st.sampled_from([300, 900, 3600]))
def test_loads_are_possible_and_add_up(seed: int, day: date, interval_s: int) -> None:
    plan = plan_fleet(FleetOptions(seed=seed, sites=6, interval_s=interval_s))
    energy = SimulatedLoads(plan).energy(day)
    assert energy.dtype == np.int64
    assert energy.shape == (len(plan.points), 86400 // interval_s)
    rated = np.array([p.rated_per_hour for p in plan.points])
    assert energy.min() >= 0
    assert (energy <= (rated * (interval_s / 3600 * 1e9))[:, None]).all()
    children: dict[int, list[int]] = {}
    for i, p in enumerate(plan.points):
        if p.parent is not None:
            children.setdefault(p.parent, []).append(i)
    for parent, below in children.items():
        total = energy[below].sum(axis=0)
        loss = energy[parent] - total
        assert (loss >= 0).all()
        assert (loss <= 0.06 * total + 1).all()
        assert total.sum() == 0 or loss.sum() >= 0.009 * total.sum()


@settings(max_examples=10)
@given(seed=st.integers(0, 2**31), day=DAYS)
def test_no_instant_is_out_of_the_world(seed: int, day: date) -> None:
    plan = plan_fleet(FleetOptions(seed=seed, sites=6))
    loads = SimulatedLoads(plan)
    energy = loads.energy(day)
    for instants in loads.instants(day, energy):
        assert instants.values.shape == (len(instants.points), energy.shape[1])
        assert np.isfinite(instants.values).all()
        assert all(instants.register in plan.points[i].instants for i in instants.points.tolist())
        if instants.register not in ("6:10.0.0", "6:11.0.0"):
            assert instants.values.min() >= 0
