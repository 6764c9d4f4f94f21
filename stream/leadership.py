"""Which one of several processes does what only one may do: the holder of a topic's first partition in a group.

Kafka gives each partition to one member of a group, and another one when that is not heard for the session time-out.
For that time two may believe that they hold it, so what is done must bear that.
"""

from __future__ import annotations

import time
from contextlib import suppress
from threading import Event

import structlog
from kafka.errors import KafkaError

from stream.backoff import Backoff
from stream.group_consumer import group_consumer
from stream.server import KafkaServer

log = structlog.get_logger(__name__)

SESSION_S = 10.0
#: After how long without a look at Kafka nobody is sure any more.
_FRESH_S = 5.0


class Leadership:
    """A member of the group. `run` has a thread of its own; `held` may be asked by any."""

    def __init__(self, server: KafkaServer, topic: str, group: str, client_id: str) -> None:
        self._server, self._topic, self._group, self._client_id = server, topic, group, client_id
        self._seen_at: float | None = None

    @property
    def held(self) -> bool:
        """Whether this process is the one, as far as it knows."""
        seen = self._seen_at
        return seen is not None and time.monotonic() - seen < _FRESH_S

    def run(self, stop: Event) -> None:
        """Be a candidate until `stop` is set. Kafka away: waited for, and not held meanwhile."""
        backoff = Backoff()
        while not stop.is_set():
            try:
                self._session(stop, backoff)
            except (KafkaError, OSError) as e:
                log.warning("kafka_away", error=f"{type(e).__name__}: {e}", failures=backoff.failures)
                backoff.wait(stop)
            finally:
                self._seen_at = None

    def _session(self, stop: Event, backoff: Backoff) -> None:
        consumer = group_consumer(
            self._server,
            self._topic,
            client_id=self._client_id,
            group_id=self._group,
            auto_offset_reset="latest",
            enable_auto_commit=False,
            session_timeout_ms=int(SESSION_S * 1000),
            heartbeat_interval_ms=2_500,
        )
        try:
            while not stop.is_set():
                consumer.poll(timeout_ms=250)
                assigned = consumer.assignment()
                consumer.pause(*assigned)
                self._seen_at = time.monotonic() if any(tp.partition == 0 for tp in assigned) else None
                if assigned:
                    backoff.reset()
        finally:
            with suppress(KafkaError):
                consumer.close(timeout_ms=3_000)
