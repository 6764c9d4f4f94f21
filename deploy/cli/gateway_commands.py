"""`nengliu gateway add` and `remove`: who may publish, in force at once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from deploy.clients import mqtt_connection
from deploy.gateway_certificates import GatewayFiles, certify
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import load_settings

gateway = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

Names = Annotated[list[str], typer.Argument(help="Gateway ids: MQTT user names and parts of their topics.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@gateway.command()
def add(
    names: Names,
    new_password: Annotated[
        bool,
        typer.Option(
            "--new-password",
            help="Give a gateway that exists another password; with --certificates another certificate too.",
        ),
    ] = False,
    certificates: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Also give each a certificate to log in by: NAME.cert.pem, NAME.key.pem and the authority's "
            "ca.pem are written to DIR. Wants `nengliu up --tls`.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Let gateways publish; prints each password once. All of them or none."""
    settings = load_settings()
    certified = certify(settings, names, certificates) if certificates else None
    identities = certified.identities if certified else {}
    endpoint = mqtt_connection(settings, "admin")
    made = add_gateways(endpoint, names, settings.mqtt_filters, new_password, identities)
    files = certified.write() if certified else {}
    if as_json:
        told = [{"gateway": c.gateway, "password": c.password, **_paths(files.get(c.gateway))} for c in made]
        typer.echo(json.dumps(told))
        return
    for c in made:
        typer.echo("\t".join([c.gateway, c.password, *_paths(files.get(c.gateway)).values()]))


def _paths(files: GatewayFiles | None) -> dict[str, str]:
    if files is None:
        return {}
    return {"certificate": str(files.certificate), "key": str(files.key), "ca": str(files.ca)}


@gateway.command()
def remove(names: Names, as_json: AsJson = False) -> None:
    """End gateways' sessions and rights, those of their certificates too. All of them or none."""
    remove_gateways(mqtt_connection(load_settings(), "admin"), names)
    typer.echo(json.dumps(names) if as_json else "\n".join(names))
