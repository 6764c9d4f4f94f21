"""Which messages of the broker may be acknowledged, and which one is a redelivery. Pure state, no I/O.

MQTT wants PUBACKs in the order in which the PUBLISHes came (MQTT 5.0, 4.6), and we send one only after
Kafka has the message. A PUBACK belongs to the connection on which its PUBLISH came: after a reconnect the
broker sends everything unacknowledged again, and may use a packet id for another message. So the queue of
PUBACKs is dropped with its connection, while the fate of each message in Kafka is remembered beyond it: a
redelivery (DUP) of a message that Kafka has, or is just getting, is not sent to Kafka again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum


class Fate(Enum):
    """What became of a message on its way into Kafka."""

    PENDING = "pending"
    STORED = "stored"
    FAILED = "failed"


class Entry:
    """A message that was handed to Kafka. `digest` tells whether another PUBLISH is the same message."""

    __slots__ = ("digest", "fate", "size")

    def __init__(self, digest: int, size: int) -> None:
        self.digest = digest
        self.size = size
        self.fate = Fate.PENDING


class InFlight:
    """The messages between the broker and Kafka."""

    def __init__(self) -> None:
        self.generation = 0
        self._queue: deque[tuple[int, Entry]] = deque()
        self._last_of: dict[int, Entry] = {}
        self._pending: set[Entry] = set()
        self.pending_bytes = 0

    def connected(self) -> None:
        """A new connection: what was not acknowledged on the last one never will be, on this one."""
        self.generation += 1
        self._queue.clear()

    def arrived(self, mid: int, dup: bool, digest: int, size: int) -> Entry | None:
        """Take a PUBLISH with QoS 1. Returns a new entry that must go to Kafka; None if it is there or on
        its way.

        `mid` is its packet id, `dup` its DUP flag.
        """
        if dup:
            before = self._last_of.get(mid)
            if before is not None and before.digest == digest and before.fate is not Fate.FAILED:
                self._queue.append((mid, before))
                return None
        entry = self.unacknowledged(digest, size)
        self._last_of[mid] = entry
        self._queue.append((mid, entry))
        return entry

    def unacknowledged(self, digest: int, size: int) -> Entry:
        """Take a PUBLISH with QoS 0: it counts against the bounds, and is never acknowledged."""
        entry = Entry(digest, size)
        self._pending.add(entry)
        self.pending_bytes += size
        return entry

    def settled(self, entries: Iterable[Entry], fate: Fate) -> None:
        """Kafka has these messages, or refused them."""
        for entry in entries:
            if entry.fate is Fate.PENDING:
                self._pending.discard(entry)
                self.pending_bytes -= entry.size
                entry.fate = fate

    def fail_pending(self) -> None:
        """The producer is gone: whatever it had not delivered must go to Kafka again when it comes again."""
        self.settled(list(self._pending), Fate.FAILED)

    def to_acknowledge(self) -> list[int]:
        """Packet ids to acknowledge now, in order: those at the head of the queue that Kafka has."""
        queue, mids = self._queue, []
        while queue and queue[0][1].fate is Fate.STORED:
            mids.append(queue.popleft()[0])
        return mids

    @property
    def pending(self) -> int:
        """Messages that Kafka has not answered for yet."""
        return len(self._pending)

    @property
    def unanswered(self) -> int:
        """PUBLISHes of this connection that are not acknowledged yet."""
        return len(self._queue)
