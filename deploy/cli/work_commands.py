"""`nengliu derive`: derive energy again by hand."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import date, datetime
from threading import Event
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import psycopg
import typer
from rich.console import Console
from rich.table import Column, Table

from deploy.settings import Settings, load_settings
from metering.instants import parse_instant, to_us
from metering.spans import END, START

if TYPE_CHECKING:
    from storage.rehearsal import PointChange


def derive(
    site: Annotated[
        list[str] | None, typer.Option(help="Site code; may be given several times. Default: all.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="First day or instant. Default: the beginning.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day or instant. Default: the end.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, point by point, and change nothing.")
    ] = False,
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
    if dry_run:
        _show_changes(would_change(settings, site or [], from_us, to_us_), as_json)
        return
    done = derive_again(settings, site or [], from_us, to_us_)
    if as_json:
        typer.echo(json.dumps(done))
    else:
        rest = ", the rest by running workers" if done["shared"] else ""
        typer.echo(
            f"{done['points']} points marked and derived: {done['readings']} readings here, {done['hours']} hours "
            f"changed, {done['seconds']:.1f} s{rest}"
        )


def derive_again(settings: Settings, sites: list[str], from_us: int, to_us: int) -> dict[str, Any]:
    """Mark the points of the sites and derive; returns when nothing marked up to then waits, here or at a worker.
    `shared`: workers had a part in it.
    """
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
            shared = points > 0 and done.sites == 0
            while not is_derived(connection, mark):
                shared = True
                pause.wait(0.1)
                done = done.plus(deriver.run_all())
        finally:
            deriver.close()
    return {"points": points, **asdict(done), "shared": shared}


def would_change(settings: Settings, sites: list[str], from_us: int, to_us: int) -> list[PointChange]:
    """What a derivation of the time would change of points; nothing is kept of it."""
    from deploy.clients import connect_database
    from deploy.rate_bar import RateBar
    from deploy.stack.steps import Steps
    from storage.derivation import Deriver
    from storage.rehearsal import rehearse
    from storage.remark import UnknownSiteError

    deriver = Deriver(lambda: connect_database(settings, "pipeline"))
    changes: list[PointChange] = []
    try:
        with RateBar(Steps(settings.language), "试算单位", "Sites tried") as bar:
            for done, total, found in rehearse(deriver, sites, from_us, to_us):
                changes += found
                bar.draw(done, total)
        return changes
    except UnknownSiteError as e:
        raise typer.BadParameter(str(e), param_hint="--site") from e
    finally:
        deriver.close()


def _show_changes(changes: list[PointChange], as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps([asdict(change) for change in changes], ensure_ascii=False))
        return
    if not changes:
        typer.echo("nothing would change")
        return
    table = Table(
        "site", "point", "", *(Column(h, justify="right") for h in ("hours", "before", "after", "change"))
    )
    for c in changes:
        figures = f"{c.before:,.2f}", f"{c.after:,.2f}", f"{c.after - c.before:+,.2f}"
        table.add_row(c.site_code, c.point_code, c.unit, f"{c.hours:,}", *figures)
    Console().print(table)
    typer.echo(
        f"{sum(c.hours for c in changes):,} hours of {len(changes)} points would change; nothing was changed"
    )


def moment(text: str, settings: Settings, *, last: bool) -> int:
    """Microseconds of an instant, or of the beginning (or, with `last`, the last microsecond) of a local day.

    Raises BadParameter where it is none, or of a year that no reading is of.
    """
    zone = ZoneInfo(settings.timezone)
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            at = parse_instant(text)
        except ValueError as e:
            raise typer.BadParameter(str(e)) from e
        _require_year(text, at.year)
        return to_us(at)
    _require_year(text, day.year)
    if not last:
        return to_us(datetime(day.year, day.month, day.day, tzinfo=zone))
    following = date.fromordinal(day.toordinal() + 1)
    return to_us(datetime(following.year, following.month, following.day, tzinfo=zone)) - 1


def _require_year(text: str, year: int) -> None:
    if not 1900 <= year <= 9000:  # days around it can be reckoned in any zone
        raise typer.BadParameter(f"{text} is out of range; without --from or --to all of the time is meant")
