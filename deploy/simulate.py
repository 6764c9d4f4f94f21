"""What simulate fleet and simulate replay do alike: registry, gateways, sending, what is said at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from deploy.replay import add_gateways, connections, read_credentials
from deploy.run_progress import RunProgress
from deploy.send_bar import SendBar
from deploy.settings import Settings
from deploy.simulation import Simulation, import_rows, send, unexplained, write_beside
from deploy.stack.steps import Steps
from metering.errors import InputFileError
from simulators.sending import SendOptions, SendResult


@dataclass(frozen=True, slots=True)
class Publishing:
    """out: folder of registry, truth and progress, None: in the state folder; credentials: None: gateways are added."""

    sending: SendOptions
    out: Path | None
    credentials: Path | None
    import_registry: bool
    fresh: bool
    as_json: bool


def publish(settings: Settings, steps: Steps, simulation: Simulation, how: Publishing) -> None:
    """Send a run and say what became of it. Raises typer.Exit: 1 where something was rejected that no fault explains,
    130 where it was stopped.
    """
    name = f"{simulation.scenario.name}-{simulation.identity}"
    folder = how.out or settings.state_dir / "simulations" / name
    progress = RunProgress(folder, simulation.identity)
    progress.look(fresh=how.fresh)
    names = simulation.run.gateways()
    passwords = None if how.credentials is None else read_credentials(how.credentials, names)
    if how.import_registry and not progress.done:
        _import(settings, steps, simulation, begun=progress.begun)
    if not progress.finished:  # the truth of one that is finished is there, and would be the same
        write_beside(simulation, folder)
    progress.note(progress.done)
    with steps.step("登记网关", "Add the gateways"):
        connected = add_gateways(settings, names) if passwords is None else connections(settings, passwords)
    if progress.done:
        steps.say(
            f"  从上次停止处继续（已完成 {progress.done:,} 条消息）",
            f"  Going on where it stopped, after {progress.done:,} messages",
        )
    with SendBar(steps) as bar:
        try:
            result = send(settings, simulation, connected, how.sending, bar.show, progress)
        except KeyboardInterrupt:
            steps.say(
                f"  已停止；用相同命令继续，进度在 {folder}",
                f"  Stopped; the same command goes on from here, the progress is in {folder}",
            )
            raise typer.Exit(130) from None
    wrong = unexplained(result.rejected, simulation)
    _tell(steps, simulation, result, folder, bar, wrong, as_json=how.as_json)
    raise typer.Exit(1 if wrong else 0)


def _import(settings: Settings, steps: Steps, simulation: Simulation, *, begun: bool) -> None:
    """begun: this very run was here before, and its own faults may have changed the registry since its begin."""
    with steps.step("导入台账", "Import the registry") as step:
        try:
            import_rows(settings, simulation.registry, "simulate")
        except InputFileError:
            if not begun:
                raise
            step.note(
                steps.text(
                    "已有本次模拟后来的登记，保持不变", "it knows what came later in this run, and is left"
                )
            )


def _tell(
    steps: Steps,
    simulation: Simulation,
    result: SendResult,
    folder: Path,
    bar: SendBar,
    wrong: Mapping[str, int],
    *,
    as_json: bool,
) -> None:
    if as_json:
        facts = {**asdict(result), "started_at": result.started_at.isoformat(), "out": str(folder)}
        points, faults = len(simulation.run.source.points), len(simulation.run.faults)
        typer.echo(json.dumps({**facts, "meters": points, "faults": faults}))
        return
    bar.summary(result, wrong)
    steps.say(
        f"  真值与台账在 {folder}；比对：nengliu simulate score {folder}",
        f"  Truth and registry are in {folder}; compare: nengliu simulate score {folder}",
    )
