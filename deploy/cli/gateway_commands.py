"""`nengliu gateway add` and `remove`: who may publish, in force at once."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from deploy.clients import mqtt_connection
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import load_settings

gateway = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Names = Annotated[list[str], typer.Argument(help="Gateway ids: MQTT user names and parts of their topics.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@gateway.command()
def add(
    names: Names,
    new_password: Annotated[
        bool, typer.Option("--new-password", help="Give a gateway that exists another password.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let gateways publish; prints each password once. All of them or none."""
    settings = load_settings()
    made = add_gateways(mqtt_connection(settings, "admin"), names, settings.mqtt_filters, new_password)
    if as_json:
        typer.echo(json.dumps([{"gateway": c.gateway, "password": c.password} for c in made]))
        return
    for c in made:
        typer.echo(f"{c.gateway}\t{c.password}")


@gateway.command()
def remove(names: Names, as_json: AsJson = False) -> None:
    """End gateways' sessions and rights. All of them or none."""
    remove_gateways(mqtt_connection(load_settings(), "admin"), names)
    typer.echo(json.dumps(names) if as_json else "\n".join(names))
