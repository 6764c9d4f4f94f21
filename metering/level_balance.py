"""The balance of a total with what hangs directly below it: what is usual, and what is left over. Pure, vectorised.

See metering/levels.py for what is made of it, and docs/decisions/levels.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Hours that are looked at together for a first sight of a change, and from one look to the next.
SIGHT_H, SIGHT_STEP_H = 24, 12
#: Hours that are added up before they are compared: a display that counts in coarse steps is then fine enough.
_GROUP_H = 4
#: Rounds of a fit, and stretches of time from each of which one begins.
_ROUNDS, _STRETCHES = 6, 5
#: The scatter is told from the quieter part of the days; what that is in standard deviations.
_QUIET, _QUIET_SIGMAS = 0.35, 0.454
#: How much the share of a single sub-meter in what is lost is held to 0, where the data tells little of it.
_HELD = 1e-4
#: What was learned of a load goes as far as this quantile of it; hours of so many times that are not judged: a plant
#: that stood still while it was learned what is usual and runs now.
_SEEN, _BEYOND = 0.99, 2.5
#: An hour above this many times the 98th percentile of its point is none (a spike).
_WILD = 5.0


@dataclass(frozen=True, slots=True)
class LevelRule:
    """Parameters of the balance rule; times in hours.

    before_h: what a change is held against, learn_h of it at least, or else what is so most of the time; nothing is
    told from less than least_before_h; block_h: changes that begin in one block of hours are looked for together;
    after_h: how far after a block is looked.
    least_change: of the scale (0.1: by a tenth); sigmas: how far out of the usual scatter of its slope a change must
    be; least_h: hours for which it must last; explained: share of the imbalance that the change must account for.
    """

    before_h: int = 56 * 24
    block_h: int = 28 * 24
    after_h: int = 28 * 24
    least_before_h: int = 48
    learn_h: int = 14 * 24
    least_change: float = 0.1
    sigmas: float = 6.0
    least_h: int = 18
    explained: float = 0.6
    alike: float = 0.8


@dataclass(frozen=True, slots=True)
class Family:
    """A total and what hangs directly below it."""

    parent: int
    children: Ints

    def members(self) -> list[int]:
        return [self.parent, *self.children.tolist()]


@dataclass(frozen=True, slots=True)
class Balance:
    """A family's hours. expected float64[hours]: of the total, by its sub-meters; excess: the total less that;
    basis float64[members, hours]: what the excess is in proportion to where a member's scale is wrong, the total first;
    NaN where not all members are measured. spread float64[members]: usual scatter of those proportions.
    """

    family: Family
    expected: Floats
    excess: Floats
    basis: Floats
    spread: Floats

    def left(self, member: int, scale: float, hours: Bools) -> float:
        """Energy of the imbalance in these hours that a member's scale leaves unexplained."""
        row = self.family.members().index(member)
        slope = slope_of(scale, is_total=row == 0)
        rest = np.nansum(np.abs(self.excess[hours] - slope * self.basis[row, hours]))
        return float(rest / (scale if row == 0 else 1.0))

    def imbalance(self, hours: Bools) -> float:
        """Energy that does not balance in these hours."""
        return float(np.nansum(np.abs(self.excess[hours])))


def families_of(parent: Ints, energy: Floats) -> list[Family]:
    """Totals with what is measured below them; a sub-meter that is never read belongs to none."""
    read: Bools = np.asarray(np.isfinite(energy).any(axis=1))
    below = {p: np.flatnonzero((parent == p) & read) for p in np.unique(parent[parent >= 0]).tolist()}
    return [Family(p, children) for p, children in below.items() if read[p] and len(children)]


def tame(energy: Floats) -> Floats:
    """Without hours that no load can be: the same for every order of what is looked at."""
    known = np.isfinite(energy).any(axis=1)
    most = np.full(len(energy), np.inf)
    most[known] = _WILD * np.nanquantile(energy[known], 0.98, axis=1)
    return np.where(energy <= np.where(most > 0, most, np.inf)[:, None], energy, np.nan)


def balance_of(energy: Floats, family: Family, before: Bools, rule: LevelRule, least: int) -> Balance | None:
    """None where too little of the family is measured to learn what is usual."""
    total, below = energy[family.parent], energy[family.children]
    whole = np.isfinite(np.concatenate([total[None], below])).all(axis=0)
    learn = whole & before
    if np.count_nonzero(learn) < least:
        learn = whole  # the begin of the data: what is usual is what is so most of the time
    known = int(np.count_nonzero(learn))
    if known < rule.least_before_h:
        return None
    sums = below.sum(axis=0)
    usual = float(sums[learn].mean())
    if usual <= 0:
        return None
    seen = np.quantile(below[:, learn], _SEEN, axis=1)[:, None]
    most = float(np.quantile(sums[learn], _SEEN))
    terms = np.stack([np.full_like(sums, usual), sums, sums * np.minimum(sums, most) / usual])
    if known >= rule.learn_h:
        terms = np.concatenate([terms, np.minimum(below, seen)])
    weights = _fit(terms[:, learn].T, (total - sums)[learn], usual)
    expected = np.where(whole, sums + weights @ np.where(whole, terms, 0.0), np.nan)
    known_loads = (below <= _BEYOND * seen).all(axis=0)
    expected = np.where((expected > 0.2 * sums) & known_loads, expected, np.nan)
    excess = total - expected
    basis = np.concatenate([expected[None, :], below * _counts(sums, expected, weights, learn is whole)])
    basis[:, ~np.isfinite(excess)] = np.nan
    slopes, _ = sights(excess, basis)
    return Balance(family, expected, excess, basis, _scatter(slopes, learn))


