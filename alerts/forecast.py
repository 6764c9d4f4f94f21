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
#: Kinds of day. A long holiday has a kind of its own, since it may move (春节) and buildings close for it.
_WORKDAY, _DAY_OFF, _HOLIDAY = range(3)
_KINDS = (_WORKDAY, _DAY_OFF, _HOLIDAY)
#: The forecasts of so many years before are judged in hindsight, for the width of the band.
JUDGED_YEARS = 2
#: Of actual to expected, where next to nothing was used: a logarithm must stay finite.
_LEAST_RATIO = 1e-3


@dataclass(frozen=True, slots=True)
class ForecastParameters:
    """Parameters of the method; the values in force are data (parameters.toml).

    window_days: a day's profile is the mean of days of its kind within so many days of the same date in years before;
    holiday_window_days: the same for days of a long holiday, wide enough for one that moves.
    older_year_weight: weight of the year before last against last year (squared for the one before that).
    years: how many years before are looked at. min_days: fewer days of a kind than this give no profile.
    season_half_life_days: how fast this year's level forgets; prior_days: for how many usual days (`_usual_day`) the
    level expected on 1 January counts against it. level_half_life_days, season_days: the same for the level of late,
    which is what is forecast with, against this year's.
    carry: share of last year's change of level that is expected to hold in the new year.
    most_level: a profile of which this year uses more times as much is another use's, and is not believed.
    run_rate_half_life_days: the same for the run rate, used where there is no profile.
    """

    window_days: int
    holiday_window_days: int
    years: int
    older_year_weight: float
    min_days: int
    level_half_life_days: float
    season_days: float
    season_half_life_days: float
    prior_days: float
    carry: float
    most_level: float
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

    profile: S x 366; prior: S, expected level on 1 January; level: S x N, after each day; most_level: see
    ForecastParameters; run_total, run_count: N x 2 x S as from `_run_sums`; past_errors: S x 2 x 366, of the two years
    before, as `_past_errors` gives them.
    """

    days: DayGrid
    year: int
    settled: Ints
    profile: Floats
    prior: Floats
    level: Floats
    most_level: float
    run_total: Floats
    run_count: Floats
    past_errors: Floats


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
    prior = np.ones(len(energy))
    level = np.ones(energy.shape, order="F")
    profile = np.full((len(energy), YEAR_DAYS), np.nan)
    past = np.full((len(energy), JUDGED_YEARS, YEAR_DAYS), np.nan)
    for age in range(JUDGED_YEARS, -1, -1):
        inside = np.flatnonzero(days.years == year - age)
        if len(inside) == 0:
            continue
        span = slice(int(inside[0]), int(inside[-1]) + 1)
        profile = _profile(days, sums, settled, year - age, p)
        _run_level(energy, usable, profile, span, prior, level, p)
        if age:
            known_to = settled[:, days.index(date(year, 1, 1)) - 1]
            past[:, age - 1] = _past_errors(energy, usable, profile, level, span, known_to)
            final = _level_at(level, np.arange(len(level)), settled[:, span.stop - 1] - 1, span.start, prior)
            prior = 1.0 + p.carry * (final - 1.0)
    return Model(
        days,
        year,
        settled,
        profile,
        prior,
        level,
        p.most_level,
        *_run_sums(days, energy, usable, p),
        past_errors=past,
    )


def expect(model: Model, series: Ints, as_of: Ints) -> Expectation:
    """Expected energy of each day of the model's year for rows (series[r], day index as_of[r] in that year)."""
    known = model.settled[series, as_of] - 1
    start = model.days.index(date(model.year, 1, 1))
    level = _level_at(model.level, series, known, start, model.prior[series])
    believed = np.where(level > model.most_level, np.nan, level)
    profile = believed[:, None] * model.profile[series]
    run_rate = _run_rate(model, series, known)[:, _run_kinds(model.year, model.days)]
    from_profile = np.isfinite(profile)
    return Expectation(np.where(from_profile, profile, run_rate), from_profile)


