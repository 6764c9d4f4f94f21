"""Commands of the local stack: up, down, status, logs, migrate, settings."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from deploy.settings import Settings, load_settings, setting_sources
from deploy.stack.steps import Steps
from metering.errors import SettingError

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def up(
    servers_only: Annotated[
        bool, typer.Option("--servers-only", help="Servers and schema, no services.")
    ] = False,
    tls: Annotated[
        bool | None,
        typer.Option(
            "--tls/--no-tls",
            help="Mosquitto speaks TLS only, with certificates of the stack's own authority, and gateways may have "
            "certificates (gateway add --certificates); or plain MQTT again. Kept until it is said otherwise.",
        ),
    ] = None,
) -> None:
    """Start the local stack and return when all of it is ready. Run again, it only starts what is missing."""
    from alerts.parameter_file import read_parameters
    from deploy.stack import stack
    from deploy.stack.status import read_tls

    settings = load_settings()
    read_parameters(settings.alert_parameters)  # what cannot be used stops the start
    steps = Steps(settings.language)
    site = stack.up(settings, steps, servers_only=servers_only, tls=tls)
    if told := read_tls(settings):
        steps.say(
            f"MQTT 只接受 TLS; 客户端需信任 {told.ca_file}; 凭证书登录的网关用 {told.certificate_address}",
            f"MQTT speaks TLS only; clients are to trust {told.ca_file}; gateways with a certificate "
            f"use {told.certificate_address}",
        )
    steps.say(f"就绪。状态目录: {site.state.folder}", f"Ready. State directory: {site.state.folder}")


def down(
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove the state directory, data included.")
    ] = False,
) -> None:
    """Stop the local stack; its data is kept unless --purge is given."""
    from deploy.stack import stack

    settings = load_settings()
    stack.down(settings, Steps(settings.language), purge=purge)


def status(as_json: JsonFlag = False) -> None:
    """Show whether servers and services are ready, and their figures that matter. Exit 1 where one is not."""
    from deploy.stack.status import print_status, read_status

    settings = load_settings()
    found = read_status(settings)
    if as_json:
        typer.echo(json.dumps(found.as_json(), ensure_ascii=False))
    else:
        print_status(found, Steps(settings.language))
    raise typer.Exit(0 if found.is_ready else 1)


def logs(
    name: Annotated[str, typer.Argument(help="A server or service as `status` names it, or supervisor.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as lines come.")] = False,
    lines: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines from the end.")] = 200,
) -> None:
    """Show the log of a server or service."""
    from deploy.stack.state import StackState

    settings = load_settings()
    folder = StackState.of(settings).logs
    path = folder / f"{name}.log"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in folder.glob("*.log"))) or "none: was `nengliu up` run?"
        raise SettingError(f"no log of {name!r} in {folder} (NENGLIU_STATE_DIR); there are: {known}")
    command = ["tail", "-n", str(lines), *(["-F"] if follow else []), str(path)]
    os.execvp(command[0], command)


def migrate(as_json: JsonFlag = False) -> None:
    """Bring the database to the newest schema."""
    from deploy.stack.stack import migrate_database

    applied = migrate_database(load_settings())
    if as_json:
        typer.echo(json.dumps(applied))
    elif applied:
        typer.echo("\n".join(applied))
    else:
        typer.echo("nothing to do: the schema is the newest")


def settings(as_json: JsonFlag = False) -> None:
    """Show the settings in force and where each comes from; secrets are masked."""
    in_force = load_settings()
    sources = setting_sources()
    rows = {name: (_masked(in_force, name), sources.get(name, "default")) for name in Settings.model_fields}
    if as_json:
        typer.echo(
            json.dumps({n: {"value": v, "source": s} for n, (v, s) in rows.items()}, ensure_ascii=False)
        )
        return
    table = Table("setting", "value", "from", "what it is", box=None)
    for name, (value, source) in rows.items():
        table.add_row(f"NENGLIU_{name.upper()}", value or "", source, Settings.model_fields[name].description)
    Console(highlight=False).print(table)


def _masked(in_force: Settings, name: str) -> str | None:
    value = getattr(in_force, name)
    if isinstance(value, SecretStr):
        return "**********"
    return None if value is None else str(value)
