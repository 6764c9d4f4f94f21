"""`nengliu energy`: energy for others to work with."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from deploy.cli.work_commands import moment
from deploy.clients import connect_database
from deploy.settings import Settings, load_settings
from metering.instants import from_us

energy = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)


class _Grain(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    YEAR = "year"


class _Format(StrEnum):
    CSV = "csv"
    PARQUET = "parquet"


@energy.callback()
def _group() -> None:
    """Export energy to files."""


@energy.command()
def export(
    grain: Annotated[_Grain, typer.Option(help="hour, day, month or year.")] = _Grain.DAY,
    of_sites: Annotated[
        bool, typer.Option("--sites", help="Totals of sites, with tce and tCO2, instead of points.")
    ] = False,
    site: Annotated[list[str] | None, typer.Option(help="Site code; may be repeated. Default: all.")] = None,
    district: Annotated[list[str] | None, typer.Option(help="District code; may be repeated.")] = None,
    item: Annotated[
        list[str] | None, typer.Option(help="Item code, such as 01; may be repeated. Default: all.")
    ] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="First day or instant; a period counts by its start.")
    ] = None,
    end: Annotated[str | None, typer.Option("--to", help="Last day or instant.")] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File; .parquet is Parquet. Default: stdout.")
    ] = None,
    form: Annotated[
        _Format | None, typer.Option("--format", help="csv or parquet. Default: as the file's name says.")
    ] = None,
) -> None:
    """Write energy as CSV or Parquet, with the columns of the views of schema api; a progress bar on stderr.

    Days are local (2014-03-01); instants have an offset. A file appears when it is whole.
    """
    from deploy.energy_export import export_energy
    from deploy.rate_bar import RateBar
    from deploy.stack.steps import Steps
    from storage.energy_export import Wanted, unknown_codes

    settings = load_settings()
    chosen = form or (_Format.PARQUET if out and out.suffix == ".parquet" else _Format.CSV)
    if out is None and chosen is _Format.PARQUET and sys.stdout.isatty():
        raise typer.BadParameter("Parquet is not for a terminal: give --out FILE", param_hint="--format")
    low, high = _bounds(begin, end, grain, settings)
    wanted = Wanted(of_sites, grain.value, low, high, site or (), district or (), item or ())
    bar = RateBar(Steps(settings.language), "导出能耗", "Export energy")
    with connect_database(settings, "read") as connection:
        if unknown := unknown_codes(connection, wanted):
            raise typer.BadParameter(
                f"the registry has no {', '.join(unknown)}", param_hint="--site, --district"
            )
        with nullcontext() if _is_quiet(out) else bar:
            rows = export_energy(
                connection, wanted, settings.timezone, out, chosen.value, lambda n: bar.draw(n, None)
            )
    typer.echo(f"{rows:,} rows{f' in {out}' if out else ''}", err=True)


def _is_quiet(out: Path | None) -> bool:
    """Whether the rows go to a terminal, where a bar would be drawn over them."""
    return out is None and sys.stdout.isatty()


def _bounds(begin: str | None, end: str | None, grain: _Grain, settings: Settings) -> tuple[Any, Any]:
    """The first moment, or day, of starts of periods, and the first one after the last."""
    first = datetime(1, 1, 2, tzinfo=UTC) if begin is None else from_us(moment(begin, settings, last=False))
    last = datetime(9999, 12, 30, tzinfo=UTC) if end is None else from_us(moment(end, settings, last=True))
    if first > last:
        raise typer.BadParameter("--from is after --to")
    if grain is _Grain.HOUR:
        return first, last + timedelta(microseconds=1)
    return _day(first, settings, begin), _day(last, settings, end) + timedelta(days=1)


def _day(at: datetime, settings: Settings, given: str | None) -> date:
    """The local day of a moment."""
    return at.date() if given is None else at.astimezone(ZoneInfo(settings.timezone)).date()
