"""How much of a benchmark's load the platform has taken: rows that are committed, or messages that Kafka has."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from kafka import KafkaConsumer, TopicPartition

from deploy.bench.rig import BenchError, Rig, Service, check_alive, metrics, tail
from deploy.clients import kafka_server
from deploy.load.rows import Load
from stream.codec import decode_readings
from stream.topics import READINGS

_STALL_S = 60.0

#: (messages, the Unix time by which they were taken)
Look = Callable[[], tuple[int, float]]


@dataclass(slots=True)
class Taken:
    """look: how many messages have been taken since this was made, and until when; wanted: how many there will be;
    ledger: readings stored and repeated since then.
    """

    look: Look
    wanted: int
    ledger: Callable[[], tuple[int, int]] = lambda: (0, 0)
    pause_s: float = 0.03
    clock: Callable[[], float] = field(default=time.time)

    def stored(self) -> int:
        """Readings that were stored since this was made."""
        return self.ledger()[0]

    def repeated(self) -> int:
        """Readings that were booked as repeats since this was made."""
        return self.ledger()[1]

    def wait(self, services: Sequence[Service], tell: Callable[[int], None] = lambda _: None) -> float:
        """Unix time when all was taken; `tell` is told how many are, now and then. Raises BenchError at a stall."""
        last, since = -1, time.monotonic()
        while True:
            taken, at = self.look()
            if taken >= self.wanted:
                tell(taken)
                return at
            if taken != last:
                tell(taken)
                last, since = taken, time.monotonic()
            if time.monotonic() - since > _STALL_S:
                logs = "\n".join(tail(s) for s in services)
                missing = self.wanted - taken
                raise BenchError(f"nothing came for {_STALL_S:.0f} s, {missing} messages are missing\n{logs}")
            for s in services:
                check_alive(s)
            time.sleep(self.pause_s)


def in_database(connection: psycopg.Connection[Any], load: Load) -> Taken:
    """By the ledger, which is written with the rows."""
    stored, repeated = _ledger(connection)

    def ledger() -> tuple[int, int]:
        now = _ledger(connection)
        return now[0] - stored, now[1] - repeated

    def look() -> tuple[int, float]:
        return sum(ledger()) // load.per_message, time.time()

    return Taken(look, (load.readings + load.repeated) // load.per_message, ledger)


def _ledger(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    row = connection.execute(
        "select coalesce(sum(stored), 0)::bigint, coalesce(sum(repeated), 0)::bigint from nengliu.ingest_ledger"
    ).fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


def in_kafka(rig: Rig, load: Load) -> Taken:
    """By the bridges' own figures: received, and acknowledged by Kafka."""
    bridges = [s for s in rig.services if s.name.startswith("bridge")]

    names = ("messages_total", "in_flight_messages", "last_success_seconds")

    def figures() -> list[tuple[float, ...]]:
        return [metrics(b, *(f"nengliu_bridge_{name}" for name in names)) for b in bridges]

    before = sum(received for received, _, _ in figures())

    def look() -> tuple[int, float]:
        now = figures()
        taken = sum(received - in_flight for received, in_flight, _ in now) - before
        return int(taken), max(at for _, _, at in now)

    return Taken(look, (load.readings + load.repeated) // load.per_message, pause_s=0.25)


def kafka_content(rig: Rig, load: Load) -> tuple[int, int]:
    """What Kafka has of a load: readings, and how many of different messages."""
    consumer = KafkaConsumer(**kafka_server(rig.settings, "admin").options(), auto_offset_reset="earliest")
    topic = rig.topic_prefix + READINGS
    try:
        partitions = [TopicPartition(topic, p) for p in consumer.partitions_for_topic(topic) or ()]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        seen, messages = 0, set()
        while any(consumer.position(p) < ends[p] for p in partitions):
            for records in consumer.poll(timeout_ms=1000).values():
                for record in records:
                    for m in decode_readings(record.value).messages:
                        if m.outbox == load.tag:
                            seen += m.count
                            messages.add((m.gateway, m.seq))
    finally:
        consumer.close()
    return seen, len(messages) * load.per_message
