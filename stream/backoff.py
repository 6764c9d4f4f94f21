"""Waiting longer after each failure, while a stop request still ends the wait at once (stamina's sleep
would not).
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from threading import Event


def delays(
    initial_s: float = 0.2, factor: float = 2.0, most_s: float = 5.0, jitter: float = 0.2
) -> Iterator[float]:
    """Seconds to wait before each next attempt: growing to `most_s`, each moved by up to `jitter` of
    itself.
    """
    delay = initial_s
    while True:
        yield delay * (1 + random.uniform(-jitter, jitter))
        delay = min(delay * factor, most_s)


class Backoff:
    """The waits of one kind of attempt; `reset` after a success."""

    def __init__(self, initial_s: float = 0.2, most_s: float = 5.0) -> None:
        self._args = (initial_s, most_s)
        self.failures = 0
        self.reset()

    def reset(self) -> None:
        """The attempt succeeded: the next failure waits briefly again."""
        self.failures = 0
        self._delays = delays(initial_s=self._args[0], most_s=self._args[1])

    def next_delay(self) -> float:
        """Seconds to wait now."""
        self.failures += 1
        return next(self._delays)

    def wait(self, stop: Event) -> bool:
        """Wait; True if a stop was asked for meanwhile."""
        return stop.wait(self.next_delay())
