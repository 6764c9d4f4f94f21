"""How much a register can have risen in a time: what tells a plausible step from an implausible one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.readings import InstalledRegister, Raw
from metering.spans import HOUR_US

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: A step is judged as if it took an hour at least: clocks that are put right make steps that are too short.
SHORTEST_H = 1.0
#: Around a step so many readings are looked at, either side: a day of them, within these bounds.
FEWEST_AROUND, MOST_AROUND = 24, 288
#: The usual rate is exceeded by one in ten of the steps around that rise; of so few it is not known.
USUAL_SHARE = 0.9
FEWEST_RATES = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What m installed registers can show; all (m,).

    rated: what the rated power allows in an hour, margin included, in display units, inf where it is not known;
    margin: consumption may exceed the usual rate by this where it is not; shortest_h; resolution: the display's last
    digit; modulus: 10^digits; around: readings looked at either side.
    """

    rated: Floats
    margin: Floats
    shortest_h: Floats
    resolution: Floats
    modulus: Floats
    around: Ints

    @classmethod
    def of(cls, registers: Sequence[InstalledRegister]) -> Limits:
        """The limits of installed registers."""
        return cls(
            rated=_column(
                r.rules.rated_margin * r.rated_per_hour / r.factor if r.rated_per_hour else np.inf
                for r in registers
            ),
            margin=_column(r.rules.rate_margin for r in registers),
            shortest_h=_column(max(SHORTEST_H, r.interval_s / 3600) for r in registers),
            resolution=_column(10.0**-r.decimals for r in registers),
            modulus=_column(10.0**r.digits for r in registers),
            around=np.array([around_of(r) for r in registers], dtype=np.int64),
        )

    def most(self, register_ix: Ints, length_us: Ints, usual: Floats) -> Floats:
        """The most that registers can rise by in length_us: twice what the rated power allows in that time (MOHURD
        guidelines 2008: energy over an interval must not exceed it), where that is unknown ten times the usual rate,
        per hour; and two display steps. inf where nothing is known.
        """
        hours = np.maximum(length_us / HOUR_US, self.shortest_h[register_ix])
        per_hour = self.rated[register_ix]
        per_hour = np.where(np.isinf(per_hour), self.margin[register_ix] * usual, per_hour)
        return per_hour * hours + 2 * self.resolution[register_ix]


def around_of(register: InstalledRegister) -> int:
    """How many readings around a step of the register are looked at, either side."""
    return int(min(MOST_AROUND, max(FEWEST_AROUND, 86_400 // register.interval_s)))


def _column(values: Iterable[float]) -> Floats:
    return np.fromiter(values, dtype=np.float64)


def rising_rates(raw: Raw) -> Floats:
    """Display units per hour of the step from each reading to the next, NaN where it does not rise; shape (n,)."""
    rate = np.full(len(raw.value), np.nan)
    change = np.diff(raw.value)
    rises = np.flatnonzero((raw.register_ix[1:] == raw.register_ix[:-1]) & (change > 0))
    rate[rises] = change[rises] / ((raw.ts_us[rises + 1] - raw.ts_us[rises]) / HOUR_US)
    return rate


def usual_rates(raw: Raw, rates: Floats, limits: Limits, at: Ints) -> Floats:
    """The rate that one in ten of the rising steps around each reading `at` exceeds; inf where few rise. As readings
    came: no verdict on any of them matters.
    """
    if len(at) == 0:
        return np.zeros(0)
    most = int(limits.around[raw.register_ix[at]].max())
    offset = np.arange(-most, most)
    index = at[:, None] + offset
    inside = (index >= 0) & (index < len(raw.value))
    index = np.clip(index, 0, max(len(raw.value) - 1, 0))
    around = limits.around[raw.register_ix[at]][:, None]
    own = inside & (raw.register_ix[index] == raw.register_ix[at][:, None])
    own &= (offset >= -around) & (offset < around)
    found = np.sort(np.where(own, rates[index], np.nan), axis=1)  # NaN last
    known = np.count_nonzero(~np.isnan(found), axis=1)
    rank = np.maximum((known * USUAL_SHARE).astype(np.int64) - 1, 0)
    usual = found[np.arange(len(at)), rank]
    return np.where(known >= FEWEST_RATES, usual, np.inf)
