"""Commands that simulate meters: simulate replay, and the others of the group."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deploy.cli import simulate_meter_commands
from deploy.cli.simulate_city_commands import city_command
from deploy.cli.simulate_fleet_commands import fleet_command
from deploy.cli.simulate_load_commands import load_command
from deploy.cli.simulate_score_commands import score_command

simulate = typer.Typer(
    help="Simulate meters and gateways.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@simulate.callback()
def _group() -> None:
    """Simulate meters and gateways."""


simulate.command("fleet")(fleet_command)
simulate.command("score")(score_command)
simulate_meter_commands.register(simulate)
simulate.command("city")(city_command)
simulate.command("load")(load_command)


@simulate.command("replay")
def replay_command(
    data: Annotated[
        Path | None, typer.Option(help="Folder of consumption; default: the four buildings that are shipped.")
    ] = None,
    from_day: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First local day, as 2014-03-01.")
    ] = None,
    to_day: Annotated[
        str | None, typer.Option("--to", metavar="DAY", help="Up to this local day, not included.")
    ] = None,
    speed: Annotated[
        str,
        typer.Option(metavar="X|max", help="Simulated seconds a second; max: as fast as it is acknowledged."),
    ] = "max",
    csv_timezone: Annotated[
        str | None, typer.Option(help="Time zone of the CSV's clock; default: the node's (NENGLIU_TIMEZONE).")
    ] = None,
    registry_out: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Write the registry that describes the meters there, too."),
    ] = None,
    import_registry: Annotated[
        bool, typer.Option("--import/--no-import", help="Import that registry before the replay.")
    ] = True,
    credentials: Annotated[
        Path | None,
        typer.Option(help="Passwords as `gateway add --json` prints them; default: the gateways are added."),
    ] = None,
    per_message: Annotated[int, typer.Option(min=1, max=2000, help="Readings a message.")] = 24,
    scenario: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Lay faults over it: a TOML file, or one of: every, typical."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the faults that the scenario leaves to chance.")] = 1,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where registry, truth and progress lie; default: in the state folder."
        ),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew where a replay was stopped.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay real consumption as cumulative registers of meters behind gateways, over MQTT.

    Ends when the database has everything for good and every gateway has said offline, final. Exit 1 where something
    was rejected that no fault explains. The register at a moment does not depend on --from: parts can be replayed one
    after another. The truth is written beside the run, as of `simulate fleet`. Ctrl-C stops cleanly; the same command
    goes on from there.
    """
    from deploy import replay
    from deploy.settings import load_settings
    from deploy.simulate import Publishing, publish
    from deploy.stack.steps import Steps
    from simulators.registry_rows import write_rows
    from simulators.scenario.files import NO_SCENARIO, read_scenario
    from simulators.sending import SendOptions

    settings = load_settings()
    steps = Steps(settings.language)
    timezone = replay.check_timezone(csv_timezone or settings.timezone)
    days = replay.parse_day(from_day, "--from"), replay.parse_day(to_day, "--to")
    sending = SendOptions(replay.parse_speed(speed))
    faults = NO_SCENARIO if scenario is None else read_scenario(scenario)
    with steps.step("读取用电数据", "Read the consumption") as step:
        plan = replay.load_plan(data or replay.shipped_data(), timezone, *days)
        simulation = replay.prepare_replay(plan, settings.timezone, faults, seed, per_message)
        n, struck = len(plan.buildings), len(simulation.run.faults)
        step.note(
            steps.text(
                f"{n} 栋建筑，{plan.readings:,} 个读数" + (f"，{struck} 处异常或变化" if struck else ""),
                f"{n} buildings, {plan.readings:,} readings"
                + (f", {struck} faults or changes" if struck else ""),
            )
        )
    if registry_out is not None:
        write_rows(registry_out, plan.registry)
    publish(
        settings, steps, simulation, Publishing(sending, out, credentials, import_registry, fresh, as_json)
    )
