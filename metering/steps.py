"""From readings of cumulative registers to steps: the energy between two neighbouring good readings.

Which readings are good is judged here too (validation). Instants are integer microseconds since
1970-01-01T00:00Z; energy is in the energy item's own unit. See docs/decisions/validation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.dependencies import ON_READINGS, ON_VERDICTS, Dependencies
from metering.doubts import (
    Doubts,
    StepFinding,
    excluded_doubts,
    excluded_findings,
    run_findings,
    step_findings,
)
from metering.limits import Limits, rising_rates, usual_rates
from metering.outliers import falls, taken_back
from metering.readings import ACCEPTED, REFUSED, InstalledRegister, Raw, RegisterReadings
from metering.stuck import DAY_US, UNSURE, StillRuns, still_runs

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: A step longer than this many reading intervals is a gap.
GAP_INTERVALS = 1.5
#: Where no power and no rate are known: the part of the register's range that a step may wrap over.
WRAP_SHARE = 0.1
#: The part of the register's range that a step may wrap over whatever is known.
TOP_SHARE = 0.001
#: Where no rated power is known, a rise is looked at only where it is more than this part of the register's range: an
#: hour of full load, as a register holds 1,500 of them at least (IEC 62053 and ISO 4064, from memory).
RISE_SHARE = 1 / 1500
#: Where more than this part of the steps around exceeds what the rated power allows, the rated power is wrong.
CROWD_SHARE = 0.25
#: No register catches up by more than it can rise by in so many days.
CATCH_UP_DAYS = 28
#: No step spans more doubtful readings than this many times Limits.around: nothing would tell which are good.
MOST_SPANNED = 2
#: A verdict hangs on readings within this many times Limits.around of its spot, and changes no step beyond them.
REACH = 4


@dataclass(frozen=True, slots=True)
class Steps:
    """Good steps as columns of equal length, in order of (register, time).

    register_ix; start_us < end_us; energy >= 0 in item units; estimated: a gap.
    """

    register_ix: Ints
    start_us: Ints
    end_us: Ints
    energy: Floats
    estimated: Bools


@dataclass(frozen=True, slots=True)
class Judged:
    """Good steps, the readings that are doubtful, what a person should know, and what that hangs on.

    unbound: steps between good readings that carry no energy, as steps of none; still: runs of readings without a rise,
    by readings of `raw`.
    """

    steps: Steps
    unbound: Steps
    doubts: Doubts
    findings: list[StepFinding]
    dependencies: Dependencies
    raw: Raw
    still: StillRuns


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Neighbouring good readings; change in display units, NaN where the step carries no energy.

    start_at, end_at: which of the raw readings it starts and ends with.
    """

    register_ix: Ints
    start_us: Ints
    end_us: Ints
    change: Floats
    start_at: Ints
    end_at: Ints


def register_steps(registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int) -> Judged:
    """The good steps of every installed register, and how they were judged.

    start_value and end_value bound energy like readings, an end_value once its removal has come, and are judged like
    them; a reading at the very moment of a start_value gives way to it. Readings that others take back, that stand
    still where the load never does, that are beyond the register's range or that a person refused are left out: one
    step spans them. A step that falls and is no rollover, or rises by more than can be, carries no energy.
    """
    limits = Limits.of(registers)
    raw, excluded = _raw(registers, readings, now_us)
    rates = rising_rates(raw)
    doubtful = taken_back(raw, rates, limits)
    still = still_runs(raw, doubtful, limits, registers)
    stuck = still.doubtful(len(raw))
    pairs = _pairs(raw, ~(doubtful | stuck))
    verdict = _judge_steps(raw, rates, limits, pairs, doubtful, _accepted(raw, registers))
    good = ~np.isnan(verdict.change)
    steps = _steps(registers, pairs, good, verdict.change[good])
    unbound = _steps(registers, pairs, ~good, np.zeros(np.count_nonzero(~good)))
    doubts, findings = run_findings(
        raw, doubtful, still, registers, lambda at: usual_rates(raw, rates, limits, at)
    )
    spots = _spots(registers, raw, excluded, verdict.looked_at)
    return Judged(
        steps,
        unbound,
        doubts.joined(excluded_doubts(excluded)),
        findings
        + excluded_findings(raw, excluded)
        + step_findings(raw, pairs.start_at, pairs.end_at, verdict.kind),
        spots.joined(_of_runs(raw, still)),
        raw,
        still,
    )


