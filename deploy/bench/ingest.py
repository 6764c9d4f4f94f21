"""`bench ingest`: readings a second from MQTT publish to committed row, against the limit of the database
in the same run.

On the servers of the running local stack, but with a database, topics, gateways, a bridge and a writer of
its own, which are all removed afterwards. Pipeline and limit take turns, so that noise of the machine shows
in both; medians are given.
"""

from __future__ import annotations

import csv
import json
import os
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from deploy.bench.limit import measure
from deploy.bench.rows import Load
from deploy.clients import connect_database, database_url, mqtt_connection
from deploy.gateways import Credential, add_gateways, remove_gateways
from deploy.kafka_topics import prepare_topics, remove_topics
from deploy.settings import Settings
from deploy.stack.postgres import prepare_database
from deploy.stack.site import Site
from deploy.stack.state import StackState
from metering.errors import DependencyAwayError, NengliuError, SettingError
from storage.migrate import migrate
from storage.registry import import_registry

_ROUND_DAYS = 400
_READY_TIMEOUT_S = 60.0
_STALL_S = 60.0


class BenchError(NengliuError):
    """The benchmark could not be carried out; the message says where it stopped."""


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What to measure. `window`: unacknowledged messages a publisher may have."""

    readings: int = 1_000_000
    per_message: int = 50
    gateways: int = 8
    rounds: int = 3
    window: int = 200
    writers: int = 1
    bridges: int = 1


@dataclass(slots=True)
class Service:
    """A process of ours that is measured."""

    name: str
    process: subprocess.Popen[bytes]
    metrics_url: str
    log: Path
    cpu_s: float = 0.0
    peak_rss_mb: float = 0.0


@dataclass(slots=True)
class Round:
    """One run through the whole chain, and one of the limit."""

    seconds: float
    limit_seconds: float
    lost: int
    doubled: int
    durable_s: float
    load_cpu_s: float
    cpu: dict[str, float] = field(default_factory=dict)


def run_ingest(settings: Settings, options: IngestOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure and return the report. Raises BenchError, DependencyAwayError."""
    if settings.database_url is not None or settings.mqtt_url is not None:
        raise SettingError(
            "bench ingest runs on a local stack: unset NENGLIU_DATABASE_URL and NENGLIU_MQTT_URL"
        )
    tag = f"bench-{secrets.token_hex(3)}"
    load = _load(options, tag)
    with ExitStack() as stack:
        database = stack.enter_context(_database(settings, tag.replace("-", "_"), load))
        stack.enter_context(_topics(settings, f"{tag}."))
        credentials = stack.enter_context(_gateways(settings, tag, options.gateways))
        services = stack.enter_context(_services(settings, options, tag, database))
        say(f"{load.readings} readings a round, {options.gateways} gateways, {options.per_message} a message")
        _warm_up(settings, options, load, credentials, database)
        rounds = []
        for number in range(options.rounds):
            one = _round(settings, options, _shifted(load, number + 1), credentials, database, services)
            rounds.append(one)
            say(
                f"round {number + 1}: {load.readings / one.seconds:,.0f} readings/s, "
                f"limit {load.readings / one.limit_seconds:,.0f}/s"
            )
        _usage(services)
    return _report(options, load, rounds, services)


