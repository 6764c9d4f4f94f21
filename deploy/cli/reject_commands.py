"""`nengliu rejects`: what could not be used, and putting it in again."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime, time
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from deploy.clients import connect_database
from deploy.logging import configure_logging
from deploy.settings import load_settings
from metering.errors import NengliuError
from metering.instants import parse_instant
from storage import rejects as stored_rejects

rejects = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Reason = Annotated[str | None, typer.Option(help="Only this reason's.")]
Gateway = Annotated[str | None, typer.Option(help="Only this gateway's.")]
Meter = Annotated[str | None, typer.Option(help="Only this meter's, where the bytes name it.")]

#: Lines that `rejects list` prints; JSON has them all.
_LINES = 200


@rejects.command("list")
def list_(
    reason: Reason = None, gateway: Gateway = None, meter: Meter = None, as_json: AsJson = False
) -> None:
    """Count rejected values by reason, gateway and meter; waiting: those that were not put in again."""
    with connect_database(load_settings(), "pipeline") as connection:
        groups = stored_rejects.count_rejects(connection, reason, gateway, meter)
    if as_json:
        typer.echo(json.dumps([asdict(g) for g in groups], default=str))
        return
    for g in groups[:_LINES]:
        newest = f"newest #{g.newest_id} at {g.last_at.isoformat(timespec='seconds')}"
        count = f"{g.count} ({g.waiting} waiting)"
        typer.echo(f"{g.reason}\t{g.gateway}\t{g.meter or '-'}\t{count}\t{newest}\t{g.last_detail}")
    if len(groups) > _LINES:
        typer.echo(
            f"and {len(groups) - _LINES} more groups: --json shows them, --reason and others narrow down"
        )


@rejects.command()
def show(
    reject_id: Annotated[int, typer.Argument(help="Number of the reject, as `rejects list` shows it.")],
    as_json: AsJson = False,
) -> None:
    """Show one rejected value with its bytes."""
    with connect_database(load_settings(), "pipeline") as connection:
        found = stored_rejects.find_reject(connection, reject_id)
    if found is None:
        raise NengliuError(f"there is no reject {reject_id}; `nengliu rejects list` shows their numbers")
    cells = asdict(found)
    payload = cells.pop("payload")
    text = stored_rejects.readable(payload)
    if as_json:
        typer.echo(json.dumps({**cells, "payload": text, "payload_hex": payload.hex()}, default=str))
        return
    for name, cell in cells.items():
        if cell is not None:
            typer.echo(f"{name}: {cell}")
    typer.echo(f"payload ({len(payload)} bytes): {payload.hex(' ') if text is None else text}")


@rejects.command()
def requeue(
    reason: Reason = None,
    gateway: Gateway = None,
    meter: Meter = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="First received from then on; a time with offset, or a day."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="First received before then.")] = None,
    ids: Annotated[list[int] | None, typer.Option("--id", help="Only this number; may be repeated.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of them, change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put rejected values in again, for instance after their meter was registered; all that wait, or as asked.

    Each goes in once, at its first receipt. What is rejected again stays, with its new reason.
    """
    from collectors.decoders.declared_formats import load_formats
    from collectors.routes import Routes
    from deploy.requeue import RejectDecoder
    from storage.requeue import Wanted
    from storage.requeue import requeue as put_in_again
    from storage.writer import Writer

    settings = load_settings()
    configure_logging(settings)
    zone = ZoneInfo(settings.timezone)
    wanted = Wanted(
        reason,
        gateway,
        meter,
        _moment(since, zone, "--since"),
        _moment(until, zone, "--until"),
        tuple(ids) if ids else None,
    )
    routes = Routes(settings.mqtt_filters, load_formats(settings.decoder_files))
    writer = Writer(lambda: connect_database(settings, "pipeline"))
    try:
        result = put_in_again(writer, wanted, RejectDecoder(routes), dry_run)
    finally:
        writer.close()
    if as_json:
        typer.echo(json.dumps({**asdict(result), "dry_run": dry_run}))
        return
    for name, count in asdict(result).items():
        typer.echo(f"{name:<12}{json.dumps(count) if isinstance(count, dict) else count}")
    if dry_run:
        typer.echo("nothing was changed")


def _moment(text: str | None, zone: ZoneInfo, option: str) -> datetime | None:
    """A time with offset, or the beginning of a local day."""
    if text is None:
        return None
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError as e:
        raise typer.BadParameter(f"{e}; or a day, such as 2014-03-01", param_hint=option) from e
