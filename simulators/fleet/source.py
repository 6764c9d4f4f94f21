"""A fleet as the source of a run: its days, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np

from metering.calendar import local_calendar
from metering.records import Ints
from simulators.consumption import UNITS_PER_KWH
from simulators.fleet.loads import Loads
from simulators.fleet.plan import FleetPlan
from simulators.scenario.draw import RunWindow
from simulators.scenario.points import MeteredPoint
from simulators.stretch import Instant, Instants, Stretch, joined

_POWER = frozenset({"16.7.0", "31.7.0", "51.7.0", "71.7.0"})
_PHASE = {"31.7.0": 1, "32.7.0": 1, "51.7.0": 2, "52.7.0": 2, "71.7.0": 3, "72.7.0": 3}

_SAMPLED_DAYS = 7


class FleetSource:
    """See simulators.stretch.Source. The reading at the very start is part of the first day."""

    def __init__(self, plan: FleetPlan, loads: Loads) -> None:
        self.plan = plan
        self._loads = loads
        options = plan.options
        local_calendar(options.timezone)  # refuses zones whose days do not begin on whole hours
        days = [options.start + timedelta(days=n) for n in range(options.days + 1)]
        self._starts = [start_of_day_us(d, options.timezone) for d in days]
        self._days = days[:-1]
        interval_us = options.interval_s * 1_000_000
        self.window = RunWindow(self._starts[0], self._starts[-1], interval_us, options.timezone)
        self.begun: Ints = np.zeros(len(plan.points), np.int64)
        self.points: Sequence[MeteredPoint] = metered_points(plan, loads)

    def stretches(self) -> Iterator[Stretch]:
        """See simulators.stretch.Source."""
        for n, day in enumerate(self._days):
            step = self.window.interval_us
            ts_us = np.arange(self._starts[n], self._starts[n + 1], step, dtype=np.int64) + step
            stretch = Stretch(day, ts_us, self._loads.energy(day), None, partial(self._instants, day))
            yield _with_start(stretch, self.window.from_us) if n == 0 else stretch

    def _instants(self, day: date, energy: Ints) -> Instants:
        instants: dict[int, list[Instant]] = {}
        for found in self._loads.instants(day, energy):
            power, phase = found.register in _POWER, _PHASE.get(found.register, 0)
            for p, values in zip(found.points.tolist(), found.values, strict=True):
                instant = Instant(found.register, values, found.decimals, power, phase)
                instants.setdefault(p, []).append(instant)
        return instants


def _with_start(stretch: Stretch, from_us: int) -> Stretch:
    """With the readings at the begin of the run before it; instant values are those of the first interval."""
    ts_us = np.concatenate([np.array([from_us], np.int64), stretch.ts_us])
    energy = np.hstack([np.zeros((len(stretch.energy), 1), np.int64), stretch.energy])

    def instants(energy: Ints) -> Instants:
        found = stretch.instants(energy[:, 1:])
        return {p: [replace(i, values=joined(i.values[0], i.values)) for i in of] for p, of in found.items()}

    return replace(stretch, ts_us=ts_us, energy=energy, instants=instants)


def metered_points(plan: FleetPlan, loads: Loads) -> list[MeteredPoint]:
    """The points as a scenario knows them; what is typical is the mean of some days of the run."""
    start, days = plan.options.start, plan.options.days
    sample = sorted({start + timedelta(days=n * days // _SAMPLED_DAYS) for n in range(_SAMPLED_DAYS)})
    used = [loads.energy(day).mean(axis=1) for day in sample]
    typical = np.mean(used, axis=0) / UNITS_PER_KWH * 3600 / plan.options.interval_s
    return [
        MeteredPoint(
            p.point_code,
            plan.sites[p.site].site_code,
            p.item_code,
            p.parent,
            plan.sites[p.site].gateway,
            p.meter,
            p.register,
            p.unit,
            p.face,
            p.rated_per_hour,
            float(mean),
        )
        for p, mean in zip(plan.points, typical, strict=True)
    ]


def start_of_day_us(day: date, timezone: str) -> int:
    """The first moment of a local day."""
    return int(datetime.combine(day, time(), ZoneInfo(timezone)).timestamp()) * 1_000_000
