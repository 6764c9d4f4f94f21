"""Changes of a meter's scale that its load does not explain, by the balance of a total with what hangs below it.

Where a sub-meter measures half of what it did, its total goes on as before and more is missing between them: as much as
the sub-meter lost, hour by hour. Where a total measures half, all of its sub-meters together do not. A real change of
load moves both alike and is nothing here. Pure and vectorised; see docs/decisions/levels.md.

A site's points of one item are a forest: `energy` float64[points, hours], measured energy of each hour on one grid
without holes, NaN where the hour was not measured wholly; `parent` int64[points], -1 where there is none. What is found
depends on these alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from metering.level_balance import (
    SIGHT_H,
    Balance,
    Bools,
    Floats,
    Ints,
    LevelRule,
    balance_of,
    families_of,
    grouped,
    scale_of,
    sights,
    slope_of,
    slopes,
    tame,
)

#: Hours before and after a change of which a point's own step is told.
_STEP_H = 7 * 24
#: A change is over when so many hours in a row would rather do without it.
_OVER_H = 36


@dataclass(frozen=True, slots=True)
class Shift:
    """A point measures `scale` x what it should, in hours [from_ix, to_ix) of the grid; lasting: to the last hour that
    could be judged.

    explained: share (0..1) of the imbalance in that time which this accounts for; rival: what is left unexplained, by
    what the best explanation by another point leaves (0: only this one fits, 1: another fits too); rival_point: that
    point, None where only nothing at all comes next; hours: judged.
    """

    point: int
    from_ix: int
    to_ix: int
    lasting: bool
    scale: float
    explained: float
    rival: float
    hours: int
    rival_point: int | None = None


def find_shifts(
    energy: Floats, parent: Ints, block: tuple[int, int], rule: LevelRule = LevelRule()
) -> list[Shift]:
    """Shifts of scale that begin in hours [block) of the grid, in order of (from_ix, point).

    The strongest is found first and mended, so that another beside it is seen as it is.
    """
    before = np.zeros(energy.shape[1], np.bool_)
    before[max(block[0] - rule.before_h, 0) : block[0]] = True
    forest = _Forest(tame(energy), parent, before, rule, rule.learn_h)
    for _ in range(2 * len(parent)):
        shift = _strongest(forest.balances(), rule)
        if shift is None:
            break
        forest.mend(shift)
    settled = _turned(_settled(forest, rule), forest, rule)
    return sorted(
        (s for s in settled if block[0] <= s.from_ix < block[1]), key=lambda s: (s.from_ix, s.point)
    )


class _Forest:
    """The families of a site's points with the shifts found so far mended; a balance is made when it is asked for."""

    def __init__(self, energy: Floats, parent: Ints, before: Bools, rule: LevelRule, least: int) -> None:
        """before: hours to learn from what is usual, at least `least` of them."""
        self._measured, self._energy, self._parent = energy, energy.copy(), parent
        self._before, self._rule, self._least = before, rule, least
        self._families = families_of(parent, energy)
        self._made: dict[int, Balance | None] = {}
        self.shifts: list[Shift] = []

    def balances(self) -> list[Balance]:
        for f in self._families:
            if f.parent not in self._made:
                self._made[f.parent] = balance_of(self._energy, f, self._before, self._rule, self._least)
        return [b for f in self._families if (b := self._made[f.parent]) is not None]

    def judged(self, point: int) -> Ints:
        """The hours of a point that are measured."""
        return np.flatnonzero(np.isfinite(self._measured[point]))

    def learning_before(self, hour: int, mended: Sequence[Shift]) -> _Forest:
        """The same that learns from what came before an hour, with these shifts mended."""
        before = np.arange(self._measured.shape[1]) < hour
        forest = _Forest(self._measured, self._parent, before, self._rule, self._rule.least_before_h)
        for shift in mended:
            forest.mend(shift)
        return forest

    def mend(self, shift: Shift) -> None:
        self.shifts.append(shift)
        self._changed(shift.point)

    def unmend(self, shift: Shift) -> None:
        self.shifts.remove(shift)
        self._changed(shift.point)

    def _changed(self, point: int) -> None:
        self._energy[point] = self._measured[point]
        for s in self.shifts:
            if s.point == point:
                self._energy[point, s.from_ix : s.to_ix] /= s.scale
        for f in self._families:
            if point in f.members():
                self._made.pop(f.parent, None)


