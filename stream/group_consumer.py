"""Kafka's consumer as every group of ours uses it."""

from __future__ import annotations

from typing import Any

from kafka import KafkaConsumer

from stream.server import KafkaServer

#: While a heartbeat is late, a consumer of kafka-python 3.0 waits for nothing between two looks. Where Kafka is stalled
#: it then turns hundreds of times a second, and each turn leaves something with the request that is not answered:
#: megabytes a second (kafka/consumer/group.py, _poll_once).
LEAST_WAIT_S = 0.05


def group_consumer(server: KafkaServer, *topics: str, **options: Any) -> KafkaConsumer:
    """A consumer with what all of ours have in common, which is patient with a Kafka that does not answer.

    Raises KafkaError and OSError where Kafka is away.
    """
    consumer = KafkaConsumer(
        *topics,
        **server.options(),
        allow_auto_create_topics=False,
        reconnect_backoff_max_ms=1_000,
        bootstrap_timeout_ms=10_000,
        metrics_enabled=False,
        **options,
    )
    coordinator = consumer._coordinator  # no public way
    due = coordinator.time_to_next_poll
    coordinator.time_to_next_poll = lambda: max(LEAST_WAIT_S, due())
    return consumer
