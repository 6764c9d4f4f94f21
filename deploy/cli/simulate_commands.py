"""Commands that simulate meters: simulate replay."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from deploy.cli.simulate_city_commands import city_command
from deploy.cli.simulate_load_commands import load_command

simulate = typer.Typer(
    help="Simulate meters and gateways.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@simulate.callback()
def _group() -> None:
    """Simulate meters and gateways."""


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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Replay real consumption as cumulative registers of meters behind gateways, over MQTT.

    Ends when the database has everything for good and every gateway has said offline, final. Exit 1 where something
    was rejected. The register at a moment does not depend on --from: parts can be replayed one after another.
    """
    from deploy import replay
    from deploy.replay_progress import ReplayBar
    from deploy.settings import load_settings
    from deploy.stack.steps import Steps
    from simulators.replay import ReplayOptions

    settings = load_settings()
    steps = Steps(settings.language)
    options = ReplayOptions(
        timezone=replay.check_timezone(csv_timezone or settings.timezone),
        readings_per_message=per_message,
        speed=replay.parse_speed(speed),
    )
    days = replay.parse_day(from_day, "--from"), replay.parse_day(to_day, "--to")
    with steps.step("读取用电数据", "Read the consumption") as step:
        plan = replay.load_plan(data or replay.shipped_data(), options.timezone, *days)
        step.note(
            steps.text(
                f"{len(plan.buildings)} 栋建筑，{plan.readings:,} 个读数",
                f"{len(plan.buildings)} buildings, {plan.readings:,} readings",
            )
        )
    if registry_out is not None:
        plan.write_registry(registry_out)
    if import_registry:
        with steps.step("导入台账", "Import the registry"):
            replay.import_registry(settings, plan)
    with steps.step("登记网关", "Add the gateways") as step:
        connected = (
            replay.add_gateways(settings, plan.gateways)
            if credentials is None
            else replay.connections(settings, replay.read_credentials(credentials, plan.gateways))
        )
    with ReplayBar(steps) as bar:
        result = replay.run_replay(plan, connected, options, bar.show)
    if as_json:
        typer.echo(json.dumps({**asdict(result), "started_at": result.started_at.isoformat()}))
    else:
        bar.summary(result)
    raise typer.Exit(1 if result.rejected else 0)
