"""The command that writes the HTML report."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer


def report(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="File to write; default: report.html in the state directory."),
    ] = None,
    site: Annotated[list[str] | None, typer.Option(help="Only this site code; may be given again.")] = None,
    at_most: Annotated[
        int, typer.Option(min=1, help="Without --site: this many sites, those with most alerts first.")
    ] = 100,
    language: Annotated[
        str | None, typer.Option(help="Language that the page opens in, zh or en; it holds both.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table as JSON and write no page.")
    ] = False,
) -> None:
    """Write one self-contained HTML page of the quotas: months, pace, forecasts, alerts, completeness.

    Exit 1 where there is no quota to show.
    """
    from alerts.report import write_report
    from alerts.report_data import load_report
    from deploy.clients import connect_database
    from deploy.demo import quota_json
    from deploy.settings import load_settings
    from metering.errors import NengliuError, SettingError

    settings = load_settings()
    if language not in (None, "zh", "en"):
        raise SettingError(f"--language {language!r}: want zh or en")
    with connect_database(settings, "read", autocommit=True) as connection:
        data = load_report(connection, settings.timezone, site or None, at_most)
    if as_json:
        typer.echo(json.dumps([quota_json(q) for q in data.quotas], ensure_ascii=False))
        raise typer.Exit(0 if data.quotas else 1)
    if not data.quotas:
        raise NengliuError(
            "no quota to report on: import some by `nengliu registry import` or `quota import`"
        )
    path = out or settings.state_dir / "report.html"
    written = write_report(data, path, language or settings.language, datetime.now(UTC))
    typer.echo(written.as_uri())
