"""`nengliu readings`: readings of files; `review` is in review_commands.py."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import typer

from deploy.cli.review_commands import review
from deploy.clients import connect_database
from deploy.logging import configure_logging
from deploy.settings import Settings, load_settings

if TYPE_CHECKING:
    from deploy.reading_import import Imported, Watch

readings = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
readings.add_typer(review, name="review")


@readings.callback()
def _group() -> None:
    """Import readings from files, and judge those in doubt."""


@readings.command("import")
def import_(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE…", help="CSV (meter,register,ts,value[,correction]; also gzip) or Parquet."
        ),
    ],
    zone: Annotated[
        str | None,
        typer.Option(
            help="Zone of the times, where none has an offset: an IANA name, such as Asia/Shanghai."
        ),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="From the first row on, though all or some of it was imported.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Count what would become of the rows, change nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the counts as JSON.")] = False,
) -> None:
    """Take in readings of files by the same rules as those of gateways; repeats are dropped, energy derives itself.

    What cannot be used is in FILE.rejects.csv with line and reason; mended, that file can be imported. Broken off, the
    same command goes on where it was. Exit code 1 where rows were rejected.
    """
    from deploy.reading_import import ImportOptions, import_file
    from storage.writer import Writer

    settings = load_settings()
    if settings.log_level.upper() == "INFO":  # a service tells its story, a command its result
        settings = settings.model_copy(update={"log_level": "warning"})
    configure_logging(settings)
    options = ImportOptions(_zone(zone), again, dry_run)
    writer = Writer(lambda: connect_database(settings, "pipeline"))
    results = []
    try:
        for path in files:
            with _watching(settings, path) as watch:
                result = import_file(writer, path, getpass.getuser(), options, watch)
            results.append(result)
            if not as_json:
                _print(result)
    finally:
        writer.close()
        if as_json:
            typer.echo(json.dumps([asdict(r) for r in results], ensure_ascii=False))
    if any(r.rejected for r in results):
        raise typer.Exit(1)


def _zone(name: str | None) -> ZoneInfo | None:
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as e:
        raise typer.BadParameter(
            f"{name!r} is no zone; give an IANA name, such as Asia/Shanghai", param_hint="--zone"
        ) from e


@contextmanager
def _watching(settings: Settings, path: Path) -> Iterator[Watch]:
    """A bar over the file's bytes on stderr, first of the check, then of the import."""
    from deploy.rate_bar import RateBar
    from deploy.stack.steps import Steps

    with RateBar(Steps(settings.language), f"导入 {path.name}", f"Import {path.name}") as bar:

        def watch(what: str, rows: int, read: int, size: int) -> None:
            percent = f"{100 * read // max(size, 1)}%"
            if what == "check":
                bar.draw(0, None, bar.steps.text(f"检查 {percent}", f"checking, {percent}"))
            else:
                bar.draw(rows, None, percent)

        yield watch


def _print(result: Imported) -> None:
    typer.echo(f"{result.file}{' (dry run: nothing was changed)' if result.dry_run else ''}")
    counts: dict[str, Any] = {
        name: getattr(result, name) for name in ("rows", "stored", "repeated", "conflicting", "rejected")
    }
    for name, count in counts.items():
        typer.echo(f"  {name:<12}{count:>12,}")
    for reason, count in sorted(result.reasons.items()):
        typer.echo(f"    {reason:<24}{count:>12,}")
    if result.was_finished:
        typer.echo("  was imported before: nothing was done; --again takes it from the first row on")
    elif result.resumed_at:
        typer.echo(f"  went on behind the {result.resumed_at:,} rows of an import that was broken off")
    if result.rejects_file:
        typer.echo(f"  rejected rows with line and reason: {result.rejects_file}")