def _steps(registers: Sequence[InstalledRegister], pairs: _Pairs, chosen: Bools, change: Floats) -> Steps:
    """The chosen pairs as steps; change: of these, in display units."""
    factor = np.array([r.factor for r in registers], dtype=np.float64)
    interval_us = np.array([r.interval_s * 1e6 for r in registers], dtype=np.float64)
    ix, start, end = pairs.register_ix[chosen], pairs.start_us[chosen], pairs.end_us[chosen]
    return Steps(ix, start, end, change * factor[ix], end - start > GAP_INTERVALS * interval_us[ix])


def _raw(
    registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int
) -> tuple[Raw, RegisterReadings]:
    """Readings inside their installation in order, with start and end values that have come as if they were readings;
    and those that are out of the question: beyond the register's range, or refused.
    """
    installed = np.array([r.installed_us for r in registers], dtype=np.int64)
    until = np.array([r.until_us for r in registers], dtype=np.int64)
    started = np.array([r.start_value is not None for r in registers], dtype=np.bool_)
    modulus = np.array([10.0**r.digits for r in registers], dtype=np.float64)
    ix, ts, verdict = readings.register_ix, readings.ts_us, readings.verdicts()
    inside = (ts >= installed[ix]) & (ts < until[ix]) & ~(started[ix] & (ts == installed[ix]))
    out = inside & ((readings.value >= modulus[ix]) | (verdict == REFUSED))
    use = inside & ~out
    ends = [
        (n, r.installed_us, r.start_value)
        for n, r in enumerate(registers)
        if r.start_value is not None and readings.from_first[n] and r.until_us > r.installed_us
    ] + [
        (n, r.until_us, r.end_value)
        for n, r in enumerate(registers)
        if r.end_value is not None and readings.to_last[n] and r.installed_us < r.until_us <= now_us
    ]
    register_ix = np.concatenate([ix[use], np.array([e[0] for e in ends], dtype=np.int64)])
    ts_us = np.concatenate([ts[use], np.array([e[1] for e in ends], dtype=np.int64)])
    value = np.concatenate([readings.value[use], np.array([e[2] for e in ends], dtype=np.float64)])
    pinned = np.concatenate([verdict[use] == ACCEPTED, np.ones(len(ends), dtype=np.bool_)])
    order = np.lexsort((ts_us, register_ix))
    excluded = RegisterReadings(
        ix[out], ts[out], readings.value[out], readings.from_first, readings.to_last, verdict[out]
    )
    return Raw(register_ix[order], ts_us[order], value[order], pinned[order]), excluded


def _pairs(raw: Raw, good: Bools) -> _Pairs:
    at = np.flatnonzero(good)
    start, end = at[:-1], at[1:]
    same = raw.register_ix[start] == raw.register_ix[end]
    start, end = start[same], end[same]
    return _Pairs(
        raw.register_ix[start],
        raw.ts_us[start],
        raw.ts_us[end],
        raw.value[end] - raw.value[start],
        start,
        end,
    )


@dataclass(frozen=True, slots=True)
class _StepVerdict:
    """change: rollovers made whole, NaN where a step carries no energy; kind: of its finding, empty for none;
    looked_at: raw readings that a verdict was needed for.
    """

    change: Floats
    kind: npt.NDArray[np.str_]
    looked_at: Ints


def _accepted(raw: Raw, registers: Sequence[InstalledRegister]) -> Bools:
    """The readings that a person found good. An end_value is none of them: it is entered once, perhaps wrongly, and
    bounds energy like a reading.
    """
    until = np.array([r.until_us for r in registers], dtype=np.int64)
    accepted: Bools = raw.pinned & (raw.ts_us < until[raw.register_ix])
    return accepted


