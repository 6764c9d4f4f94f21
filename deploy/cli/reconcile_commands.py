"""`nengliu reconcile`: the daily proof that nothing is missing."""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import typer

from deploy.clients import connect_database
from deploy.settings import load_settings
from storage.losses import accept_loss
from storage.reconcile import OutboxDay, Problem, Reconciliation, named
from storage.reconcile import reconcile as reconcile_days


def reconcile(
    day: Annotated[
        str | None, typer.Option(metavar="DATE", help="This local day only; else every day not yet closed.")
    ] = None,
    rows: Annotated[
        bool, typer.Option(help="Also count the rows of readings and rejects (reads those tables once).")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    accept: Annotated[
        str | None,
        typer.Option(
            metavar="GATEWAY/OUTBOX",
            help="First accept what is missing of this outbox as lost (GATEWAY/-: of messages that name none).",
        ),
    ] = None,
    note: Annotated[str | None, typer.Option(help="Why it is lost; wanted with --accept.")] = None,
    by: Annotated[str | None, typer.Option(help="Who accepts it; default: the user logged in.")] = None,
) -> None:
    """Say for every gateway, outbox and day what came, what is missing, and whether ledger and rows agree.

    Exit code 1 where something is missing and not accepted as lost, or does not agree. A day that is over and whole
    is closed.
    """
    wanted = None if day is None else _day(day)
    if accept is None and note is not None:
        raise typer.BadParameter("--note goes with --accept")
    with connect_database(load_settings(), "pipeline", autocommit=True) as connection:
        if accept is not None:
            _accept(connection, accept, note, by)
        result = reconcile_days(connection, wanted, rows)
    if as_json:
        typer.echo(json.dumps(_as_data(result), default=str, ensure_ascii=False))
    else:
        _print(result)
    if result.problems:
        raise typer.Exit(1)


def _accept(connection: Any, named_as: str, note: str | None, by: str | None) -> None:
    gateway, _, outbox = named_as.partition("/")
    if not gateway or not outbox:
        raise typer.BadParameter(
            f"{named_as!r}: want GATEWAY/OUTBOX as reconcile shows it", param_hint="--accept"
        )
    if note is None or not note.strip():
        raise typer.BadParameter("--note: say why these messages are lost")
    by = getpass.getuser() if by is None else by
    if not by.strip():
        raise typer.BadParameter("--by: say who")
    lost = accept_loss(connection, gateway, None if outbox == "-" else outbox, by, note)
    typer.echo(f"accepted as lost of {named_as}: {named(lost)}", err=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as e:
        raise typer.BadParameter(f"{text!r} is not a date like 2014-03-01", param_hint="--day") from e


def _as_data(result: Reconciliation) -> dict[str, Any]:
    return {
        "missing": result.missing,
        "days": [
            {
                "day": day,
                "closed": day in result.closed,
                "outboxes": [_outbox_data(o) for o in result.outboxes if o.day == day],
            }
            for day in result.days
        ],
        "problems": [asdict(p) for p in result.problems],
    }


def _outbox_data(o: OutboxDay) -> dict[str, Any]:
    data = asdict(o) | {"missing": o.missing}
    data.pop("day")
    return data


def _print(result: Reconciliation) -> None:
    for o in result.outboxes:
        counts = "  ".join(
            f"{name} {getattr(o, name)}"
            for name in ("received", "stored", "repeated", "conflicting", "rejected")
        )
        numbers = (
            "no sequence numbers" if o.first_seq is None else f"{o.first_seq}-{o.last_seq}, {o.seen} new"
        )
        missing = f"missing {o.missing}: {named(o.gaps)}" if o.gaps else "missing 0"
        if o.lost:
            missing += f" (accepted as lost: {named(o.lost)})"
        typer.echo(f"{o.day}  {o.gateway}/{o.outbox or '-'}  ({numbers})  {counts}  {missing}")
    for p in result.problems:
        typer.echo(f"NOT RIGHT  {_where(p)}  {p.kind}: {p.detail}")
    closed = f", {len(result.closed)} closed" if result.closed else ""
    typer.echo(
        f"{len(result.days)} days{closed}; {result.missing} messages missing, {len(result.problems)} problems"
    )


def _where(p: Problem) -> str:
    return "  ".join(str(part) for part in (p.day, p.gateway, p.outbox) if part is not None)
