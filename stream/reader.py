"""A plain group consumer of one topic, for what may be lost or repeated without harm (acknowledgements)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from threading import Event

import structlog
from kafka.errors import KafkaError

from metering.records import RejectRecord
from stream.backoff import Backoff
from stream.errors import CodecError
from stream.group_consumer import group_consumer
from stream.poison import poison_reject
from stream.server import KafkaServer

log = structlog.get_logger(__name__)


def read_topic(
    server: KafkaServer,
    topic: str,
    group: str,
    client_id: str,
    take: Callable[[bytes], None],
    refuse: Callable[[RejectRecord], None],
    stop: Event,
) -> None:
    """Hand every record's value to `take` until `stop` is set; offsets are committed to Kafka now and then.

    Kafka away: waited for. A value that `take` cannot decode (CodecError) is counted and goes to `refuse`.
    """
    backoff = Backoff()
    while not stop.is_set():
        try:
            _session(server, topic, group, client_id, take, refuse, stop, backoff)
        except (KafkaError, OSError) as e:
            log.warning(
                "kafka_away", topic=topic, error=f"{type(e).__name__}: {e}", failures=backoff.failures
            )
            backoff.wait(stop)


def _session(
    server: KafkaServer,
    topic: str,
    group: str,
    client_id: str,
    take: Callable[[bytes], None],
    refuse: Callable[[RejectRecord], None],
    stop: Event,
    backoff: Backoff,
) -> None:
    consumer = group_consumer(
        server,
        topic,
        client_id=client_id,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=True,
        auto_commit_interval_ms=1_000,
        session_timeout_ms=10_000,
        heartbeat_interval_ms=2_500,
        fetch_max_wait_ms=250,
    )
    try:
        while not stop.is_set():
            for records in consumer.poll(timeout_ms=500).values():
                backoff.reset()
                for record in records:
                    try:
                        take(record.value or b"")
                    except CodecError as e:
                        refuse(poison_reject(record, e))
    finally:
        with suppress(KafkaError):
            consumer.close(timeout_ms=3_000)