def _judge_steps(
    raw: Raw, rates: Floats, limits: Limits, pairs: _Pairs, taken: Bools, accepted: Bools
) -> _StepVerdict:
    """Falls that are rollovers, and rises that can be."""
    change = pairs.change.copy()
    kind = np.full(len(change), "", dtype="<U16")
    exceeds = _exceeds(raw, limits)
    left_out = np.concatenate([[0], np.cumsum(taken)])
    far = left_out[pairs.end_at] - left_out[pairs.start_at] > MOST_SPANNED * limits.around[pairs.register_ix]
    fell = np.flatnonzero(change < 0)
    rolled = _wrapped(raw, rates, limits, pairs, fell)
    change[fell] = rolled
    kind[fell] = np.where(np.isnan(rolled), _fall_kinds(raw, rates, limits, pairs, fell), "rollover")
    steep = _steep(raw, rates, limits, pairs, exceeds)
    change[steep] = np.nan
    kind[steep] = _rise_kinds(raw, rates, limits, pairs, steep)
    change[far] = np.nan
    known = accepted[pairs.end_at] & np.isnan(change)
    kind[known] = ""  # a person knows
    risen = known & (pairs.change >= 0) & ~far
    change[risen] = pairs.change[risen]
    return _StepVerdict(change, kind, np.concatenate([np.flatnonzero(exceeds) + 1, falls(raw)]))


def _exceeds(raw: Raw, limits: Limits) -> Bools:
    """Whether the step from each reading to the next is to be looked at for its rise; shape (n,)."""
    exceeds = np.zeros(len(raw), dtype=np.bool_)
    if len(raw) < 2:
        return exceeds
    ix = raw.register_ix[:-1]
    change = np.diff(raw.value)
    unknown = np.where(np.isinf(limits.rated[ix]), 0.0, np.inf)
    most = limits.most(ix, np.diff(raw.ts_us), unknown)
    most = np.where(np.isinf(limits.rated[ix]), RISE_SHARE * limits.modulus[ix], most)
    exceeds[:-1] = (ix == raw.register_ix[1:]) & (change > most)
    return exceeds


def _steep(raw: Raw, rates: Floats, limits: Limits, pairs: _Pairs, exceeds: Bools) -> Ints:
    """Steps that rise by more than the register can have risen by since it last moved; but where many steps around
    do, the rated power is wrong and they are believed.
    """
    ix, change = pairs.register_ix, pairs.change
    rated = ~np.isinf(limits.rated[ix])
    length = pairs.end_us - pairs.start_us
    floor = np.where(rated, limits.most(ix, length, np.zeros(len(ix))), RISE_SHARE * limits.modulus[ix])
    found = np.flatnonzero(change > floor)
    if len(found) == 0:
        return found
    usual = np.full(len(found), np.inf)
    unrated = ~rated[found]
    usual[unrated] = usual_rates(raw, rates, limits, pairs.end_at[found[unrated]])
    since = _moved_us(pairs, limits)[found]
    above = change[found] > limits.most(ix[found], pairs.end_us[found] - since, usual)
    return found[above & ~(rated[found] & _crowded(raw, limits, exceeds, pairs.end_at[found]))]


def _rise_kinds(raw: Raw, rates: Floats, limits: Limits, pairs: _Pairs, steep: Ints) -> npt.NDArray[np.str_]:
    """Another meter where the register cannot have risen by so much in weeks; else more than can be."""
    ix = pairs.register_ix[steep]
    usual = usual_rates(raw, rates, limits, pairs.end_at[steep])
    weeks = np.full(len(steep), CATCH_UP_DAYS * DAY_US, dtype=np.int64)
    other = pairs.change[steep] > limits.most(ix, weeks, usual)
    return np.where(other, "meter_replaced", "above_rated")


def _moved_us(pairs: _Pairs, limits: Limits) -> Ints:
    """When the register last moved before each step, or began to be looked at: the start of the steps without a rise
    that come right before it, at most MOST_SPANNED x Limits.around of them.
    """
    n = len(pairs.change)
    index = np.arange(n)
    begins = np.ones(n, dtype=np.bool_)
    begins[1:] = (pairs.register_ix[1:] != pairs.register_ix[:-1]) | (pairs.change[:-1] != 0)
    first = np.maximum.accumulate(np.where(begins, index, 0))
    first = np.maximum(first, index - MOST_SPANNED * limits.around[pairs.register_ix])
    moved: Ints = pairs.start_us[first]
    return moved


