"""The command that runs the main job on four real buildings and shows what came of it."""

from __future__ import annotations

import json
from typing import Annotated

import typer


def demo(
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Remove the state directory first: data of earlier runs is lost.")
    ] = False,
    speed: Annotated[
        str,
        typer.Option(metavar="X|max", help="Simulated seconds a second; max: as fast as it is acknowledged."),
    ] = "max",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run the main job: real consumption through the whole pipeline to quota alerts, proof and report.

    The stack stays up afterwards. Run again, it sends the same readings, which must all count as repeats. Exit 1
    where a reading is lost, doubled or rejected, or energy differs from the CSV files.
    """
    from deploy.demo import run_demo
    from deploy.demo_show import show_demo
    from deploy.replay import parse_speed
    from deploy.settings import load_settings
    from deploy.stack.steps import Steps

    settings = load_settings()
    steps = Steps(settings.language)
    result = run_demo(settings, steps, fresh=fresh, speed=parse_speed(speed))
    if as_json:
        typer.echo(json.dumps(result.as_json(), ensure_ascii=False))
    else:
        show_demo(result, settings, steps)
    raise typer.Exit(0 if result.check.is_well else 1)
