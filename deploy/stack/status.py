"""What runs, where, and the figures that matter; for people and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from deploy.clients import database_url, local_host, mqtt_connection
from deploy.settings import Settings
from deploy.stack.kafka import Kafka
from deploy.stack.mosquitto import Mosquitto
from deploy.stack.mqtt_probe import publish_once
from deploy.stack.postgres import Postgres
from deploy.stack.prometheus import Prometheus
from deploy.stack.services import SERVICES, Service
from deploy.stack.site import NotReadyError, Server, Site
from deploy.stack.state import StackState
from deploy.stack.steps import Steps
from deploy.stack.supervisor import ProcessState, Supervisor
from metering.errors import DependencyAwayError


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
class Status:
    """The whole stack."""

    read_url: str | None
    servers: Sequence[Line]
    services: Sequence[Line]

    @property
    def is_ready(self) -> bool:
        """Whether every server and service is running."""
        return all(line.state == "running" for line in [*self.servers, *self.services])

    def as_json(self) -> dict[str, Any]:
        """The contracted shape."""
        return {
            "read_url": self.read_url,
            "servers": [line.as_json() for line in self.servers],
            "services": [line.as_json() for line in self.services],
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
    return Status(_read_url(settings), lines[: len(servers)], lines[len(servers) :])


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
    """A server that a setting points at: no pid, "running" when it answers."""
    if name == "postgres" and settings.database_url is not None:
        import psycopg

        url = settings.database_url.get_secret_value()
        parts = urlsplit(url)
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.Error:
            return Line(name, "away", f"{parts.hostname}:{parts.port or 5432}", None)
        return Line(name, "running", f"{parts.hostname}:{parts.port or 5432}", None)
    if name == "kafka" and settings.kafka_bootstrap is not None:
        return Line(name, "running", settings.kafka_bootstrap, None)
    if name == "mosquitto" and settings.mqtt_url is not None:
        endpoint = mqtt_connection(settings, "bridge")
        try:
            publish_once(endpoint, None)
        except (OSError, ValueError):
            return Line(name, "away", f"{endpoint.host}:{endpoint.port}", None)
        return Line(name, "running", f"{endpoint.host}:{endpoint.port}", None)
    return None


def _read_url(settings: Settings) -> str | None:
    try:
        return database_url(settings, "read")
    except DependencyAwayError:
        return None


def print_status(found: Status, steps: Steps) -> None:
    """For people."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for title in (
        steps.text("名称", "name"),
        steps.text("状态", "state"),
        steps.text("地址", "address"),
        "pid",
    ):
        table.add_column(title)
    for line in [*found.servers, *found.services]:
        table.add_row(line.name, line.state, line.address or "", str(line.pid or ""))
    Console(highlight=False).print(table)
