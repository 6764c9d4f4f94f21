"""The command simulate fleet: sites with meters from a seed, faults of a scenario, and the truth beside them."""

from __future__ import annotations

import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from zoneinfo import ZoneInfo

import typer

if TYPE_CHECKING:
    from deploy.simulation import Simulation
    from deploy.stack.steps import Steps
    from simulators.fleet.plan import FleetOptions
    from simulators.scenario.files import Scenario


def fleet_command(
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes in the same order.")] = 1,
    sites: Annotated[int | None, typer.Option(min=1, help="How many sites; default: 10.")] = None,
    start: Annotated[
        str | None, typer.Option(metavar="DATE", help="First local day, or today; default: 2014-01-01.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="How many days; default: 30.")] = None,
    interval: Annotated[
        int | None, typer.Option(metavar="S", help="Seconds from reading to reading; default: 900.")
    ] = None,
    speed: Annotated[
        str,
        typer.Option(
            metavar="X|max",
            help="Simulated seconds a second; max: as fast as acknowledged. Nothing is sent before its time.",
        ),
    ] = "max",
    scenario: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What goes wrong: a TOML file, or one of: every, myems, typical."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Where registry, truth and progress lie; default: in the state folder, with --stdout nowhere.",
        ),
    ] = None,
    to_stdout: Annotated[
        bool,
        typer.Option(
            "--stdout", help="Print what would be published, a JSON message a line; needs no stack."
        ),
    ] = False,
    import_registry: Annotated[
        bool, typer.Option("--import/--no-import", help="Import the registry before the first message.")
    ] = True,
    credentials: Annotated[
        Path | None,
        typer.Option(help="Passwords as `gateway add --json` prints them; default: the gateways are added."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew where a run was stopped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Simulate sites with meters and sub-meters whose loads look real, and what a scenario makes go wrong.

    The truth, hour by hour and fault by fault, is written to DIR/truth.sqlite; `simulate score` compares it with what
    the platform made of it. Ctrl-C stops cleanly; the same command goes on from there. Exit 1 where something was
    rejected that no fault explains.
    """
    from deploy.fleet import prepare_fleet
    from deploy.replay import parse_speed
    from deploy.settings import load_settings
    from deploy.simulate import Publishing, publish
    from deploy.stack.steps import Steps
    from simulators.scenario.files import NO_SCENARIO, read_scenario
    from simulators.sending import SendOptions

    settings = load_settings()
    wanted = NO_SCENARIO if scenario is None else read_scenario(scenario)
    options = _options(wanted, settings.timezone, seed, sites, start, days, interval)
    if to_stdout:
        _print_lines(Steps(settings.language), options, wanted, out)
        return
    steps = Steps(settings.language)
    sending = SendOptions(parse_speed(speed))
    with steps.step("规划建筑与表计", "Plan sites and meters") as step:
        simulation = prepare_fleet(options, wanted)
        step.note(_planned(steps, simulation))
    publish(
        settings, steps, simulation, Publishing(sending, out, credentials, import_registry, fresh, as_json)
    )


def _options(
    scenario: Scenario,
    timezone: str,
    seed: int,
    sites: int | None,
    start: str | None,
    days: int | None,
    interval: int | None,
) -> FleetOptions:
    """What the command line says, else the scenario, else the defaults."""
    from deploy.replay import parse_day
    from simulators.fleet.plan import FleetOptions

    today = datetime.now(ZoneInfo(timezone)).date()
    first = today if start == "today" else parse_day(start, "--start")
    given = {"sites": sites, "start": first, "days": days, "interval_s": interval}
    said = {k: v for k, v in scenario.fleet.items() if k in given}
    said.update({k: v for k, v in given.items() if v is not None})
    return FleetOptions(seed=seed, timezone=timezone, **said)


def _print_lines(steps: Steps, options: FleetOptions, scenario: Scenario, out: Path | None) -> None:
    """To a pipe or a file; a bar where somebody looks on and the lines go elsewhere."""
    from deploy.fleet import prepare_fleet
    from deploy.send_bar import SendBar
    from deploy.simulation import lines
    from simulators.sending import SendProgress

    target = sys.stdout.buffer
    simulation = prepare_fleet(options, scenario)
    made = lines(simulation, out)
    if sys.stdout.isatty() or not sys.stderr.isatty():
        target.writelines(made)
    else:
        with SendBar(steps) as bar:
            for line in made:
                target.write(line)
                readings = simulation.run.readings
                bar.show(SendProgress(simulation.readings, readings, readings, None))
    target.flush()


def _planned(steps: Steps, simulation: Simulation) -> str:
    points, faults = len(simulation.run.source.points), len(simulation.run.faults)
    n, readings, left = len(simulation.registry.sites), simulation.readings, simulation.left_out
    return steps.text(
        f"{n} 个单位，{points} 个计量点，约 {readings:,} 个读数，{faults} 处异常或变化"
        + (f"，另有 {left} 处排不下" if left else ""),
        f"{n} sites, {points} points, about {readings:,} readings, {faults} faults or changes"
        + (f"; {left} more found no room" if left else ""),
    )
