"""`nengliu quota show | history | norms | rollup`: what the ledger holds, and how quotas stand by area."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any

import typer

from deploy.settings import Settings, load_settings

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Site = Annotated[str, typer.Argument(metavar="SITE", help="Site code.")]
KnownAt = Annotated[
    str | None,
    typer.Option(
        metavar="TIME",
        help="As it was known at that time (RFC 3339 with offset, or a local date: its end).",
    ),
]
OfItem = Annotated[str | None, typer.Option(help="Only this item, such as 01 or tce.")]
OfYear = Annotated[int | None, typer.Option(help="Only this year.")]

Row = dict[str, Any]


class By(StrEnum):
    """By what states of quotas are rolled up."""

    DISTRICT = "district"
    SECTOR = "sector"
    TYPE = "type"
    SIZE = "size"
    CITY = "city"


class Of(StrEnum):
    """What the shares of levels are shares of."""

    SITES = "sites"
    ENERGY = "energy"
    AREA = "area"


def show(site: Site, known_at: KnownAt = None, as_json: AsJson = False) -> None:
    """Show a site's quotas, the versions of their limits with what they rest on, and the newest assessments."""
    from deploy.cli import quota_ledger_tables as tables
    from deploy.cli.quota_commands import _print_assessments, _print_json

    settings = load_settings()
    found = _ledger(settings, site, known_at)
    if as_json:
        _print_json(found)
        return
    zh = settings.language == "zh"
    title = f"{found['site_code']} {found['name']}"
    typer.echo(
        title
        if known_at is None
        else title + (f"（{known_at} 时所知）" if zh else f", as known at {known_at}")
    )
    tables.print_quotas(found["quotas"], zh)
    tables.print_months(found["quotas"], zh)
    tables.print_versions(found["quotas"], settings)
    if found["assessments"]:
        tables.print_head("最新评估" if zh else "Newest assessments")
        _print_assessments([{"site_code": found["site_code"], **a} for a in found["assessments"]], zh)


def history(
    site: Site,
    item: OfItem = None,
    year: OfYear = None,
    known_at: KnownAt = None,
    as_json: AsJson = False,
) -> None:
    """Show every version of a site's limits, and what each import made of their terms, by whom."""
    from alerts.ledger import quota_imports
    from deploy.cli import quota_ledger_tables as tables
    from deploy.cli.quota_commands import _moment, _print_json
    from deploy.clients import connect_database

    settings = load_settings()
    found = _ledger(settings, site, known_at)
    moment = None if known_at is None else _moment(known_at, settings)
    with connect_database(settings, "pipeline") as connection:
        changes = quota_imports(connection, site)
    wanted: Callable[[str, int], bool] = lambda i, y: item in (None, i) and year in (None, y)  # noqa: E731
    quotas = [q for q in found["quotas"] if wanted(q["item_code"], q["year"])]
    imports = [
        {"item_code": key[0], "year": key[1], "effective_from": key[2], **change}
        for key, of_quota in sorted(changes.items())
        for change in of_quota
        if wanted(key[0], key[1]) and (moment is None or change["imported_at"] <= moment)
    ]
    if as_json:
        _print_json({"site_code": site, "name": found["name"], "quotas": quotas, "imports": imports})
        return
    typer.echo(f"{found['site_code']} {found['name']}")
    tables.print_versions(quotas, settings)
    tables.print_imports(imports, settings)


def norms(as_json: AsJson = False) -> None:
    """Show the norms by building type and the announcements of limits, each with its source and confidence."""
    from dataclasses import asdict

    from deploy.cli import quota_ledger_tables as tables
    from deploy.cli.quota_commands import _print_json
    from metering.norms import announcements, correction_table, norm_table

    if as_json:
        _print_json(
            {
                "norms": [asdict(n) for n in norm_table().values()],
                "corrections": [asdict(c) for c in correction_table().values()],
                "announcements": [asdict(a) for a in announcements()],
            }
        )
        return
    zh = load_settings().language == "zh"
    tables.print_norms(zh)
    tables.print_corrections(zh)
    tables.print_announcements(zh)


def rollup(
    by: Annotated[By, typer.Option(help="A row for each of these.")] = By.DISTRICT,
    item: Annotated[str, typer.Option(help="Energy item, or tce, tco2.")] = "01",
    year: Annotated[int | None, typer.Option(help="Default: the year that is assessed now.")] = None,
    of: Annotated[Of, typer.Option(help="What the shares are of.")] = Of.SITES,
    as_json: AsJson = False,
) -> None:
    """Show how many sites are at each level of quota, by area, and their shares of sites, energy or floor area."""
    from psycopg.rows import dict_row

    from alerts.sql import query
    from deploy.cli.quota_commands import _print_json
    from deploy.cli.quota_ledger_tables import print_rollup
    from deploy.clients import connect_database

    settings = load_settings()
    with connect_database(settings, "pipeline") as connection:
        year = year or _year_assessed(connection, settings)
        keys = {"level": "building_type" if by is By.TYPE else by.value, "item": item, "year": year}
        with connection.cursor(row_factory=dict_row) as cursor:
            found = cursor.execute(query("quota_rollup"), keys).fetchall()
    if as_json:
        _print_json(found)
        return
    zh = settings.language == "zh"
    if not found:
        typer.echo(f"{year} 年没有分项 {item} 的评估" if zh else f"no assessments of item {item} in {year}")
        return
    print_rollup(found, by.value, of.value, zh)


def _ledger(settings: Settings, site: str, known_at: str | None) -> Row:
    from alerts.by_hand import clock_time
    from alerts.ledger import site_ledger
    from alerts.rolling import local_zone
    from deploy.assessing import hand_options
    from deploy.cli.quota_commands import _moment
    from deploy.clients import connect_database

    options = hand_options(settings)
    moment = None if known_at is None else _moment(known_at, settings)
    with connect_database(settings, "pipeline") as connection:
        zone, now = local_zone(connection), clock_time(connection, options, datetime.now(UTC))
        found = site_ledger(connection, site, options.parameters.limits, zone, now, moment)
    if found is None:
        raise typer.BadParameter(f"no site {site!r} in the registry")
    return found


def _year_assessed(connection: Any, settings: Settings) -> int:
    from alerts.rolling import local_zone
    from deploy.settings import Clock

    if settings.clock is Clock.EVENT:
        row = connection.execute("select assessed_through from nengliu.assessment_cursor").fetchone()
        if row is not None and row[0] is not None:
            return int(row[0].year)
    return datetime.now(local_zone(connection)).year
