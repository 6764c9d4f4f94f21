"""`nengliu derive`: derive energy again by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from threading import Event
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import psycopg
import typer

from deploy.settings import Settings, load_settings
from metering.instants import parse_instant, to_us
from metering.spans import END, START


def derive(
    site: Annotated[
        list[str] | None, typer.Option(help="Site code; may be given several times. Default: all.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="First day or instant. Default: the beginning.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day or instant. Default: the end.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Derive energy again from the stored readings: normally never needed, as what changes derives itself.

    Days are local (2014-03-01); instants have an offset (2014-03-01T00:00:00+08:00).
    """
    settings = load_settings()
    from_us = START if begin is None else moment(begin, settings, last=False)
    to_us_ = END if end is None else moment(end, settings, last=True)
    if from_us > to_us_:
        raise typer.BadParameter("--from is after --to")
    done = derive_again(settings, site or [], from_us, to_us_)
    if as_json:
        typer.echo(json.dumps(done))
    else:
        typer.echo(
            f"{done['points']} points marked; {done['readings']} readings derived, {done['hours']} hours changed, "
            f"{done['seconds']:.1f} s"
        )


def derive_again(settings: Settings, sites: list[str], from_us: int, to_us: int) -> dict[str, Any]:
    """Mark the points of the sites and derive; returns when nothing marked up to then waits, here or at a worker."""
    from deploy.clients import connect_database
    from storage.derivation import Deriver
    from storage.remark import UnknownSiteError, is_derived, mark_points, newest_mark

    def connect() -> psycopg.Connection[Any]:
        return connect_database(settings, "pipeline")

    deriver = Deriver(connect)
    pause = Event()
    with connect_database(settings, "pipeline", autocommit=True) as connection:
        try:
            points = mark_points(connection, sites, from_us, to_us)
        except UnknownSiteError as e:
            raise typer.BadParameter(str(e), param_hint="--site") from e
        mark = newest_mark(connection)
        try:
            done = deriver.run_all()
            while not is_derived(connection, mark):
                pause.wait(0.1)  # a worker has the rest in hand
                deriver.run_all()
        finally:
            deriver.close()
    return {"points": points, **asdict(done)}


def moment(text: str, settings: Settings, *, last: bool) -> int:
    """Microseconds of an instant, or of the beginning (or, with `last`, the last microsecond) of a local day."""
    zone = ZoneInfo(settings.timezone)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            return to_us(parse_instant(text))
        except ValueError as e:
            raise typer.BadParameter(str(e)) from e
    if not last:
        return to_us(datetime(day.year, day.month, day.day, tzinfo=zone))
    following = date.fromordinal(day.toordinal() + 1)
    return to_us(datetime(following.year, following.month, following.day, tzinfo=zone)) - 1
