"""A line that meters hang on, simulated: bytes take their time, one talks at a time, answers may be spoilt.

Half-duplex, as RS-485 is: the answer begins when the request is over and the meter has thought, and the next
request waits until the answer is over, whoever asks. Frames are the business of whoever answers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from simulators.meters.trouble import Trouble

#: Takes what has come, gives (an answer, empty if there is none, and what is left of the bytes).
Answerer = Callable[[bytes], tuple[bytes, bytes]]

#: A frame whose next byte is later than this has ended: DL/T 645-2007, 5.2 (500 ms between bytes).
_LONGEST_GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class LineSpeed:
    """baud: None is without limit; bits: of a byte, start, parity and stop bits in it (8E1: 11); delay_s: from
    the end of a request to the begin of the answer.
    """

    baud: int | None = None
    bits: int = 11
    delay_s: float = 0.0

    def wire_s(self, count: int) -> float:
        """What `count` bytes take."""
        return 0.0 if self.baud is None else count * self.bits / self.baud


@dataclass(slots=True)
class HalfDuplexLine:
    """The line. `wire_bytes` and `answers` count what went over it; `first_s` and `last_s` say when its first byte
    came and its last went, by the monotonic clock.
    """

    answer: Answerer
    speed: LineSpeed = field(default_factory=LineSpeed)
    trouble: Trouble | None = None
    wire_bytes: int = 0
    answers: int = 0
    first_s: float | None = None
    last_s: float | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: threading.Event = field(default_factory=threading.Event)

    def stop(self) -> None:
        """End every wait: nothing is answered any more."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped."""
        return self._stopped.is_set()

    def hear(self, kept: bytes, data: bytes, send: Callable[[bytes], None]) -> bytes:
        """Take bytes from a master and send what answers them. kept: what was left of the master's bytes before.
        Gives what is left now.
        """
        with self._lock:
            if self.first_s is None:
                self.first_s = time.monotonic()
            self.wire_bytes += len(data)
            self._stopped.wait(self.speed.wire_s(len(data)))
            kept += data
            while kept and not self.stopped:
                before = len(kept)
                answer, kept = self.answer(kept)
                if answer:
                    self._give(answer, send)
                elif len(kept) == before:
                    break
        return kept

    def _give(self, answer: bytes, send: Callable[[bytes], None]) -> None:
        late_s = 0.0
        if self.trouble is not None:
            answer, late_s = self.trouble.spoil(answer)
        self.wire_bytes += len(answer)
        self._stopped.wait(self.speed.delay_s + late_s + self.speed.wire_s(len(answer)))
        if answer and not self.stopped:
            self.answers += 1
            send(answer)
            self.last_s = time.monotonic()


@dataclass(slots=True)
class Listener:
    """What the line has heard of one master: bytes that are no whole frame yet are forgotten after a gap."""

    line: HalfDuplexLine
    kept: bytes = b""
    heard_s: float = 0.0

    def hear(self, data: bytes, send: Callable[[bytes], None]) -> None:
        """Take bytes that came, and answer them."""
        if time.monotonic() - self.heard_s > _LONGEST_GAP_S:
            self.kept = b""
        self.kept = self.line.hear(self.kept, data, send)
        self.heard_s = time.monotonic()
