"""Records put straight into Kafka and what became of them in the database: for tests of the writer as a process."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from deploy.clients import connect_database, kafka_server
from deploy.settings import Settings
from metering.records import MessageHeader, ReadingBatch
from storage.registry import import_registry
from stream import codec
from stream.producer import Producer
from stream.topics import ACKS, READINGS, REJECTS, STATUS

from .test_collectors_bridge import write_registry

GATEWAY, METER, OUTBOX = "gw-delivery", "delivery-1", "o"
_START_US = 1_393_603_200_000_000


def register_meter(settings: Settings, folder: Path) -> None:
    """Make METER known behind GATEWAY."""
    write_registry(folder, GATEWAY, [METER])
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, folder, "test")


def message(seq: int) -> bytes:
    """A record of meter.readings: one message with one reading, whose value is its seq."""
    return codec.encode_readings(
        ReadingBatch(
            messages=(
                MessageHeader(
                    GATEWAY, f"nl/v1/{GATEWAY}/readings", time.time_ns() // 1000, 1, outbox=OUTBOX, seq=seq
                ),
            ),
            meters=(METER,),
            registers=("1.8.0",),
            meter_ix=np.zeros(1, np.int32),
            register_ix=np.zeros(1, np.int32),
            ts_us=np.array([_START_US + seq * 60_000_000]),
            value=np.array([float(seq)]),
            correction=np.zeros(1, np.bool_),
        )
    )


@contextmanager
def producing(settings: Settings) -> Iterator[Producer]:
    """A producer for every topic on the way in."""
    topics = tuple(settings.kafka_topic_prefix + t for t in (READINGS, REJECTS, STATUS, ACKS))
    producer = Producer(kafka_server(settings, "admin"), "test", topics)
    try:
        yield producer
    finally:
        producer.close()


def put(settings: Settings, producer: Producer, topic: str, values: Iterable[bytes]) -> None:
    """Put records of GATEWAY into a topic; returns when Kafka has them."""
    failures: list[BaseException] = []
    for value in values:
        producer.send(
            settings.kafka_topic_prefix + topic,
            GATEWAY,
            value,
            lambda e: failures.append(e) if e else None,
        )
    assert producer.flush(30)
    assert not failures


def put_messages(settings: Settings, producer: Producer, seqs: Iterable[int]) -> None:
    """Put a message of each seq into meter.readings."""
    put(settings, producer, READINGS, map(message, seqs))


def rows(settings: Settings, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """What the owner sees."""
    with connect_database(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(query, arguments)
        return cursor.fetchall()


def stored(settings: Settings) -> list[float]:
    """Values stored of METER, in order."""
    found = rows(
        settings,
        "select value from nengliu.reading join nengliu.series using (series_id) where meter = %s order by value",
        METER,
    )
    return [value for (value,) in found]


def ledger(settings: Settings) -> dict[str, int]:
    """The gateway's ledger, all days together."""
    names = ("received", "stored", "repeated", "conflicting", "rejected")
    columns = ", ".join(f"coalesce(sum({name}), 0)::bigint" for name in names)
    [found] = rows(settings, f"select {columns} from api.ingest_ledger where gateway = %s", GATEWAY)
    return dict(zip(names, found, strict=True))