def _counts(sums: Floats, expected: Floats, weights: Floats, learned: bool) -> Floats:
    """How much of a total a unit of each sub-meter is, to be broadcast with float64[children, hours]: the loss above
    them; learned: or what was learned of each, where what is usual may itself be what is wrong.
    """
    if learned and len(weights) > 3:
        return np.asarray(np.maximum(1 + weights[1] + weights[3:, None], 0.2))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(sums > 0, expected / sums, 0.0))


def _fit(terms: Floats, wanted: Floats, usual: float) -> Floats:
    """Weights of float64[n, terms] that fit float64[n] as it is most of the time, whatever the rest does.

    The fit of a stretch of the time of which half of all hours are least off (least median of squares, Rousseeuw 1984,
    with stretches for draws), then weighed by Cauchy's function.
    """
    n, k = terms.shape
    ridge = np.array([1e-2, 1e-6, *[_HELD] * (k - 2)]) * usual * usual
    best, least = np.zeros(k), np.inf
    for part in (np.arange(n), *np.array_split(np.arange(n), _STRETCHES)):
        tried = np.zeros(k)
        for turn in range(_ROUNDS):
            off = np.abs(wanted[part] - terms[part] @ tried)
            weights = np.ones(len(part)) if turn == 0 else 1 / np.maximum(off, 0.2 * _middle(off, usual))
            tried = _weighted(terms[part], wanted[part], weights, ridge)
        median = float(np.median(np.abs(wanted - terms @ tried)))
        if median < least:
            best, least = tried, median
    for _ in range(_ROUNDS):
        off = np.abs(wanted - terms @ best)
        best = _weighted(terms, wanted, 1 / (1 + (off / (3 * _middle(off, usual))) ** 2), ridge)
    return best


def _middle(off: Floats, usual: float) -> float:
    return max(float(np.median(off)), 1e-6 * usual)


def _weighted(terms: Floats, wanted: Floats, weights: Floats, ridge: Floats) -> Floats:
    """Least squares, held to 0 by `ridge` where the data tells little."""
    scaled = terms * weights[:, None]
    return np.asarray(np.linalg.solve(scaled.T @ terms + np.diag(ridge * weights.sum()), scaled.T @ wanted))


def sights(excess: Floats, basis: Floats) -> tuple[Floats, Ints]:
    """float64[members, looks]: how much of each member's basis the excess of a day is; int64[looks]: its first hour."""
    starts = np.arange(0, max(len(excess) - SIGHT_H, 0) + 1, SIGHT_STEP_H)
    hours = np.minimum(starts[:, None] + np.arange(SIGHT_H), len(excess) - 1)
    return slopes(excess[hours][None], basis[:, hours]), starts


def slopes(excess: Floats, basis: Floats) -> Floats:
    """Slopes along the last axis of hours, from sums of a few hours each."""
    return slopes_of(grouped(excess), grouped(np.where(np.isfinite(excess), basis, np.nan)))


def grouped(hours: Floats) -> Floats:
    """Sums of _GROUP_H hours along the last axis, NaN where less than half of them are known; the rest left out."""
    groups = hours[..., : hours.shape[-1] // _GROUP_H * _GROUP_H].reshape(*hours.shape[:-1], -1, _GROUP_H)
    known = np.isfinite(groups)
    return np.where(known.sum(axis=-1) * 2 >= _GROUP_H, np.where(known, groups, 0.0).sum(axis=-1), np.nan)


def slopes_of(excess: Floats, basis: Floats) -> Floats:
    """The slope of `excess` on `basis` along the last axis by least absolute deviations: the median of their ratios,
    each weighing as its basis. NaN where there is nothing to tell it from.
    """
    weight = np.where(np.isfinite(basis) & np.isfinite(excess) & (basis > 0), basis, 0.0)
    ratio = np.where(weight > 0, np.nan_to_num(excess), 0.0) / np.where(weight > 0, weight, 1.0)
    order = np.argsort(ratio, axis=-1)
    upto = np.cumsum(np.take_along_axis(weight, order, -1), axis=-1)
    half = np.argmax(upto >= upto[..., -1:] / 2, axis=-1)
    middle = np.take_along_axis(np.take_along_axis(ratio, order, -1), half[..., None], -1)[..., 0]
    enough = np.count_nonzero(weight > 0, axis=-1) >= min(3, excess.shape[-1])
    return np.where(enough, middle, np.nan)


def _scatter(slopes: Floats, learn: Bools) -> Floats:
    """float64[members]: usual distance of a day's slope from 0, as a standard deviation."""
    told = learn[np.arange(slopes.shape[1]) * SIGHT_STEP_H]
    usual = np.abs(slopes[:, told]) if told.any() else np.abs(slopes)
    known = np.isfinite(usual).any(axis=1)
    scatter = np.full(len(usual), np.inf)
    scatter[known] = np.nanquantile(usual[known], _QUIET, axis=1) / _QUIET_SIGMAS
    return scatter


def scale_of(slope: Any, *, is_total: bool) -> Any:
    """A total's excess is (scale - 1) of what it should be; a sub-meter's (1 / scale - 1) of what it shows."""
    return 1 + slope if is_total else 1 / np.maximum(1 + slope, 0.05)


def slope_of(scale: float, *, is_total: bool) -> float:
    return scale - 1 if is_total else 1 / scale - 1
