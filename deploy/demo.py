"""The main job on real meters, from nothing: stack, registry, replay, energy, assessments, alerts, proof, report."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from alerts.report import write_report
from alerts.report_data import QuotaYear, load_report
from deploy import replay
from deploy.clients import connect_database
from deploy.demo_check import Check, check_demo
from deploy.send_bar import SendBar
from deploy.settings import Clock, Settings
from deploy.simulation import import_rows, send
from deploy.sql import query
from deploy.stack import stack
from deploy.stack.state import StackState
from deploy.stack.steps import Step, Steps
from metering.errors import DependencyAwayError
from simulators.mqtt import GatewayConnection
from simulators.sending import SendOptions, SendResult

_PATIENCE_S = 180.0


@dataclass(frozen=True, slots=True)
class DemoResult:
    """What the demonstration did. replay_to_assessed_s: first publish to the last assessment."""

    check: Check
    quotas: Sequence[QuotaYear]
    replay: SendResult
    report: Path
    seconds: dict[str, float]
    replay_to_assessed_s: float
    was_kept: bool

    def as_json(self) -> dict[str, Any]:
        """The result as plain data; energies in the item's unit."""
        return {
            "ok": self.check.is_well,
            "kept_data": self.was_kept,
            "seconds": {k: round(v, 2) for k, v in self.seconds.items()},
            "replay_to_assessed_s": round(self.replay_to_assessed_s, 2),
            "replay": {**asdict(self.replay), "started_at": self.replay.started_at.isoformat()},
            "check": {
                **asdict(self.check),
                "worst": {**asdict(self.check.worst), "month": str(self.check.worst.month)},
            },
            "quotas": [quota_json(q) for q in self.quotas],
            "report": str(self.report),
        }


def quota_json(q: QuotaYear) -> dict[str, Any]:
    """One line of the table as plain data."""
    last, alert = q.last, q.first_alert
    at_alert = q.assessed_on(alert.as_of) if alert else None
    return {
        "site_code": q.site_code,
        "year": q.year,
        "unit": q.unit,
        "used": last and last.used,
        "limit": q.limit_value,
        "level": last and last.level,
        "completeness": last and last.completeness,
        "alert_since": alert and str(alert.as_of),
        "forecast_p50_at_alert": at_alert and at_alert.p50,
        "limit_passed_on": q.passed_on and str(q.passed_on),
        "alert_days_ahead": q.lead_days,
    }


@dataclass(slots=True)
class _Timer:
    seconds: dict[str, float] = field(default_factory=dict)
    _last: float = field(default_factory=time.monotonic)

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.seconds[name] = now - self._last
        self._last = now


def demo_settings(settings: Settings) -> Settings:
    """The settings of the demonstration: those in force, with the clock of the replayed years."""
    return settings.model_copy(update={"clock": Clock.EVENT})


def run_demo(settings: Settings, steps: Steps, *, fresh: bool, speed: float | None) -> DemoResult:
    """Run the main job in the state directory of `settings`; everything is kept and stays up afterwards."""
    settings = demo_settings(settings)
    timer = _Timer()
    if fresh and settings.state_dir.exists():
        stack.down(settings, steps, purge=True)
    steps.say("启动本地栈", "Start the local stack")
    stack.up(settings, steps)
    timer.lap("stack")
    steps.say("运行主任务", "Run the main job")
    plan = _prepare(settings, steps)
    connected = _add_gateways(settings, steps, plan)
    with connect_database(settings, "pipeline", autocommit=True) as connection:
        kept = _has_data(connection)
        if kept:
            steps.say(
                "  · 上次的数据仍在：同样的读数再发一遍，应全部计为重复（--fresh 从头开始）",
                "  · data of an earlier run is kept: the same readings are sent again and must all count as repeats "
                "(--fresh starts from nothing)",
            )
        timer.lap("prepare")
        began = time.monotonic()
        with SendBar(steps) as bar:
            simulation = replay.prepare_replay(plan, settings.timezone)
            result = send(settings, simulation, connected, SendOptions(speed), bar.show)
        bar.summary(result)
        timer.lap("replay")
        _wait_assessed(connection, _last_day(plan, settings), steps)
        replay_to_assessed = time.monotonic() - began
        timer.lap("assess")
    with connect_database(settings, "read", autocommit=True) as connection:
        with steps.step("与原始数据核对", "Check against the CSV files"):
            check = check_demo(connection, plan)
        with steps.step("生成报告", "Write the report"):
            data = load_report(connection, settings.timezone, [m.site_code for m in plan.meters])
            folder = StackState.of(settings).folder / "demo"
            report = write_report(data, folder / "report.html", settings.language, datetime.now(UTC))
    timer.lap("check_and_report")
    done = DemoResult(check, data.quotas, result, report, timer.seconds, replay_to_assessed, kept)
    (folder / "summary.json").write_text(
        json.dumps(done.as_json(), ensure_ascii=False, indent=1), encoding="utf-8"
    )
    return done


def _prepare(settings: Settings, steps: Steps) -> replay.ReplayPlan:
    with steps.step("读取四栋真实建筑的用电数据", "Read the consumption of four real buildings") as step:
        plan = replay.load_plan(replay.shipped_data(), settings.timezone)
        step.note(steps.text(f"{plan.readings:,} 个读数", f"{plan.readings:,} readings"))
    with steps.step("导入台账和限额", "Import the registry and the quotas") as step:
        imported = import_rows(settings, plan.registry, "demo")
        new = sum(c.new for c in imported.counts.values())
        same = sum(c.same for c in imported.counts.values())
        step.note(steps.text(f"新增 {new} 行，未变 {same} 行", f"{new} rows new, {same} as they were"))
    return plan


def _add_gateways(settings: Settings, steps: Steps, plan: replay.ReplayPlan) -> dict[str, GatewayConnection]:
    with steps.step("登记网关及其密码", "Give each gateway its password") as step:
        connected = replay.add_gateways(settings, plan.gateways)
        step.note(", ".join(connected))
    return connected


def _has_data(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("select exists (select from api.ingest_ledger where stored > 0)").fetchone()
    return bool(row and row[0])


def _last_day(plan: replay.ReplayPlan, settings: Settings) -> date:
    """The last local day that the readings cover to its end, on every gateway."""
    newest = min(int(s.ts_us[-1]) for s in plan.series) / 1e6
    return datetime.fromtimestamp(newest, ZoneInfo(settings.timezone)).date() - timedelta(days=1)


def _wait_assessed(connection: psycopg.Connection[Any], last_day: date, steps: Steps) -> None:
    """Wait until everything is derived, assessed up to `last_day` and published."""
    title = ("推算能耗并逐日评估限额", "Derive energy and assess the quotas, day by day")
    with steps.step(*title, long=True) as step:
        seen: object = None
        moved = time.monotonic()
        first: date | None = None
        while True:
            row = connection.execute(query("demo_progress")).fetchone()
            assert row
            changes, through, unpublished = row
            if not changes and through and through >= last_day and not unpublished:
                step.note(steps.text(f"至 {through}", f"up to {through}"))
                return
            first = first or through
            if first and through:
                step.advance((through - first).days, max((last_day - first).days, 1))
            if row != seen:
                seen, moved = row, time.monotonic()
            elif time.monotonic() - moved > _PATIENCE_S:
                raise DependencyAwayError(
                    f"nothing moved for {_PATIENCE_S:.0f} s: {changes} changes to derive, assessed up to {through}, "
                    f"{unpublished} events to publish; `nengliu logs worker` tells more"
                )
            _between_looks(step)


def _between_looks(_step: Step) -> None:
    time.sleep(0.1)
