"""Whether a point's use steps where its meter or ratio was exchanged: a ratio that was entered wrong. Pure.

A load does not know when a meter is exchanged. Where the days after it use a quarter more than those before, or that
much less, the new ratio is likely wrong, or the old one was; somebody has to look. docs/decisions/exchanges.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: The median of absolute deviations of a normal distribution times this is its standard deviation.
_MAD = 1.4826


@dataclass(frozen=True, slots=True)
class ExchangeRule:
    """window_days: days before and after that are compared; least_before, least_after: so many of these must have been
    measured; least_scale: a smaller step (or one over 1/least_scale) is none; spreads: it must be so many times what
    days of one kind differ by; alike: workdays and days off, two of a kind on each side, must each step by that share
    of the whole step: a ratio scales both, a holiday or a term only some days.
    """

    window_days: int = 14
    least_before: int = 5
    least_after: int = 2
    least_scale: float = 1.25
    spreads: float = 3.0
    alike: float = 0.4


@dataclass(frozen=True, slots=True)
class ExchangeStep:
    """scale: use after the exchange by use before it, of days of one kind; days: measured days after it."""

    scale: float
    days: int


def exchange_step(
    before: Floats, before_off: Bools, after: Floats, after_off: Bools, rule: ExchangeRule = ExchangeRule()
) -> ExchangeStep | None:
    """The step at an exchange; None where there is none, or where the days do not tell.

    before, after: energy of whole local days in any unit, the exchange's own day in neither, NaN where a day was not
    measured wholly; *_off: whether each is a day off. Only days of one kind are compared, as medians.
    """
    kept = [(_measured(b), _measured(a)) for b, a in _by_kind(before, before_off, after, after_off)]
    if sum(len(b) for b, _ in kept) < rule.least_before or sum(len(a) for _, a in kept) < rule.least_after:
        return None
    pairs = [(b, a) for b, a in kept if len(b) and len(a)]
    if not pairs:
        return None
    weights = np.array([min(len(b), len(a)) for b, a in pairs], dtype=np.float64)
    logs = np.array([np.median(a) - np.median(b) for b, a in pairs])
    step = float(np.average(logs, weights=weights))
    if abs(step) < max(log(rule.least_scale), rule.spreads * _spread(pairs)):
        return None
    if np.any(logs[weights > 1] / step < rule.alike):
        return None
    return ExchangeStep(exp(step), sum(len(a) for _, a in kept))


def _by_kind(
    before: Floats, before_off: Bools, after: Floats, after_off: Bools
) -> Sequence[tuple[Floats, Floats]]:
    return [(before[before_off == off], after[after_off == off]) for off in (False, True)]


def _measured(energy: Floats) -> Floats:
    """Logarithms of days that were measured and used anything."""
    return np.log(energy[energy > 0])


def _spread(pairs: Sequence[tuple[Floats, Floats]]) -> float:
    """By how much days differ from the others of their kind and side, as a standard deviation of logarithms."""
    sides = [side for pair in pairs for side in pair if len(side) > 1]
    if not sides:
        return 0.0
    return _MAD * float(np.median(np.concatenate([np.abs(side - np.median(side)) for side in sides])))
