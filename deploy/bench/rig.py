"""What a benchmark runs in: on the servers of the running local stack, but with a database, topics, gateways,
bridges and writers of its own, which are all removed afterwards.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from deploy.clients import connect_database, database_url, mqtt_connection
from deploy.gateways import Credential, add_gateways, remove_gateways
from deploy.kafka_topics import prepare_topics, remove_topics
from deploy.load.registry import Installed, write_registry
from deploy.load.rows import Load
from deploy.settings import Settings
from deploy.stack.postgres import prepare_database
from deploy.stack.site import Site
from deploy.stack.state import StackState
from metering.errors import NengliuError, SettingError
from metering.instants import from_us
from storage.migrate import migrate
from storage.registry import import_registry

_READY_TIMEOUT_S = 60.0
#: What a service of a kind runs as, and the metric that says it is ready.
_COMMAND = {"bridge": "collect", "writer": "write", "worker": "work"}
_READY = {
    "bridge": "nengliu_bridge_mqtt_connected",
    "writer": "nengliu_stream_ready",
    "worker": "nengliu_derive_last_success_seconds",
}


class BenchError(NengliuError):
    """The benchmark could not be carried out; the message says where it stopped."""


@dataclass(slots=True)
class Service:
    """A process of ours that is measured."""

    name: str
    process: subprocess.Popen[bytes]
    metrics_url: str
    log: Path
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0

    def measure(self) -> None:
        """Take its CPU seconds and its highest resident memory so far."""
        self.cpu_s = cpu_s(self.process.pid)
        self.peak_rss_mb = peak_rss_mb(self.process.pid)

    def rss_mb(self) -> float:
        """Its resident memory now."""
        return rss_mb(self.process.pid)


def require_local_stack(settings: Settings, command: str) -> None:
    """Raises SettingError where the servers are not the local stack's."""
    if settings.database_url is not None or settings.mqtt_url is not None:
        raise SettingError(
            f"bench {command} runs on a local stack: unset NENGLIU_DATABASE_URL and NENGLIU_MQTT_URL"
        )


@contextmanager
def bench_database(settings: Settings, name: str) -> Iterator[str]:
    """A database of its own on the local stack's server, migrated, dropped afterwards; its name."""
    identifier = sql.Identifier(name)
    state = StackState.of(settings)
    with connect_database(settings, "superuser", autocommit=True, database="postgres") as server:
        server.execute(sql.SQL("create database {} owner nengliu_owner").format(identifier))
    try:
        prepare_database(Site(settings, state, state.ports()), name)
        with connect_database(settings, "owner", database=name) as connection:
            migrate(connection, settings.node, settings.timezone)
        yield name
    finally:
        with connect_database(settings, "superuser", autocommit=True, database="postgres") as server:
            server.execute(sql.SQL("drop database {} with (force)").format(identifier))


def _import(settings: Settings, database: str, write_registry: Callable[[Path], None]) -> None:
    """Import the registry that `write_registry` writes into a folder."""
    with tempfile.TemporaryDirectory() as folder:
        write_registry(Path(folder))
        with connect_database(settings, "pipeline", database=database) as connection:
            import_registry(connection, Path(folder), "bench")


def write_load_registry(folder: Path, load: Load) -> None:
    """The registry of a load's meters, as CSV files."""
    begin = from_us(load.ts_us(0) - 3_600_000_000).isoformat()
    installations = [
        Installed(meter, f"{load.tag}-{g}", "1.8.0", "json", since=begin, start_value="")
        for g in range(load.gateways)
        for meter in load.all_meters(g)
    ]
    write_registry(folder, installations)


@contextmanager
def _topics(settings: Settings, prefix: str) -> Iterator[None]:
    ours = settings.model_copy(update={"kafka_topic_prefix": prefix})
    prepare_topics(ours)
    try:
        yield
    finally:
        remove_topics(ours)


@contextmanager
def _gateways(settings: Settings, names: list[str], filters: Mapping[str, str]) -> Iterator[list[Credential]]:
    endpoint = mqtt_connection(settings, "admin")
    credentials = add_gateways(endpoint, names, list(filters))
    try:
        yield credentials
    finally:
        remove_gateways(endpoint, names)