class _KindSums:
    """Running sums of usable days' energy, and of their count, for each kind of day: S x (N + 1) each."""

    def __init__(self, days: DayGrid, energy: Floats, usable: Bools) -> None:
        kinds = _kinds(days)
        masks = [usable & (kinds == kind)[None, :] for kind in _KINDS]
        self._energy = [_running(np.where(mask, energy, 0.0)) for mask in masks]
        self._count = [_running(mask.astype(np.float64)) for mask in masks]

    def window(self, kind: int, centre: Ints, half: int, known_to: Ints) -> tuple[Floats, Floats]:
        """Sum and count over [centre - half, centre + half], of days before `known_to` (S); S x len(centre)."""
        begin = np.minimum((centre - half).clip(0)[None, :], known_to[:, None])
        end = np.minimum((centre + half + 1).clip(0)[None, :], known_to[:, None])
        energy, count = self._energy[kind], self._count[kind]
        return _take(energy, end) - _take(energy, begin), _take(count, end) - _take(count, begin)


def _take(values: Floats, columns: Ints) -> Floats:
    """values[i, columns[i, j]]; quick where every row wants the same columns, as all but silent series do."""
    if len(columns) and (columns == columns[0]).all():
        return np.asarray(values[:, columns[0]])
    return np.take_along_axis(values, columns, 1)


