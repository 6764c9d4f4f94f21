"""What the demonstration prints at its end: the proof, the table of buildings, and where to go from there."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from alerts.report import LEVEL_NAMES
from alerts.report_charts import display_unit, number
from alerts.report_data import QuotaYear
from deploy.clients import database_url, local_host
from deploy.demo import DemoResult
from deploy.demo_check import Check
from deploy.settings import Settings
from deploy.stack.programs import ensure_programs
from deploy.stack.state import StackState
from deploy.stack.steps import SilentSteps, Steps

_COLOURS = {
    "normal": "green",
    "watch": "yellow",
    "warning": "dark_orange",
    "over": "red",
    "severe": "bold red",
}


def show_demo(result: DemoResult, settings: Settings, steps: Steps) -> None:
    """Print everything on stdout, in the language of the settings."""
    console = Console(highlight=False, soft_wrap=True)
    _show_check(console, result, steps)
    console.print(quota_table(result.quotas, settings.language), soft_wrap=False)
    _show_ways_on(console, result, settings, steps)


def _show_check(console: Console, result: DemoResult, steps: Steps) -> None:
    c: Check = result.check
    mark = "[green]✓[/]" if c.is_well else "[bold red]✗[/]"
    console.print()
    console.print(
        steps.text(
            f"{mark} 核对：{c.readings:,} 个读数，丢失 {c.lost}，重复入库 {c.doubled}，值不符 {c.wrong}，"
            f"拒收 {c.books.rejected}；{c.months} 个建筑月的用电量与 CSV 最大相差 {c.worst.error_kwh:.6f} kWh，"
            f"合计 {c.stored_kwh:,.1f} kWh（CSV {c.csv_kwh:,.1f} kWh）",
            f"{mark} Check: {c.readings:,} readings, {c.lost} lost, {c.doubled} doubled, {c.wrong} wrong, "
            f"{c.books.rejected} rejected; energy of {c.months} building-months differs from the CSV by at most "
            f"{c.worst.error_kwh:.6f} kWh, {c.stored_kwh:,.1f} kWh in all (CSV {c.csv_kwh:,.1f} kWh)",
        )
    )
    s = result.seconds
    console.print(
        steps.text(
            f"  用时：启动 {s['stack']:.1f} 秒；从首次发布到最后一次评估 {result.replay_to_assessed_s:.1f} 秒；"
            f"共 {sum(s.values()):.1f} 秒",
            f"  Time: stack {s['stack']:.1f} s; first publish to last assessment {result.replay_to_assessed_s:.1f} s; "
            f"{sum(s.values()):.1f} s in all",
        )
    )
    console.print()


def quota_table(quotas: Sequence[QuotaYear], language: str) -> Table:
    """The buildings with used, limit, forecast, level, since when they alerted and how long before the limit.

    Narrow enough for 80 columns: dates without the year, which has a column of its own.
    """
    zh = language == "zh"
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    for title_zh, title_en, justify in _COLUMNS:
        table.add_column(title_zh if zh else title_en, justify=justify, no_wrap=False, overflow="fold")
    for q in quotas:
        table.add_row(*_cells(q, zh))
    return table


_COLUMNS: tuple[tuple[str, str, Literal["left", "right"]], ...] = (
    ("建筑", "Building", "left"),
    ("年", "Year", "left"),
    ("已用", "Used", "right"),
    ("限额", "Limit", "right"),
    ("单位", "", "left"),
    ("占比", "Share", "right"),
    ("级别", "Level", "left"),
    ("预警\n自", "Alert\nsince", "left"),
    ("当时\n预测", "Fore-\ncast", "right"),
    ("突破\n限额", "Limit\npassed", "left"),
    ("提前\n天数", "Days\nahead", "right"),
)


def _cells(q: QuotaYear, zh: bool) -> list[Text | str]:
    last, alert = q.last, q.first_alert
    at_alert = q.assessed_on(alert.as_of) if alert else None
    level = last.level if last else "undetermined"
    unit, scale = display_unit(q.unit, max(q.limit_value or 0.0, last.used if last else 0.0))

    def energy(value: float | None) -> str:
        return "–" if value is None else number(value / scale)

    return [
        q.site_code,
        str(q.year),
        energy(last.used if last else None),
        energy(q.limit_value),
        unit,
        f"{last.used / q.limit_value:.1%}" if last and q.limit_value else "–",
        Text(LEVEL_NAMES[level][0 if zh else 1], style=_COLOURS.get(level, "")),
        f"{alert.as_of:%m-%d}" if alert else "–",
        energy(at_alert.p50 if at_alert else None),
        f"{q.passed_on:%m-%d}" if q.passed_on else "–",
        "–" if q.lead_days is None else str(q.lead_days),
    ]


def _show_ways_on(console: Console, result: DemoResult, settings: Settings, steps: Steps) -> None:
    command = own_command(settings)
    psql = ensure_programs(settings, SilentSteps()).postgres("psql")
    client = str(psql) if psql.exists() else "psql"
    ports = StackState.of(settings).ports()
    lines = [
        ("报告", "report", result.report.as_uri()),
        (
            "数据",
            "data",
            f"{client} '{database_url(settings, 'read')}' -c 'select * from api.quota_assessment limit 5'",
        ),
        ("指标", "metrics", f"http://{local_host(settings)}:{ports.get('prometheus')}/api/v1/query?query=up"),
        ("状态", "status", f"{command} status"),
        ("预警", "alerts", f"{command} alerts list"),
        ("再模拟", "simulate", f"{command} simulate replay --data DIR   ({command} simulate replay --help)"),
        ("停止", "stop", f"{command} down   ({command} down --purge)"),
    ]
    console.print()
    width = max(len(en) for _, en, _ in lines)
    for zh, en, what in lines:
        label = steps.text(zh + "  " * (4 - len(zh)), en.ljust(width))
        console.print(Text(f"  {label}  ", style="dim") + Text(what), soft_wrap=True)


def own_command(settings: Settings) -> str:
    """How the person calls `nengliu` for this state directory from where they are."""
    called = Path(sys.argv[0]).absolute()
    inside = called.is_relative_to(Path.cwd())
    name = shlex.quote(str(called.relative_to(Path.cwd()) if inside else called))
    default = Settings.model_fields["state_dir"].default
    if settings.state_dir == default:
        return name
    return f"NENGLIU_STATE_DIR={shlex.quote(str(settings.state_dir))} {name}"
