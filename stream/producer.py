"""The idempotent producer: records in order per key, acknowledged by every in-sync replica, retried without
end.

What kafka-python 3.0.12 does, read in its source: with idempotence a retry keeps its sequence number, so
Kafka drops the second copy; one batch a partition is under way at a time, so order holds; a retriable error
(connection, leader, time-out) is retried until `delivery_timeout_ms`; any other error fails the batch and
puts the whole producer into a fatal state. So the delivery time-out is set beyond any absence of Kafka, and
a failure means: make a new producer.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from kafka import KafkaProducer
from kafka.errors import KafkaError

from stream.errors import ProducerFailedError, RecordTooLargeError
from stream.metrics import PRODUCE_FAILED, PRODUCE_SECONDS, PRODUCED
from stream.server import KafkaServer, kafka_away
from stream.topics import MAX_RECORD_BYTES

#: 20 days: longer than Kafka may be away; the largest that the protocol's 32 bits take is 24.8.
DELIVERY_TIMEOUT_MS = 20 * 86_400_000

#: Called on the producer's own thread: None, or why Kafka refused the record.
Done = Callable[[BaseException | None], None]

_ENVELOPE = 4096


class Producer:
    """Sends encoded records. `send` may be called from one thread; `done` is called from the producer's."""

    def __init__(
        self, server: KafkaServer, client_id: str, topics: tuple[str, ...], linger_ms: int = 2
    ) -> None:
        """Connect and learn the topics, so that `send` never waits for them. Raises DependencyAwayError."""
        try:
            self._kafka = KafkaProducer(
                **server.options(),
                client_id=client_id,
                acks="all",
                enable_idempotence=True,
                delivery_timeout_ms=DELIVERY_TIMEOUT_MS,
                request_timeout_ms=10_000,
                reconnect_backoff_max_ms=1_000,
                linger_ms=linger_ms,
                batch_size=512 * 1024,
                max_request_size=MAX_RECORD_BYTES,
                bootstrap_timeout_ms=10_000,
                max_block_ms=10_000,
                metrics_enabled=False,
            )
        except (KafkaError, OSError, ValueError) as e:
            raise kafka_away(server, e) from e
        try:
            for topic in topics:
                self._kafka.partitions_for(topic)
        except KafkaError as e:
            self._kafka.close(timeout=0)
            raise kafka_away(server, e) from e
        self._metrics = {topic: PRODUCED.labels(topic) for topic in topics}

    def send(
        self, topic: str, key: str, value: bytes, done: Done, headers: list[tuple[str, bytes]] | None = None
    ) -> None:
        """Hand a record over. Raises RecordTooLargeError (nothing sent) or ProducerFailedError (make a new
        one).
        """
        if len(key) * 4 + len(value) + _ENVELOPE > MAX_RECORD_BYTES:
            raise RecordTooLargeError(f"record of {len(value)} bytes for {topic}")
        counter = self._metrics[topic]
        started = time.monotonic()

        def succeeded(_: Any) -> None:
            counter.inc()
            PRODUCE_SECONDS.observe(time.monotonic() - started)
            done(None)

        def failed(error: BaseException) -> None:
            PRODUCE_FAILED.labels(topic).inc()
            done(error)

        try:
            future = self._kafka.send(topic, value=value, key=key.encode(), headers=headers)
        except KafkaError as e:
            raise ProducerFailedError(f"Kafka's producer refuses records for {topic}: {e}") from e
        future.add_callback(succeeded)
        future.add_errback(failed)

    @property
    def alive(self) -> bool:
        """Whether the producer's thread still runs; without it no record is ever acknowledged."""
        return bool(self._kafka._sender.is_alive())

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything handed over is acknowledged or refused; False if that took too long."""
        try:
            self._kafka.flush(timeout=timeout_s)
        except KafkaError:
            return False
        return True

    def close(self, timeout_s: float = 5.0) -> None:
        """Stop; what is not acknowledged by then fails."""
        try:
            self._kafka.close(timeout=timeout_s)
        except KafkaError:
            self._kafka.close(timeout=0)
