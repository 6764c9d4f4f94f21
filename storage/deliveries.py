"""Which messages without seq a session of the broker delivered already. Pure; no I/O.

A bridge that is killed between Kafka's answer and its PUBACK gets those messages again, with DUP; it marks what has no
seq with the broker's packet id, and the writer, that sees all of a gateway's messages in Kafka's order, knows them by
it. See docs/decisions/redelivery.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from metering.records import Delivery

#: Packet ids are 1 to 65,535, given out one after the other.
_IDS = 65_535
#: How far back a message may be that is not acknowledged yet: more than any receive-maximum of ours (2,000).
WINDOW = 4096

_MARK = np.dtype([("mid", "<u2"), ("digest", "<u8")])


@dataclass(slots=True)
class Window:
    """The newest messages of one gateway, session and topic: packet id -> digest. newest: the newest one's packet id;
    None: there is none.
    """

    newest: int | None = None
    digests: dict[int, int] = field(default_factory=dict)

    def take(self, d: Delivery) -> bool:
        """Note a message; whether it is a redelivery of one that was noted before."""
        known = d.dup and self.digests.get(d.mid) == d.digest
        self.digests[d.mid] = d.digest
        if self.newest is None or (d.mid - self.newest) % _IDS < _IDS // 2:
            self.newest = d.mid
        if len(self.digests) > 2 * WINDOW:
            self._prune()
        return known

    def _prune(self) -> None:
        newest = self.newest or 0
        self.digests = {m: d for m, d in self.digests.items() if (newest - m) % _IDS < WINDOW}

    def packed(self) -> bytes:
        """What of it still matters, as the table keeps it."""
        self._prune()
        marks = np.empty(len(self.digests), _MARK)
        marks["mid"] = list(self.digests)
        marks["digest"] = list(self.digests.values())
        return marks.tobytes()


def unpacked(newest: int, marks: bytes) -> Window:
    """A window as the table keeps it."""
    found = np.frombuffer(marks, _MARK)
    return Window(newest, dict(zip(found["mid"].tolist(), found["digest"].tolist(), strict=True)))
