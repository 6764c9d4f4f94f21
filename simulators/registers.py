"""Consumption accumulated into the cumulative register that a meter would show.

Exact: sums are whole numbers, the display truncates as a meter's does, so the register is never more than
one step of its display behind the energy and never drifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pandas as pd

from metering.errors import InputFileError
from metering.records import Floats, Ints
from simulators.consumption import UNITS_PER_KWH, Consumption

_HOUR_US = 3_600_000_000


@dataclass(frozen=True, slots=True)
class RegisterFace:
    """How a register shows: whole digits, decimals, ratio (CT x PT) and the value it started with (display's
    unit).
    """

    digits: int
    decimals: int
    ratio: Decimal
    start_value: Decimal

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= 12 or not 0 <= self.decimals <= 6 or self.digits + self.decimals > 15:
            raise InputFileError(
                [f"digits {self.digits}, decimals {self.decimals}: not a register that can be shown"]
            )
        if self.ratio <= 0:
            raise InputFileError([f"ratio {self.ratio}: must be over 0"])
        steps = self.start_value.scaleb(self.decimals)
        if steps != steps.to_integral_value() or not 0 <= steps < self.capacity_steps:
            raise InputFileError(
                [
                    f"start_value {self.start_value}: does not fit {self.digits} digits, "
                    f"{self.decimals} decimals"
                ]
            )

    @property
    def capacity_steps(self) -> int:
        """Display steps until it rolls over."""
        return int(10 ** (self.digits + self.decimals))

    @property
    def step_kwh(self) -> Decimal:
        """Energy of one step of the display."""
        return self.ratio.scaleb(-self.decimals)

    def show(self, energy: Ints) -> Floats:
        """float64[n]: what shows for cumulative `energy` (int64[n], units of 1e-9 kWh since the start)."""
        step = Fraction(self.step_kwh) * UNITS_PER_KWH
        top = int(energy.max(initial=0))
        if step.denominator == 1:
            steps = energy // step.numerator
        elif top * step.denominator < 2**63:
            steps = energy * step.denominator // step.numerator
        else:
            steps = np.array([int(e) * step.denominator // step.numerator for e in energy], np.int64)
        start = int(self.start_value.scaleb(self.decimals))
        shown: Floats = ((steps + start) % self.capacity_steps) / 10**self.decimals
        return shown


@dataclass(frozen=True, slots=True)
class RegisterSeries:
    """What a meter shows, when: ts_us int64[n] (microseconds since the epoch, strictly ascending), value
    float64[n].
    """

    ts_us: Ints
    value: Floats

    def __len__(self) -> int:
        return len(self.ts_us)

    def between(self, from_us: int | None, to_us: int | None) -> RegisterSeries:
        """The readings from `from_us` up to and including `to_us`; None: no bound."""
        keep = np.ones(len(self.ts_us), np.bool_)
        if from_us is not None:
            keep &= self.ts_us >= from_us
        if to_us is not None:
            keep &= self.ts_us <= to_us
        return RegisterSeries(self.ts_us[keep], self.value[keep])


def wall_to_utc_us(hour: Ints, timezone: str) -> Ints:
    """Hours of a wall clock as microseconds since the epoch, UTC.

    A wall hour that does not exist (clocks go forward) becomes the moment they do; one that exists twice,
    its first.
    """
    naive = pd.DatetimeIndex(hour.astype("datetime64[h]").astype("datetime64[us]"))
    aware = naive.tz_localize(timezone, ambiguous=np.ones(len(naive), np.bool_), nonexistent="shift_forward")
    return aware.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)


def read_register(consumption: Consumption, face: RegisterFace, timezone: str) -> RegisterSeries:
    """The readings of a meter that measured `consumption`: what shows at the times of `energy_at_readings`."""
    ts, energy = energy_at_readings(consumption, timezone)
    return RegisterSeries(ts, face.show(energy))


def energy_at_readings(consumption: Consumption, timezone: str) -> tuple[Ints, Ints]:
    """When a meter is read that measured `consumption`, the CSV's clock being the wall clock of `timezone`, and the
    energy up to there: int64[n] microseconds since the epoch, int64[n] units of 1e-9 kWh.

    One reading at the end of each hour with the register then, and one at the start of every unbroken run of
    hours; hours without a row have no reading, and no energy. Where clocks go forward the row of the hour
    that does not exist is counted in the hour after it; where they go back the row of the hour that exists
    twice is spread over both.
    """
    start = wall_to_utc_us(consumption.hour, timezone)
    end = wall_to_utc_us(consumption.hour + 1, timezone)
    after = np.cumsum(consumption.energy)
    before = after - consumption.energy
    first = np.ones(len(start), np.bool_)
    first[1:] = np.diff(consumption.hour) > 1
    doubled = end - start >= 2 * _HOUR_US
    half = before + consumption.energy // 2
    ts = np.concatenate([start[first], start[doubled] + _HOUR_US, end])
    energy = np.concatenate([before[first], half[doubled], after])
    ts, energy = _first_of_each(ts, energy)
    energy[-1] = after[-1]
    return ts, energy


def _first_of_each(ts: Ints, energy: Ints) -> tuple[Ints, Ints]:
    """Sorted by time; of equal times the smaller energy stays, the rest shows in the next reading."""
    order: npt.NDArray[np.intp] = np.lexsort((energy, ts))
    ts, energy = ts[order], energy[order]
    keep = np.ones(len(ts), np.bool_)
    keep[1:] = np.diff(ts) > 0
    return ts[keep], energy[keep]
