"""What a simulated meter counts and measures: registers that advance with a load, and values that fit together.

Everything follows from the start value, the load, the seed and the time that has passed. A meter counts in
hundredths of its unit, as its display shows them; tariff registers add up to their total to the last digit.
Quantities are named by their OBIS codes (IEC 62056-61), of heat, water and gas also by what they are.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

Now = Callable[[], datetime]

#: All quantities of a meter at one moment.
Snapshot = Mapping[str, float]

PHASES = ("A", "B", "C")
_FACE = 10**8  # six digits and two decimals, then the register rolls over

#: Tariff of each local hour: 1 sharp, 2 peak, 3 flat, 4 valley. Plausible, of no tariff that is in force.
_TARIFF_OF_HOUR = (4,) * 7 + (3,) * 3 + (2,) * 5 + (3,) * 3 + (1,) * 3 + (2, 3, 4)

_POWER_FACTOR = 0.95
_HEAT_KWH_PER_M3_K = 1.163  # of water
_SUPPLY_C, _RETURN_C = 55.0, 35.0


@dataclass(frozen=True, slots=True)
class Load:
    """A load that swings by a fifth about its mean. mean: kW, or m3/h; period_s and phase: of the swing."""

    mean: float
    period_s: float = 900.0
    phase: float = 0.0
    swing: float = 0.2

    @classmethod
    def drawn(cls, mean: float, chance: random.Random) -> Load:
        """A load with a swing of its own."""
        return cls(mean, chance.uniform(600, 1200), chance.uniform(0, 2 * math.pi))

    def at(self, s: float) -> float:
        """The load after `s` seconds."""
        return self.mean * (1 + self.swing * math.sin(2 * math.pi * s / self.period_s + self.phase))

    def until(self, s: float) -> float:
        """Energy or volume from 0 to `s` seconds: the integral of `at`, in kWh or m3."""
        turn = 2 * math.pi / self.period_s
        swung = (math.cos(self.phase) - math.cos(turn * s + self.phase)) / turn
        return self.mean * (s + self.swing * swung) / 3600


@dataclass(slots=True)
class Counter:
    """Counts up from a start value, in hundredths; never back. load: what it counts, a second one in `Load.until`."""

    start: float
    load: Load
    now: Now
    scale: float = 1.0
    started: datetime = field(init=False)

    def __post_init__(self) -> None:
        self.started = self.now()

    def elapsed_s(self, at: datetime) -> float:
        """Seconds since the start, 0 at least."""
        return max((at - self.started).total_seconds(), 0.0)

    def hundredths(self, at: datetime) -> int:
        """What it has counted at a moment, start value included, without rolling over."""
        counted = self.load.until(self.elapsed_s(at)) * self.scale
        return math.floor(round(self.start * 100) + counted * 100 + 1e-6)


def _shown(hundredths: int) -> float:
    return hundredths % _FACE / 100


@dataclass(frozen=True, slots=True)
class Wiring:
    """How each phase (A, B, C) counts: 1 right, 0 lost, -1 its current transformer is reversed. ct, pt: ratios that
    the meter has set; its values are secondary ones all the same.
    """

    factors: tuple[int, int, int] = (1, 1, 1)
    ct: int = 1
    pt: int = 1

    @property
    def net(self) -> float:
        """The share of the load that the meter counts, below 0 in reverse."""
        return sum(self.factors) / 3


class ElectricityCounts:
    """A three-phase meter: call it for all quantities now."""

    def __init__(
        self, start_kwh: float, load: Load, now: Now, wiring: Wiring | None = None, tariffs: int = 4
    ) -> None:
        self._wiring = wiring or Wiring()
        self._load, self._now = load, now
        counted = Load(abs(self._wiring.net) * load.mean, load.period_s, load.phase, load.swing)
        self._reverse = self._wiring.net < 0
        self._counter = Counter(0.0 if self._reverse else start_kwh, counted, now)
        self._booked_at = self._counter.started
        self._booked = self._counter.hundredths(self._booked_at)
        self._start_kwh = start_kwh
        self._tariffs = _shares(self._booked, tariffs)

    def __call__(self) -> Snapshot:
        """All quantities now."""
        at = max(self._now(), self._booked_at)
        self._book(at)
        running = {f".8.{k}": _shown(v) for k, v in enumerate([self._booked, *self._tariffs])}
        still = round(self._start_kwh * 100) if self._reverse else 0
        standing = {f".8.{k}": _shown(v) for k, v in enumerate([still, *_shares(still, len(self._tariffs))])}
        forward, backward = (standing, running) if self._reverse else (running, standing)
        return {
            **{f"1{k}": v for k, v in forward.items()},
            **{f"2{k}": v for k, v in backward.items()},
            "15.8.0": _shown(self._booked + still),
            **self._instant(self._counter.elapsed_s(at)),
            "0.4.2": self._wiring.ct,
            "0.4.3": self._wiring.pt,
        }

    def _book(self, at: datetime) -> None:
        """Give what was counted since the last time to the tariffs of its hours."""
        while self._booked_at < at:
            hour_end = self._booked_at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            until = min(hour_end, at)
            counted = self._counter.hundredths(until)
            if self._tariffs:
                tariff = min(_TARIFF_OF_HOUR[self._booked_at.hour], len(self._tariffs))
                self._tariffs[tariff - 1] += counted - self._booked
            self._booked, self._booked_at = counted, until

    def _instant(self, s: float) -> dict[str, float]:
        """Power, voltages, currents: 16.7.0 = 36.7.0 + 56.7.0 + 76.7.0, in kW, V, A."""
        phase_kw = self._load.at(s) / 3
        found: dict[str, float] = {"14.7.0": 50.0, "13.7.0": _POWER_FACTOR}
        for n, factor in enumerate(self._wiring.factors):
            volts = 220.0 + 2 * math.sin(s / 60 + n) if factor else 0.0
            found[f"{36 + 20 * n}.7.0"] = kw = round(phase_kw * factor, 4)
            found[f"{32 + 20 * n}.7.0"] = round(volts, 1)
            found[f"{31 + 20 * n}.7.0"] = round(kw * 1000 / (volts * _POWER_FACTOR), 3) if factor else 0.0
        found["16.7.0"] = round(sum(found[f"{36 + 20 * n}.7.0"] for n in range(3)), 4)
        return found


def _shares(hundredths: int, parts: int) -> list[int]:
    """Parts that are whole and add up; the last takes what is left."""
    if not parts:
        return []
    part = hundredths // parts
    return [part] * (parts - 1) + [hundredths - part * (parts - 1)]


class VolumeCounts:
    """A water or gas meter: call it for all quantities now. register: its OBIS code; load: m3/h."""

    def __init__(self, register: str, start_m3: float, load: Load, now: Now) -> None:
        self._register, self._start, self._now = register, start_m3, now
        self._counter = Counter(start_m3, load, now)

    def __call__(self) -> Snapshot:
        """The total, and that of the last settlement day: the start value."""
        at = self._now()
        total = _shown(self._counter.hundredths(at))
        flow = self._counter.load.at(self._counter.elapsed_s(at))
        return {self._register: total, "total": total, "settled": self._start, "flow": round(flow, 4)}


class HeatCounts:
    """A heat or cooling meter: call it for all quantities now. register: its OBIS code; start: in the display's
    unit; load: kW; unit_per_kwh: of the display's unit (0.0036 for GJ).
    """

    def __init__(
        self, register: str, start: float, load: Load, now: Now, unit_per_kwh: float, cooling: bool = False
    ) -> None:
        self._register, self._start, self._now = register, start, now
        self._cooling = cooling
        self._counter = Counter(start, load, now, unit_per_kwh)

    def __call__(self) -> Snapshot:
        """Energies, power, flow, volume, temperatures and hours; power = flow x 1.163 kWh/(m3 K) x difference."""
        at = self._now()
        s = self._counter.elapsed_s(at)
        total = _shown(self._counter.hundredths(at))
        supply, back = (7.0, 12.0) if self._cooling else (_SUPPLY_C, _RETURN_C)
        per_m3 = _HEAT_KWH_PER_M3_K * abs(supply - back)
        return {
            self._register: total,
            "total": total,
            "settled": self._start,
            "power": round(self._counter.load.at(s), 2),
            "flow": round(self._counter.load.at(s) / per_m3, 4),
            "volume": round(self._counter.load.until(s) / per_m3, 2),
            "supply": supply,
            "return": back,
            "hours": s // 3600,
        }


@dataclass(slots=True)
class MeterClock:
    """A meter's own clock, local time, wrong by `offset`."""

    now: Now
    offset: timedelta = timedelta()

    def shows(self) -> datetime:
        """What it shows."""
        return self.now() + self.offset

    def set(self, shown: datetime) -> None:
        """Set it to a local time. shown: in the zone of `now`."""
        self.offset = shown - self.now()
