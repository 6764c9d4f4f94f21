"""The outbox of a simulated gateway, in memory: a message is forgotten only when its durable acknowledgement
came.

Pure: no clock and no connection of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Waiting:
    """A message sent and not acknowledged yet. sent_at: seconds on the caller's monotonic clock."""

    payload: bytes
    readings: int
    sent_at: float


@dataclass(slots=True)
class Outbox:
    """Messages of one outbox; `name` is its id."""

    name: str
    retry_s: float
    resent: int = 0
    stored: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    _waiting: dict[int, Waiting] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, payload: bytes, readings: int, now: float, seq: int) -> None:
        """Keep the message that is being sent now as number `seq`."""
        self._waiting[seq] = Waiting(payload, readings, now)

    def acknowledge(self, stored: Sequence[int], rejected: Sequence[tuple[int, str]]) -> int:
        """Forget messages; numbers not waiting (acknowledged before) are ignored. Returns the readings
        forgotten.
        """
        readings = 0
        for seq in stored:
            if (done := self._waiting.pop(seq, None)) is not None:
                self.stored += 1
                readings += done.readings
        for seq, reason in rejected:
            if (done := self._waiting.pop(seq, None)) is not None:
                self.rejected[reason] = self.rejected.get(reason, 0) + 1
                readings += done.readings
        return readings

    def overdue(self, now: float) -> Iterator[bytes]:
        """Messages unacknowledged for `retry_s`, oldest first; each counts as sent again now."""
        late = []
        for seq, waiting in self._waiting.items():  # in order of sending
            if now - waiting.sent_at < self.retry_s:
                break
            late.append(seq)
        for seq in late:
            waiting = self._waiting.pop(seq)
            waiting.sent_at = now
            self._waiting[seq] = waiting
            self.resent += 1
            yield waiting.payload

    def next_due(self) -> float | None:
        """When the next message would be sent again; None: nothing waits."""
        for waiting in self._waiting.values():
            return waiting.sent_at + self.retry_s
        return None
