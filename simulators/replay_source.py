"""Real consumption as the source of a run, so that the faults of a scenario can be laid over it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

from metering.calendar import local_calendar
from metering.errors import InputFileError
from metering.records import Ints
from simulators.consumption import UNITS_PER_KWH, Consumption
from simulators.registers import energy_at_readings
from simulators.replay_registry import ReplayMeter
from simulators.scenario.draw import RunWindow
from simulators.scenario.points import MeteredPoint
from simulators.stretch import Stretch

_HOUR_US = 3_600_000_000
#: A branch is rated so much above the largest hour that it ever had.
_RATED_ABOVE_PEAK = 1.25


class ReplaySource:
    """See simulators.stretch.Source: a point a building, read at every full hour that its files have."""

    def __init__(
        self,
        meters: Sequence[ReplayMeter],
        buildings: Sequence[Consumption],
        csv_timezone: str,
        zone: str,
        bounds: tuple[int | None, int | None],
    ) -> None:
        """bounds: of the readings taken, both included, None: all; csv_timezone: of the files' clock."""
        local_calendar(zone)  # refuses zones whose days do not begin on whole hours
        read = [_within(*energy_at_readings(b, csv_timezone), *bounds) for b in buildings]
        if not any(len(ts) for ts, _ in read):
            raise InputFileError(["no hour of the files is within --from and --to"])
        from_us = min(int(ts[0]) for ts, _ in read if len(ts))
        to_us = max(int(ts[-1]) for ts, _ in read if len(ts))
        self.window = RunWindow(from_us, to_us, _HOUR_US, zone)
        hours = (to_us - from_us) // _HOUR_US + 1
        self._energy = np.zeros((len(read), hours), np.int64)
        self._present = np.zeros((len(read), hours), np.bool_)
        self.begun: Ints = np.zeros(len(read), np.int64)
        for p, (ts, total) in enumerate(read):
            at = (ts - from_us) // _HOUR_US
            self._present[p, at] = True
            self.begun[p] = total[0] if len(total) else 0
            self._energy[p, at] = np.diff(total, prepend=self.begun[p])
        self.points: Sequence[MeteredPoint] = [_point(m, b) for m, b in zip(meters, buildings, strict=True)]

    def stretches(self) -> Iterator[Stretch]:
        """See simulators.stretch.Source: local days, the first with the reading that the run begins with."""
        ts_us = self.window.from_us + np.arange(self._energy.shape[1], dtype=np.int64) * _HOUR_US
        zone = ZoneInfo(self.window.zone)
        days = [
            datetime.fromtimestamp((int(us) - 1) // 1_000_000, UTC).astimezone(zone).date() for us in ts_us
        ]
        begins = [i for i in range(len(days)) if i == 0 or days[i] != days[i - 1]]
        for first, end in zip(begins, [*begins[1:], len(days)], strict=True):
            part = slice(first, end)
            yield Stretch(days[first], ts_us[part], self._energy[:, part], self._present[:, part])


def _within(ts: Ints, total: Ints, from_us: int | None, to_us: int | None) -> tuple[Ints, Ints]:
    first = 0 if from_us is None else int(np.searchsorted(ts, from_us, "left"))
    end = len(ts) if to_us is None else int(np.searchsorted(ts, to_us, "right"))
    return ts[first:end], total[first:end]


def _point(meter: ReplayMeter, building: Consumption) -> MeteredPoint:
    return MeteredPoint(
        meter.point_code,
        meter.site_code,
        "01",
        None,
        meter.gateway,
        meter.meter,
        "1.8.0",
        "kWh",
        meter.face,
        float(building.energy.max(initial=0)) / UNITS_PER_KWH * _RATED_ABOVE_PEAK,
        float(building.energy.mean()) / UNITS_PER_KWH if len(building.energy) else 0.0,
    )
