"""Wires a simulated fleet: its plan and loads as the source of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace

from deploy.simulation import Simulation, prepare
from simulators.fleet.equal import TotalLoads, equal_totals, totals_only
from simulators.fleet.loads import Loads
from simulators.fleet.plan import FleetOptions, FleetPlan
from simulators.fleet.planning import plan_fleet
from simulators.fleet.registry_files import registry_rows
from simulators.fleet.simulated_loads import SimulatedLoads
from simulators.fleet.source import FleetSource
from simulators.registry_rows import RegistryRows
from simulators.scenario.files import Scenario
from simulators.scenario.points import MeteredPoint


def prepare_fleet(options: FleetOptions, scenario: Scenario) -> Simulation:
    """Plan the fleet and make its run ready."""
    plan, loads = _fleet(options, scenario)
    source = FleetSource(plan, loads)

    def registry(points: Sequence[MeteredPoint]) -> RegistryRows:
        faces = [replace(p, face=m.face) for p, m in zip(plan.points, points, strict=True)]
        whole = not scenario.fleet.get("totals_only")
        return registry_rows(replace(plan, points=faces), with_quotas=whole)

    times = (source.window.to_us - source.window.from_us) // source.window.interval_us + 1
    return prepare(
        source,
        scenario,
        options.seed,
        registry,
        readings=times * sum(1 + len(p.instants) for p in plan.points),
        identity=asdict(options),
        facts={"start": options.start.isoformat(), "days": options.days, "sites": len(plan.sites)},
    )


def _fleet(options: FleetOptions, scenario: Scenario) -> tuple[FleetPlan, Loads]:
    plan = plan_fleet(options)
    loads = SimulatedLoads(plan)
    if not scenario.fleet.get("totals_only"):
        return plan, loads
    few, chosen = totals_only(plan)
    total = scenario.fleet.get("total")
    totals = TotalLoads(loads, chosen)
    return (few, totals) if total is None else equal_totals(few, totals, float(total))
