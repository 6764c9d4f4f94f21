"""From readings of cumulative registers to steps: the energy between two neighbouring good readings.

Instants are integer microseconds since 1970-01-01T00:00Z; energy is in the energy item's own unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.registers import Role
from metering.spans import END, HOUR_US

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: A step longer than this many reading intervals is a gap.
GAP_INTERVALS = 1.5
#: From how many steps before a decrease, or an unread end, a mean rate is learnt: a week of hourly readings.
HISTORY_STEPS = 168
#: Consumption may exceed the rated power by this before it is implausible (MOHURD guidelines, from memory).
RATED_MARGIN = 2.0
#: Consumption may exceed the mean rate of the steps before by this before it is implausible.
RATE_MARGIN = 10.0
#: Where no power and no rate are known: the part of the register's range that a step may wrap over.
WRAP_SHARE = 0.1
#: The part of the register's range that a step may wrap over whatever is known.
TOP_SHARE = 0.001


@dataclass(frozen=True, slots=True)
class InstalledRegister:
    """A cumulative register at a metering point from `installed_us` up to, not including, `removed_us`.

    factor: item units per display unit, CT x PT included. interval_s: how often it should be read.
    start_value, end_value: display at installed_us and removed_us where a person entered them.
    rated_per_hour: what the point can take in an hour, in item units.
    """

    role: Role
    factor: float
    digits: int
    decimals: int
    interval_s: float
    installed_us: int
    removed_us: int | None = None
    start_value: float | None = None
    end_value: float | None = None
    rated_per_hour: float | None = None

    @property
    def until_us(self) -> int:
        """removed_us, or END while it is installed."""
        return END if self.removed_us is None else self.removed_us


@dataclass(frozen=True, slots=True)
class RegisterReadings:
    """Good readings of m installed registers: columns of equal length n, in any order, no (register, ts)
    twice.

    register_ix (n,): index of the installed register; ts_us (n,); value (n,): display units, as shown.
    from_first (m,), to_last (m,): no reading of the register's installation comes before, after these.
    """

    register_ix: Ints
    ts_us: Ints
    value: Floats
    from_first: Bools
    to_last: Bools


@dataclass(frozen=True, slots=True)
class Steps:
    """Good steps as columns of equal length, in order of (register, time).

    register_ix; start_us < end_us; energy >= 0 in item units; estimated: a gap, or the unread end of an
    installation.
    """

    register_ix: Ints
    start_us: Ints
    end_us: Ints
    energy: Floats
    estimated: Bools


@dataclass(frozen=True, slots=True)
class _Differences:
    """All neighbouring pairs, decreases not judged yet; change in display units."""

    register_ix: Ints
    start_us: Ints
    end_us: Ints
    change: Floats


def is_rollover(
    wrapped: float,
    hours: float,
    *,
    modulus: float,
    resolution: float,
    rated: float | None,
    rate: float | None,
) -> bool:
    """Whether a decrease is the register passing 10^digits, in display units and hours.

    `wrapped` is the difference once 10^digits (`modulus`) is added. It is believed where it is what the point
    could have consumed in that time: at most twice its rated power (`rated`, per hour); where no rated power
    is known, at most ten times the mean `rate` of the steps before; where that is unknown or zero too, at
    most a tenth of the register's range, which is to say that the register stood near its top. Everything
    else (a reset, a display read wrongly, an unrecorded replacement) is no rollover: such a step carries no
    energy, its time is not covered, and it is left to validation.
    """
    allowance = max(2 * resolution, TOP_SHARE * modulus)
    if rated is not None and rated > 0:
        return wrapped <= RATED_MARGIN * rated * hours + allowance
    if rate is not None and rate > 0:
        return wrapped <= RATE_MARGIN * rate * hours + allowance
    return wrapped <= WRAP_SHARE * modulus


def register_steps(registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int) -> Steps:
    """The good steps of every installed register.

    start_value and end_value bound energy like readings, an end_value once its removal has come; a reading at
    the very moment of a start_value gives way to it. A register removed at or before `now_us` without an
    end_value is carried on from its last reading to its removal at the mean rate of the steps before, estimated.
    """
    found = _differences(registers, readings, now_us)
    change = _with_rollovers(registers, found)
    factor = np.array([r.factor for r in registers], dtype=np.float64)
    interval_us = np.array([r.interval_s * 1e6 for r in registers], dtype=np.float64)
    good = ~np.isnan(change)
    steps = Steps(
        register_ix=found.register_ix[good],
        start_us=found.start_us[good],
        end_us=found.end_us[good],
        energy=change[good] * factor[found.register_ix[good]],
        estimated=(found.end_us - found.start_us)[good]
        > GAP_INTERVALS * interval_us[found.register_ix[good]],
    )
    return _with_unread_ends(registers, readings, found, steps, now_us)


def needs_history(
    registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int
) -> list[int]:
    """Registers whose steps depend on up to HISTORY_STEPS readings before the ones given, and lack them."""
    found = _differences(registers, readings, now_us)
    wanting = set(found.register_ix[found.change < 0].tolist()) | set(_unread(registers, readings, now_us))
    return sorted(ix for ix in wanting if not readings.from_first[ix])


def _differences(
    registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int
) -> _Differences:
    register_ix, ts, value = _bounded(registers, readings, now_us)
    order = np.lexsort((ts, register_ix))
    register_ix, ts, value = register_ix[order], ts[order], value[order]
    first = np.flatnonzero(register_ix[1:] == register_ix[:-1])
    return _Differences(register_ix[first], ts[first], ts[first + 1], value[first + 1] - value[first])


def _bounded(
    registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int
) -> tuple[Ints, Ints, Floats]:
    """Readings inside their installation, with start and end values that have come as if they were readings."""
    installed = np.array([r.installed_us for r in registers], dtype=np.int64)
    until = np.array([r.until_us for r in registers], dtype=np.int64)
    started = np.array([r.start_value is not None for r in registers], dtype=np.bool_)
    ix, ts = readings.register_ix, readings.ts_us
    inside = (ts >= installed[ix]) & (ts < until[ix]) & ~(started[ix] & (ts == installed[ix]))
    more = [
        (n, r.installed_us, r.start_value)
        for n, r in enumerate(registers)
        if r.start_value is not None and readings.from_first[n] and r.until_us > r.installed_us
    ] + [
        (n, r.until_us, r.end_value)
        for n, r in enumerate(registers)
        if r.end_value is not None and readings.to_last[n] and r.installed_us < r.until_us <= now_us
    ]
    return (
        np.concatenate([ix[inside], np.array([m[0] for m in more], dtype=np.int64)]),
        np.concatenate([ts[inside], np.array([m[1] for m in more], dtype=np.int64)]),
        np.concatenate([readings.value[inside], np.array([m[2] for m in more], dtype=np.float64)]),
    )


def _with_rollovers(registers: Sequence[InstalledRegister], found: _Differences) -> Floats:
    """Differences with 10^digits added where it was passed; NaN where a decrease is no rollover."""
    change = found.change.copy()
    for n in np.flatnonzero(found.change < 0).tolist():
        r = registers[int(found.register_ix[n])]
        modulus = 10.0**r.digits
        wrapped = float(found.change[n]) + modulus
        believed = wrapped >= 0 and is_rollover(
            wrapped,
            float(found.end_us[n] - found.start_us[n]) / HOUR_US,
            modulus=modulus,
            resolution=10.0**-r.decimals,
            rated=None if r.rated_per_hour is None else r.rated_per_hour / r.factor,
            rate=_mean_rate(found, int(found.register_ix[n]), n),
        )
        change[n] = wrapped if believed else np.nan
    return change


def _mean_rate(found: _Differences, register_ix: int, before: int) -> float | None:
    """Display units per hour over the rising steps among the register's HISTORY_STEPS before `before`."""
    begin = int(np.searchsorted(found.register_ix, register_ix, "left"))
    window = slice(max(begin, before - HISTORY_STEPS), before)
    rising = found.change[window] >= 0
    hours = float((found.end_us[window] - found.start_us[window])[rising].sum()) / HOUR_US
    return float(found.change[window][rising].sum()) / hours if hours else None


