"""Command simulate load."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from deploy.stack.steps import Steps


def load_command(
    rate: Annotated[
        str, typer.Option(metavar="N|max", help="Messages a second; max: as fast as they are acknowledged.")
    ] = "max",
    messages: Annotated[
        int | None, typer.Option(min=1, help="Messages in all, up to a multiple of the gateways.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, help="Or for so long; default: 10 seconds.")
    ] = None,
    gateways: Annotated[int, typer.Option(min=1, max=500, help="Gateways that send.")] = 10,
    connections: Annotated[
        int | None, typer.Option(min=1, max=500, help="Connections that they share; default: one each.")
    ] = None,
    per_message: Annotated[int, typer.Option(min=1, max=2000, help="Readings a message.")] = 1,
    yes_simulated: Annotated[
        bool, typer.Option("--yes-simulated", help="Send although the platform holds real readings.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Load the running platform with messages of simulated gateways, and tell how long each takes to be stored.

    Latency is from publish to the durable acknowledgement, which comes after the commit; at a rate, from when a message
    was due. Ctrl-C ends it with the result so far. Afterwards the meters are void and the gateways gone; their readings
    stay. Exit 1 where something was lost, rejected or never acknowledged.
    """
    from deploy.settings import load_settings
    from deploy.simulate_load import load_options, run_load

    settings = load_settings()
    steps = Steps(settings.language)
    options = load_options(rate, messages, seconds, gateways, connections, per_message, yes_simulated)
    report = run_load(settings, options, steps)
    if as_json:
        typer.echo(json.dumps(report))
    else:
        _show(report, steps)
    raise typer.Exit(1 if report["lost"] or report["rejected"] or report["unanswered"] else 0)


def _show(report: dict[str, Any], steps: Steps) -> None:
    """A small table."""
    latency = report["publish_to_durable_ack_s"]
    table = Table(box=None, show_header=False)
    rows = [
        ("消息", "messages", f"{report['messages']:,}"),
        ("读数", "readings", f"{report['readings']:,}"),
        ("消息/秒", "messages/s", f"{report['messages_per_s']:,.0f}"),
        ("读数/秒", "readings/s", f"{report['readings_per_s']:,.0f}"),
        *(
            (f"发布到入库确认 {name}", f"publish to durable ack {name}", f"{s * 1000:,.0f} ms")
            for name, s in latency.items()
        ),
        ("丢失", "lost", f"{report['lost']:,}"),
        ("被拒", "rejected", f"{report['rejected']:,}"),
        ("无确认", "unanswered", f"{report['unanswered']:,}"),
    ]
    for zh, en, figure in rows:
        table.add_row(steps.text(zh, en), figure)
    Console(highlight=False).print(table)
