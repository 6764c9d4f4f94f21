"""`nengliu registry`: what is measured where."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.registry_history_command import history
from deploy.clients import connect_database
from deploy.settings import Settings, load_settings
from metering.errors import DependencyAwayError, InputFileError
from storage.registry import ImportResult, check_registry, import_registry
from storage.registry_codes import RegistryCodes
from storage.registry_export import export_registry

registry = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
registry.command()(history)

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the registry's CSV files.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def registry_codes(settings: Settings) -> RegistryCodes:
    """The codes that a registry may use, with those that the settings add."""
    protocols = tuple(file.stem for file in settings.decoder_files)
    return RegistryCodes(
        {"kind": settings.more_kinds, "sector": settings.more_sectors, "protocol": protocols}
    )


@registry.command("import")
def import_(
    folder: Folder,
    note: Annotated[str | None, typer.Option(help="A word on why, kept with the version.")] = None,
    as_json: AsJson = False,
) -> None:
    """Take in sites.csv, points.csv, installations.csv, rules.csv, quotas.csv and contacts.csv, as many as there are.

    All or nothing; what is absent is not deleted; in force for every message received afterwards.
    """
    settings = load_settings()
    with connect_database(settings, "pipeline") as connection:
        result = import_registry(connection, folder, getpass.getuser(), registry_codes(settings), note)
        counts = result.counts
        # Limits by norm and by peers rest on building types and floor areas.
        if counts["quota"].new or counts["quota"].changed or counts["site"].changed:
            _refresh_limits(connection, settings)
    _print_result(result, as_json, version=result.version)
    if not as_json:
        typer.echo("nothing changed" if result.version is None else f"registry version {result.version}")


def _refresh_limits(connection: Any, settings: Settings) -> None:
    """Give quotas their limits at once, as far as they can be known."""
    from alerts.by_hand import refresh_limits_by_hand
    from deploy.assessing import hand_options

    refresh_limits_by_hand(connection, hand_options(settings), datetime.now(UTC))


@registry.command()
def check(folder: Folder, as_json: AsJson = False) -> None:
    """Say what an import would do, and change nothing; exit code 1 where it would be refused."""
    try:
        result = _checked(load_settings(), folder)
    except InputFileError as e:
        typer.echo(json.dumps({"problems": e.problems}, ensure_ascii=False) if as_json else str(e))
        raise typer.Exit(1) from e
    _print_result(result, as_json)


def _checked(settings: Settings, folder: Path) -> ImportResult:
    codes = registry_codes(settings)
    try:
        connection = connect_database(settings, "pipeline")
    except DependencyAwayError as e:
        typer.echo(f"checked against an empty registry: {e}", err=True)
        return check_registry(None, folder, codes)
    with connection:
        return check_registry(connection, folder, codes)


@registry.command()
def export(folder: Folder, as_json: AsJson = False) -> None:
    """Write the registry as CSV files, which can be imported again without a change."""
    with connect_database(load_settings(), "pipeline") as connection:
        written = export_registry(connection, folder)
    if as_json:
        typer.echo(json.dumps(written))
        return
    for name, rows in written.items():
        typer.echo(f"{folder / name}\t{rows}")


def _print_result(result: ImportResult, as_json: bool, **more: Any) -> None:
    behind = result.behind
    if as_json:
        told = {} if behind is None else {"behind_floor": asdict(behind)}
        data = {**more, **{kind: asdict(c) for kind, c in result.counts.items()}, **told}
        typer.echo(json.dumps(data, default=lambda moment: moment.isoformat()))
        return
    for kind, c in result.counts.items():
        typer.echo(f"{kind:<14}{c.new:>8} new{c.changed:>8} changed{c.same:>8} as they were")
    if behind is not None:
        typer.echo(
            f"{behind.points} points change before {behind.floor.isoformat()}, from when on readings are kept "
            "(nengliu retention show): their hours before it stay as they are",
            err=True,
        )
