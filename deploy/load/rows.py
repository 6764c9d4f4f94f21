"""The readings of a load as a rule, so that publisher, limit and check agree without passing them around."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_BASE = 1000.0


@dataclass(frozen=True, slots=True)
class Load:
    """`messages` of each of `gateways`, each with `per_message` meters at one instant.

    cycle: groups of meters that a gateway's messages take turns over; shift_days moves one round of a benchmark away
    from another; repeat_every: after so many messages one of them comes once more, 0: never; first_us, interval_us:
    time of the first reading and between two of a meter; meter_prefix: what begins the meters' names.
    """

    tag: str
    gateways: int
    messages: int
    per_message: int
    shift_days: int = 0
    cycle: int = 1
    repeat_every: int = 0
    first_us: int = 1_577_836_800_000_000  # 2020-01-01T00:00Z
    interval_us: int = 900_000_000
    meter_prefix: str = ""

    @property
    def readings(self) -> int:
        """Readings in all, repeats not counted."""
        return self.gateways * self.messages * self.per_message

    @property
    def repeated(self) -> int:
        """Readings that come once more."""
        again = self.messages // self.repeat_every if self.repeat_every else 0
        return self.gateways * again * self.per_message

    @property
    def days(self) -> int:
        """How many days its readings cover, rounded up."""
        return -(-self.messages * self.interval_us // (self.cycle * 86_400_000_000)) + 1

    def steps(self) -> Iterator[int]:
        """What each gateway sends, by step; a step is its message's sequence number too."""
        for step in range(self.messages):
            yield step
            if self.repeat_every and (step + 1) % self.repeat_every == 0:
                yield step - self.repeat_every // 2

    def ts_us(self, step: int) -> int:
        """Time of a step, µs since 1970."""
        return self.first_us + self.shift_days * 86_400_000_000 + step // self.cycle * self.interval_us

    def all_meters(self, gateway: int) -> list[str]:
        """The meters of a gateway."""
        return [self._meter(gateway, i) for i in range(self.per_message * self.cycle)]

    def meters(self, gateway: int, step: int) -> list[str]:
        """Meters that a message reads."""
        first = step % self.cycle * self.per_message
        return [self._meter(gateway, first + i) for i in range(self.per_message)]

    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """All readings in the order of their sending, gateways taking turns: (meter number, ts_us, value)."""
        g, m, p = self.gateways, self.messages, self.per_message
        step, gateway, i = np.meshgrid(np.arange(m), np.arange(g), np.arange(p), indexing="ij")
        meter = (gateway * self.cycle + step % self.cycle) * p + i
        ts = self.ts_us(0) + step // self.cycle * self.interval_us
        return (
            meter.ravel().astype(np.int64),
            ts.ravel().astype(np.int64),
            (_BASE * gateway + step * 0.25 + i).ravel().astype(np.float64),
        )

    def _meter(self, gateway: int, i: int) -> str:
        return f"{self.meter_prefix}{gateway:04d}{i:08d}"


def value_of(gateway: int, step: int, i: int) -> float:
    """The register of meter `i` of a message of a gateway, at a step, kWh."""
    return _BASE * gateway + step * 0.25 + i
