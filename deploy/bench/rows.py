"""The readings of a benchmark as a rule, so that publisher, limit and check agree without passing them
around.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

_FIRST_US = 1_577_836_800_000_000  # 2020-01-01T00:00Z
_INTERVAL_US = 900_000_000


@dataclass(frozen=True, slots=True)
class Load:
    """`messages` of each of `gateways`, each with `per_message` meters at one instant, from step
    `first_step` on.

    `shift_days` moves one round of a benchmark away from another.
    """

    tag: str
    gateways: int
    messages: int
    per_message: int
    shift_days: int = 0

    @property
    def readings(self) -> int:
        """Readings in all."""
        return self.gateways * self.messages * self.per_message

    @property
    def steps(self) -> range:
        """The steps of each gateway; they are its sequence numbers too."""
        return range(self.messages)

    def ts_us(self, step: int) -> int:
        """Time of a step, µs since 1970."""
        return _FIRST_US + self.shift_days * 86_400_000_000 + step * _INTERVAL_US

    def meters(self, gateway: int, step: int) -> list[str]:  # noqa: ARG002
        """Meters that a message reads."""
        return [f"{gateway:04d}{i:08d}" for i in range(self.per_message)]

    def columns(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
        """All readings in the order of their sending, gateways taking turns: (meter number, ts_us, value)."""
        g, m, p = self.gateways, self.messages, self.per_message
        step, gateway, i = np.meshgrid(np.arange(m), np.arange(g), np.arange(p), indexing="ij")
        meter = (gateway * p + i).ravel()
        ts = self.ts_us(0) + step.ravel() * _INTERVAL_US
        return (
            meter.astype(np.int64),
            ts.astype(np.int64),
            (_BASE * gateway + step * 0.25 + i).ravel().astype(np.float64),
        )


_BASE = 1000.0


def value_of(gateway: int, step: int, i: int) -> float:
    """The register of meter `i` of a gateway at a step, kWh."""
    return _BASE * gateway + step * 0.25 + i
