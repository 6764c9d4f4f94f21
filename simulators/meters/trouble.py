"""What goes wrong with answers on a line: noise and broken frames, on demand and by seed.

The same seed and the same answers give the same trouble.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

#: What can be broken: the answer ends early; its checksum is wrong; none comes; it comes too late.
KINDS = ("cut", "checksum", "silent", "late")


@dataclass(frozen=True, slots=True)
class TroubleShares:
    """noise: share of answers with flipped bits or stray bytes; broken: share of each of KINDS, together at most 1;
    late_s: how late a late answer is.
    """

    noise: float = 0.0
    broken: Mapping[str, float] = field(default_factory=dict)
    late_s: float = 3.0


class Trouble:
    """Spoils answers, and counts what it did by kind in `done`."""

    def __init__(self, shares: TroubleShares, seed: int) -> None:
        self.shares = shares
        self.done: Counter[str] = Counter()
        self._random = random.Random(f"trouble {seed}")

    def spoil(self, answer: bytes) -> tuple[bytes, float]:
        """What becomes of an answer: its bytes, empty for none, and by how much it is late, in seconds."""
        late_s = 0.0
        kind = self._kind()
        if kind is not None:
            self.done[kind] += 1
        if kind == "silent":
            return b"", 0.0
        if kind == "cut":
            answer = answer[: self._random.randrange(1, len(answer))]
        elif kind == "checksum":  # all protocols but Modbus TCP: the last byte but one is of the checksum
            answer = answer[:-2] + bytes([answer[-2] ^ self._random.randrange(1, 256)]) + answer[-1:]
        elif kind == "late":
            late_s = self.shares.late_s
        if self._random.random() < self.shares.noise:
            self.done["noise"] += 1
            answer = self._noisy(answer)
        return answer, late_s

    def _kind(self) -> str | None:
        drawn = self._random.random()
        for kind, share in self.shares.broken.items():
            if drawn < share:
                return kind
            drawn -= share
        return None

    def _noisy(self, answer: bytes) -> bytes:
        """One to three bits flipped, or one to four stray bytes before or after."""
        if self._random.random() < 0.5:
            spoilt = bytearray(answer)
            for _ in range(self._random.randint(1, 3)):
                spoilt[self._random.randrange(len(spoilt))] ^= 1 << self._random.randrange(8)
            return bytes(spoilt)
        stray = self._random.randbytes(self._random.randint(1, 4))
        return stray + answer if self._random.random() < 0.5 else answer + stray


def collide(answers: list[bytes]) -> bytes:
    """What a master hears where several meters answer at once: a line that one of them pulls low is low."""
    if not answers:
        return b""
    length = max(map(len, answers))
    padded = [a.ljust(length, b"\xff") for a in answers]
    heard = padded[0]
    for other in padded[1:]:
        heard = bytes(a & b for a, b in zip(heard, other, strict=True))
    return heard
