"""`nengliu quota`: import quotas, assess by hand; the ledger's commands are in quota_ledger_commands.py."""

from __future__ import annotations

import getpass
import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from deploy.cli.quota_ledger_commands import history, norms, rollup, show
from deploy.settings import Settings, load_settings

quota = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

#: A column of a table with longer cells folds on a terminal.
_LONG_TEXT = 40
#: The first year that a quota can be of.
_FIRST_YEAR = 1990


@quota.command("import")
def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV: site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from; "
            "optional: approved_by,note,monthly_plan,norm. Years and months are separated by semicolons.",
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Take in quotas, all or nothing, and compute their limits as far as they can be known. Says which of the file's
    have none, and why.
    """
    from dataclasses import asdict

    from alerts.by_hand import refresh_limits_by_hand
    from deploy.assessing import hand_options
    from deploy.cli.registry_commands import registry_codes
    from deploy.clients import connect_database
    from storage.registry import import_quota_file

    settings = load_settings()
    with connect_database(settings, "pipeline") as connection:
        result = import_quota_file(connection, file, getpass.getuser(), registry_codes(settings))
        # A site at least: of none means of all.
        options = hand_options(settings, sorted({site for site, *_ in result.quotas}) or [""])
        refreshed = refresh_limits_by_hand(connection, options, datetime.now(UTC))
    counts = {kind: asdict(c) for kind, c in result.counts.items()}
    told = [u for u in refreshed.undetermined if u.key in result.quotas]
    undetermined = [asdict(u) for u in told]
    if as_json:
        _print_json(
            {"version": result.version, **counts, "limits": refreshed.written, "undetermined": undetermined}
        )
        return
    zh = settings.language == "zh"
    c = counts["quota"]
    typer.echo(
        f"限额: 新增 {c['new']}, 变更 {c['changed']}, 未变 {c['same']}; 计算出 {refreshed.written} 个限值"
        if zh
        else f"quotas: {c['new']} new, {c['changed']} changed, {c['same']} as they were; "
        f"{refreshed.written} limits computed"
    )
    for u in told:
        typer.echo(f"  {u.site_code} {u.item_code} {u.year}: {u.reason_zh if zh else u.reason}")


quota.command()(show)
quota.command()(history)


@quota.command()
def assess(
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="Local day, e.g. 2014-10-31; default: today, the day of --known-at, or the event clock's last.",
        ),
    ] = None,
    known_at: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Show what was known at that time (RFC 3339 with offset, or a local date); writes nothing.",
        ),
    ] = None,
    site: Annotated[list[str] | None, typer.Option(help="Only this site code; may be given again.")] = None,
    as_json: AsJson = False,
) -> None:
    """Assess the quotas as of a day: used, forecast, level; open the alerts that are due, each once."""
    from alerts.by_hand import assess_as_known, assess_by_hand
    from deploy.assessing import hand_options
    from deploy.clients import connect_database

    settings = load_settings()
    day, moment = _date(as_of), None if known_at is None else _moment(known_at, settings)
    now = datetime.now(UTC)  # not before `moment`, which may be now
    with connect_database(settings, "pipeline") as connection:
        if moment is None:
            result = assess_by_hand(connection, hand_options(settings, site), day, now)
        else:
            result = assess_as_known(connection, hand_options(settings, site), day, moment, now)
    zh = settings.language == "zh"
    for s in result.without:
        typer.echo(
            f"{s.site_code} {s.item_code}: 用能中有分项没有折算系数, 未评估"
            if zh
            else f"{s.site_code} {s.item_code}: not assessed, no conversion factor covers all that was used",
            err=True,
        )
    if as_json:
        _print_json(result.rows)
        return
    _print_assessments(result.rows, zh)
    if known_at is not None and any(r["basis"] == "recomputed" for r in result.rows):
        typer.echo(
            "注: 标 * 的行没有当时保存的评估, 按当时已知的限额版本重新计算; 能耗与登记信息为现在所知。"
            if zh
            else "Rows with * have no assessment stored by then: assessed again with the quota versions known then, "
            "but with energy and registry as known now."
        )
    if known_at is None:
        typer.echo(
            f"截至 {result.as_of}: 写入 {result.written} 条评估, 告警变化 {result.transitions} 次"
            if zh
            else f"as of {result.as_of}: {result.written} assessments written, {result.transitions} alert transitions"
        )


quota.command()(norms)
quota.command()(rollup)


def _date(text: str | None) -> date | None:
    try:
        day = None if text is None else date.fromisoformat(text)
    except ValueError as e:
        raise typer.BadParameter(f"--as-of {text!r} is no date such as 2014-10-31") from e
    if day is not None and day.year < _FIRST_YEAR:
        raise typer.BadParameter(f"--as-of {text} is before {_FIRST_YEAR}")
    return day


def _moment(text: str, settings: Settings) -> datetime:
    """A time with offset; or a local date, which means its end, or now where it is today."""
    from zoneinfo import ZoneInfo

    from alerts.days import end_of_day
    from metering.instants import parse_instant

    zone = ZoneInfo(settings.timezone)
    now = datetime.now(zone)
    try:
        day = date.fromisoformat(text)
        return now if day == now.date() else end_of_day(day, zone)
    except (ValueError, OverflowError):
        pass
    try:
        return parse_instant(text)
    except ValueError as e:
        raise typer.BadParameter(f"--known-at: {e}") from e


def _print_assessments(rows: Sequence[dict[str, Any]], zh: bool) -> None:
    from alerts.report import LEVEL_NAMES

    heads = (
        ("建筑", "分项", "截至", "已用", "限值", "比例", "预测 p10", "p50", "p90", "用尽日", "等级", "完整率")
        if zh
        else (
            "site",
            "item",
            "as of",
            "used",
            "limit",
            "ratio",
            "p10",
            "p50",
            "p90",
            "exhausted",
            "level",
            "complete",
        )
    )
    cells = [
        (
            r["site_code"] + ("*" if r.get("basis") == "recomputed" else ""), r["item_code"], str(r["as_of"]),
            _number(r["used"]), _number(r["limit_value"]), _percent(r["used_ratio"]), _number(r["forecast_p10"]),
            _number(r["forecast_p50"]), _number(r["forecast_p90"]), str(r["exhaustion_date"] or ""),
            LEVEL_NAMES[r["level"]][0 if zh else 1], _percent(r["completeness"]),
        )
        for r in rows
    ]  # fmt: skip
    _print_table(heads, cells, right=(3, 4, 5, 6, 7, 8, 11))


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int]) -> None:
    """Print a table, no cell cut: into a file or pipe as wide as it comes, a row a line; on a terminal long texts go on
    below.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table

    widths = [max(map(cell_len, column)) for column in zip(heads, *rows, strict=True)]
    table = Table(box=None, pad_edge=False, header_style="bold")
    for n, (head, width) in enumerate(zip(heads, widths, strict=True)):
        table.add_column(
            head, justify="right" if n in right else "left", no_wrap=width <= _LONG_TEXT, overflow="fold"
        )
    for row in rows:
        table.add_row(*row)
    console = Console(highlight=False, markup=False)
    if console.is_terminal:
        widths = [min(width, _LONG_TEXT) for width in widths]
    least = sum(widths) + 2 * len(widths)
    console = Console(highlight=False, markup=False, width=max(least, console.width))
    console.print(table)


def _number(value: float | None) -> str:
    """As in mails and reports: 29.3 tce is not 29."""
    from alerts.report_charts import number

    if value is None:
        return ""
    return f"{value:,.0f}" if float(value).is_integer() else number(value)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{value:.1%}"


def _print_json(value: Any) -> None:
    typer.echo(json.dumps(value, ensure_ascii=False, default=_plain))


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, date | datetime) else str(value)
