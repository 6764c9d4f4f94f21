"""Wires a simulated run: faults of a scenario, truth beside it, the registry, sending, and going on after a stop."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.clients import connect_database
from deploy.run_progress import RunProgress
from deploy.settings import Settings
from metering.errors import InputFileError
from simulators.emission import Emission, RegistryChange
from simulators.mqtt import GatewayConnection
from simulators.registry_changes import Installed
from simulators.registry_rows import RegistryRows, write_rows
from simulators.run import Run, SentAt
from simulators.scenario.draw import draw_faults
from simulators.scenario.files import Scenario
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.points import MeteredPoint
from simulators.scenario.prepare import prepare_points
from simulators.sending import Sender, SendOptions, SendProgress, SendResult
from simulators.stretch import Source
from simulators.truth import TRUTH_FILE, TruthFile
from simulators.truth_keeping import KeptTruth
from storage.registry import ImportResult, import_registry


@dataclass(frozen=True, slots=True)
class Simulation:
    """A run that is ready to begin. readings: about how many there will be; left_out: faults that found no room;
    facts: of the run, for its truth; identity: what makes it the same run.
    """

    run: Run
    registry: RegistryRows
    scenario: Scenario
    readings: int
    left_out: int
    facts: Mapping[str, object]
    identity: str


def prepare(
    source: Source,
    scenario: Scenario,
    seed: int,
    registry: Callable[[Sequence[MeteredPoint]], RegistryRows],
    *,
    readings: int,
    identity: object,
    facts: Mapping[str, object] | None = None,
    sent_at: SentAt = SentAt.SIMULATED,
    per_message: int = 1,
) -> Simulation:
    """Draw the faults.

    registry: describes the points, which may have other start values than the source gave them; identity: all that the
    run is made from beside scenario and seed.
    """
    drawn = draw_faults(scenario, source.points, source.window, seed)
    source.points = prepare_points(source.points, drawn.faults, source.window, source.begun)
    rows = registry(source.points)
    made_from = json.dumps([identity, seed, scenario.text], default=str)
    digest = hashlib.blake2b(made_from.encode(), digest_size=8).hexdigest()
    installed = Installed(rows.installations, source.window.zone)
    run = Run(source, drawn.faults, digest, None, installed, sent_at, per_message)
    told = {"seed": seed, "scenario": scenario.name, **(facts or {})}
    return Simulation(run, rows, scenario, readings, sum(drawn.left_out.values()), told, digest)


def write_beside(simulation: Simulation, out: Path) -> None:
    """Write the registry into the folder `out`, and the truth while the run is made."""
    write_rows(out / "registry", simulation.registry)
    for left in out.glob(f"{TRUTH_FILE}*"):
        left.unlink()
    source = simulation.run.source
    simulation.run.truth = KeptTruth(TruthFile(out / TRUTH_FILE), source.points, source.window)


def finish_truth(simulation: Simulation) -> None:
    """Keep the faults as they turned out."""
    run, window = simulation.run, simulation.run.source.window
    if isinstance(run.truth, KeptTruth):
        run.truth.finish(
            run,
            **simulation.facts,
            timezone=window.zone,
            interval_s=window.interval_us // 1_000_000,
            from_hour=window.from_us // 3_600_000_000,
            to_hour=window.to_us // 3_600_000_000,
            readings=run.readings,
        )


def lines(simulation: Simulation, out: Path | None) -> Iterator[bytes]:
    """What would be published, a line each: the message with its topic put in front, or {"topic", "payload_hex"} where
    it is damaged. Changes of the registry are left out. out: where registry and truth are written, None: nowhere.
    """
    if out is not None:
        write_beside(simulation, out)
    for e in simulation.run.emissions():
        if isinstance(e, Emission):
            yield _line(e)
    finish_truth(simulation)


def _line(emission: Emission) -> bytes:
    assert isinstance(emission.payload, bytes)
    topic = f'{{"topic":"nl/v1/{emission.gateway}/readings",'.encode()
    if emission.readings:
        return topic + emission.payload[1:] + b"\n"
    return topic + f'"payload_hex":"{emission.payload.hex()}"}}\n'.encode()


def import_rows(settings: Settings, rows: RegistryRows, actor: str) -> ImportResult:
    """Make what `rows` say known to the platform."""
    with TemporaryDirectory() as folder, connect_database(settings, "pipeline") as connection:
        write_rows(Path(folder), rows)
        try:
            return import_registry(connection, Path(folder), actor)
        except InputFileError as e:
            hint = "the database knows other meters there, of an earlier run perhaps: another --seed, or a new stack"
            raise InputFileError([*e.problems, hint]) from e


def send(
    settings: Settings,
    simulation: Simulation,
    connected: Mapping[str, GatewayConnection],
    options: SendOptions,
    on_progress: Callable[[SendProgress], None],
    progress: RunProgress | None = None,
) -> SendResult:
    """Send everything that `progress` does not have as done; returns when everything is acknowledged for good. Where it
    is stopped, what is done is noted, so that the same run goes on from there.
    """

    def enter(change: RegistryChange) -> None:
        import_rows(settings, RegistryRows(installations=list(change.installations)), "simulate")

    def show(at: SendProgress) -> None:
        on_progress(at)
        if progress is not None:
            progress.note_now_and_then(max(sender.done, progress.done))

    skip = 0 if progress is None else progress.done
    sender = Sender(connected, options, simulation.readings, show, enter, skip)
    try:
        result = sender.send_all(simulation.run.emissions())
    finally:
        if progress is not None:
            progress.note(max(sender.done, skip))
    finish_truth(simulation)
    if progress is not None:
        progress.note(sender.done, finished=True)
    return result


def unexplained(rejected: Mapping[str, int], simulation: Simulation) -> dict[str, int]:
    """Rejected messages, by reason, that no fault of the run is expected to make."""
    kinds = [fault_kinds()[f.kind] for f in simulation.run.faults]
    known = {name for k in kinds for name in (*k.found_by, *k.may_find)}
    return {reason: n for reason, n in rejected.items() if f"reject:{reason}" not in known}
