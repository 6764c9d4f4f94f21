"""The edge's clock against the platform's, by the time that acknowledgements carry. Pure."""

from __future__ import annotations

from collections import deque

#: Acknowledgements that an estimate is made of.
WINDOW = 20
#: A wall clock that moved by more than this against the monotonic one was set.
JUMP_S = 1.0


class ClockEstimate:
    """Edge minus platform, in seconds.

    An acknowledgement comes later than it was sent, so each says at most so much; the smallest of the last ones was
    delayed least (the minimum filter of RFC 5905, 10). What was measured before the clock was set counts no more.
    """

    def __init__(self) -> None:
        self._offsets: deque[float] = deque(maxlen=WINDOW)
        self._base: float | None = None

    def heard(self, at_s: float, wall_s: float, monotonic_s: float) -> None:
        """An acknowledgement sent at `at_s` by the platform's clock, come now by the edge's clocks."""
        base = wall_s - monotonic_s
        if self._base is not None and abs(base - self._base) > JUMP_S:
            self._offsets.clear()
        self._base = base
        self._offsets.append(wall_s - at_s)

    def offset_s(self, wall_s: float, monotonic_s: float) -> float | None:
        """The estimate as of now; None while nothing is known. A clock set since is reckoned with."""
        if not self._offsets or self._base is None:
            return None
        return min(self._offsets) + (wall_s - monotonic_s - self._base)
