"""What a campaign's gateway reads, as a rule: what must be in the database follows from how many steps it took.

A step is one message. Most of its readings are good; some are bad on purpose, each for a reason that is known.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

_START = datetime(2014, 3, 1, tzinfo=UTC)
_INTERVAL = timedelta(minutes=15)
#: Every so many steps a message has one reading only.
_SMALL_EVERY = 5
_NOT_A_REGISTER = "199.9.9"

Reading = tuple[str, datetime, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """One gateway of one run. per_message: values of an ordinary message (two registers a meter); interval_s: between
    two steps; steps: how many.
    """

    gateway: str
    number: int
    per_message: int
    steps: int
    interval_s: float

    @property
    def meters(self) -> list[str]:
        """Its meters, known to the registry."""
        return [f"{self.gateway}-m{i:03d}" for i in range(max(1, self.per_message // 2))]

    def readings(self, step: int) -> list[Reading]:
        """What is read at a step, counted from 1: good readings, then bad ones."""
        return [*self.good(step), *(reading for _, reading in self.bad(step))]

    def good(self, step: int) -> list[Reading]:
        """Readings that must be in the database. A cumulative register never falls."""
        if step % 25 == 9:
            return []
        ts = _START + step * _INTERVAL
        meters = self.meters[:1] if step % _SMALL_EVERY == 0 else self.meters
        return [(meter, ts, self._values(step, i)) for i, meter in enumerate(meters)]

    def _values(self, step: int, meter: int) -> dict[str, float]:
        total = 1000 * self.number + 10 * meter + step * 0.25
        if step % _SMALL_EVERY == 0:
            return {"1.8.0": total}
        return {"1.8.0": total, "16.7.0": 1 + (step * 7 + meter * 3) % 40 / 4}

    def bad(self, step: int) -> list[tuple[str, Reading]]:
        """Reject reason and reading. Every 25th message has nothing else."""
        meter, ts = self.meters[0], _START + step * _INTERVAL + timedelta(seconds=7)
        made = {
            3: ("unknown_meter", (f"{self.gateway}-nobody", ts, {"1.8.0": float(step)})),
            5: ("bad_value", (meter, ts, {"1.8.0": -1.0 - step})),
            7: ("timestamp_out_of_range", (meter, datetime(1999, 1, 1, tzinfo=UTC), {"1.8.0": float(step)})),
            9: ("unknown_register", (meter, ts, {_NOT_A_REGISTER: float(step)})),
        }
        return [made[step % 10]] if step % 10 in made else ([made[9]] if step % 25 == 9 else [])

    def stored(self) -> Iterator[tuple[tuple[str, str, int], float]]:
        """(meter, register, seconds since 1970) and value of everything that must be in the database."""
        for step in range(1, self.steps + 1):
            for meter, ts, values in self.good(step):
                for register, value in values.items():
                    yield (meter, register, int(ts.timestamp())), value

    def rejected(self) -> Counter[str]:
        """How many values must be among the dead letters, by reason."""
        steps = range(1, self.steps + 1)
        return Counter(reason for step in steps for reason, _ in self.bad(step))