def _turned(shifts: Sequence[Shift], forest: _Forest, rule: LevelRule) -> list[Shift]:
    """What came first is held to be right: a shift that the data begins with is another that begins at its end, told
    once more from what came before that, the clearest first; what is none then was a shadow of another.
    """
    first = [s for s in shifts if not s.lasting and s.from_ix <= forest.judged(s.point)[0] + SIGHT_H // 2]
    kept = [s for s in shifts if s not in first]
    for shift in sorted(first, key=lambda s: -s.explained):
        judged = forest.judged(shift.point)
        left = int(np.count_nonzero(judged >= shift.to_ix))
        end = int(judged[-1]) + 1
        turned: Shift | None = replace(
            shift, from_ix=shift.to_ix, to_ix=end, lasting=True, scale=1 / shift.scale, hours=left
        )
        if np.count_nonzero(judged < shift.to_ix) >= rule.least_before_h:
            balances = forest.learning_before(shift.to_ix, kept).balances()
            turned = _again(shift, balances, shift.to_ix + min(left, _STEP_H) // 2, rule)
        kept += [turned] if turned is not None else []
    return kept


def _strongest(balances: Sequence[Balance], rule: LevelRule) -> Shift | None:
    """The shift that explains most of what does not balance, whichever point it is of."""
    best: tuple[float, Shift] | None = None
    for balance in balances:
        for middle in _seeds(balance, rule):
            shift = _culprit(balance, balances, middle, rule)
            if shift is None:
                continue
            hours = _hours(shift, len(balance.excess))
            gain = balance.imbalance(hours) - balance.left(shift.point, shift.scale, hours)
            if best is None or gain > best[0]:
                best = gain, shift
    return None if best is None else best[1]


def _seeds(balance: Balance, rule: LevelRule) -> list[int]:
    """Hours about which the family does not balance as usual: of each member the day that is furthest out of its usual
    scatter, with at least one like it beside it."""
    slopes, starts = sights(balance.excess, balance.basis)
    total = np.zeros(len(slopes), np.bool_)
    total[0] = True
    scale = np.where(total[:, None], 1 + slopes, 1 / np.maximum(1 + slopes, 0.05))
    far = np.abs(slopes) > rule.sigmas * balance.spread[:, None]
    far &= (np.abs(np.log(np.maximum(scale, 1e-3))) > rule.least_change) & (1 + slopes > 0.1)
    energy = np.abs(slopes) * np.nansum(
        balance.basis[:, np.minimum(starts[:, None] + np.arange(SIGHT_H), len(balance.excess) - 1)], axis=2
    )
    energy = np.where(far, energy, 0.0)
    energy = np.nan_to_num(energy)
    paired = np.minimum(energy[:, 1:], energy[:, :-1]) if energy.shape[1] > 1 else energy
    seeds = {int(starts[row.argmax()]) + SIGHT_H * 3 // 4 for row in paired if len(row) and row.max() > 0}
    return sorted(seeds)


def _culprit(balance: Balance, balances: Sequence[Balance], middle: int, rule: LevelRule) -> Shift | None:
    """Whose scale explains the imbalance about an hour best, all families that its members belong to considered."""
    members = balance.family.members()
    around = [b for b in balances if set(b.family.members()) & set(members)]
    tried: list[tuple[float, Shift]] = []
    for row, member in enumerate(members):
        shift = _segment(balance, row, member, middle, rule)
        if shift is not None:
            hours = _hours(shift, len(balance.excess))
            tried.append((_cost(around, shift, hours), shift))
    if not tried:
        return None
    tried.sort(key=lambda t: t[0])
    alike = [t for t in tried if tried[0][0] > rule.alike * t[0]]
    if len(alike) > 1:  # of several that fit, the one that took the step itself
        tried.sort(key=lambda t: (t not in alike, _off_step(balance, t[1]) if t in alike else t[0]))
    cost, shift = tried[0]
    hours = _hours(shift, len(balance.excess))
    whole = sum(b.imbalance(hours) for b in around)
    others: list[tuple[float, int | None]] = [
        (_cost(around, replace(o, from_ix=shift.from_ix, to_ix=shift.to_ix), hours), o.point)
        for _, o in tried[1:]
    ]
    rival, rival_point = min([*others, (whole, None)], key=lambda o: o[0])
    shift = replace(
        shift, explained=1 - _part(cost, whole), rival=_part(cost, rival), rival_point=rival_point
    )
    return shift if shift.explained >= rule.explained else None


def _off_step(balance: Balance, shift: Shift) -> float:
    """How far the step that a sub-meter took against its siblings when the shift began is from the shift's scale, as a
    logarithm; a total has no siblings: infinite.
    """
    row = balance.family.members().index(shift.point)
    if row == 0:
        return float("inf")
    siblings = np.delete(balance.basis[1:], row - 1, axis=0).sum(axis=0)
    sides = []
    first = int(np.flatnonzero(np.isfinite(balance.excess))[0])
    at, sign = (shift.from_ix, 1) if shift.from_ix >= first + SIGHT_H else (shift.to_ix, -1)
    for part in (slice(max(at - _STEP_H, 0), at), slice(at, at + _STEP_H)):
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.log(grouped(balance.basis[row, part]) / grouped(siblings[part]))
        ratio = ratio[np.isfinite(ratio)]
        sides.append(float(np.median(ratio)) if len(ratio) else float("inf"))
    off = sign * (sides[1] - sides[0]) - float(np.log(shift.scale))
    return abs(off) if np.isfinite(off) else float("inf")


def _part(part: float, whole: float) -> float:
    """part / whole within 0..1; 1 where there is no whole."""
    return min(part / whole, 1.0) if whole > 0 else 1.0


def _cost(around: Sequence[Balance], shift: Shift, hours: Bools) -> float:
    """Energy that does not balance in these hours with a shift, in all families around."""
    return sum(
        b.left(shift.point, shift.scale, hours) if shift.point in b.family.members() else b.imbalance(hours)
        for b in around
    )


def _segment(balance: Balance, row: int, member: int, middle: int, rule: LevelRule) -> Shift | None:
    """The hours about `middle` in which a member's scale explains most, and that scale."""
    length = len(balance.excess)
    begin, end = max(middle - SIGHT_H // 2, 0), min(middle + SIGHT_H // 2, length)
    scale = np.nan
    for _ in range(3):
        if end - begin < rule.least_h:
            return None
        slope = float(slopes(balance.excess[begin:end], balance.basis[row, begin:end]))
        scale = float(scale_of(slope, is_total=row == 0))
        if not np.isfinite(slope) or not 0.05 < scale < 20 or 1 + slope < 0.05:
            return None
        gain = np.abs(balance.excess) - np.abs(balance.excess - slope * balance.basis[row])
        begin, end = _most(np.nan_to_num(gain), middle)
    judged = np.isfinite(balance.excess)
    hours = int(np.count_nonzero(judged[begin:end]))
    far = abs(slope_of(scale, is_total=row == 0)) > rule.sigmas * balance.spread[row]
    if hours < rule.least_h or abs(np.log(scale)) < rule.least_change or not far:
        return None
    last = int(np.flatnonzero(judged)[-1])
    lasting = end > last - SIGHT_H // 2
    return Shift(member, begin, end, lasting, scale, 0.0, 1.0, hours)


def _most(gain: Floats, middle: int) -> tuple[int, int]:
    """The span around `middle` of which the sum of `gain` is greatest, as far as no stretch in it loses what _OVER_H
    hours near the middle gain.
    """
    near = gain[max(middle - SIGHT_H // 2, 0) : middle + SIGHT_H // 2]
    most_lost = _OVER_H * max(float(near.mean()), 0.0)
    return middle - _reach(gain[:middle][::-1], most_lost), middle + _reach(gain[middle:], most_lost)


def _reach(gain: Floats, most_lost: float) -> int:
    """How many of the first hours to take, so that their gain is greatest."""
    upto = np.concatenate([[0.0], np.cumsum(gain)])
    lost = np.maximum.accumulate(upto) - upto
    end = int(np.argmax(lost > most_lost)) if (lost > most_lost).any() else len(upto)
    return int(upto[: max(end, 1)].argmax())


def _hours(shift: Shift, length: int) -> Bools:
    hours = np.zeros(length, np.bool_)
    hours[shift.from_ix : shift.to_ix] = True
    return hours


def _settled(forest: _Forest, rule: LevelRule) -> list[Shift]:
    """Each shift judged anew with all others mended, twice; those that do not stand then are none."""
    for _ in range(2 if len(forest.shifts) > 1 else 1):
        for shift in list(forest.shifts):
            forest.unmend(shift)
            again = _again(shift, forest.balances(), (shift.from_ix + shift.to_ix) // 2, rule)
            if again is not None:
                forest.mend(again)
    return forest.shifts


def _again(shift: Shift, balances: Sequence[Balance], middle: int, rule: LevelRule) -> Shift | None:
    """The same point's shift about an hour by these balances, None where it is not the best explanation there."""
    own = [b for b in balances if shift.point in b.family.members()]
    found = [s for b in own if (s := _culprit(b, balances, middle, rule)) is not None]
    return max((s for s in found if s.point == shift.point), key=lambda s: s.explained, default=None)