def _unread(registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int) -> list[int]:
    """Registers that were removed without an end_value, where the readings reach that far."""
    return [
        n
        for n, r in enumerate(registers)
        if r.end_value is None
        and readings.to_last[n]
        and r.removed_us is not None
        and r.installed_us < r.removed_us <= now_us
    ]


def _with_unread_ends(
    registers: Sequence[InstalledRegister],
    readings: RegisterReadings,
    found: _Differences,
    steps: Steps,
    now_us: int,
) -> Steps:
    """The steps, and for each register removed without an end_value one more, up to its removal."""
    ends: list[tuple[int, int, int, float]] = []
    for ix in _unread(registers, readings, now_us):
        after = int(np.searchsorted(found.register_ix, ix, "right"))
        rate = _mean_rate(found, ix, after)
        if rate is not None:
            last, until = int(found.end_us[after - 1]), registers[ix].until_us
            ends.append((ix, last, until, rate * registers[ix].factor * (until - last) / HOUR_US))
    if not ends:
        return steps
    joined = Steps(
        register_ix=np.concatenate([steps.register_ix, np.array([e[0] for e in ends], dtype=np.int64)]),
        start_us=np.concatenate([steps.start_us, np.array([e[1] for e in ends], dtype=np.int64)]),
        end_us=np.concatenate([steps.end_us, np.array([e[2] for e in ends], dtype=np.int64)]),
        energy=np.concatenate([steps.energy, np.array([e[3] for e in ends], dtype=np.float64)]),
        estimated=np.concatenate([steps.estimated, np.ones(len(ends), dtype=np.bool_)]),
    )
    order = np.lexsort((joined.start_us, joined.register_ix))
    return Steps(*(getattr(joined, name)[order] for name in Steps.__slots__))


def whole_installation(registers: Sequence[InstalledRegister]) -> tuple[Bools, Bools]:
    """from_first and to_last of readings that are all there are."""
    every = np.ones(len(registers), dtype=np.bool_)
    return every, every.copy()
