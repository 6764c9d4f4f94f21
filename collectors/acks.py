"""Durable acknowledgements on their way to the gateways: those that wait are combined per outbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Condition

from metering.records import AckRecord

#: Sequence numbers in one MQTT message: about 200 KiB with reasons.
MAX_SEQS = 5_000

#: Sequence numbers that may wait before the source is made to wait too.
MAX_WAITING = 100_000


def is_topic_level(name: str) -> bool:
    """Whether a name can be a level of a topic that is published on (MQTT 5.0, 4.7)."""
    return 0 < len(name) <= 1000 and not set(name) & set("+#/\x00")


@dataclass(slots=True)
class _Waiting:
    stored: list[int] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)


def ack_payload(
    outbox: str | None, stored: list[int], rejected: list[tuple[int, str]], at: datetime
) -> bytes:
    """The message on nl/v1/{gateway}/ack; `at` is the platform's clock."""
    message = {
        "v": 1,
        "outbox": outbox,
        "at": at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "stored": stored,
        "rejected": [{"seq": seq, "reason": reason} for seq, reason in rejected],
    }
    return json.dumps(message, separators=(",", ":")).encode()


class AckDesk:
    """Takes acknowledgements from Kafka's thread and gives them, combined, to the broker's. Bounded."""

    def __init__(self, most_waiting: int = MAX_WAITING) -> None:
        self._most = most_waiting
        self._waiting: dict[tuple[str, str | None], _Waiting] = {}
        self._count = 0
        self._closed = False
        self._changed = Condition()

    def put(self, ack: AckRecord) -> None:
        """Add an acknowledgement; waits while too many are waiting."""
        with self._changed:
            self._changed.wait_for(lambda: self._count < self._most or self._closed)
            waiting = self._waiting.setdefault((ack.gateway, ack.outbox), _Waiting())
            waiting.stored += ack.stored
            waiting.rejected += ack.rejected
            self._count += len(ack.stored) + len(ack.rejected)

    def close(self) -> None:
        """Make nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return self._count

    def take(self, most_messages: int) -> Iterator[tuple[str, str | None, list[int], list[tuple[int, str]]]]:
        """Up to `most_messages` acknowledgements: (gateway, outbox, stored, rejected), oldest outbox first."""
        for _ in range(most_messages):
            with self._changed:
                if not self._waiting:
                    return
                key = next(iter(self._waiting))
                waiting = self._waiting[key]
                stored, waiting.stored = waiting.stored[:MAX_SEQS], waiting.stored[MAX_SEQS:]
                room = MAX_SEQS - len(stored)
                rejected, waiting.rejected = waiting.rejected[:room], waiting.rejected[room:]
                if not waiting.stored and not waiting.rejected:
                    del self._waiting[key]
                self._count -= len(stored) + len(rejected)
                self._changed.notify_all()
            yield *key, stored, rejected