def _load(options: IngestOptions, tag: str) -> Load:
    messages = max(1, options.readings // (options.gateways * options.per_message))
    return Load(tag, options.gateways, messages, options.per_message)


def _shifted(load: Load, number: int) -> Load:
    return Load(f"{load.tag}-{number}", load.gateways, load.messages, load.per_message, number * _ROUND_DAYS)


# ---------------------------------------------------------------- what it runs in


@contextmanager
def _database(settings: Settings, name: str, load: Load) -> Iterator[str]:
    """A database of its own, migrated, with a registry of the load's meters."""
    identifier = sql.Identifier(name)
    state = StackState.of(settings)
    with connect_database(settings, "superuser", autocommit=True, database="postgres") as server:
        server.execute(sql.SQL("create database {} owner nengliu_owner").format(identifier))
    try:
        prepare_database(Site(settings, state, state.ports()), name)
        with connect_database(settings, "superuser", autocommit=True, database=name) as connection:
            roles = "nengliu_owner, nengliu_pipeline, nengliu_read"
            connection.execute(
                sql.SQL("grant connect, temporary on database {} to " + roles).format(identifier)
            )
        with connect_database(settings, "owner", database=name) as connection:
            migrate(connection, settings.node, settings.timezone)
        with tempfile.TemporaryDirectory() as folder:
            _write_registry(Path(folder), load)
            with connect_database(settings, "pipeline", database=name) as connection:
                import_registry(connection, Path(folder), "bench")
        yield name
    finally:
        with connect_database(settings, "superuser", autocommit=True, database="postgres") as server:
            server.execute(sql.SQL("drop database {} with (force)").format(identifier))


def _write_registry(folder: Path, load: Load) -> None:
    site = ["site_code", "name", "kind", "sector", "building_type", "district_code", "floor_area_m2"]
    point = ["point_code", "site_code", "item_code", "name", "parent_point_code", "rated_per_hour"]
    installation = [
        *("meter", "point_code", "register", "gateway", "protocol", "unit", "digits", "decimals", "ratio"),
        *("installed_at", "removed_at", "start_value", "end_value", "interval_s"),
    ]
    sites, points, installations = [], [], []
    for g in range(load.gateways):
        code = f"{load.tag}-{g}"
        sites.append([code, code, "building", "buildings", "A", "110108", 1000])
        for meter in load.meters(g, 0):
            points.append([meter, code, "01A", meter, "", ""])
            row = [
                meter,
                meter,
                "1.8.0",
                code,
                "json",
                "kWh",
                9,
                2,
                1,
                "2019-12-01T00:00:00+08:00",
                "",
                0,
                "",
                900,
            ]
            installations.append(row)
    for name, header, rows in (
        ("sites.csv", site, sites),
        ("points.csv", point, points),
        ("installations.csv", installation, installations),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as f:
            csv.writer(f).writerows([header, *rows])


@contextmanager
def _topics(settings: Settings, prefix: str) -> Iterator[None]:
    ours = settings.model_copy(update={"kafka_topic_prefix": prefix})
    prepare_topics(ours)
    try:
        yield
    finally:
        remove_topics(ours)


def _filter(tag: str) -> str:
    """Topics of the benchmark's own: the stack's bridge does not see them, so nothing of it reaches the
    stack's data.
    """
    return f"{tag}/{{gateway}}/readings"


@contextmanager
def _gateways(settings: Settings, tag: str, count: int) -> Iterator[list[Credential]]:
    endpoint = mqtt_connection(settings, "admin")
    names = [f"{tag}-{g}" for g in range(count)]
    credentials = add_gateways(endpoint, names, [_filter(tag)])
    try:
        yield credentials
    finally:
        remove_gateways(endpoint, names)


@contextmanager
def _services(settings: Settings, options: IngestOptions, tag: str, database: str) -> Iterator[list[Service]]:
    """Bridges and writers, ready; ended afterwards."""
    services: list[Service] = []
    with tempfile.TemporaryDirectory(prefix="nengliu-bench-") as folder:
        try:
            for name, command, count in (
                ("bridge", "collect", options.bridges),
                ("writer", "write", options.writers),
            ):
                for number in range(count):
                    services.append(
                        _start(settings, tag, database, f"{name}-{number + 1}", command, Path(folder))
                    )
            for s in services:
                _await_ready(s)
            yield services
        finally:
            for s in services:
                _end(s)


def _start(settings: Settings, tag: str, database: str, name: str, command: str, folder: Path) -> Service:
    port = _free_port(settings.host)
    kind = name.split("-")[0]
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")},
        "NENGLIU_STATE_DIR": str(settings.state_dir.absolute()),
        "NENGLIU_HOST": settings.host,
        "NENGLIU_KAFKA_TOPIC_PREFIX": f"{tag}.",
        "NENGLIU_DATABASE_URL": database_url(settings, "writer", database),
        "NENGLIU_BRIDGE_ID": f"{tag}-{name}",
        "NENGLIU_MQTT_FILTERS": json.dumps({_filter(tag): "native_json"}),
        f"NENGLIU_{kind.upper()}_METRICS_PORT": str(port),
        "PYTHONPATH": os.pathsep.join(p for p in sys.path if p),
    }
    log = folder / f"{name}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.cli.app", command], env=environment, stderr=out
        )
    return Service(name, process, f"http://{settings.host}:{port}/metrics", log)


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as s:
        s.bind((host, 0))
        return int(s.getsockname()[1])


def _metric(service: Service, name: str) -> float:
    """The sum of a metric over its labels; 0 while the service does not answer."""
    try:
        with urllib.request.urlopen(service.metrics_url, timeout=2) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return 0.0
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((name + "{", name + " ")))


def _await_ready(service: Service) -> None:
    name = "nengliu_bridge_mqtt_connected" if service.name.startswith("bridge") else "nengliu_stream_ready"
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while _metric(service, name) < 1:
        _check_alive(service)
        if time.monotonic() > deadline:
            raise BenchError(f"{service.name} is not ready after {_READY_TIMEOUT_S:.0f} s:\n{_tail(service)}")
        time.sleep(0.1)


def _tail(service: Service) -> str:
    return "\n".join(service.log.read_text(errors="replace").splitlines()[-15:])


def _check_alive(service: Service) -> None:
    if service.process.poll() is not None:
        raise BenchError(f"{service.name} ended with {service.process.returncode}:\n{_tail(service)}")


def _end(service: Service) -> None:
    if service.process.poll() is None:
        service.process.send_signal(signal.SIGTERM)
        try:
            service.process.wait(20)
        except subprocess.TimeoutExpired:
            service.process.kill()
            service.process.wait()


# ---------------------------------------------------------------- measuring


def _warm_up(
    settings: Settings, options: IngestOptions, load: Load, credentials: list[Credential], database: str
) -> None:
    """A small run before the clock counts: connections, caches, the series of all meters."""
    small = Load(f"{load.tag}-0", load.gateways, min(20, load.messages), load.per_message)
    _pipeline(settings, options, small, credentials, database, [])


