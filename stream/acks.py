"""Acknowledgements after the commit: from the writer to meter.acks."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from metering.records import AckRecord
from stream.codec import encode_ack
from stream.errors import ProducerFailedError
from stream.metrics import ACKS_PUBLISHED
from stream.producer import Producer

log = structlog.get_logger(__name__)

#: Sequence numbers in one record: far below the largest record.
_CHUNK = 10_000


class AckPublisher:
    """Sends acks without waiting: one that is lost is healed by the outbox, which sends its message again."""

    def __init__(self, producer: Producer, topic: str) -> None:
        self._producer = producer
        self._topic = topic
        self._failed: BaseException | None = None

    def publish(self, acks: Sequence[AckRecord]) -> None:
        """Send the acknowledgements of one commit."""
        for ack in acks:
            for piece in _pieces(ack):
                self._producer.send(self._topic, ack.gateway, encode_ack(piece), self._done)
            ACKS_PUBLISHED.labels("stored").inc(len(ack.stored))
            ACKS_PUBLISHED.labels("rejected").inc(len(ack.rejected))

    def _done(self, error: BaseException | None) -> None:
        if error is not None:
            self._failed = error

    def check(self) -> None:
        """Raise ProducerFailedError if an acknowledgement failed for good or the producer died: make a new
        one.
        """
        if self._failed is not None:
            raise ProducerFailedError(f"acknowledgements cannot be published: {self._failed}")
        if not self._producer.alive:
            raise ProducerFailedError("the producer's thread has ended")


def _pieces(ack: AckRecord) -> list[AckRecord]:
    if len(ack.stored) + len(ack.rejected) <= _CHUNK:
        return [ack]
    stored = [ack.stored[i : i + _CHUNK] for i in range(0, len(ack.stored), _CHUNK)]
    rejected = [ack.rejected[i : i + _CHUNK] for i in range(0, len(ack.rejected), _CHUNK)]
    return [AckRecord(ack.gateway, ack.outbox, stored=s) for s in stored] + [
        AckRecord(ack.gateway, ack.outbox, rejected=r) for r in rejected
    ]
