"""Loads above a building's own habit: at night, on days off, and a level that rose for good. Pure, vectorised.

S series (a site and item each), N local days. A day's figure is NaN where readings do not bound all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alerts.days import Bools, Floats, Ints

#: Days that habit is learnt from: eight weeks, that end some days before the one judged.
HABIT_DAYS = 56
#: So many of them must be known.
FEWEST = 8
#: A year, in whole weeks, so that the same kinds of day are compared.
YEAR_OF_WEEKS = 364


@dataclass(frozen=True, slots=True)
class LoadParameters:
    """A rule's severity and figures.

    margin: by which share of the habit a day must be above it; floor: and by how much, in the item's unit per hour;
    days: so many days of the rule's kind on end; calm_days: so many without it end the alert; window: of a step: the
    middle of so many days.
    """

    severity: str
    margin: float
    floor: float
    days: int
    calm_days: int
    window: int = 0
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class Loads:
    """night: S x N, mean hourly energy of the hours from midnight to six; day: S x N, of the whole day; day_off,
    weekend: N, days off, and of these the Saturdays and Sundays; first: the first day that is wanted.
    """

    night: Floats
    day: Floats
    day_off: Bools
    weekend: Bools
    first: int

    def of(self, series: list[int]) -> Loads:
        """Those of some series."""
        if len(series) == len(self.day):
            return self
        return Loads(self.night[series], self.day[series], self.day_off, self.weekend, self.first)


@dataclass(frozen=True, slots=True)
class Judged:
    """actual, habit: S x N, mean hourly energy; counts: S x N, days that the rule looks at and knows enough of."""

    actual: Floats
    habit: Floats
    counts: Bools

    def above(self, p: LoadParameters) -> Bools:
        """S x N: days above the habit by the rule's margin and floor."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.counts & (self.actual > (1 + p.margin) * self.habit + p.floor))


def night_load(loads: Loads, p: LoadParameters) -> Judged:
    """Each night against the nights of its kind (before a workday, a day off) in the eight weeks before."""
    return _against_habit(loads.night, loads, p)


def weekend_load(loads: Loads, p: LoadParameters) -> Judged:
    """Each Saturday and Sunday that is off against the days off in the eight weeks before. Of holidays there are too
    few to know what is usual.
    """
    judged = _against_habit(loads.day, loads, p)
    return Judged(judged.actual, judged.habit, judged.counts & loads.weekend[None, :])


def load_step(loads: Loads, p: LoadParameters) -> Judged:
    """The middle of the last `window` days against the eight weeks before them, both as multiples of the same days a
    year (of weeks) before: what season brings every year is no step.
    """
    ratio = loads.day / _shifted(loads.day, YEAR_OF_WEEKS)
    now = _median(ratio, 0, p.window, FEWEST, loads.first)
    before = _median(ratio, p.window, HABIT_DAYS, FEWEST, loads.first)
    last_year = _median(_shifted(loads.day, YEAR_OF_WEEKS), 0, p.window, FEWEST, loads.first)
    known = np.isfinite(now) & np.isfinite(before) & np.isfinite(last_year) & np.isfinite(loads.day)
    return Judged(now * last_year, before * last_year, known)


RULES: dict[str, Callable[[Loads, LoadParameters], Judged]] = {
    "night_load": night_load,
    "weekend_load": weekend_load,
    "load_step": load_step,
}


@dataclass(frozen=True, slots=True)
class Runs:
    """S x N: for how many counted days on end, up to each, it has been above (held) and not above (calm), and the day
    on which that run of days above began (-1: none). Days that do not count neither break a run nor add to it.
    """

    held: Ints
    calm: Ints
    began: Ints


#: A run is looked for in so many days, so that it does not hang on how many are looked at together.
RUN_DAYS = 28


def runs(above: Bools, counts: Bools, first: int) -> Runs:
    """Runs up to each day from `first` on; days before are left at 0."""
    shape = above.shape
    found = Runs(np.zeros(shape, np.int64), np.zeros(shape, np.int64), np.full(shape, -1, np.int64))
    for d in range(first, shape[1]):
        held, calm = np.zeros(shape[0], np.int64), np.zeros(shape[0], np.int64)
        began = np.full(shape[0], -1, np.int64)
        for n in range(max(d - RUN_DAYS + 1, 0), d + 1):
            yes, no = counts[:, n] & above[:, n], counts[:, n] & ~above[:, n]
            began = np.where(no, -1, np.where(yes & (held == 0), n, began))
            held = np.where(yes, held + 1, np.where(no, 0, held))
            calm = np.where(no, calm + 1, np.where(yes, 0, calm))
        found.held[:, d], found.calm[:, d], found.began[:, d] = held, calm, began
    return found


def _against_habit(values: Floats, loads: Loads, p: LoadParameters) -> Judged:
    """Against the median of days of the same kind in the eight weeks before the run that is looked for."""
    habit = np.full(values.shape, np.nan)
    for kind in (False, True):
        of_kind = (loads.day_off == kind)[None, :]
        own = _median(np.where(of_kind, values, np.nan), 2 * p.days, HABIT_DAYS, FEWEST, loads.first)
        habit = np.where(of_kind, own, habit)
    return Judged(values, habit, np.isfinite(values) & np.isfinite(habit))


def _shifted(values: Floats, days: int) -> Floats:
    """Each day's figure is that of `days` days before."""
    out = np.full(values.shape, np.nan)
    if values.shape[1] > days:
        out[:, days:] = values[:, :-days]
    return out


def _median(values: Floats, ago: int, length: int, fewest: int, first: int) -> Floats:
    """Median of what is known of the `length` days that end `ago` days before each from `first` on; NaN where fewer
    than `fewest` are.
    """
    out = np.full(values.shape, np.nan)
    for d in range(first, values.shape[1]):
        end = d + 1 - ago
        window = np.sort(values[:, max(end - length, 0) : max(end, 0)], axis=1)  # NaN last
        known = np.isfinite(window).sum(axis=1)
        rows = np.flatnonzero(known >= fewest)
        middle = window[rows, (known[rows] - 1) // 2] + window[rows, known[rows] // 2]
        out[rows, d] = middle / 2
    return out