def _running(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _profile(days: DayGrid, sums: _KindSums, settled: Ints, year: int, p: ForecastParameters) -> Floats:
    """S x 366: mean energy of days of the same kind around the same date in the years before `year`.

    NaN where they do not tell; all NaN where nothing was used in them: that has no shape.
    """
    out = np.full((len(settled), YEAR_DAYS), np.nan)
    dates, kinds = _year_dates(year), _year_kinds(year, days)
    new_year = days.index(dates[0].item())
    if new_year <= 0:
        return out
    known_to = np.minimum(settled[:, new_year - 1], new_year)
    shape = (len(_KINDS), len(settled), len(dates))
    total, count = np.zeros(shape), np.zeros(shape)
    for age in range(1, p.years + 1):
        centre = (same_day_years_before(dates, age) - days.dates[0]).astype(np.int64)
        for kind in _KINDS:
            half = p.holiday_window_days if kind == _HOLIDAY else p.window_days
            energy, number = sums.window(kind, centre, half, known_to)
            total[kind] += p.older_year_weight ** (age - 1) * energy
            count[kind] += p.older_year_weight ** (age - 1) * number
    plain = slice(0, _HOLIDAY)
    mean = _mean(
        total[plain].sum(axis=0), count[plain].sum(axis=0) >= p.min_days, count[plain].sum(axis=0), np.nan
    )
    own = [_mean(total[k], count[k] >= p.min_days, count[k], mean) for k in (_WORKDAY, _DAY_OFF)]
    own.append(_mean(total[_HOLIDAY], count[_HOLIDAY] >= p.min_days, count[_HOLIDAY], own[_DAY_OFF]))
    out[:, : len(dates)] = np.choose(kinds[None, :], own)
    out[_usual_day(out) <= 0] = np.nan
    return out


def _mean(total: Floats, enough: Bools, count: Floats, otherwise: Floats | float) -> Floats:
    return np.asarray(
        np.divide(total, count, out=np.broadcast_to(otherwise, total.shape).copy(), where=enough)
    )


def _run_level(
    energy: Floats,
    usable: Bools,
    profile: Floats,
    year: slice,
    prior: Floats,
    level: Floats,
    p: ForecastParameters,
) -> None:
    """Fill `level`, S x N, over the days of a year: use against the profile as seen after each day.

    Twice the same: a ratio of decaying sums is shrunk, the slow one towards the prior, the quick one towards the slow.
    """
    usual = _usual_day(profile)
    slow = _Decaying(0.5 ** (1.0 / p.season_half_life_days), p.prior_days * usual)
    quick = _Decaying(0.5 ** (1.0 / p.level_half_life_days), p.season_days * usual)
    for day, column in zip(range(year.start, year.stop), profile.T, strict=False):
        counts = usable[:, day] & np.isfinite(column)
        actual, expected = np.where(counts, energy[:, day], 0.0), np.where(counts, column, 0.0)
        level[:, day] = quick.level(slow.level(prior, actual, expected), actual, expected)


class _Decaying:
    """Sums of S series' actual and expected energy that forget by `keep` a day; what they are shrunk towards counts
    as `weight` of expected energy.
    """

    def __init__(self, keep: float, weight: Floats) -> None:
        self._keep, self._weight = keep, weight
        self._actual, self._expected = np.zeros(len(weight)), np.zeros(len(weight))

    def level(self, towards: Floats, actual: Floats, expected: Floats) -> Floats:
        """Count one more day; what the level is now, length S."""
        self._actual = self._keep * self._actual + actual
        self._expected = self._keep * self._expected + expected
        total = self._weight + self._expected
        sums = self._weight * towards + self._actual
        return np.divide(sums, total, out=np.ones_like(total), where=total > 0)


def _past_errors(
    energy: Floats, usable: Bools, profile: Floats, level: Floats, year: slice, known_to: Ints
) -> Floats:
    """S x 366: ln(actual / expected) of what a past year used after each of its days, as forecast on that day.

    level: S x N, after each day. Only days before `known_to` (S) with both energy and a profile are
    compared; NaN where these are less than half of the days that followed.
    """
    length = year.stop - year.start
    column = np.arange(year.start, year.stop)
    counts = usable[:, year] & np.isfinite(profile[:, :length]) & (column < known_to[:, None])
    actual = _after(np.where(counts, energy[:, year], 0.0))
    expected = level[:, year] * _after(np.where(counts, profile[:, :length], 0.0))
    judged = (_after(counts.astype(np.float64)) * 2 >= np.arange(length - 1, -1, -1)) & (expected > 0)
    ratio = np.divide(actual, expected, out=np.ones_like(actual), where=judged)
    out = np.full((len(energy), YEAR_DAYS), np.nan)
    out[:, :length] = np.where(judged, np.log(np.maximum(ratio, _LEAST_RATIO)), np.nan)
    return out


def _after(values: Floats) -> Floats:
    """Of each column the sum of those that follow it."""
    return np.asarray(values[:, ::-1].cumsum(axis=1)[:, ::-1] - values)


def _level_at(level: Floats, series: Ints, known: Ints, start: int, prior: Floats) -> Floats:
    """The level after day known[r] of the year that begins on day `start`; `prior` where no day of it is known."""
    return np.where(known < start, prior, level[series, known.clip(0)])


def _run_sums(days: DayGrid, energy: Floats, usable: Bools, p: ForecastParameters) -> tuple[Floats, Floats]:
    """Decaying energy and count of workdays and of days off, after each day; N x 2 x S each."""
    keep = 0.5 ** (1.0 / p.run_rate_half_life_days)
    total, count = np.zeros((2, len(energy))), np.zeros((2, len(energy)))
    totals, counts = np.empty((days.size, *total.shape)), np.empty((days.size, *count.shape))
    for d in range(days.size):
        total *= keep
        count *= keep
        kind = int(days.day_off[d])
        total[kind] += np.where(usable[:, d], energy[:, d], 0.0)
        count[kind] += usable[:, d]
        totals[d], counts[d] = total, count
    return totals, counts


def _run_rate(model: Model, series: Ints, known: Ints) -> Floats:
    """R x 2: mean energy of a workday and of a day off, after day known[r] (-1: none); NaN where no day was seen."""
    total, count = model.run_total[known, :, series], model.run_count[known, :, series]
    seen = count.sum(axis=1) * (known >= 0)
    both = np.divide(total.sum(axis=1), seen, out=np.full(len(series), np.nan), where=seen > 0)
    own = (count > 0) & (known >= 0)[:, None]
    return np.asarray(np.divide(total, count, out=np.repeat(both[:, None], 2, axis=1), where=own))


def _usual_day(profile: Floats) -> Floats:
    """Length S: what a day uses on which energy is used, each unit of it counting: of heat a day in winter; 0: none."""
    total = np.nansum(profile, axis=1)
    squares = np.nansum(profile**2, axis=1)
    return np.asarray(np.divide(squares, total, out=np.zeros(len(profile)), where=total > 0))


def _year_dates(year: int) -> npt.NDArray[np.datetime64]:
    first = np.datetime64(f"{year:04d}-01-01", "D")
    last = np.datetime64(f"{year + 1:04d}-01-01", "D")
    return np.arange(first, last)


def _kinds(days: DayGrid) -> Ints:
    return np.where(days.long_holiday, _HOLIDAY, np.where(days.day_off, _DAY_OFF, _WORKDAY))


def _year_kinds(year: int, days: DayGrid) -> Ints:
    dates = _year_dates(year)
    return _kinds(DayGrid(dates[0].item(), len(dates), days.zone))


def _run_kinds(year: int, days: DayGrid) -> Ints:
    """Length 366: to the run rate a long holiday is days off."""
    out = np.zeros(YEAR_DAYS, dtype=np.int64)
    kinds = np.minimum(_year_kinds(year, days), _DAY_OFF)
    out[: len(kinds)] = kinds
    return out
