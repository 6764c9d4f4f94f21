"""`bench ingest`: readings a second from MQTT publish to committed row, or through a part of that way, against the
limit of the database in the same run.

Pipeline and limit take turns, so that noise of the machine shows in both; medians are given.
"""

from __future__ import annotations

import secrets
import signal
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import psycopg

from deploy.bench.limit import measure
from deploy.bench.parts import Part
from deploy.bench.publish import Publishing, published
from deploy.bench.rig import (
    BenchError,
    Rig,
    Service,
    bench_rig,
    cpu_facts,
    cpu_s,
    require_local_stack,
    write_load_registry,
)
from deploy.bench.taken import Taken, in_database, in_kafka, kafka_content
from deploy.clients import connect_database
from deploy.load.rows import Load
from deploy.settings import Settings
from metering.errors import DependencyAwayError

Connection = psycopg.Connection[tuple[Any, ...]]

#: A writer that is stopped while Kafka is filled keeps its partitions.
_STOPPED_FOR_S = 120
_SHORT_REST_DAYS = 10


@dataclass(frozen=True, slots=True)
class IngestOptions:
    """What to measure.

    window: messages a publisher may have that the broker has not acknowledged; repeat_every: after so many messages
    one comes once more; replay: send each round's messages a second time and measure that too; latency: then send at
    half of the speed that was reached, and measure from publish to durable acknowledgement.
    """

    readings: int = 1_000_000
    per_message: int = 50
    gateways: int = 8
    rounds: int = 3
    window: int = 200
    writers: int = 1
    bridges: int = 1
    part: Part = Part.CHAIN
    repeat_every: int = 0
    replay: bool = False
    latency: bool = False


