"""An independent model of registers -> hours: exact fractions, one step and one hour at a time, no arrays.

Written from the contract and docs/decisions/estimation.md, not from metering/; slow on purpose.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from statistics import median

import chinese_calendar

from metering.readings import InstalledRegister
from metering.registers import Role

HOUR = 3_600_000_000
DAY = 24 * HOUR
Readings = dict[int, float]


@dataclass
class Hour:
    """What the model holds for an hour."""

    consumption: Fraction = Fraction(0)
    estimated: Fraction = Fraction(0)
    covered_us: int = 0


@dataclass
class Step:
    """Energy between two readings that follow one another."""

    begin: int
    end: int
    energy: Fraction
    estimated: bool


@dataclass
class Model:
    """The hours of one point out of its registers and all their readings."""

    hours: dict[int, Hour] = field(default_factory=lambda: defaultdict(Hour))
    steps: list[list[Step]] = field(default_factory=list)


def exact_steps(register: InstalledRegister, readings: Readings, now: int) -> list[Step]:
    """Steps of a register, estimated ones laid out; every decrease is a rollover (the tests make no other)."""
    end = register.removed_us if register.removed_us is not None else 2**62
    known = {ts: Fraction(v) for ts, v in readings.items() if register.installed_us <= ts < end}
    if register.start_value is not None:
        known[register.installed_us] = Fraction(register.start_value)
    if register.end_value is not None:
        known[end] = Fraction(register.end_value)
    times = sorted(known)
    steps = []
    for a, b in pairwise(times):
        rise = known[b] - known[a]
        if rise < 0:
            rise += 10**register.digits
        gap = Fraction(b - a) > Fraction(3, 2) * Fraction(register.interval_s) * 1_000_000
        steps.append(Step(a, b, rise * Fraction(register.factor), gap))
    pieces = [piece for step in steps for piece in laid_out(step, steps)]
    if (
        register.end_value is None
        and register.removed_us is not None
        and register.removed_us <= now
        and times
        and times[-1] < end
    ):
        pieces += unread_end(steps, times[-1], end)
    return pieces


def laid_out(step: Step, steps: list[Step]) -> list[Step]:
    """A gap of over an hour and up to 92 days, cut at full hours, by what is typical of them."""
    if not step.estimated or not HOUR < step.end - step.begin <= 92 * DAY:
        return [step]
    parts = hours_between(step.begin, step.end)
    weights = [Fraction(b - a) for a, b in parts]
    for until in (step.begin, step.end + 28 * DAY):
        typical = typical_hours(steps, step.begin - 56 * DAY, until)
        wanted = [typical.get(cell(a // HOUR * HOUR)) for a, _ in parts]
        if None not in wanted and sum(wanted) > 0:
            weights = [w * Fraction(b - a) for w, (a, b) in zip(wanted, parts, strict=True)]
            break
    whole = sum(weights)
    return [Step(a, b, step.energy * w / whole, True) for (a, b), w in zip(parts, weights, strict=True)]


def unread_end(steps: list[Step], begin: int, end: int) -> list[Step]:
    """From the last reading to the removal: typical hours, else the mean rate of eight weeks."""
    typical = typical_hours(steps, begin - 56 * DAY, begin)
    parts = hours_between(begin, end)
    if all(cell(a // HOUR * HOUR) in typical for a, _ in parts):
        return [Step(a, b, typical[cell(a // HOUR * HOUR)] * Fraction(b - a, HOUR), True) for a, b in parts]
    learnt = [s for s in steps if s.begin >= begin - 56 * DAY]
    time = sum(s.end - s.begin for s in learnt)
    if not time:
        return []
    return [Step(begin, end, sum(s.energy for s in learnt) / time * (end - begin), True)]


def hours_between(begin: int, end: int) -> list[tuple[int, int]]:
    """A span cut at full hours."""
    cuts = [begin, *range((begin // HOUR + 1) * HOUR, end, HOUR), end]
    return list(pairwise(cuts))


def cell(hour: int) -> tuple[bool, int]:
    """Whether a Beijing day is off, and its hour."""
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=hour, hours=8)
    return chinese_calendar.is_holiday(local.date()), local.hour


def typical_hours(steps: list[Step], begin: int, end: int) -> dict[tuple[bool, int], Fraction]:
    """Medians of the hours in a window that measured steps cover wholly, of which there are two at least."""
    found: dict[tuple[bool, int], list[Fraction]] = defaultdict(list)
    good = [s for s in steps if not s.estimated]
    first = max(begin, min((s.begin for s in good), default=0))
    for hour in range(
        -(-first // HOUR) * HOUR, min(end, max((s.end for s in good), default=0)) - HOUR + 1, HOUR
    ):
        shares = [
            (min(s.end, hour + HOUR) - max(s.begin, hour), s)
            for s in good
            if s.begin < hour + HOUR and s.end > hour
        ]
        if sum(length for length, _ in shares) == HOUR:
            found[cell(hour)].append(
                sum((s.energy * Fraction(n, s.end - s.begin) for n, s in shares), Fraction(0))
            )
    return {where: Fraction(median(amounts)) for where, amounts in found.items() if len(amounts) >= 2}


def counts(register: InstalledRegister, others: list[InstalledRegister], moment: int) -> bool:
    """Whether a register counts for its point at a moment."""

    def installed(r: InstalledRegister) -> bool:
        return r.installed_us <= moment and (r.removed_us is None or moment < r.removed_us)

    if not installed(register):
        return False
    return register.role is Role.TOTAL or not any(o.role is Role.TOTAL and installed(o) for o in others)


def naive_energy(registers: list[InstalledRegister], readings: list[Readings], now: int) -> Model:
    """Hours of a point: cuts time at every moment where anything happens, and looks at each piece alone."""
    model = Model(steps=[exact_steps(r, v, now) for r, v in zip(registers, readings, strict=True)])
    cuts = {t for steps in model.steps for s in steps for t in (s.begin, s.end)}
    cuts |= {t for r in registers for t in (r.installed_us, r.removed_us) if t is not None}
    if not cuts:
        return model
    cuts |= set(range(min(cuts) // HOUR * HOUR, max(cuts), HOUR))
    ordered = sorted(cuts)
    for a, b in pairwise(ordered):
        hour = a // HOUR * HOUR
        good = []
        for register, steps in zip(registers, model.steps, strict=True):
            if not counts(register, registers, a):
                continue
            step = next((s for s in steps if s.begin <= a and b <= s.end), None)
            good.append(step is not None and not step.estimated)
            if step is not None:
                energy = step.energy * Fraction(b - a, step.end - step.begin)
                model.hours[hour].consumption += energy
                model.hours[hour].estimated += energy if step.estimated else 0
        if good and all(good):
            model.hours[hour].covered_us += b - a
    return model
