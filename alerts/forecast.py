"""What a day of a site is expected to use: last years' season and kind of day, at this year's level so far.

Pure functions over arrays of S series (a site and item each) x N local days. An expectation as of day D is made only
from days that readings up to the end of D settle: `settled[i, D]` is the index of the first day that they do not.
The method and how its parameters were chosen: docs/decisions/forecast.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import numpy.typing as npt

from alerts.days import YEAR_DAYS, Bools, DayGrid, Floats, Ints, same_day_years_before

METHOD_PROFILE = "profile/1"
METHOD_RUN_RATE = "run_rate/1"
_KINDS = (False, True)  # workday, day off
#: Days that are worked on at a time, so that what is in hand stays in the processor's cache.
_DAYS_IN_CACHE = 32


@dataclass(frozen=True, slots=True)
class ForecastParameters:
    """Parameters of the method; the values in force are data (parameters.toml).

    window_days: a day's profile is the mean of days of its kind within so many days of the same date in years before.
    older_year_weight: weight of the year before last against last year (squared for the one before that).
    years: how many years before are looked at. min_days: fewer days of a kind than this give no profile.
    level_half_life_days: how fast this year's level forgets. prior_days: how many days the expected level is worth.
    carry: share of last year's change of level that is expected to hold in the new year.
    run_rate_half_life_days: the same for the run rate, used where there is no profile.
    """

    window_days: int
    years: int
    older_year_weight: float
    min_days: int
    level_half_life_days: float
    prior_days: float
    carry: float
    run_rate_half_life_days: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """Expected energy of every day of the year of D, for each row (series, D).

    day_energy: R x 366, in the item's unit, NaN where nothing is known; from_profile: R x 366, whether it came from
    years before (else from the run rate).
    """

    day_energy: Floats
    from_profile: Bools


@dataclass(frozen=True, slots=True)
class Model:
    """What is learnt for one year; made by `fit`, read by `expect`.

    profile: S x 366; prior, weight: S, expected level and what it is worth; actual, expected: S x N, decaying sums
    since 1 January, after each day; rate: S x N x 2, decaying mean of a workday and a day off, after each day.
    """

    days: DayGrid
    year: int
    settled: Ints
    profile: Floats
    prior: Floats
    weight: Floats
    actual: Floats
    expected: Floats
    rate: Floats


def fit(
    days: DayGrid, energy: Floats, usable: Bools, settled: Ints, year: int, p: ForecastParameters
) -> Model:
    """Learn what the forecasts of `year` rest on.

    energy: S x N energy of each local day, in the item's unit; usable: S x N, whether readings bound all of it;
    settled: S x N as in the module's head. The grid begins on a 1 January and ends in `year`.
    """
    sums = _KindSums(days, energy, usable)
    # Column by column: a day of all series lies together in memory.
    energy, usable = np.asfortranarray(energy), np.asfortranarray(usable)
    actual, expected = np.zeros(energy.shape, order="F"), np.zeros(energy.shape, order="F")
    prior = weight = level = np.ones(len(energy))
    profile = np.full((len(energy), YEAR_DAYS), np.nan)
    for y in (year - 1, year):
        inside = np.flatnonzero(days.years == y)
        if len(inside) == 0:
            continue
        start, stop = int(inside[0]), int(inside[-1]) + 1
        profile = _profile(days, sums, settled, y, p)
        prior = 1.0 + p.carry * (level - 1.0)
        weight = p.prior_days * _row_mean(profile)
        _run_level(energy, usable, profile, slice(start, stop), actual, expected, p)
        level = _level(prior, weight, *_state(actual, expected, settled[:, stop - 1] - 1, start))
    rate = _run_rate(days, energy, usable, p)
    return Model(days, year, settled, profile, prior, weight, actual, expected, rate)


def expect(model: Model, series: Ints, as_of: Ints) -> Expectation:
    """Expected energy of each day of the model's year for rows (series[r], day index as_of[r] in that year)."""
    known = model.settled[series, as_of] - 1
    start = model.days.index(date(model.year, 1, 1))
    actual, expected = model.actual[series, known.clip(0)], model.expected[series, known.clip(0)]
    none_yet = known < start
    actual, expected = np.where(none_yet, 0.0, actual), np.where(none_yet, 0.0, expected)
    level = _level(model.prior[series], model.weight[series], actual, expected)
    profile = level[:, None] * model.profile[series]
    rate = np.where((known < 0)[:, None], np.nan, model.rate[series, known.clip(0)])
    run_rate = rate[:, _day_off(model.year, model.days).astype(np.int64)]
    from_profile = np.isfinite(profile)
    return Expectation(np.where(from_profile, profile, run_rate), from_profile)


class _KindSums:
    """Running sums of usable days' energy, and of their count, for workdays and days off: S x (N + 1) each."""

    def __init__(self, days: DayGrid, energy: Floats, usable: Bools) -> None:
        masks = [usable & (days.day_off == kind)[None, :] for kind in _KINDS]
        self._energy = [_running(np.where(mask, energy, 0.0)) for mask in masks]
        self._count = [_running(mask.astype(np.float64)) for mask in masks]

    def window(self, kind: int, centre: Ints, half: int, known_to: Ints) -> tuple[Floats, Floats]:
        """Sum and count over [centre - half, centre + half], of days before `known_to` (S); S x len(centre)."""
        begin = np.minimum((centre - half).clip(0)[None, :], known_to[:, None])
        end = np.minimum((centre + half + 1).clip(0)[None, :], known_to[:, None])
        energy, count = self._energy[kind], self._count[kind]
        return (
            np.take_along_axis(energy, end, 1) - np.take_along_axis(energy, begin, 1),
            np.take_along_axis(count, end, 1) - np.take_along_axis(count, begin, 1),
        )


