"""`nengliu reconcile`: the daily proof that nothing is missing."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date
from typing import Annotated, Any

import typer

from deploy.clients import connect_database
from deploy.settings import load_settings
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
) -> None:
    """Say for every gateway, outbox and day what came, what is missing, and whether ledger and rows agree.

    Exit code 1 where something is missing or does not agree. A day that is over and whole is closed.
    """
    wanted = None if day is None else _day(day)
    with connect_database(load_settings(), "pipeline", autocommit=True) as connection:
        result = reconcile_days(connection, wanted, rows)
    if as_json:
        typer.echo(json.dumps(_as_data(result), default=str, ensure_ascii=False))
    else:
        _print(result)
    if result.problems:
        raise typer.Exit(1)


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
        typer.echo(f"{o.day}  {o.gateway}/{o.outbox or '-'}  ({numbers})  {counts}  {missing}")
    for p in result.problems:
        typer.echo(f"NOT RIGHT  {_where(p)}  {p.kind}: {p.detail}")
    closed = f", {len(result.closed)} closed" if result.closed else ""
    typer.echo(
        f"{len(result.days)} days{closed}; {result.missing} messages missing, {len(result.problems)} problems"
    )


def _where(p: Problem) -> str:
    return "  ".join(str(part) for part in (p.day, p.gateway, p.outbox) if part is not None)
