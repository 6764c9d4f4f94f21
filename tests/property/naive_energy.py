"""An independent model of registers -> hours: exact fractions, one step and one hour at a time, no arrays.

Written from the contract, not from metering/energy.py; slow on purpose.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise

from metering.readings import InstalledRegister
from metering.registers import Role

HOUR = 3_600_000_000
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
    """Steps of a register; every decrease is taken for a rollover (the tests make no other)."""
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
    if (
        register.end_value is None
        and register.removed_us is not None
        and register.removed_us <= now
        and steps
    ):
        learnt = [
            (known[b] - known[a], b - a) for a, b in list(pairwise(times))[-168:] if known[b] >= known[a]
        ]
        time = sum(t for _, t in learnt)
        if time:
            rate = sum(e for e, _ in learnt) * Fraction(register.factor) / time
            steps.append(Step(times[-1], end, rate * (end - times[-1]), True))
    return steps


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