def _running(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _profile(days: DayGrid, sums: _KindSums, settled: Ints, year: int, p: ForecastParameters) -> Floats:
    """S x 366: mean energy of days of the same kind around the same date in the years before `year`."""
    out = np.full((len(settled), YEAR_DAYS), np.nan)
    dates, off = _year_dates(year), _day_off(year, days)
    new_year = days.index(dates[0].item())
    if new_year <= 0:
        return out
    known_to = np.minimum(settled[:, new_year - 1], new_year)
    shape = (2, len(settled), len(dates))
    total, count = np.zeros(shape), np.zeros(shape)
    for age in range(1, p.years + 1):
        centre = (same_day_years_before(dates, age) - days.dates[0]).astype(np.int64)
        for kind in (0, 1):
            energy, number = sums.window(kind, centre, p.window_days, known_to)
            total[kind] += p.older_year_weight ** (age - 1) * energy
            count[kind] += p.older_year_weight ** (age - 1) * number
    both_total, both_count = total.sum(axis=0), count.sum(axis=0)
    both = np.divide(both_total, both_count, out=np.full(shape[1:], np.nan), where=both_count >= p.min_days)
    own = np.divide(total, count, out=np.broadcast_to(both, shape).copy(), where=count >= p.min_days)
    out[:, : len(dates)] = np.where(off[None, : len(dates)], own[1], own[0])
    return out


def _run_level(
    energy: Floats,
    usable: Bools,
    profile: Floats,
    year: slice,
    actual: Floats,
    expected: Floats,
    p: ForecastParameters,
) -> None:
    """Fill actual and expected, decaying sums since 1 January after each day, over the days of a year."""
    keep = 0.5 ** (1.0 / p.level_half_life_days)
    a, b = np.zeros(len(energy)), np.zeros(len(energy))
    for day, column in zip(range(year.start, year.stop), profile.T, strict=False):
        counts = usable[:, day] & np.isfinite(column)
        a = keep * a + np.where(counts, energy[:, day], 0.0)
        b = keep * b + np.where(counts, column, 0.0)
        actual[:, day], expected[:, day] = a, b


def _state(actual: Floats, expected: Floats, known: Ints, start: int) -> tuple[Floats, Floats]:
    rows = np.arange(len(actual))
    a, b = actual[rows, known.clip(0)], expected[rows, known.clip(0)]
    return np.where(known < start, 0.0, a), np.where(known < start, 0.0, b)


def _level(prior: Floats, weight: Floats, actual: Floats, expected: Floats) -> Floats:
    """This year's level against the profile; the prior counts as `weight` of expected energy."""
    weight = np.nan_to_num(weight)
    total = weight + expected
    return np.divide(weight * prior + actual, total, out=np.ones_like(total), where=total > 0)


def _run_rate(days: DayGrid, energy: Floats, usable: Bools, p: ForecastParameters) -> Floats:
    """S x N x 2: decaying mean energy of a workday and of a day off, after each day; NaN before the first day."""
    keep = 0.5 ** (1.0 / p.run_rate_half_life_days)
    usable_days = np.ascontiguousarray(usable.T)
    used = np.where(usable_days, energy.T, 0.0)
    # Energy of both kinds, then days of both: only what decays goes day by day.
    state = np.zeros((4, len(energy)))
    states = np.empty((_DAYS_IN_CACHE, *state.shape))
    rate = np.empty((days.size, 2, len(energy)))
    kinds = days.day_off.astype(np.int64).tolist()
    for begin in range(0, days.size, _DAYS_IN_CACHE):
        some = kinds[begin : begin + _DAYS_IN_CACHE]
        for n, kind in enumerate(some):
            state *= keep
            state[kind] += used[begin + n]
            state[2 + kind] += usable_days[begin + n]
            states[n] = state
        total, count = states[: len(some), :2], states[: len(some), 2:]
        both = count.sum(axis=1)
        both = np.divide(total.sum(axis=1), both, out=np.full(both.shape, np.nan), where=both > 0)
        found = rate[begin : begin + len(some)]
        found[:] = both[:, None, :]
        np.divide(total, count, out=found, where=count > 0)
    return np.asarray(rate.transpose(2, 0, 1))


def _row_mean(values: Floats) -> Floats:
    counts = np.isfinite(values).sum(axis=1)
    mean = np.divide(np.nansum(values, axis=1), counts, out=np.zeros(len(values)), where=counts > 0)
    return np.asarray(mean)


def _year_dates(year: int) -> npt.NDArray[np.datetime64]:
    first = np.datetime64(f"{year:04d}-01-01", "D")
    last = np.datetime64(f"{year + 1:04d}-01-01", "D")
    return np.arange(first, last)


def _day_off(year: int, days: DayGrid) -> Bools:
    dates = _year_dates(year)
    out = np.zeros(YEAR_DAYS, dtype=np.bool_)
    out[: len(dates)] = DayGrid(dates[0].item(), len(dates), days.zone).day_off
    return out