def _crowded(raw: Raw, limits: Limits, exceeds: Bools, at: Ints) -> Bools:
    """Whether many of the steps around raw reading `at` exceed what the rated power allows."""
    total = np.concatenate([[0], np.cumsum(exceeds)])
    around = limits.around[raw.register_ix[at]]
    first = np.searchsorted(raw.register_ix, raw.register_ix[at], "left")
    last = np.searchsorted(raw.register_ix, raw.register_ix[at], "right")
    low, high = np.maximum(at - around, first), np.minimum(at + around, last)
    crowded: Bools = total[high] - total[low] > CROWD_SHARE * np.maximum(high - low, 2 * around)
    return crowded


def _wrapped(raw: Raw, rates: Floats, limits: Limits, pairs: _Pairs, fell: Ints) -> Floats:
    """Falls with 10^digits added; NaN where one is no rollover.

    It is one where that is what the point could have consumed in that time (`Limits.most`), or at most a thousandth
    of the register's range; where nothing is known, at most a tenth of the range, which is to say that the register
    stood near its top.
    """
    ix = pairs.register_ix[fell]
    modulus = limits.modulus[ix]
    wrapped = pairs.change[fell] + modulus
    usual = usual_rates(raw, rates, limits, pairs.end_at[fell])
    most = limits.most(ix, pairs.end_us[fell] - pairs.start_us[fell], usual)
    most = np.where(np.isinf(most), WRAP_SHARE * modulus, np.maximum(most, TOP_SHARE * modulus))
    return np.where((wrapped >= 0) & (wrapped <= most), wrapped, np.nan)


def _fall_kinds(raw: Raw, rates: Floats, limits: Limits, pairs: _Pairs, fell: Ints) -> npt.NDArray[np.str_]:
    """A reset where the register shows what it can have counted from 0 since; else another meter."""
    ix = pairs.register_ix[fell]
    usual = usual_rates(raw, rates, limits, pairs.end_at[fell])
    most = limits.most(ix, pairs.end_us[fell] - pairs.start_us[fell], usual)
    most = np.where(np.isinf(most), TOP_SHARE * limits.modulus[ix], most)
    return np.where(raw.value[pairs.end_at[fell]] <= most, "register_reset", "meter_replaced")


def _spots(
    registers: Sequence[InstalledRegister], raw: Raw, excluded: RegisterReadings, looked_at: Ints
) -> Dependencies:
    """Where verdicts were needed: at the raw readings looked_at, and at the excluded ones. A verdict hangs on REACH x
    Limits.around readings either side, and changes no step beyond them.
    """
    if len(looked_at) == 0 and len(excluded.ts_us) == 0:
        return Dependencies.of([])
    low = np.searchsorted(raw.register_ix, np.arange(len(registers)), "left")
    high = np.searchsorted(raw.register_ix, np.arange(len(registers)), "right")
    found = [(int(raw.register_ix[n]), n - 1, n) for n in looked_at.tolist()]
    for ix, ts in zip(excluded.register_ix.tolist(), excluded.ts_us.tolist(), strict=True):
        own = raw.ts_us[low[ix] : high[ix]]
        found.append(
            (
                ix,
                int(low[ix] + np.searchsorted(own, ts)) - 1,
                int(low[ix] + np.searchsorted(own, ts, "right")),
            )
        )
    reach = REACH * Limits.of(registers).around
    rows = []
    for ix, first, last in found:

        def moment(n: int, ix: int = ix) -> int:
            if n < low[ix]:
                return registers[ix].installed_us
            return registers[ix].until_us if n >= high[ix] else int(raw.ts_us[n])

        span = moment(first - int(reach[ix])), moment(last + int(reach[ix]))
        rows.append((ix, ON_READINGS, moment(first), moment(last), *span, *span))
    return Dependencies.of(rows)


def _of_runs(raw: Raw, still: StillRuns) -> Dependencies:
    """What runs without a rise hang on, those that are closed or a finding."""
    chosen = np.flatnonzero((still.closing >= 0) | (still.state == UNSURE))
    begin, end, closing = still.begin[chosen], still.end[chosen], still.closing[chosen]
    is_open = closing < 0
    last = np.where(is_open, end, closing)
    return Dependencies(
        raw.register_ix[begin],
        np.full(len(chosen), ON_VERDICTS, dtype=np.int64),
        raw.ts_us[np.where(is_open, begin, end)],
        raw.ts_us[last],
        raw.ts_us[begin],
        raw.ts_us[last],
        still.on_from_us[chosen],
        still.on_to_us[chosen],
    )
