"""`bench ingest`: readings a second from MQTT publish to committed row, against the limit of the database
in the same run.

On the servers of the running local stack, but with a database, topics, gateways, a bridge and a writer of
its own, which are all removed afterwards. Pipeline and limit take turns, so that noise of the machine shows
in both; medians are given.
"""

from __future__ import annotations

import json
import os
import secrets
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from deploy.bench.limit import measure
from deploy.bench.rig import (
    BenchError,
    Rig,
    Service,
    bench_rig,
    check_alive,
    cpu_s,
    require_local_stack,
    tail,
    write_load_registry,
)
from deploy.bench.rows import Load
from deploy.clients import connect_database, mqtt_connection
from deploy.settings import Settings
from metering.errors import DependencyAwayError

_ROUND_DAYS = 400
_STALL_S = 60.0


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
    require_local_stack(settings, "ingest")
    tag = f"bench-{secrets.token_hex(3)}"
    load = _load(options, tag)
    gateways = [f"{tag}-{g}" for g in range(options.gateways)]
    filters = {f"{tag}/{{gateway}}/readings": "native_json"}
    with bench_rig(settings, tag, gateways, filters, lambda folder: write_load_registry(folder, load)) as rig:
        rig.start("bridge", options.bridges)
        rig.start("writer", options.writers)
        say(f"{load.readings} readings a round, {options.gateways} gateways, {options.per_message} a message")
        _warm_up(rig, options, load)
        rounds = []
        for number in range(options.rounds):
            one = _round(rig, options, _shifted(load, number + 1))
            rounds.append(one)
            say(
                f"round {number + 1}: {load.readings / one.seconds:,.0f} readings/s, "
                f"limit {load.readings / one.limit_seconds:,.0f}/s"
            )
        for service in rig.services:
            service.measure()
        return _report(options, load, rounds, rig.services)


def _load(options: IngestOptions, tag: str) -> Load:
    messages = max(1, options.readings // (options.gateways * options.per_message))
    return Load(tag, options.gateways, messages, options.per_message)


def _shifted(load: Load, number: int) -> Load:
    return Load(f"{load.tag}-{number}", load.gateways, load.messages, load.per_message, number * _ROUND_DAYS)


# ---------------------------------------------------------------- measuring


def _warm_up(rig: Rig, options: IngestOptions, load: Load) -> None:
    """A small run before the clock counts: connections, caches, the series of all meters."""
    small = Load(f"{load.tag}-0", load.gateways, min(20, load.messages), load.per_message)
    _pipeline(rig, options, small)


def _round(rig: Rig, options: IngestOptions, load: Load) -> Round:
    before = {s.name: cpu_s(s.process.pid) for s in rig.services}
    report, seconds, stored = _pipeline(rig, options, load)
    cpu = {s.name: round(cpu_s(s.process.pid) - before[s.name], 2) for s in rig.services}
    with connect_database(rig.settings, "owner", database=rig.database) as connection:
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


def _pipeline(rig: Rig, options: IngestOptions, load: Load) -> tuple[dict[str, Any], float, int]:
    """Publish the load; (publisher's report, seconds from first publish to last committed row, values
    stored).
    """
    endpoint = mqtt_connection(rig.settings, "bridge")
    task = {
        "host": endpoint.host,
        "port": endpoint.port,
        "gateways": [[c.gateway, c.password] for c in rig.credentials],
        "topic": next(iter(rig.filters)),
        "load": asdict(load),
        "window": options.window,
        "timeout_s": _STALL_S,
    }
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with (
        connect_database(rig.settings, "owner", autocommit=True, database=rig.database) as connection,
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
        finished = _await_stored(connection, already + load.readings, rig.services)
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
            logs = "\n".join(tail(s) for s in services)
            raise BenchError(
                f"nothing was stored for {_STALL_S:.0f} s, {wanted - stored} readings are missing\n{logs}"
            )
        for s in services:
            check_alive(s)
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
