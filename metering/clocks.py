"""Clocks that are wrong, told from the times that readings are stamped with. Pure; no I/O.

A meter is read in a rhythm: its stamps fall on a grid. A clock that is off stamps beside it, or places that have a
reading already, and leaves the places empty at which its readings belong; both together are the evidence, so what is
only read in between, late, seldom or in a rhythm of its own is no fault. The order of arrival plays no part. See
docs/decisions/clocks.md.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from metering.records import Floats, Ints

CLOCK_OFFSET = "clock_offset"
CLOCK_DRIFT = "clock_drift"
CLOCK_JUMP = "clock_jump"

_S = 1_000_000
_DAY_S = 86_400.0
#: An interval that is read within this share of a multiple or a part of the registry's is read at that.
_STEP_SHARE = 0.02

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ClockRule:
    """When stamps beside the grid are a clock's fault. Shares are 0..1.

    tolerances_s: how far from its grid a meter may be read, at most tolerance_share of a step; the first within which
    enough of its stamps lie counts. habit_share: enough of all; wall_share: enough where the grid is that of the clock
    on the wall; tight_share: of those within the last tolerance, so many lie within the first. many_stamps: from so
    many on they show that there is no grid. least_stamps, least_s: fewer stamps off, or less far off, are no finding.
    join_s: stamps off that are further apart are two faults. jump_s: from so far off it is a jump. drift_s_per_day: no
    clock runs faster or slower. clean_s, after_s: before and after a fault the meter keeps its grid so long, as to
    clean_share of the readings. lasting_s: so long a clock is off before it is told while it lasts. longest_s: what
    lasts longer is how the meter is read now. shared: of the meters that a gateway reads, so many make it the
    gateway's clock.
    """

    tolerances_s: tuple[float, ...] = (2.0, 10.0, 30.0)
    tolerance_share: float = 1 / 30
    habit_share: float = 0.3
    wall_share: float = 0.1
    tight_share: float = 0.8
    many_stamps: int = 24
    least_stamps: int = 3
    least_s: float = 30.0
    join_s: float = 2 * _DAY_S
    jump_s: float = 3600.0
    drift_s_per_day: float = 300.0
    clean_s: float = _DAY_S
    after_s: float = 6 * 3600.0
    clean_share: float = 0.5
    lasting_s: float = 2 * 3600.0
    longest_s: float = 40 * _DAY_S
    shared: float = 0.6


@dataclass(frozen=True, slots=True)
class Stamps:
    """When a meter was read, as stamped: int64[n] µs since 1970, in any order, twice where it came with two values; how
    often it should be read, and by whom. value: float64[n], what its register showed, NaN where that is not known.
    """

    ts_us: Ints
    interval_s: float
    gateway: str
    value: Floats | None = None


@dataclass(frozen=True, slots=True)
class ClockFault:
    """A clock that was wrong: of one meter, or of the gateway (meter None) for all of `meters`.

    starts_us, ends_us: when it was in truth, up to the first reading that is right again (None: it lasts).
    stamped_from_us, stamped_to_us: first and last of its stamps. offset_s: how far ahead it was, of a drift at its
    end; seconds_per_day: of a drift, else 0. stamps: how many of a meter.
    """

    kind: str
    gateway: str
    meter: str | None
    meters: tuple[str, ...]
    starts_us: int
    ends_us: int | None
    stamped_from_us: int
    stamped_to_us: int
    offset_s: float
    seconds_per_day: float
    stamps: int


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A grid: stamps lie at phase_us + n x step_us, within tolerance_us."""

    step_us: int
    phase_us: int
    tolerance_us: int

    def beside_us(self, ts_us: Ints) -> Ints:
        """int64[n]: how far each is from the nearest place of the grid, at most half a step."""
        off: Ints = (ts_us - self.phase_us + self.step_us // 2) % self.step_us - self.step_us // 2
        return off

    def share_of(self, ts_us: Ints) -> float:
        """The share of the stamps that lie on the grid."""
        return float(np.mean(np.abs(self.beside_us(ts_us)) <= self.tolerance_us))

    def slots(self, ts_us: Ints) -> Ints:
        """int64[n]: the number of the nearest place of the grid."""
        found: Ints = (ts_us - self.phase_us + self.step_us // 2) // self.step_us
        return found

    def at_us(self, slot: int) -> int:
        """The moment of a place."""
        return self.phase_us + slot * self.step_us


def judge_clocks(meters: Mapping[str, Stamps], rule: ClockRule | None = None) -> list[ClockFault]:
    """The faults of clocks that the stamps of meters tell, by the time at which they begin.

    All meters of a gateway belong in one call: what they share is the gateway's.
    """
    rule = rule or ClockRule()
    found: dict[str, list[ClockFault]] = defaultdict(list)
    kept: dict[str, list[tuple[Rhythm, Ints]]] = defaultdict(list)
    for meter, stamps in meters.items():
        ts_us, one, times = np.unique(stamps.ts_us, return_index=True, return_counts=True)
        value = np.full(len(ts_us), np.nan) if stamps.value is None else stamps.value[one]
        rhythm = rhythm_of(ts_us, stamps.interval_s, rule)
        if rhythm is None:
            continue
        on = np.abs(rhythm.beside_us(ts_us)) <= rhythm.tolerance_us
        taken, one = np.unique(rhythm.slots(ts_us[on]), return_index=True)
        grid = _Grid(rhythm, taken, rule, value[on][one])
        told = [_told(chain, grid, rule) for chain in _chains(ts_us[~on], value[~on], rhythm, rule)]
        told += _shifts(np.unique(rhythm.slots(ts_us[on & (times > 1)])), grid, rule)
        found[stamps.gateway] += [
            replace(fault, gateway=stamps.gateway, meter=meter, meters=(meter,)) for fault in told if fault
        ]
        kept[stamps.gateway].append((rhythm, grid.taken))
    faults = [f for gateway, own in found.items() for f in _by_gateway(own, kept[gateway], rule)]
    return sorted(faults, key=lambda f: (f.starts_us, f.gateway, f.meter or "", f.kind))


# ---------------------------------------------------------------- the grid


def keeps_rhythm(ts_us: Ints, interval_s: float, rule: ClockRule) -> bool:
    """Whether all stamps, in any order, lie on one grid, or none of many do on any: nothing to judge then."""
    ts_us = np.unique(ts_us)
    if len(ts_us) < 2 * rule.least_stamps:
        step_us = int(interval_s * _S)
        few = Rhythm(step_us, int(ts_us[0]) % step_us if len(ts_us) else 0, int(rule.least_s * _S))
        return bool((np.abs(few.beside_us(ts_us)) <= few.tolerance_us).all())
    rhythm = rhythm_of(ts_us, interval_s, rule)
    if rhythm is None:
        return len(ts_us) >= rule.many_stamps
    return bool((np.abs(rhythm.beside_us(ts_us)) <= rhythm.tolerance_us).all())


def rhythm_of(ts_us: Ints, interval_s: float, rule: ClockRule) -> Rhythm | None:
    """The grid that a meter is read on; None where it keeps none. ts_us: ascending, without repeats."""
    if len(ts_us) < 2 * rule.least_stamps:
        return None
    step_us = _step_us(float(np.median(np.diff(ts_us))), interval_s * _S) or round(interval_s * _S)
    for tolerance_s in rule.tolerances_s:
        wall = Rhythm(step_us, 0, int(tolerance_s * _S))
        if wall.tolerance_us > rule.tolerance_share * step_us:
            break
        if wall.share_of(ts_us) >= rule.wall_share and _is_tight(wall, ts_us, rule):
            return wall
        phase_us, share = _commonest(ts_us % step_us, step_us, wall.tolerance_us)
        own = replace(wall, phase_us=phase_us)
        if share >= rule.habit_share and _is_tight(own, ts_us, rule):
            return own
    return None


def _is_tight(rhythm: Rhythm, ts_us: Ints, rule: ClockRule) -> bool:
    """Whether few stamps lie just outside of the tolerance: else it cuts through the seconds that a reading takes."""
    wide = replace(rhythm, tolerance_us=min(int(rule.tolerances_s[-1] * _S), rhythm.step_us // 2))
    return rhythm.share_of(ts_us) >= rule.tight_share * wide.share_of(ts_us)


def _step_us(usual_us: float, interval_us: float) -> int | None:
    """The multiple or part of the interval that is the usual step, within 2%; None where readings of another time lie
    between, or no rhythm is kept: the interval is looked for then.
    """
    ratio = usual_us / interval_us
    step = round(ratio) * interval_us if ratio >= 1 else interval_us / max(round(1 / max(ratio, 1e-6)), 1)
    return round(step) if step >= _S and abs(usual_us - step) <= _STEP_SHARE * step else None


def _commonest(residue: Ints, step_us: int, tolerance_us: int) -> tuple[int, float]:
    """The middle of the stretch of 2 x tolerance, around the circle, that holds most; the share that it holds."""
    ordered = np.sort(residue)
    around = np.concatenate([ordered, ordered + step_us])
    count = np.searchsorted(around, ordered + 2 * tolerance_us, side="right") - np.arange(len(ordered))
    first = int(np.argmax(count))
    middle = np.median(around[first : first + int(count[first])])
    return int(middle) % step_us, float(count[first] / len(ordered))


# ---------------------------------------------------------------- stamps beside it


@dataclass(frozen=True, slots=True)
class _Chain:
    """Stamps beside the grid that follow each other as one clock would stamp them: int64[n] each; off_us: how far
    beside it, going on over half a step where it drifts. shown: by the register, first and last.
    """

    ts_us: Ints
    off_us: Ints
    shown: tuple[float, float] = (np.nan, np.nan)

    @property
    def seconds_per_day(self) -> float:
        """How fast it goes off further: the slope of the straight line through it."""
        days = (self.ts_us - self.ts_us[0]) / (_DAY_S * _S)
        if len(days) < 2 or days[-1] == 0:
            return 0.0
        return float(np.polyfit(days, self.off_us / _S, 1)[0])

    def moved_us(self) -> int:
        """By how much more it is off at the end than at the beginning."""
        return int(self.off_us[-1] - self.off_us[0])


def _chains(off_us: Ints, value: Floats, rhythm: Rhythm, rule: ClockRule) -> Iterable[_Chain]:
    """Stamps beside the grid, cut where they are far apart or where the clock was set in between."""
    if not len(off_us):
        return
    beside, gap = rhythm.beside_us(off_us), np.diff(off_us)
    turn = (np.diff(beside) + rhythm.step_us // 2) % rhythm.step_us - rhythm.step_us // 2
    may_turn = 2 * rhythm.tolerance_us + rule.drift_s_per_day / _DAY_S * gap
    cuts = np.flatnonzero((gap > rule.join_s * _S) | (np.abs(turn) > may_turn)) + 1
    for part in np.split(np.arange(len(off_us)), cuts):
        if len(part) >= rule.least_stamps:
            turned = np.concatenate([[0], np.cumsum(turn[part[:-1]])])
            shown = float(value[part[0]]), float(value[part[-1]])
            yield _Chain(off_us[part], beside[part[0]] + turned, shown)


def _told(chain: _Chain, grid: _Grid, rule: ClockRule) -> ClockFault | None:
    """What a chain tells, if it is a clock's fault; of no meter yet."""
    if chain.ts_us[-1] - chain.ts_us[0] > rule.longest_s * _S:
        return None
    if abs(chain.moved_us()) > 3 * grid.rhythm.tolerance_us:
        return _drift(chain, grid, rule)
    return _offset(chain, grid, rule)


def _drift(chain: _Chain, grid: _Grid, rule: ClockRule) -> ClockFault | None:
    """A clock that left the grid, further and further."""
    rate = chain.seconds_per_day
    begin_us, end_us = abs(int(chain.off_us[0])), abs(int(chain.off_us[-1]))
    if abs(chain.moved_us()) < rule.least_s * _S or rate == 0 or end_us < max(begin_us, rule.least_s * _S):
        return None
    true_us = chain.ts_us - chain.off_us
    begun_us = int(true_us[0] - min(abs(chain.off_us[0]) / abs(rate) * _DAY_S, rule.join_s * _S))
    places = grid.rhythm.slots(true_us)
    first, last = int(places[0]), int(places[-1])
    if np.isin(places, grid.taken).mean() > 1 - rule.clean_share or not grid.is_clean_before(first):
        return None
    if not grid.goes_on_after(last):
        if chain.ts_us[-1] - chain.ts_us[0] < rule.clean_s * _S:
            return None
        return _fault(CLOCK_DRIFT, chain, begun_us, None, int(chain.off_us[-1]), rate)
    if not grid.is_clean_after(last):
        return None
    return _fault(CLOCK_DRIFT, chain, begun_us, grid.rhythm.at_us(last + 1), int(chain.off_us[-1]), rate)


def _offset(chain: _Chain, grid: _Grid, rule: ClockRule) -> ClockFault | None:
    """A clock that was off by the same all the time: as far as the places that its readings left empty."""
    beside = int(np.median(chain.off_us))
    stamped = grid.rhythm.slots(chain.ts_us - beside)
    true_first = grid.place_of(int(stamped[0]), int(stamped[-1]) - int(stamped[0]) + 1, beside, chain.shown)
    if true_first is None:
        return _lasting(chain, grid, beside, int(stamped[0]), rule)
    true_last = true_first + int(stamped[-1] - stamped[0])
    off_us = beside + (int(stamped[0]) - true_first) * grid.rhythm.step_us
    if abs(off_us) < rule.least_s * _S or not grid.is_clean_before(true_first):
        return None
    if not grid.is_clean_after(true_last):
        return None
    kind = CLOCK_JUMP if abs(off_us) >= rule.jump_s * _S else CLOCK_OFFSET
    begin_us, end_us = grid.rhythm.at_us(true_first), grid.rhythm.at_us(true_last + 1)
    return _fault(kind, chain, begin_us, end_us, off_us, 0.0)


def _lasting(
    chain: _Chain, grid: _Grid, beside: int, stamped_first: int, rule: ClockRule
) -> ClockFault | None:
    """An offset that goes on: nothing came on the grid since. Only of a meter that is read by the clock on the wall,
    as another one's rhythm may change for good when its gateway is started anew.
    """
    true_first = int(grid.taken[-1]) + 1
    off_us = beside + (stamped_first - true_first) * grid.rhythm.step_us
    if abs(int(grid.rhythm.beside_us(np.zeros(1, np.int64))[0])) > rule.tolerances_s[-1] * _S:
        return None
    if not rule.least_s * _S <= abs(off_us) < rule.jump_s * _S:
        return None
    if chain.ts_us[-1] - chain.ts_us[0] < rule.lasting_s * _S or not grid.is_clean_before(true_first):
        return None
    return _fault(CLOCK_OFFSET, chain, grid.rhythm.at_us(true_first), None, off_us, 0.0)


def _shifts(twice: Ints, grid: _Grid, rule: ClockRule) -> Iterable[ClockFault]:
    """A clock that was off by whole steps: as many places in a row that have two readings, int64[n] ascending, on one
    side of what it stamped as there are empty ones on the other.
    """
    for run in np.split(twice, np.flatnonzero(np.diff(twice) > 1) + 1):
        hole = None if len(run) < 2 else grid.hole_like(int(run[0]), len(run), round(rule.longest_s * _S))
        if hole is None:
            continue
        size, slow = len(run), int(run[0]) < hole
        begin, end = (int(run[-1]) + 1, hole + size) if slow else (hole, int(run[0]))
        if not grid.is_clean_before(begin - size * slow) or not grid.is_clean_after(
            end - 1 + size * (not slow)
        ):
            continue
        off_us = -size * grid.rhythm.step_us if slow else size * grid.rhythm.step_us
        stamped_us = (
            grid.rhythm.at_us(0) + np.arange(begin, end, dtype=np.int64) * grid.rhythm.step_us + off_us
        )
        kind = CLOCK_JUMP if abs(off_us) >= rule.jump_s * _S else CLOCK_OFFSET
        still = _Chain(stamped_us, np.zeros_like(stamped_us))
        yield _fault(kind, still, grid.rhythm.at_us(begin), grid.rhythm.at_us(end), off_us, 0.0)


def _fault(
    kind: str, chain: _Chain, starts_us: int, ends_us: int | None, off_us: int, rate: float
) -> ClockFault:
    first, last = int(chain.ts_us[0]), int(chain.ts_us[-1])
    return ClockFault(
        kind, "", None, (), starts_us, ends_us, first, last, off_us / _S, rate, len(chain.ts_us)
    )


# ---------------------------------------------------------------- places that are taken and empty


class _Grid:
    """The places of a grid at which a meter was read, int64[n] ascending, and what they say of those between; value:
    float64[n], what its register showed there.
    """

    def __init__(self, rhythm: Rhythm, taken: Ints, rule: ClockRule, value: Floats) -> None:
        self.rhythm, self.taken, self._rule = rhythm, taken, rule
        gaps = np.flatnonzero(np.diff(taken) > 1)
        self._hole_shows = value[gaps], value[gaps + 1]
        self._hole_from = taken[gaps] + 1
        self._hole_size = np.diff(taken)[gaps] - 1

    def place_of(self, stamped_first: int, size: int, beside: int, shown: tuple[float, float]) -> int | None:
        """Where readings belong that are stamped in `size` places from `stamped_first` on: of the holes of that size,
        or a little larger, one into which what the register showed fits, if any does; the nearest. None: there is none.
        """
        slack = 2 + size // 50
        spare = self._hole_size - size
        fits = np.flatnonzero((spare >= 0) & (spare <= slack))
        if not len(fits):
            return None
        low, high = self._hole_shows
        by_value = fits[(low[fits] <= shown[0]) & (shown[1] <= high[fits])]
        fits = by_value if len(by_value) else fits
        off_us = np.abs(beside + (stamped_first - self._hole_from[fits]) * self.rhythm.step_us)
        best = fits[np.lexsort((off_us, spare[fits] > 0))[0]]
        return int(self._hole_from[best])

    def hole_like(self, place: int, size: int, within_us: int) -> int | None:
        """The hole of exactly `size` places that is nearest to one, None where none is within that time."""
        fits = self._hole_from[self._hole_size == size]
        if not len(fits):
            return None
        nearest = int(fits[np.argmin(np.abs(fits - place))])
        return nearest if abs(nearest - place) * self.rhythm.step_us <= within_us else None

    def is_clean_before(self, place: int) -> bool:
        """Whether the meter kept its grid for long enough before a place."""
        return self._is_clean(place - self._count(self._rule.clean_s), place)

    def is_clean_after(self, place: int) -> bool:
        """Whether it keeps it for long enough after a place."""
        return self._is_clean(place + 1, place + 1 + self._count(self._rule.after_s))

    def goes_on_after(self, place: int) -> bool:
        """Whether anything was read on the grid after a place."""
        return bool(len(self.taken)) and int(self.taken[-1]) > place

    def _count(self, seconds: float) -> int:
        return max(1, round(seconds * _S / self.rhythm.step_us))

    def _is_clean(self, begin: int, end: int) -> bool:
        low, high = np.searchsorted(self.taken, [begin, end])
        return bool(high - low >= self._rule.clean_share * (end - begin))


# ---------------------------------------------------------------- whose clock


def _by_gateway(
    faults: Sequence[ClockFault], meters: Sequence[tuple[Rhythm, Ints]], rule: ClockRule
) -> list[ClockFault]:
    """Faults of the meters of one gateway, those that most of its meters share as one of the gateway."""
    told: list[ClockFault] = []
    for group in _alike(faults):
        first = min(f.starts_us for f in group)
        heard = sum(1 for rhythm, taken in meters if _is_heard(rhythm, taken, first, rule))
        if len(group) < 2 or len(group) < rule.shared * heard:
            told += group
        else:
            told.append(_merged(group))
    return told


def _is_heard(rhythm: Rhythm, taken: Ints, moment_us: int, rule: ClockRule) -> bool:
    """Whether a meter was read within the clean time before a moment."""
    low, high = np.searchsorted(
        rhythm.phase_us + taken * rhythm.step_us, [moment_us - rule.clean_s * _S, moment_us]
    )
    return bool(high > low)


def _alike(faults: Sequence[ClockFault]) -> list[list[ClockFault]]:
    """Groups of faults of different meters that are of one kind, of about the same size, at about the same time."""
    groups: list[list[ClockFault]] = []
    for fault in sorted(faults, key=lambda f: (f.kind, f.starts_us, f.meter or "")):
        home = next(
            (g for g in groups if _is_alike(g[0], fault) and all(f.meter != fault.meter for f in g)), None
        )
        if home is None:
            groups.append([fault])
        else:
            home.append(fault)
    return groups


def _is_alike(a: ClockFault, b: ClockFault) -> bool:
    if a.kind != b.kind or a.stamped_from_us > b.stamped_to_us or b.stamped_from_us > a.stamped_to_us:
        return False
    if a.kind == CLOCK_DRIFT:
        return abs(a.seconds_per_day - b.seconds_per_day) <= max(2.0, 0.1 * abs(a.seconds_per_day))
    return abs(a.offset_s - b.offset_s) <= 60.0


def _merged(group: Sequence[ClockFault]) -> ClockFault:
    ends = [f.ends_us for f in group if f.ends_us is not None]
    return replace(
        group[0],
        meter=None,
        meters=tuple(sorted(f.meter for f in group if f.meter is not None)),
        starts_us=min(f.starts_us for f in group),
        ends_us=max(ends) if len(ends) == len(group) else None,
        stamped_from_us=min(f.stamped_from_us for f in group),
        stamped_to_us=max(f.stamped_to_us for f in group),
        offset_s=_median(f.offset_s for f in group),
        seconds_per_day=_median(f.seconds_per_day for f in group),
        stamps=max(f.stamps for f in group),
    )


def _median(values: Iterable[Any]) -> float:
    held: Floats = np.array(list(values), dtype=np.float64)
    return float(np.median(held))
