"""What runs, where, and the figures that matter; for people and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import psycopg
from rich.console import Console
from rich.table import Table

from alerts.event_clock import event_clock_state
from alerts.notify.store import Counts, read_counts
from deploy.clients import connect_database, database_url, local_host, mqtt_connection
from deploy.settings import Clock, Settings
from deploy.stack.certificates import Authority
from deploy.stack.figures import FIGURES, describe, read_samples
from deploy.stack.kafka import Kafka, require_listener
from deploy.stack.mosquitto import Mosquitto
from deploy.stack.mqtt_probe import publish_once
from deploy.stack.notices import notices
from deploy.stack.postgres import Postgres
from deploy.stack.prometheus import Prometheus
from deploy.stack.services import SERVICES, Service
from deploy.stack.site import NotReadyError, Server, Site
from deploy.stack.state import StackState
from deploy.stack.steps import Steps
from deploy.stack.supervisor import ProcessState, Supervisor
from metering.days import holidays_are_known
from metering.errors import DependencyAwayError, NengliuError
from storage.city import CityState, city_state
from storage.derivation import Backlog, read_backlog

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """A server or service: state is "running" when a message goes through it."""

    name: str
    state: str
    address: str | None
    pid: int | None

    def as_json(self) -> dict[str, Any]:
        """The contracted shape."""
        return {"name": self.name, "state": self.state, "address": self.address, "pid": self.pid}


@dataclass(frozen=True, slots=True)
class Tls:
    """TLS of the local Mosquitto. `certificate_address`: host:port for gateways that log in by certificate."""

    ca_file: Path
    certificate_address: str

    def as_json(self) -> dict[str, str]:
        """As plain data."""
        return {"ca_file": str(self.ca_file), "certificate_address": self.certificate_address}


@dataclass(frozen=True, slots=True)
class Status:
    """The whole stack. `tls`: None where the local Mosquitto speaks plain MQTT, or is not used. `derivation`: how far
    behind it is; `notifications`: those that are not sent; None while the database does not answer.
    """

    read_url: str | None
    servers: Sequence[Line]
    services: Sequence[Line]
    warnings: Sequence[str] = ()
    tls: Tls | None = None
    derivation: Backlog | None = None
    notifications: Counts | None = None

    @property
    def is_ready(self) -> bool:
        """Whether every server and service is running."""
        return all(line.state == "running" for line in [*self.servers, *self.services])

    def as_json(self) -> dict[str, Any]:
        """The contracted shape; "mqtt_tls" only where TLS is in force, "derivation" and "notifications" only where the
        database answers, "warnings" only where there are any.
        """
        return {
            "read_url": self.read_url,
            "servers": [line.as_json() for line in self.servers],
            "services": [line.as_json() for line in self.services],
            **({"mqtt_tls": self.tls.as_json()} if self.tls else {}),
            **({"derivation": asdict(self.derivation)} if self.derivation else {}),
            **({"notifications": asdict(self.notifications)} if self.notifications else {}),
            **({"warnings": list(self.warnings)} if self.warnings else {}),
        }


def read_status(settings: Settings) -> Status:
    """Ask the supervisor and pass a message through each server."""
    state = StackState.of(settings)
    site = Site(settings, state, state.ports())
    processes = Supervisor(state).processes() or {}
    servers: list[Server] = [Mosquitto(), Kafka(), Postgres(), Prometheus()]
    services = [Service(name) for name in SERVICES]
    with ThreadPoolExecutor(len(servers) + len(services)) as pool:
        lines = list(pool.map(lambda s: _line(site, s, processes.get(s.name)), [*servers, *services]))
    steps = Steps(settings.language)
    today = datetime.now(ZoneInfo(settings.timezone)).date()
    warnings = [
        *_warnings(settings, steps),
        *calendar_warnings(today, steps),
        *_notices(lines[len(servers) :], steps),
    ]
    return Status(
        _read_url(settings),
        lines[: len(servers)],
        lines[len(servers) :],
        warnings,
        read_tls(settings),
        _asked(settings, read_backlog),
        _asked(settings, read_counts),
    )


def read_tls(settings: Settings) -> Tls | None:
    """How the local Mosquitto speaks TLS; None where it does not."""
    state = StackState.of(settings)
    port = state.ports().get("mqtt_certificate")
    if settings.mqtt_url is not None or not state.tls_in_force or port is None:
        return None
    return Tls(Authority(state.tls).ca_file, f"{local_host(settings)}:{port}")


def _line(site: Site, server: Server | Service, process: ProcessState | None) -> Line:
    if existing := _existing(site.settings, server.name):
        return existing
    port = site.ports.get(server.port_name)
    if port is None:
        return Line(server.name, "stopped", None, None)
    address = f"{local_host(site.settings)}:{port}"
    if process is None or process.pid is None:
        return Line(server.name, _idle_state(process), address, None)
    try:
        server.probe(site)
    except (NotReadyError, DependencyAwayError):
        return Line(server.name, "starting", address, process.pid)
    return Line(server.name, "running" if process.state == "RUNNING" else "starting", address, process.pid)


def _idle_state(process: ProcessState | None) -> str:
    return "stopped" if process is None or process.state == "STOPPED" else "failed"


def _existing(settings: Settings, name: str) -> Line | None:
    """A server that a setting points at: no pid, "running" when it answers, else "away"."""
    if name == "postgres" and settings.database_url is not None:
        parts = urlsplit(settings.database_url.get_secret_value())
        address = f"{parts.hostname}:{parts.port or 5432}"
        return Line(name, _answers(lambda: connect_database(settings, "pipeline").close()), address, None)
    if name == "kafka" and settings.kafka_bootstrap is not None:
        bootstrap = settings.kafka_bootstrap
        return Line(name, _answers(lambda: require_listener(bootstrap)), bootstrap, None)
    if name == "mosquitto" and settings.mqtt_url is not None:
        endpoint = mqtt_connection(settings, "bridge")
        address = f"{endpoint.host}:{endpoint.port}"
        return Line(name, _answers(lambda: publish_once(endpoint, None)), address, None)
    return None


def _answers(ask: Callable[[], object]) -> str:
    try:
        ask()
    except (OSError, ValueError, NengliuError):
        return "away"
    return "running"


def _read_url(settings: Settings) -> str | None:
    try:
        return database_url(settings, "read")
    except DependencyAwayError:
        return None


def print_status(found: Status, steps: Steps) -> None:
    """For people: states, then what the services say of themselves."""
    titles = (steps.text("名称", "name"), steps.text("状态", "state"), steps.text("地址", "address"), "pid")
    table = Table(*titles, steps.text("运行情况", "figures"), box=None)
    zh = steps.text("zh", "en") == "zh"
    for line in [*found.servers, *found.services]:
        samples = read_samples(line.address) if line.name in FIGURES and line.pid and line.address else {}
        figures = describe(line.name, samples, zh=zh) if samples else ""
        if line.name == "mosquitto" and found.tls is not None:
            figures = steps.text(
                f"TLS, 凭证书登录: {found.tls.certificate_address}",
                f"TLS, by certificate at {found.tls.certificate_address}",
            )
        table.add_row(line.name, line.state, line.address or "", str(line.pid or ""), figures)
    console = Console(highlight=False)
    console.print(table)
    if found.derivation is not None:
        console.print(_told(found.derivation, steps), markup=False)
    if found.notifications is not None and found.notifications != Counts():
        console.print(_told_of(found.notifications, steps), markup=False)
    for warning in found.warnings:
        console.print(f"! {warning}", markup=False)


def _asked(settings: Settings, ask: Callable[[psycopg.Connection[Any]], T]) -> T | None:
    """Asked of the database, so that it is known while no worker runs."""
    try:
        with connect_database(settings, "pipeline") as connection:
            return ask(connection)
    except (DependencyAwayError, psycopg.Error):
        return None


def _told(behind: Backlog, steps: Steps) -> str:
    """How far behind the derivation is, as a line."""
    if not behind.changes:
        return steps.text("推导: 没有待处理的变化", "derivation: nothing waits")
    live = behind.oldest_live_s
    return steps.text(
        f"推导: {behind.changes:,} 处变化待处理 (约 {behind.readings:,} 个读数), 最早的已等 {behind.oldest_s:,.0f} 秒"
        + (f", 近一天数据中最早的已等 {live:,.0f} 秒" if live else ""),
        f"derivation: {behind.changes:,} changes wait (about {behind.readings:,} readings), "
        f"the oldest for {behind.oldest_s:,.0f} s"
        + (f", the oldest of the last day for {live:,.0f} s" if live else ""),
    )


def _told_of(n: Counts, steps: Steps) -> str:
    """The outbox of notifications, as a line."""
    return steps.text(
        f"通知: {n.waiting:,} 条待发, 最早的已等 {n.oldest_s:,.0f} 秒; {n.held:,} 条留待日报; "
        f"近一周 {n.failed:,} 条已放弃",
        f"notifications: {n.waiting:,} wait, the oldest for {n.oldest_s:,.0f} s; {n.held:,} are held until the digest; "
        f"{n.failed:,} of the last week were given up",
    )


def _notices(services: Sequence[Line], steps: Steps) -> list[str]:
    """What the services say of themselves."""
    return [
        text
        for line in services
        if line.pid and line.address
        for text in notices(line.name, read_samples(line.address), steps)
    ]


def _warnings(settings: Settings, steps: Steps) -> list[str]:
    """What a person should know although everything runs."""
    try:
        with connect_database(settings, "pipeline") as connection:
            simulated = _simulated(city_state(connection), steps)
            if settings.clock is not Clock.EVENT:
                return simulated
            clock = event_clock_state(connection, settings.event_patience)
    except (DependencyAwayError, psycopg.Error):
        return []
    return simulated + [
        steps.text(
            f"网关 {name} 超过 {settings.event_patience:.0f} 秒没有消息, 已不参与事件时钟 (NENGLIU_EVENT_PATIENCE)",
            f"gateway {name} was not heard for {settings.event_patience:.0f} s and is left out of the event clock "
            "(NENGLIU_EVENT_PATIENCE)",
        )
        for name in clock.mark.left_out
    ]


def calendar_warnings(today: date, steps: Steps) -> list[str]:
    """That the holidays of this year, or in December of the next, are not known: they are announced each November."""
    years = (today.year, today.year + 1) if today.month == 12 else (today.year,)
    return [
        steps.text(
            f"不知道 {year} 年的法定节假日与调休 (chinesecalendar): 该年只按周六周日区分工作日, 请更新能流",
            f"the holidays of {year} are not known (chinesecalendar): of that year only Saturdays and Sundays count as "
            "days off, and no make-up days; update nengliu",
        )
        for year in years
        if not holidays_are_known(year)
    ]


def _simulated(city: CityState | None, steps: Steps) -> list[str]:
    """That the database holds a simulated city, and whether real readings came into it."""
    if city is None:
        return []
    p = city.parameters
    told = [
        steps.text(
            f"数据库里是模拟城市: {p['sites']:,} 栋建筑, {p['start']} 起 {p['days']} 天"
            + ("" if city.filled else "; 尚未填完, 再次运行 `nengliu simulate city` 即可继续"),
            f"the database holds a simulated city: {p['sites']:,} buildings, {p['days']} days from {p['start']}"
            + (
                ""
                if city.filled
                else "; not filled yet, `nengliu simulate city` with the same options goes on"
            ),
        )
    ]
    if city.others:
        told.append(
            steps.text(
                f"{city.others} 个网关向这个模拟城市发来了真实数据: 真实数据应使用单独的数据库",
                f"{city.others} gateways sent readings into this simulated city: real ones belong in a database of "
                "their own",
            )
        )
    return told
