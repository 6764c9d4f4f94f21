"""Which messages of the outbox go next. Pure: no clock, no file, no connection.

Live messages, put since the connection was made, go at once. The backlog goes beside them, oldest first, at a pace and
with at most half of the window. What is not acknowledged for good in time goes again, later each time; while nothing at
all is acknowledged, only the oldest few do: a platform that is away is not to be flooded when it comes back.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DispatchOptions:
    """window: messages sent and not acknowledged for good; backlog_per_s: pace of the backlog, messages/s; resend_s,
    longest_resend_s: when a message goes again for the first time, and at the latest; probes: how many go again while
    nothing is acknowledged.
    """

    window: int = 200
    backlog_per_s: float = 50.0
    resend_s: float = 10.0
    longest_resend_s: float = 60.0
    probes: int = 10


@dataclass(slots=True)
class _Sent:
    times: int
    due: float
    backlog: bool


class Dispatch:
    """What is on the way, and what may follow. Times are monotonic, in seconds."""

    def __init__(self, options: DispatchOptions, rng: random.Random | None = None) -> None:
        self._options = options
        self._rng = rng or random.Random()
        self._sent: dict[int, _Sent] = {}
        self._backlog = 0
        self._allowance = 0.0
        self._paced_at = 0.0
        self._heard_at = 0.0
        #: The backlog is after backlog_after up to live_from, what is live comes after live_after.
        self.live_from = self.live_after = self.backlog_after = 0

    def connected(self, last_seq: int, now: float) -> None:
        """A connection was made: all there is becomes backlog. What was on the way is waited for anew."""
        self.live_from = self.live_after = last_seq
        self.backlog_after = 0
        self._allowance, self._paced_at, self._heard_at = 1.0, now, now
        for sent in self._sent.values():
            sent.due = now + self._wait(sent.times)

    @property
    def on_the_way(self) -> frozenset[int]:
        """Numbers sent and not acknowledged for good."""
        return frozenset(self._sent)

    def live_room(self) -> int:
        """How many live messages may go now."""
        return max(0, self._options.window - len(self._sent))

    def backlog_room(self, now: float) -> int:
        """How many messages of the backlog may go now."""
        pace, half = self._options.backlog_per_s, max(1, self._options.window // 2)
        self._allowance = min(half, self._allowance + max(0.0, now - self._paced_at) * pace)
        self._paced_at = max(now, self._paced_at)
        return max(0, min(int(self._allowance), half - self._backlog, self.live_room()))

    def again(self, now: float) -> list[int]:
        """Numbers that are due to go again, oldest first."""
        quiet = now - self._heard_at >= self._options.resend_s
        candidates = sorted(self._sent)[: self._options.probes] if quiet else sorted(self._sent)
        return [seq for seq in candidates if self._sent[seq].due <= now]

    def sent(self, seq: int, now: float) -> None:
        """A message went."""
        known = self._sent.get(seq)
        if known is not None:
            known.times += 1
            known.due = now + self._wait(known.times)
            return
        backlog = seq <= self.live_from
        self._sent[seq] = _Sent(1, now + self._wait(1), backlog)
        if backlog:
            self.backlog_after = max(self.backlog_after, seq)
            self._backlog += 1
            self._allowance -= 1
        else:
            self.live_after = max(self.live_after, seq)

    def settled(self, seqs: Iterable[int], now: float) -> None:
        """Messages are acknowledged for good, or are gone."""
        self._heard_at = now
        self.gone(seqs)

    def gone(self, seqs: Iterable[int]) -> None:
        """Messages are no longer in the outbox."""
        for seq in seqs:
            sent = self._sent.pop(seq, None)
            self._backlog -= sent is not None and sent.backlog

    def _wait(self, times: int) -> float:
        """Twice as long each time, and between 0.8 and 1.2 of it, so that many gateways do not come at once."""
        o = self._options
        return float(
            min(o.longest_resend_s, o.resend_s * 2.0 ** min(times - 1, 30)) * self._rng.uniform(0.8, 1.2)
        )