@dataclass(slots=True)
class Round:
    """One run through what is measured, and one of the limit. wrong: everything found that should not be."""

    seconds: float
    limit_seconds: float
    lost: int
    doubled: int
    durable_s: float = 0.0
    load_cpu_s: float = 0.0
    replay_seconds: float | None = None
    cpu: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def run_ingest(settings: Settings, options: IngestOptions, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure and return the report. Raises BenchError, DependencyAwayError."""
    require_local_stack(settings, "ingest")
    tag = f"bench-{secrets.token_hex(3)}"
    load = _load(options, tag)
    gateways = [f"{tag}-{g}" for g in range(options.gateways)]
    filters = {f"{tag}/{{gateway}}/readings": "native_json"}
    environment = (
        {"NENGLIU_WRITER_SESSION_TIMEOUT": str(_STOPPED_FOR_S)} if options.part is Part.WRITER else {}
    )
    with bench_rig(
        settings, tag, gateways, filters, lambda folder: write_load_registry(folder, load), environment
    ) as rig:
        rig.start("bridge", options.bridges)
        if options.part is not Part.BRIDGE:
            rig.start("writer", options.writers)
        say(f"{load.readings} readings a round, {options.gateways} gateways, {options.per_message} a message")
        bench = _Bench(rig, options)
        bench.warm_up(load)
        rounds = []
        for number in range(1, options.rounds + 1):
            rounds.append(bench.round(_shifted(load, number)))
            say(f"round {number}: {_told(load, rounds[-1])}")
        latency = bench.at_half_speed(load, rounds) if options.latency else None
        for service in rig.services:
            service.measure()
        return _report(options, load, rounds, rig.services, latency)


def _load(options: IngestOptions, tag: str) -> Load:
    messages = max(1, options.readings // (options.gateways * options.per_message))
    cycle = max(1, 50 // options.per_message)
    return Load(tag, options.gateways, messages, options.per_message, 0, cycle, options.repeat_every)


def _shifted(load: Load, number: int) -> Load:
    """The same load at a time of its own."""
    shift = number * (load.days + _SHORT_REST_DAYS)
    return replace(load, tag=f"{load.tag}-{number}", shift_days=shift)


def _told(load: Load, one: Round) -> str:
    again = f", again {load.readings / one.replay_seconds:,.0f}/s" if one.replay_seconds else ""
    return f"{load.readings / one.seconds:,.0f} readings/s{again}, limit {load.readings / one.limit_seconds:,.0f}/s"


# ---------------------------------------------------------------- measuring


@dataclass(slots=True)
class _Bench:
    rig: Rig
    options: IngestOptions

    def warm_up(self, load: Load) -> None:
        """A small run before the clock counts: connections, caches, the series of all meters."""
        self._through(replace(load, tag=f"{load.tag}-0", messages=min(load.cycle * 20, load.messages)))

    def round(self, load: Load) -> Round:
        """One load through what is measured, checked, and through the limit."""
        before = {s.name: cpu_s(s.process.pid) for s in self.rig.services}
        one = self._through(load)
        one.cpu = {s.name: round(cpu_s(s.process.pid) - before[s.name], 2) for s in self.rig.services}
        if self.options.replay:
            one.replay_seconds = self._replayed(load, one)
        with self._database() as connection:
            one.limit_seconds = measure(connection, load)
        return one

    def _through(self, load: Load) -> Round:
        return {
            Part.CHAIN: self._chain,
            Part.BRIDGE: self._bridge,
            Part.WRITER: self._writer,
        }[self.options.part](load)

    def _publishing(self, load: Load, rate: float = 0.0, durable: bool = True) -> Publishing:
        return Publishing(load, self.options.window, rate, durable)

    @contextmanager
    def _database(self) -> Iterator[Connection]:
        settings, database = self.rig.settings, self.rig.database
        with connect_database(settings, "owner", autocommit=True, database=database) as connection:
            yield connection

    def _chain(self, load: Load) -> Round:
        with self._database() as connection:
            taken = in_database(connection, load)
            report, finished = published(self.rig, self._publishing(load), taken)
            one = Round(finished - report["started"], 0, 0, 0)
            one.durable_s, one.load_cpu_s = report["durable"] - report["started"], report["cpu_s"]
            _check(connection, load, one, taken)
        return one

    def _bridge(self, load: Load) -> Round:
        """Until Kafka has acknowledged the last record."""
        report, finished = published(
            self.rig, self._publishing(load, durable=False), in_kafka(self.rig, load)
        )
        one = Round(finished - report["started"], 0, 0, 0, load_cpu_s=report["cpu_s"])
        seen, distinct = kafka_content(self.rig, load)
        one.lost, one.doubled = load.readings - distinct, seen - distinct - load.repeated
        return one

    def _writer(self, load: Load) -> Round:
        """Kafka is filled while the writers are stopped; counted from their going on."""
        writers = [s for s in self.rig.services if s.name.startswith("writer")]
        with self._database() as connection:
            taken = in_database(connection, load)
            for writer in writers:
                writer.process.send_signal(signal.SIGSTOP)
            try:
                published(self.rig, self._publishing(load, durable=False), in_kafka(self.rig, load))
            finally:
                for writer in writers:
                    writer.process.send_signal(signal.SIGCONT)
            started = taken.clock()
            finished = taken.wait(self.rig.services)
            one = Round(finished - started, 0, 0, 0)
            _check(connection, load, one, taken)
        return one

    def _replayed(self, load: Load, one: Round) -> float:
        """Seconds for all of it once more; nothing of it may be stored."""
        with self._database() as connection:
            taken = in_database(connection, load)
            report, finished = published(self.rig, self._publishing(load), taken)
            stored = taken.stored()
        if stored:
            one.wrong.append(f"{stored} readings that were there already were stored")
        return finished - float(report["started"])

    def at_half_speed(self, load: Load, rounds: list[Round]) -> dict[str, Any]:
        """Seconds from publish to durable acknowledgement, which comes after the commit, at half of the full speed."""
        rate = load.readings / statistics.median(r.seconds for r in rounds) / 2
        shifted = replace(_shifted(load, len(rounds) + 1), repeat_every=0)
        with self._database() as connection:
            taken = in_database(connection, shifted)
            report, _ = published(self.rig, self._publishing(shifted, rate / load.per_message), taken)
        if report["durable_messages"] != shifted.gateways * shifted.messages:
            raise BenchError("not every message was acknowledged for good")
        return {"readings_per_s": round(rate), "publish_to_durable_ack_s": report["latency_s"]}


def _check(connection: Connection, load: Load, one: Round, taken: Taken) -> None:
    """What the database has of a load, and what the ledger says of it."""
    rows, distinct = _counted(connection, load)
    one.lost = load.readings - distinct
    one.doubled = rows - distinct + max(0, taken.stored() - load.readings)
    if taken.repeated() != load.repeated:
        one.wrong.append(f"{taken.repeated()} readings are booked as repeated, {load.repeated} were")


def _counted(connection: Connection, load: Load) -> tuple[int, int]:
    """Rows of this load in the database, and how many identities they are."""
    row = connection.execute(
        "select count(*), count(distinct (series_id, ts)) from nengliu.reading"
        " where ts >= to_timestamp(%s) and ts <= to_timestamp(%s)",
        (load.ts_us(0) / 1e6, load.ts_us(load.messages - 1) / 1e6),
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


# ---------------------------------------------------------------- the report


def _report(
    options: IngestOptions,
    load: Load,
    rounds: list[Round],
    services: list[Service],
    latency: dict[str, Any] | None,
) -> dict[str, Any]:
    seconds = statistics.median(r.seconds for r in rounds)
    limit = statistics.median(r.limit_seconds for r in rounds)
    replays = [r.replay_seconds for r in rounds if r.replay_seconds]
    return {
        "part": options.part.value,
        "readings": load.readings,
        "repeated": load.repeated,
        "per_message": options.per_message,
        "gateways": options.gateways,
        "bridges": options.bridges,
        "writers": options.writers if options.part is not Part.BRIDGE else 0,
        "seconds": round(seconds, 3),
        "readings_per_s": round(load.readings / seconds),
        "messages_per_s": round((load.readings + load.repeated) / load.per_message / seconds),
        "limit_readings_per_s": round(load.readings / limit),
        "ratio": round(limit / seconds, 3),
        "replay_readings_per_s": round(load.readings / statistics.median(replays)) if replays else None,
        "lost": sum(r.lost for r in rounds),
        "doubled": sum(r.doubled for r in rounds),
        "wrong": [text for r in rounds for text in r.wrong],
        "latency": latency,
        "durable_ack_s": round(statistics.median(r.durable_s for r in rounds), 3),
        "cpu": cpu_facts(),
        "peak_rss_mb": {s.name: s.peak_rss_mb for s in services},
        "rounds": [asdict(r) for r in rounds],
    }


__all__ = ["BenchError", "DependencyAwayError", "IngestOptions", "Part", "run_ingest"]
