"""Instant values that fit the energy of an interval: power, voltages and currents; heat power, flow, temperatures.

They are as the meter shows them: behind transformers, that is on their secondary side. A meter at 200 x shows 1/200 of
the load's power and current (at most about 5 A); voltage is that of the mains, or of the voltage transformer's
secondary (100 V between phases) where the site is metered at 10 kV. ratio x power is the load's.
"""

from __future__ import annotations

import numpy as np

from metering.records import Floats, Ints
from simulators.fleet.days import DayTimes
from simulators.fleet.loads import Instants
from simulators.fleet.meters import ELECTRIC_INSTANTS, HEAT_INSTANTS
from simulators.fleet.noise import keys, normal, smooth, uniform
from simulators.fleet.plan import FleetPlan
from simulators.fleet.tables import meter_ratios
from simulators.fleet.weather import DayWeather

#: Heat of water, GJ for a m3 and K: 4.187 kJ/(kg K) at about 983 kg/m3 (60 °C).
HEAT_OF_WATER_GJ = 4.187 * 983e-6
#: Decimals that each register shows.
_DECIMALS = {
    **{"16.7.0": 4, "32.7.0": 1, "52.7.0": 1, "72.7.0": 1, "31.7.0": 3, "51.7.0": 3, "71.7.0": 3},
    **{"6:8.0.0": 1, "6:9.0.0": 3, "6:10.0.0": 2, "6:11.0.0": 2},
}
_MAINS_V, _TRANSFORMED_V = 220.0, 57.7
_GJ_KWH = 1e6 / 3600


class InstantValues:
    """Instant values of the points of a plan that send them."""

    def __init__(self, plan: FleetPlan) -> None:
        points = plan.points
        seed = plan.options.seed
        self._electric = np.array([i for i, p in enumerate(points) if "16.7.0" in p.instants], np.int64)
        self._heat = np.array([i for i, p in enumerate(points) if "6:9.0.0" in p.instants], np.int64)
        self._electric_keys = keys(seed, "volts", [points[i].point_code for i in self._electric])
        self._heat_keys = keys(seed, "heat meter", [points[i].point_code for i in self._heat])
        pt = {r.ratio: r.pt for r in meter_ratios()}
        ratios = [points[i].face.ratio for i in self._electric]
        self._ratio = np.array([float(r) for r in ratios])
        self._volts = np.array([_MAINS_V if pt[r] == 1 else _TRANSFORMED_V for r in ratios])
        rated = np.array([p.rated_per_hour for p in points])
        self._rated, self._heat_rated = rated[self._electric], rated[self._heat]
        self._hours = plan.options.interval_s / 3600

    def on(self, times: DayTimes, weather: DayWeather, energy: Ints) -> list[Instants]:
        """Of each register that some point sends, its values."""
        found: list[Instants] = []
        if len(self._electric):
            values = self._electricity(times, energy[self._electric] / (1e9 * self._hours))
            found += [
                Instants(r, _DECIMALS[r], self._electric, v)
                for r, v in zip(ELECTRIC_INSTANTS, values, strict=True)
            ]
        if len(self._heat):
            values = self._heating(times, weather, energy[self._heat] / (1e9 * self._hours))
            found += [
                Instants(r, _DECIMALS[r], self._heat, v) for r, v in zip(HEAT_INSTANTS, values, strict=True)
            ]
        return found

    def _electricity(self, times: DayTimes, kw: Floats) -> list[Floats]:
        """Power, three voltages, three currents, each float64[points, n]."""
        own = self._electric_keys
        ends = times.utc_s + times.interval_s
        at = ends // times.interval_s
        drawn = uniform(own, np.arange(7))
        shown = kw * (1 + 0.012 * normal(own, at)) / self._ratio[:, None]
        load = np.minimum(kw / self._rated[:, None], 1)
        drift = smooth(own + np.uint64(1), ends, 4 * 3600) * 0.008
        level = 1.045 + 0.02 * (drawn[:, :1] - 0.5) - 0.025 * load + drift
        skew = 0.16 * (drawn[:, 4:7] - 0.5)
        skew -= skew.mean(axis=1)[:, None]
        wobble = 0.03 * smooth(own + np.uint64(2), ends, 3600)
        factor = np.minimum(0.86 + 0.06 * drawn[:, 3:4] + 0.07 * load, 0.99)
        amps, volts = [], []
        for phase in range(3):
            v = self._volts[:, None] * (level + 0.006 * (drawn[:, phase, None] - 0.5))
            share = (1 + skew[:, phase, None] + (wobble, -wobble, 0.0)[phase]) / 3
            volts.append(v)
            amps.append(shown * 1000 * share / (v * factor))
        return [shown, *volts, *amps]

    def _heating(self, times: DayTimes, weather: DayWeather, gj_h: Floats) -> list[Floats]:
        """Power in kW, flow in m3/h, flow and return temperature in °C: energy = flow x difference x heat of water."""
        own = self._heat_keys
        ends = times.utc_s + times.interval_s
        drawn = uniform(own, np.arange(3))
        load = np.minimum(gj_h / self._heat_rated[:, None], 1)
        wobble = smooth(own, ends, 3600)
        difference = 5 + 4 * drawn[:, :1] + (9 + 6 * drawn[:, 1:2]) * load + 0.3 * wobble
        supply = 44 + 8 * drawn[:, 2:3] + 1.05 * np.clip(12 - weather.felt_c, 0, 30)[None, :] + 0.8 * wobble
        flow = gj_h / (difference * HEAT_OF_WATER_GJ)
        stands = gj_h <= 0
        rest = np.broadcast_to(24 + 0.15 * weather.felt_c, gj_h.shape)
        return [
            gj_h * _GJ_KWH,
            flow,
            np.where(stands, rest, supply),
            np.where(stands, rest - 0.3, supply - difference),
        ]
