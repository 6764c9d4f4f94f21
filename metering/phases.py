"""What a meter's own voltages, currents and power say of its energy: a phase that is gone, power that does not fit.

Each is a state of some hours that is seen from those hours alone. Pure and vectorised; see docs/decisions/levels.md.
Hours lie on one grid without holes, NaN where nothing was read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from metering.level_balance import slopes_of

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

_DAY_H = 24


@dataclass(frozen=True, slots=True)
class InstantRule:
    """Parameters. dead_volts, dead_amps: a phase is gone below this share of the highest phase; least_h: for so many
    hours at least; alive_h: a current counts as gone only where it was there in so many hours of the data;
    power_off, power_days: mean power and energy differ by more than this, as a logarithm, for so many days.
    least_factor, most_factor, factor_days: energy by volt-ampere-hours lies outside of these for so many days: no load
    has a power factor over 1, and few one as low for longer than a holiday; one reversed current transformer of three
    leaves a third of it. most_volts, most_times: above them the voltages, or the ratios, are of different sides of
    voltage transformers: nothing is told.
    """

    dead_volts: float = 0.1
    dead_amps: float = 0.02
    least_h: int = 3
    alive_h: int = 12
    power_off: float = 0.1
    power_days: int = 3
    least_factor: float = 0.4
    most_factor: float = 1.08
    factor_days: int = 10
    most_volts: float = 500.0
    most_times: float = 20.0


@dataclass(frozen=True, slots=True)
class LostPhase:
    """Phase 1-3 is gone in hours [from_ix, to_ix) of the grid; lasting: to the last hour that was read. volts, amps:
    what of it. share: of the current that it carried when it was there, NaN where it never was.
    """

    phase: int
    from_ix: int
    to_ix: int
    lasting: bool
    volts: bool
    amps: bool
    share: float


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Energy is `scale` x what mean power, or voltages times currents, say, in hours [from_ix, to_ix); lasting: to the
    last day that could be judged.
    """

    from_ix: int
    to_ix: int
    lasting: bool
    scale: float


def lost_phases(volts: Floats, amps: Floats, rule: InstantRule = InstantRule()) -> list[LostPhase]:
    """Phases that are gone while another is alive; volts, amps: float64[3, hours], means of the hours."""
    no_volts, no_amps = _dead(volts, rule.dead_volts), _dead(amps, rule.dead_amps)
    read: Bools = np.isfinite(np.concatenate([volts, amps])).any(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = amps / np.nansum(np.where(np.isfinite(amps), amps, 0.0), axis=0)
    found: list[LostPhase] = []
    for n in range(3):
        alive = np.isfinite(amps[n]) & ~no_amps[n] & (amps[n] > 0)
        was_there = np.count_nonzero(alive) >= rule.alive_h
        gone = no_volts | no_amps if was_there else no_volts
        share = float(np.median(shares[n][alive])) if alive.any() else float("nan")
        for begin, end, lasting in _runs(gone[n], read, rule.least_h):
            hours = slice(begin, end)
            by = bool(no_volts[n][hours].any()), bool(no_amps[n][hours].any())
            found.append(LostPhase(n + 1, begin, end, lasting, *by, share))
    return sorted(found, key=lambda f: (f.from_ix, f.phase))


def _dead(values: Floats, below: float) -> Bools:
    """bool[3, hours]: known, and nothing beside the highest of the phases."""
    known = np.where(np.isfinite(values), values, 0.0)
    highest = known.max(axis=0)
    return np.asarray(np.isfinite(values) & (highest > 0) & (known < below * highest))


def _runs(gone: Bools, read: Bools, least: int) -> list[tuple[int, int, bool]]:
    """Spans of hours that are gone; hours that were not read neither begin nor end one."""
    told = np.flatnonzero(read)
    state = np.concatenate([[False], gone[told], [False]]).astype(np.int8)
    begins, ends = np.flatnonzero(np.diff(state) == 1), np.flatnonzero(np.diff(state) == -1)
    return [
        (int(told[a]), int(told[b - 1]) + 1, bool(b == len(told)))
        for a, b in zip(begins, ends, strict=True)
        if b - a >= least
    ]


def power_off(energy: Floats, power: Floats, rule: InstantRule = InstantRule()) -> list[PowerOff]:
    """When the energy of the hours float64[hours] is another multiple of their mean power than 1, day after day.

    A load that really changes moves both alike. energy in kWh and power in kW, each by its own register's ratio.
    """
    least, most = np.exp(-rule.power_off), np.exp(rule.power_off)
    return _off(energy, power, (float(least), float(most)), rule.power_days)


def apparent_off(
    energy: Floats, volts: Floats, amps: Floats, rule: InstantRule = InstantRule()
) -> list[PowerOff]:
    """When the energy of the hours float64[hours] is by far less, or more, than voltages times currents
    float64[3, hours] allow, day after day: `scale` is what the power factor would have to be.

    Only where all three phases are read, and a meter shows what is behind its transformers. energy in kWh, currents in
    A, each by its own register's ratio (CT x PT), voltages as shown.
    """
    with np.errstate(invalid="ignore"):
        shown = np.where((volts <= rule.most_volts).all(axis=0), (volts * amps).sum(axis=0), np.nan)
    found = _off(energy, shown / 1000, (rule.least_factor, rule.most_factor), rule.factor_days)
    return [f for f in found if f.scale <= rule.most_times]


def _off(energy: Floats, beside: Floats, bounds: tuple[float, float], least_days: int) -> list[PowerOff]:
    """Days in a row on which the energy of the hours is outside of these multiples of what stands beside it."""
    days = -(-len(energy) // _DAY_H)
    padded = np.full((2, days * _DAY_H), np.nan)
    padded[:, : len(energy)] = energy, beside
    by_day = padded.reshape(2, days, _DAY_H)
    ratio = slopes_of(by_day[0], by_day[1])
    told = np.isfinite(ratio)
    with np.errstate(invalid="ignore"):
        ways = ratio < bounds[0], ratio > bounds[1]
    spans = [
        PowerOff(a * _DAY_H, b * _DAY_H, lasting, float(np.nanmedian(ratio[a:b])))
        for way in ways
        for a, b, lasting in _runs(told & way, told, least_days)
    ]
    end = len(energy)
    return sorted((replace(s, to_ix=min(s.to_ix, end)) for s in spans), key=lambda s: s.from_ix)
