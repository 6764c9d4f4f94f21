"""Command simulate city."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from deploy.stack.steps import Steps


def city_command(
    sites: Annotated[int, typer.Option(min=1, max=20_000, help="Buildings.")] = 11_258,
    points: Annotated[int, typer.Option(min=1, max=200, help="Metering points of each, with a meter.")] = 30,
    days: Annotated[int, typer.Option(min=1, max=400, help="Local days of readings.")] = 1,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="DAY", help="First local day, as 2014-03-01. Default: yesterday is the last one."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same city.")] = 1,
    interval: Annotated[int, typer.Option(metavar="S", help="Seconds between readings of a meter.")] = 900,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fill an empty database with a simulated city: registry, quotas, readings and the energy derived from them.

    Straight into the database, for benches and dashboards; marked as simulated, and refused where anything else is
    there. Ctrl-C stops after what is on its way; the same command goes on, and comes to the same rows. Exit 1 where it
    was stopped.
    """
    from threading import Event

    from deploy.settings import load_settings
    from deploy.simulate_city import city_options, run_city

    settings = load_settings()
    steps = Steps(settings.language)
    options = city_options(settings, sites, points, days, start, seed, interval)
    report = run_city(settings, options, steps, Event())
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _say(report, steps)
    raise typer.Exit(0 if report["complete"] else 1)


def _say(report: dict[str, Any], steps: Steps) -> None:
    done, of, rate = report["readings"], report["readings_in_all"], report["readings_per_s"]
    if report["complete"]:
        steps.say(
            f"  ✓ 模拟城市就绪：{report['sites']:,} 栋建筑，{done:,} 个读数，{report['seconds']:.0f} 秒"
            f"（台账 {report['registry_s']:.0f} 秒，{rate:,} 个/秒）",
            f"  ✓ The simulated city is there: {report['sites']:,} buildings, {done:,} readings, "
            f"{report['seconds']:.0f} s (registry {report['registry_s']:.0f} s, {rate:,}/s)",
        )
    else:
        steps.say(
            f"  ✗ 已停止：{done:,}/{of:,} 个读数已写入；再次运行同一命令即可继续",
            f"  ✗ Stopped: {done:,} of {of:,} readings are there; the same command goes on",
        )