def _round(
    settings: Settings,
    options: IngestOptions,
    load: Load,
    credentials: list[Credential],
    database: str,
    services: list[Service],
) -> Round:
    before = {s.name: _cpu_s(s.process.pid) for s in services}
    report, seconds, stored = _pipeline(settings, options, load, credentials, database, services)
    cpu = {s.name: round(_cpu_s(s.process.pid) - before[s.name], 2) for s in services}
    with connect_database(settings, "owner", database=database) as connection:
        rows, distinct = _counted(connection, load)
        limit = measure(connection, load)
    return Round(
        seconds=seconds,
        limit_seconds=limit,
        lost=load.readings - distinct,
        doubled=rows - distinct + max(0, stored - load.readings),
        durable_s=report["durable"] - report["started"],
        load_cpu_s=report["cpu_s"],
        cpu=cpu,
    )


def _pipeline(
    settings: Settings,
    options: IngestOptions,
    load: Load,
    credentials: list[Credential],
    database: str,
    services: list[Service],
) -> tuple[dict[str, Any], float, int]:
    """Publish the load; (publisher's report, seconds from first publish to last committed row, values
    stored).
    """
    endpoint = mqtt_connection(settings, "bridge")
    task = {
        "host": endpoint.host,
        "port": endpoint.port,
        "gateways": [[c.gateway, c.password] for c in credentials],
        "topic": _filter(credentials[0].gateway.rsplit("-", 1)[0]),
        "load": asdict(load),
        "window": options.window,
        "timeout_s": _STALL_S,
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with (
        connect_database(settings, "owner", autocommit=True, database=database) as connection,
        subprocess.Popen(
            [sys.executable, "-m", "deploy.bench.load"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(task) + "\n")
        process.stdin.flush()
        if process.stdout.readline().strip() != "ready":
            raise BenchError("the load process could not connect its publishers")
        already = _stored(connection)
        process.stdin.write("go\n")
        process.stdin.flush()
        finished = _await_stored(connection, already + load.readings, services)
        report = json.loads(process.stdout.readline() or "{}")
        if not report:
            raise BenchError("the load process failed; see above")
        return report, finished - report["started"], _stored(connection) - already


def _stored(connection: psycopg.Connection[Any]) -> int:
    row = connection.execute("select coalesce(sum(stored), 0)::bigint from nengliu.ingest_ledger").fetchone()
    assert row is not None
    return int(row[0])


def _await_stored(connection: psycopg.Connection[Any], wanted: int, services: list[Service]) -> float:
    """Unix time when the ledger, which is written with the rows, reached `wanted`. Raises BenchError at a
    stall.
    """
    last, since = -1, time.monotonic()
    while True:
        stored = _stored(connection)
        if stored >= wanted:
            return time.time()
        if stored != last:
            last, since = stored, time.monotonic()
        if time.monotonic() - since > _STALL_S:
            logs = "\n".join(_tail(s) for s in services)
            raise BenchError(
                f"nothing was stored for {_STALL_S:.0f} s, {wanted - stored} readings are missing\n{logs}"
            )
        for s in services:
            _check_alive(s)
        time.sleep(0.05)


def _counted(connection: psycopg.Connection[Any], load: Load) -> tuple[int, int]:
    """Rows of this load in the database, and how many identities they are."""
    row = connection.execute(
        "select count(*), count(distinct (series_id, ts)) from nengliu.reading"
        " where ts >= to_timestamp(%s) and ts <= to_timestamp(%s)",
        (load.ts_us(0) / 1e6, load.ts_us(load.messages - 1) / 1e6),
    ).fetchone()
    connection.commit()
    assert row is not None
    return int(row[0]), int(row[1])


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _usage(services: list[Service]) -> None:
    for s in services:
        s.cpu_s = _cpu_s(s.process.pid)
        for line in Path(f"/proc/{s.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                s.peak_rss_mb = round(int(line.split()[1]) / 1024, 1)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def _report(
    options: IngestOptions, load: Load, rounds: list[Round], services: list[Service]
) -> dict[str, Any]:
    seconds = statistics.median(r.seconds for r in rounds)
    limit = statistics.median(r.limit_seconds for r in rounds)
    return {
        "readings": load.readings,
        "per_message": options.per_message,
        "gateways": options.gateways,
        "bridges": options.bridges,
        "writers": options.writers,
        "seconds": round(seconds, 3),
        "readings_per_s": round(load.readings / seconds),
        "limit_readings_per_s": round(load.readings / limit),
        "ratio": round(limit / seconds, 3),
        "lost": sum(r.lost for r in rounds),
        "doubled": sum(r.doubled for r in rounds),
        "durable_ack_s": round(statistics.median(r.durable_s for r in rounds), 3),
        "cpu": {"count": len(os.sched_getaffinity(0)), "model": _cpu_model()},
        "peak_rss_mb": {s.name: s.peak_rss_mb for s in services},
        "rounds": [asdict(r) for r in rounds],
    }


__all__ = ["BenchError", "DependencyAwayError", "IngestOptions", "run_ingest"]
