"""Wires a simulated fleet: plan, scenario, truth beside the run, the registry, sending, and going on after a stop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from deploy.clients import connect_database
from deploy.settings import Settings
from metering.errors import InputFileError
from simulators.emission import Emission, RegistryChange
from simulators.fleet.equal import TotalLoads, equal_totals, totals_only
from simulators.fleet.loads import Loads
from simulators.fleet.plan import FleetOptions, FleetPlan
from simulators.fleet.planning import plan_fleet
from simulators.fleet.registry_files import registry_rows
from simulators.fleet.simulated_loads import SimulatedLoads
from simulators.fleet.source import FleetSource
from simulators.mqtt import GatewayConnection
from simulators.registry_changes import Installed
from simulators.registry_rows import RegistryRows, write_rows
from simulators.run import Run
from simulators.scenario.draw import draw_faults
from simulators.scenario.files import Scenario
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.prepare import prepare_points
from simulators.sending import Sender, SendOptions, SendProgress, SendResult
from simulators.truth import TRUTH_FILE, TruthFile
from simulators.truth_keeping import KeptTruth
from storage.registry import import_registry

_PROGRESS_FILE = "progress.json"


@dataclass(frozen=True, slots=True)
class FleetRun:
    """A run that is ready to begin. readings: about how many there will be; left_out: faults that found no room."""

    plan: FleetPlan
    scenario: Scenario
    registry: RegistryRows
    run: Run
    truth: TruthFile | None
    readings: int
    left_out: int

    @property
    def identity(self) -> str:
        """What makes it the same run: a digest of all that it is made from."""
        made_from = {**asdict(self.plan.options), "scenario": self.scenario.text}
        return hashlib.blake2b(json.dumps(made_from, default=str).encode(), digest_size=8).hexdigest()


def prepare_fleet(options: FleetOptions, scenario: Scenario, out: Path | None) -> FleetRun:
    """Plan the fleet, draw the faults, and write the registry and the begin of the truth into `out` (None: nowhere)."""
    plan, loads = _fleet(options, scenario)
    source = FleetSource(plan, loads)
    drawn = draw_faults(scenario, source.points, source.window, options.seed)
    source.points = prepare_points(source.points, drawn.faults, source.window)
    points = [replace(p, face=m.face) for p, m in zip(plan.points, source.points, strict=True)]
    plan = replace(plan, points=points)
    registry = registry_rows(plan)
    truth = kept = None
    if out is not None:
        write_rows(out / "registry", registry)
        (out / TRUTH_FILE).unlink(missing_ok=True)
        truth = TruthFile(out / TRUTH_FILE)
        kept = KeptTruth(truth, source.points, source.window)
    installed = Installed(registry.installations, options.timezone)
    run = Run(source, drawn.faults, options.seed, kept, installed)
    times = (source.window.to_us - source.window.from_us) // source.window.interval_us + 1
    return FleetRun(
        plan,
        scenario,
        registry,
        run,
        truth,
        times * sum(1 + len(p.instants) for p in plan.points),
        sum(drawn.left_out.values()),
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


def finish_truth(fleet: FleetRun) -> None:
    """Keep the faults as they turned out."""
    kept = fleet.run.truth
    if not isinstance(kept, KeptTruth):
        return
    options, window = fleet.plan.options, fleet.run.source.window
    kept.finish(
        fleet.run,
        seed=options.seed,
        start=options.start.isoformat(),
        days=options.days,
        interval_s=options.interval_s,
        timezone=options.timezone,
        scenario=fleet.scenario.name,
        from_hour=window.from_us // 3_600_000_000,
        to_hour=window.to_us // 3_600_000_000,
        readings=fleet.run.readings,
    )


def lines(fleet: FleetRun) -> Iterator[bytes]:
    """What would be published, a line each: the message with its topic put in front, or {"topic", "payload_hex"} where
    it is damaged. Changes of the registry are left out.
    """
    for e in fleet.run.emissions():
        if isinstance(e, Emission):
            yield _line(e)
    finish_truth(fleet)


def _line(emission: Emission) -> bytes:
    assert isinstance(emission.payload, bytes)
    topic = f'{{"topic":"nl/v1/{emission.gateway}/readings",'.encode()
    if emission.readings:
        return topic + emission.payload[1:] + b"\n"
    return topic + f'"payload_hex":"{emission.payload.hex()}"}}\n'.encode()


# ---------------------------------------------------------------- sending


def import_rows(settings: Settings, rows: RegistryRows, actor: str) -> None:
    """Make what `rows` say known to the platform."""
    with TemporaryDirectory() as folder, connect_database(settings, "pipeline") as connection:
        write_rows(Path(folder), rows)
        import_registry(connection, Path(folder), actor)


def forget_progress(out: Path) -> None:
    """Begin anew where a run was stopped."""
    (out / _PROGRESS_FILE).unlink(missing_ok=True)


def unexplained(rejected: Mapping[str, int], fleet: FleetRun) -> dict[str, int]:
    """Rejected messages, by reason, that no fault of the run is expected to make."""
    kinds = {f.kind for f in fleet.run.faults}
    known = {k.removeprefix("reject:") for f in kinds for k in fault_kinds()[f].found_by if ":" in k}
    known |= {"timestamp_out_of_range"} if "clock_jump" in kinds else set()
    known |= {"unknown_meter"} if "meter_replaced" in kinds else set()
    return {reason: n for reason, n in rejected.items() if reason not in known}


def already_done(fleet: FleetRun, out: Path) -> int:
    """How many emissions an earlier run that was stopped has brought in for good. Raises InputFileError where `out` has
    another run's progress.
    """
    path = out / _PROGRESS_FILE
    if not path.exists():
        return 0
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        same, done = found["run"] == fleet.identity, int(found["done"])
    except (OSError, ValueError, KeyError, TypeError) as e:
        raise InputFileError([f"{path}: cannot be read: {e}; remove it to begin anew"]) from e
    if not same:
        raise InputFileError([f"{out}: holds another run; name another folder with --out, or give --fresh"])
    return done


def send_fleet(
    settings: Settings,
    fleet: FleetRun,
    connected: Mapping[str, GatewayConnection],
    options: SendOptions,
    on_progress: Callable[[SendProgress], None],
    out: Path,
) -> SendResult:
    """Send everything that `out` does not have as done; returns when everything is acknowledged for good. What is done
    is noted on every way out, so that the same run goes on from there.
    """

    def enter(change: RegistryChange) -> None:
        rows = RegistryRows(installations=list(change.installations))
        import_rows(settings, rows, "simulate fleet")

    sender = Sender(connected, options, fleet.readings, on_progress, enter, already_done(fleet, out))
    try:
        result = sender.send_all(fleet.run.emissions())
        finish_truth(fleet)
    finally:
        progress: dict[str, Any] = {"run": fleet.identity, "done": max(sender.done, sender.skip)}
        (out / _PROGRESS_FILE).write_text(json.dumps(progress), encoding="utf-8")
    return result
