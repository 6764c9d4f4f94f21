"""When a bus begins its rounds, and which of its meters come first: decisions without a clock and a line."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol, TypeVar

#: A meter that gave no answer in so many rounds is dead: it is asked once a round, after all others.
DEAD_AFTER = 3

#: A round begins, whatever the wall clock says, when the one before is this many intervals ago.
_LONGEST_WAIT = 1.25


class Schedule:
    """Rounds that begin at whole multiples of the interval on the wall clock (at :00, :15, …), the first at once.

    A round that lasts longer than its interval is followed by the next at once, and what was missed is not made up
    for. A wall clock that jumps moves the next round to the next multiple, and never stops the rounds.
    """

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._due: float | None = None
        self._begun = 0.0

    def begin(self, wall: float, mono: float) -> None:
        """A round begins now. wall: seconds since 1970; mono: seconds of a clock that never jumps."""
        self._due = self._multiple_after(wall)
        self._begun = mono

    def left_s(self, wall: float, mono: float) -> float:
        """Seconds until the next round begins; 0 or less: now."""
        if self._due is None:
            return 0.0
        if self._due - wall > self._interval_s:  # the clock was set back
            self._due = self._multiple_after(wall)
        return min(self._due - wall, self._begun + _LONGEST_WAIT * self._interval_s - mono)

    def _multiple_after(self, wall: float) -> float:
        return (math.floor(wall / self._interval_s) + 1) * self._interval_s


class Asked(Protocol):
    """A meter as the order of a round sees it. silent_rounds: without any answer, in a row; asked_at: monotonic."""

    silent_rounds: int
    asked_at: float


AnyMeter = TypeVar("AnyMeter", bound=Asked)


def order(meters: Sequence[AnyMeter]) -> tuple[list[AnyMeter], list[AnyMeter]]:
    """The meters of a round: those that are asked in any case, in their order, and then the dead, that which was asked
    longest ago first. The dead are asked once each while there is time before the next round, the first of them always:
    so they cost the others at most one time-out, and none of them waits for ever.
    """
    live = [m for m in meters if m.silent_rounds < DEAD_AFTER]
    dead = [m for m in meters if m.silent_rounds >= DEAD_AFTER]
    return live, sorted(dead, key=lambda m: m.asked_at)


class BackOff:
    """How long to wait before a lost line is tried again: 1 s, doubled each time up to 30 s."""

    def __init__(self, first_s: float = 1.0, longest_s: float = 30.0) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self._next_s = first_s

    def next_s(self) -> float:
        """The next wait."""
        now, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        return now

    def reset(self) -> None:
        """The line is there again."""
        self._next_s = self._first_s
