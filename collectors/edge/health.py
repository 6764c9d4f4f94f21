"""How each meter of a bus answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import structlog

from collectors.edge.config import MeterConfig
from collectors.edge.readings import MeterHealth
from collectors.edge.schedule import DEAD_AFTER

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class MeterState:
    """What a bus knows of a meter. asked_at, clock_at: when it, its clock was asked last, monotonic seconds."""

    bus: str
    config: MeterConfig
    silent_rounds: int = 0
    failures: int = 0
    last_ok: datetime | None = None
    last_error: str | None = None
    clock_offset_s: float | None = None
    asked_at: float = float("-inf")
    clock_at: float = float("-inf")

    @property
    def dead(self) -> bool:
        """It gave no answer for so long that it is asked after all others."""
        return self.silent_rounds >= DEAD_AFTER

    def answered(self, at: datetime, total_error: str | None, other_error: str | None) -> None:
        """It answered something in a round. total_error: why a total was not read; other_error: why another thing was
        not.
        """
        if self.dead:
            log.info(
                "meter_recovered", bus=self.bus, meter=self.config.meter, after_rounds=self.silent_rounds
            )
        self.silent_rounds = 0
        self._count(total_error, at)
        self.last_error = total_error or other_error

    def silent(self, error: str) -> None:
        """It answered nothing in a round."""
        self.silent_rounds += 1
        if self.silent_rounds == DEAD_AFTER:
            log.warning("meter_dead", bus=self.bus, meter=self.config.meter, error=error)
        self._count(error, None)
        self.last_error = error

    def _count(self, error: str | None, at: datetime | None) -> None:
        if error is None:
            self.failures = 0
            self.last_ok = at
            return
        self.failures += 1
        if self.failures == 1:
            log.warning("meter_failed", bus=self.bus, meter=self.config.meter, error=error)

    def health(self) -> MeterHealth:
        """As it is reported."""
        return MeterHealth(
            meter=self.config.meter,
            bus=self.bus,
            last_ok=self.last_ok,
            failures_in_a_row=self.failures,
            last_error=self.last_error,
            clock_offset_s=self.clock_offset_s,
        )
