"""`nengliu factors`: conversion factors to standard coal and CO2, each version with its source."""

from __future__ import annotations

import getpass
import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.settings import load_settings

factors = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV: item_code,quantity,value,unit,valid_from,valid_to,source,confidence,approved_by.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_HEADS_ZH = ("分项", "量", "数值", "单位", "起", "止", "批准人", "可信度", "记录于", "记录人", "依据")
_HEADS_EN = (
    "item", "quantity", "value", "unit", "from", "to", "approved by", "confidence", "recorded at", "by", "source",
)  # fmt: skip


@factors.callback()
def group() -> None:
    """Import, check and show conversion factors to standard coal (tce, tce_calorific) and CO2 (tco2)."""


@factors.command("import")
def import_(file: File, as_json: AsJson = False) -> None:
    """Take in factors, all or nothing: in force in their days instead of those known; nothing is overwritten.

    A file that leaves days between its first and last factor of an item and quantity, or holds days twice, is refused.
    """
    from deploy.clients import connect_database
    from storage.factors import import_factors

    with connect_database(load_settings(), "pipeline", autocommit=True) as connection:
        change = import_factors(connection, file, getpass.getuser())
    _print_change(change, as_json)


@factors.command()
def check(file: File, as_json: AsJson = False) -> None:
    """Say what an import would do, and change nothing; exit code 1 where it would be refused."""
    from metering.errors import InputFileError

    try:
        change = _checked(file)
    except InputFileError as e:
        typer.echo(json.dumps({"problems": e.problems}, ensure_ascii=False) if as_json else str(e))
        raise typer.Exit(1) from e
    _print_change(change, as_json)


def _checked(file: Path) -> Any:
    from deploy.clients import connect_database
    from metering.errors import DependencyAwayError
    from storage.factors import check_factors

    try:
        connection = connect_database(load_settings(), "pipeline", autocommit=True)
    except DependencyAwayError as e:
        typer.echo(f"checked against the shipped factors: {e}", err=True)
        return check_factors(None, file)
    with connection:
        return check_factors(connection, file)


@factors.command()
def show(
    item: Annotated[str | None, typer.Option(help="Only this item, such as 01.")] = None,
    on: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only those in force on this local day.")
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="As known at that time (RFC 3339 with offset, or a local date: its end)."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show the factors with their sources; default: all that are known now."""
    from deploy.cli.quota_commands import _moment, _print_json
    from deploy.clients import connect_database
    from storage.factors import known_factors

    settings = load_settings()
    day = _day(on)
    moment = None if known_at is None else _moment(known_at, settings)
    with connect_database(settings, "pipeline", autocommit=True) as connection:
        found = known_factors(connection, item, day, moment)
    if as_json:
        _print_json(found)
        return
    _print_factors(found, settings)


def _day(text: str | None) -> date | None:
    try:
        return None if text is None else date.fromisoformat(text)
    except ValueError as e:
        raise typer.BadParameter(f"--on {text!r} is no date such as 2014-10-31") from e


def _print_factors(found: list[dict[str, Any]], settings: Any) -> None:
    from deploy.cli.finding_commands import _local
    from deploy.cli.quota_commands import _print_table

    rows = [
        (
            f["item_code"], f["quantity"], f"{f['value']:.10g}", f["unit"], str(f["valid_from"]),
            str(f["valid_to"] or ""), f["approved_by"] or "", f["confidence"], _local(f["recorded_at"], settings),
            f["recorded_by"], f["source"],
        )
        for f in found
    ]  # fmt: skip
    _print_table(_HEADS_ZH if settings.language == "zh" else _HEADS_EN, rows, right=(2,))


def _print_change(change: Any, as_json: bool) -> None:
    days = [
        {"item_code": item, "quantity": quantity, "from": begin.isoformat(), "to": _until(end)}
        for (item, quantity), spans in change.days.items()
        for begin, end in spans
    ]
    if as_json:
        typer.echo(
            json.dumps({"recorded": change.recorded, "superseded": change.superseded, "changed": days})
        )
        return
    if not change.recorded and not change.superseded:
        typer.echo("nothing changed")
        return
    typer.echo(f"{change.recorded} versions recorded, {change.superseded} superseded")
    for d in days:
        typer.echo(
            f"  {d['quantity']} of {d['item_code']}: another value from {d['from']} to {d['to'] or 'now on'}"
        )


def _until(end: date) -> str | None:
    return None if end == date.max else end.isoformat()