@dataclass(slots=True)
class Rig:
    """What a benchmark has of its own. filters: topic filter -> decoder; the stack's bridge does not see them, so
    nothing of a benchmark reaches the stack's data. environment: further settings of the services.
    """

    settings: Settings
    tag: str
    database: str
    filters: Mapping[str, str]
    credentials: list[Credential]
    folder: Path
    environment: dict[str, str]
    services: list[Service]

    @property
    def topic_prefix(self) -> str:
        """Of its Kafka topics."""
        return f"{self.tag}."

    def start(self, kind: str, count: int = 1) -> list[Service]:
        """Start that many services and wait until they are ready. kind: bridge, writer, worker."""
        started = [self._start(kind) for _ in range(count)]
        for service in started:
            await_metric(service, _READY[kind])
        return started

    def _start(self, kind: str) -> Service:
        number = sum(s.name.startswith(kind) for s in self.services) + 1
        name = f"{kind}-{number}"
        port = free_port(self.settings.host)
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")},
            "NENGLIU_STATE_DIR": str(self.settings.state_dir.absolute()),
            "NENGLIU_HOST": self.settings.host,
            "NENGLIU_KAFKA_TOPIC_PREFIX": self.topic_prefix,
            "NENGLIU_DATABASE_URL": database_url(
                self.settings, "worker" if kind == "worker" else "writer", self.database
            ),
            "NENGLIU_BRIDGE_ID": f"{self.tag}-{name}",
            # Nobody comes back by this id: the broker soon keeps nothing more for it.
            "NENGLIU_BRIDGE_SESSION_EXPIRY": "60",
            # Not the topics of live gateways: to them a benchmark's writer would acknowledge what it never stored.
            "NENGLIU_MQTT_NATIVE": "false",
            "NENGLIU_MQTT_FILTERS": json.dumps(dict(self.filters)),
            f"NENGLIU_{kind.upper()}_METRICS_PORT": str(port),
            "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
            **self.environment,
        }
        log = self.folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli.app", _COMMAND[kind]], env=environment, stderr=out
            )
        service = Service(name, process, f"http://{self.settings.host}:{port}/metrics", log)
        self.services.append(service)
        return service


@contextmanager
def bench_rig(
    settings: Settings,
    tag: str,
    gateways: list[str],
    filters: Mapping[str, str],
    write_registry: Callable[[Path], None] | None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Rig]:
    """A rig without services yet; all that it made is removed afterwards.

    write_registry: puts the registry's CSV files into a folder; None for an empty one. Raises DependencyAwayError.
    """
    with ExitStack() as stack:
        database = stack.enter_context(bench_database(settings, tag.replace("-", "_")))
        if write_registry is not None:
            _import(settings, database, write_registry)
        stack.enter_context(_topics(settings, f"{tag}."))
        credentials = stack.enter_context(_gateways(settings, gateways, filters))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nengliu-bench-")))
        rig = Rig(settings, tag, database, filters, credentials, folder, dict(environment or {}), [])
        try:
            yield rig
        finally:
            for service in rig.services:
                end(service)


def free_port(host: str) -> int:
    """A port that is free now."""
    with socket.socket() as s:
        s.bind((host, 0))
        return int(s.getsockname()[1])


def metric(service: Service, name: str) -> float:
    """The sum of a metric over its labels; 0 while the service does not answer."""
    return metrics(service, name)[0]


def metrics(service: Service, *names: str) -> tuple[float, ...]:
    """Several of them, at one time and for the price of one: a look costs the service a few milliseconds."""
    try:
        with urllib.request.urlopen(service.metrics_url, timeout=2) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return (0.0,) * len(names)
    return tuple(
        sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} ")))
        for name in names
    )


def await_metric(service: Service, name: str) -> None:
    """Wait until a metric is at least 1. Raises BenchError where it does not become so, or the service ends."""
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while metric(service, name) < 1:
        check_alive(service)
        if time.monotonic() > deadline:
            raise BenchError(f"{service.name} is not ready after {_READY_TIMEOUT_S:.0f} s:\n{tail(service)}")
        time.sleep(0.1)


def tail(service: Service) -> str:
    """The last lines of its log."""
    return "\n".join(service.log.read_text(errors="replace").splitlines()[-15:])


def check_alive(service: Service) -> None:
    """Raises BenchError where it has ended."""
    if service.process.poll() is not None:
        raise BenchError(f"{service.name} ended with {service.process.returncode}:\n{tail(service)}")


def end(service: Service) -> None:
    """Stop it, by force where it must be."""
    if service.process.poll() is None:
        service.process.send_signal(signal.SIGTERM)
        try:
            service.process.wait(20)
        except subprocess.TimeoutExpired:
            service.process.kill()
            service.process.wait()


def cpu_facts() -> dict[str, Any]:
    """How many cores we may use, and of what model."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return {"count": len(os.sched_getaffinity(0)), "model": next(models, "unknown")}


def machine_facts() -> dict[str, Any]:
    """The machine and how busy it is."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpu": cpu_facts(),
        "memory_mb": pages >> 20,
        "load_average": [round(v, 2) for v in os.getloadavg()],
    }


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """The resident memory of a process now, MB of 2^20 bytes."""
    return round(_status_kb(pid, "VmRSS") / 1024, 1)


def peak_rss_mb(pid: int) -> float:
    """The most resident memory that a process has had, MB of 2^20 bytes."""
    return round(_status_kb(pid, "VmHWM") / 1024, 1)


def _status_kb(pid: int, name: str) -> int:
    """A figure of /proc/PID/status in kB."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{name}:")), 0)
