"""What the edge collector's two sides say to each other: readings into the outbox, health of meters out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from metering.errors import NengliuError


@dataclass(frozen=True, slots=True)
class MeterReading:
    """What a meter's answer said. ts: aware, when the answer came; values: register (OBIS C.D.E) -> display value."""

    meter: str
    ts: datetime
    values: dict[str, float]


class SinkFullError(NengliuError):
    """The sink cannot take readings now; they are kept in memory and offered again."""


class Sink(Protocol):
    """Where readings go."""

    def put(self, readings: Sequence[MeterReading]) -> None:
        """Keep readings durably before returning. Raises SinkFullError: none of them was kept."""

    @property
    def extras_allowed(self) -> bool:
        """False while the disk is nearly full: only totals are to be polled."""


@dataclass(frozen=True, slots=True)
class MeterHealth:
    """How a meter answers. clock_offset_s: the meter's clock minus the edge's; None if unknown."""

    meter: str
    bus: str
    last_ok: datetime | None
    failures_in_a_row: int
    last_error: str | None
    clock_offset_s: float | None
