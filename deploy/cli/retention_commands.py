"""`nengliu retention`: how long raw readings are kept, and what is old enough to go."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import psycopg
import typer

from deploy.clients import connect_database
from deploy.settings import Settings, load_settings
from metering.errors import SettingError
from storage.retention import Going, Kept, apply_retention, going, kept

retention = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@retention.callback()
def group() -> None:
    """Raw readings are kept for NENGLIU_READINGS_KEEP_YEARS (unset: for ever); hours of energy always."""


@retention.command()
def show(as_json: AsJson = False) -> None:
    """Say how long readings are kept, what was dropped, and what is old enough to go."""
    settings = load_settings()
    with connect_database(settings, "pipeline", autocommit=True) as connection:
        _print(settings, kept(connection), _going(connection, settings), as_json)


@retention.command()
def apply(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, and change nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Drop now what is old enough to go: what the worker does by itself.

    Exit code 1 where something that old is still to be derived: nothing is dropped then.
    """
    settings = load_settings()
    if settings.readings_keep_years is None:
        raise SettingError("NENGLIU_READINGS_KEEP_YEARS is not set: readings are kept for ever")
    with connect_database(settings, "pipeline", autocommit=True) as connection:
        due = _going(connection, settings)
        assert due is not None
        now = _now(connection, settings)
        if not dry_run and now is not None:
            apply_retention(connection, settings.readings_keep_years, now)
        _print(settings, kept(connection), due, as_json)
    if due.waits:
        raise typer.Exit(1)


def _now(connection: psycopg.Connection[Any], settings: Settings) -> datetime | None:
    from deploy.services.work import clock_of

    return clock_of(settings)(connection)


def _going(connection: psycopg.Connection[Any], settings: Settings) -> Going | None:
    """None where readings are kept for ever."""
    now = _now(connection, settings)
    if settings.readings_keep_years is None:
        return None
    if now is None:
        return Going(0, 0, 0, None, None, None)
    return going(connection, settings.readings_keep_years, now)


def _print(settings: Settings, state: Kept, due: Going | None, as_json: bool) -> None:
    if as_json:
        data = {
            "keep_years": settings.readings_keep_years,
            **asdict(state),
            "going": None if due is None else asdict(due),
        }
        typer.echo(json.dumps(data, default=lambda moment: moment.isoformat()))
        return
    zh, zone = settings.language == "zh", ZoneInfo(settings.timezone)
    for line in _lines(state, due, settings.readings_keep_years, zh, zone):
        typer.echo(line)


def _lines(state: Kept, due: Going | None, years: int | None, zh: bool, zone: ZoneInfo) -> list[str]:
    def at(moment: datetime | None) -> str:
        return "–" if moment is None else moment.astimezone(zone).isoformat()

    if years is None:
        lines = [
            "原始读数永久保存 (未设 NENGLIU_READINGS_KEEP_YEARS)" if zh else "readings are kept for ever"
        ]
    else:
        lines = [
            f"原始读数保存 {years} 年; 小时能耗永久保存"
            if zh
            else f"readings are kept {years} years, hours for ever"
        ]
    if state.floor is not None:
        lines.append(
            f"已删除 {state.chunks} 个分块, {state.readings:,} 条读数; {at(state.floor)} 之前的小时不再重算"
            if zh
            else f"dropped so far: {state.chunks} chunks, {state.readings:,} readings; hours before {at(state.floor)} "
            "are never derived again"
        )
    if due is not None and due.chunks:
        lines.append(
            f"可删除: {due.chunks} 个分块, {due.readings:,} 条读数, {due.size_bytes:,} 字节, "
            f"{at(due.begin)} 至 {at(due.end)}"
            if zh
            else f"old enough to go: {due.chunks} chunks, {due.readings:,} readings, {due.size_bytes:,} bytes, "
            f"{at(due.begin)} to {at(due.end)}"
        )
    elif due is not None:
        lines.append("没有可删除的读数" if zh else "nothing is old enough to go")
    if due is not None and due.waits:
        lines.append(
            "其中尚有待推算的变化: 推算完成后再删除"
            if zh
            else "something there is still to be derived: it goes after that"
        )
    return lines
