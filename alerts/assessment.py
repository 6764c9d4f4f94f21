"""Quota assessment as of a local day: used, forecast, exhaustion, level. Pure functions over sets of sites x days.

S series (a site and item each), N local days of a grid, R rows (a series and a day D each, all D in one year).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from alerts.days import YEAR_DAYS, Bools, DayGrid, Floats, Ints
from alerts.forecast import METHOD_PROFILE, METHOD_RUN_RATE, Model, expect, fit
from alerts.forecast_band import own_scale
from alerts.parameters import LevelThresholds, Parameters

_USABLE_SHARE = 0.99
#: A site whose last meter was taken off is expected to go on for so many days: a meter may be away for its check.
_AWAY_DAYS = 31
#: Sums of the same numbers in another order differ in the last digits; beyond these nothing is meant.
_DECIMALS = 6
_SHARE_DECIMALS = 9


class Level(StrEnum):
    """Levels of an assessment in rising order."""

    UNDETERMINED = "undetermined"
    NORMAL = "normal"
    WATCH = "watch"
    WARNING = "warning"
    OVER = "over"
    SEVERE = "severe"
    ENFORCEMENT = "enforcement"


LEVELS = np.array([level.value for level in Level], dtype=object)
_RANK = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Silence:
    """Stretches of installed time of a series whose energy no reading bounds, one row a root point.

    series: index of the series; begin_s, end_s: seconds since 1970. A tail begins at the last reading as of day
    `as_of` (index) and ends with that day; a head (as_of = -1) lies between an installation and its first reading
    and is known as such from its end on. told_s: so much of it sub-meters told instead, taken for its first part.
    waits: tails whose next reading is not overdue (None: none is).
    """

    series: Ints
    as_of: Ints
    begin_s: Floats
    end_s: Floats
    told_s: Floats
    waits: Bools | None = None


@dataclass(frozen=True, slots=True)
class EnergyDays:
    """Day sums of S series over N days, as derived from all readings, and what of them was open at each day's end.

    energy, covered_s, installed_s: S x N; installed_s sums the root points' seconds (0: none installed).
    open_energy, open_covered_s: S x N, of steps open at the end of the day, back to the start of its year at most.
    unknown: S x N, days whose energy is not known in the series' unit, for want of a factor (counted as none).
    now_s: seconds since 1970 up to which time has passed, where a day in the grid has not ended.
    """

    days: DayGrid
    energy: Floats
    covered_s: Floats
    installed_s: Floats
    open_energy: Floats
    open_covered_s: Floats
    silence: Silence
    unknown: Bools
    now_s: float = float("inf")


@dataclass(frozen=True, slots=True)
class Assessments:
    """Result columns, length R. NaN where there is no value; exhaustion: day index in the year, -1 for never.

    share: which part of the year's use is expected by the end of the day, by season and kind of day (0..1). waiting:
    which part of the installed time so far only waits for readings that are not overdue (None: nothing does).
    """

    series: Ints
    as_of: Ints
    used: Floats
    limit: Floats
    p10: Floats
    p50: Floats
    p90: Floats
    exhaustion: Ints
    completeness: Floats
    level: Ints
    method: npt.NDArray[np.object_]
    share: Floats
    waiting: Floats | None = None


class Assessor:
    """Assesses rows of one set of series in one year; what is common to all rows is computed once."""

    def __init__(self, data: EnergyDays, year: int, parameters: Parameters) -> None:
        self._data = data
        self._p = parameters
        self._settled = settled_days(data)
        self._usable = _usable_days(data)
        self._year = year
        self._model: Model = fit(
            data.days, data.energy, self._usable, self._settled, year, parameters.forecast
        )
        self._scale = own_scale(self._model.past_errors, parameters.profile_band, parameters.band)
        self._energy_sum = _running(data.energy)
        self._unknown_sum = _running(data.unknown.astype(np.float64))
        self._covered_sum = _running(data.covered_s)
        self._installed_sum = _running(data.installed_s)

    def used(self, series: Ints, as_of: Ints) -> Floats:
        """Energy of the year of each day up to its end, as far as readings up to that end tell."""
        total = self._since_new_year(self._energy_sum, series, as_of)
        used = np.maximum(total - self._data.open_energy[series, as_of], 0.0)
        return np.asarray(np.round(used, _DECIMALS))

    def unknown(self, series: Ints, as_of: Ints) -> Bools:
        """Whether any of the energy of the year up to the end of each day is not known in the series' unit."""
        return np.asarray(self._since_new_year(self._unknown_sum, series, as_of) > 0)

    def completeness(self, series: Ints, as_of: Ints) -> Floats:
        """Share of the installed time of the year up to the end of each day that is covered; NaN: none installed."""
        covered = self._since_new_year(self._covered_sum, series, as_of)
        covered = covered - self._data.open_covered_s[series, as_of]
        installed = self._installed(series, as_of)
        share = np.divide(covered, installed, out=np.full(len(series), np.nan), where=installed > 0)
        return np.asarray(np.round(np.clip(share, 0.0, 1.0), _SHARE_DECIMALS))

    def waiting(self, series: Ints, as_of: Ints) -> Floats:
        """Share of the installed time of the year up to the end of each day of which the next readings will tell, that
        are not overdue.
        """
        silence, days = self._data.silence, self._data.days
        seconds = np.zeros(len(series))
        if silence.waits is None or not silence.waits.any():
            return seconds
        row_of = {(int(s), int(d)): r for r, (s, d) in enumerate(zip(series, as_of, strict=True))}
        for n in np.flatnonzero(silence.waits).tolist():
            row = row_of.get((int(silence.series[n]), int(silence.as_of[n])))
            if row is not None:
                begin = max(
                    float(silence.begin_s[n]), float(days.edges_s[max(days.year_start[as_of[row]], 0)])
                )
                seconds[row] += max(min(float(silence.end_s[n]), self._data.now_s) - begin, 0.0)
        installed = self._installed(series, as_of)
        share = np.divide(seconds, installed, out=np.zeros(len(series)), where=installed > 0)
        return np.asarray(np.round(np.clip(share, 0.0, 1.0), _SHARE_DECIMALS))

    def _installed(self, series: Ints, as_of: Ints) -> Floats:
        """Installed seconds of the year up to the end of each day, as far as time has passed."""
        installed = self._since_new_year(self._installed_sum, series, as_of)
        left = np.clip(self._data.days.edges_s[as_of + 1] - self._data.now_s, 0.0, None)
        left = np.minimum(left / self._data.days.seconds[as_of], 1.0)
        return installed - left * self._data.installed_s[series, as_of]

    def assess(self, series: Ints, as_of: Ints, limit: Floats, severe_before: Bools) -> Assessments:
        """Assess rows whose days all lie in the year.

        limit: NaN where there is none; severe_before: whether the year before ended severe.
        """
        used, completeness = self.used(series, as_of), self.completeness(series, as_of)
        expectation = expect(self._model, series, as_of)
        missing = self._missing_share(series, as_of)
        fill = np.where(missing > 0, missing * np.nan_to_num(expectation.day_energy), 0.0)
        known_nothing = np.all(np.isnan(expectation.day_energy) | (missing == 0), axis=1) & (missing > 0).any(
            1
        )
        known_nothing |= np.isnan(completeness)
        to_come = np.round(fill.sum(axis=1), _DECIMALS)
        by_profile = _mostly_profile(missing, expectation.from_profile)
        low, high = self._band(missing.sum(axis=1) / _year_days(self._year), by_profile, series)
        used_or_none = np.where(known_nothing, np.nan, used)
        p50 = np.round(used_or_none + to_come, _DECIMALS)
        p10 = np.round(used_or_none + to_come * np.exp(np.minimum(low, 0.0)), _DECIMALS)
        p90 = np.round(used_or_none + to_come * np.exp(np.maximum(high, 0.0)), _DECIMALS)
        return Assessments(
            series,
            as_of,
            used,
            limit,
            p10,
            p50,
            p90,
            self._exhaustion(series, as_of, used, fill, limit),
            completeness,
            level_of(used, limit, p50, p90, completeness, severe_before, self._p.levels),
            np.where(by_profile, METHOD_PROFILE, METHOD_RUN_RATE).astype(object),
            self._share(expectation.day_energy, as_of),
            self.waiting(series, as_of),
        )

    def _share(self, day_energy: Floats, as_of: Ints) -> Floats:
        """Share of the year's expected use that falls up to the end of each day; NaN where a day's is not known."""
        length = _year_days(self._year)
        path = np.cumsum(day_energy[:, :length], axis=1)
        rows, day = np.arange(len(as_of)), as_of - self._data.days.index(date(self._year, 1, 1))
        share = np.divide(path[rows, day], path[:, -1], out=np.full(len(rows), np.nan), where=path[:, -1] > 0)
        return np.asarray(np.round(share, _SHARE_DECIMALS))

    def _since_new_year(self, running: Floats, series: Ints, as_of: Ints) -> Floats:
        start = self._data.days.year_start[as_of].clip(0)
        return np.asarray(running[series, as_of + 1] - running[series, start])

    def _missing_share(self, series: Ints, as_of: Ints) -> Floats:
        """R x 366: of which share of each day of the year nothing tells as of D, past or to come."""
        start, length = self._data.days.index(date(self._year, 1, 1)), _year_days(self._year)
        column = np.arange(YEAR_DAYS)[None, :]
        since = (as_of + 1 - _AWAY_DAYS).clip(0)
        of_late = self._installed_sum[series, as_of + 1] - self._installed_sum[series, since] > 1.0
        today = (as_of - start)[:, None]
        coming = (column > today) & (column < length) & of_late[:, None]
        return np.where(coming, 1.0, np.minimum(self._past_missing(series, as_of, start), 1.0))

    def _past_missing(self, series: Ints, as_of: Ints, start: int) -> Floats:
        data, days = self._data, self._data.days
        out = np.zeros((len(series), YEAR_DAYS))
        if len(data.silence.series) == 0:
            return out
        first = max(start, 0)
        stop = min(start + YEAR_DAYS, days.size)
        edges = days.edges_s[first : stop + 1]
        installed = data.installed_s[:, first:stop]
        for row, begin, end in self._silent_rows(series, as_of):
            overlap = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0, None)
            seconds = installed[series[row]]
            share = np.divide(overlap, seconds, out=np.zeros_like(overlap), where=seconds > 0)
            out[row, first - start : stop - start] += share
        return out

    def _silent_rows(self, series: Ints, as_of: Ints) -> Iterator[tuple[int, float, float]]:
        """What nothing tells of the silences that each row knows of, as (row, begin_s, end_s)."""
        row_of = {(int(s), int(d)): r for r, (s, d) in enumerate(zip(series, as_of, strict=True))}
        ends = self._data.days.edges_s[as_of + 1]
        x = self._data.silence
        untold_s = np.minimum(x.begin_s + x.told_s, x.end_s)
        for s, d, begin, end in zip(x.series, x.as_of, untold_s, x.end_s, strict=True):
            if d >= 0:
                row = row_of.get((int(s), int(d)))
                rows = [] if row is None else [row]
            else:
                rows = np.flatnonzero((series == s) & (ends >= end)).tolist()
            for row in rows:
                yield row, float(begin), float(end)

    def _band(self, share: Floats, by_profile: Bools, series: Ints) -> tuple[Floats, Floats]:
        profile_low, profile_high = self._p.profile_band.quantiles(share)
        rate_low, rate_high = self._p.run_rate_band.quantiles(share)
        scale = self._scale[series]
        return (
            np.where(by_profile, scale * profile_low, rate_low),
            np.where(by_profile, scale * profile_high, rate_high),
        )

    def _exhaustion(self, series: Ints, as_of: Ints, used: Floats, fill: Floats, limit: Floats) -> Ints:
        """Day of the year on which the path of known and expected energy first exceeds the limit; -1: never."""
        days = self._data.days
        start = days.index(date(self._year, 1, 1))
        first, stop = max(start, 0), min(start + YEAR_DAYS, days.size)
        known = np.zeros((len(series), YEAR_DAYS))
        known[:, first - start : stop - start] = self._data.energy[series, first:stop]
        settled = (self._settled[series, as_of] - start).clip(0)
        column = np.arange(YEAR_DAYS)[None, :]
        known = np.where(column < settled[:, None], known, 0.0)
        rest = used - known.sum(axis=1)
        lump = np.minimum(settled, as_of - start)
        known[np.arange(len(series)), lump] += rest
        path = np.round(np.cumsum(known + fill, axis=1), _DECIMALS)
        over = path > limit[:, None]
        return np.where(over.any(axis=1), over.argmax(axis=1), -1)


def level_of(
    used: Floats,
    limit: Floats,
    p50: Floats,
    p90: Floats,
    completeness: Floats,
    severe_before: Bools,
    t: LevelThresholds,
) -> Ints:
    """Rank in `Level` of each row: the highest that holds. Comparisons with NaN (nothing known) do not hold."""
    certain = np.isfinite(limit) & (completeness >= t.min_completeness)
    level = np.where(certain, _RANK[Level.NORMAL], _RANK[Level.UNDETERMINED])
    level = np.where(certain & (p90 > limit), _RANK[Level.WATCH], level)
    level = np.where(certain & (p50 > limit), _RANK[Level.WARNING], level)
    level = np.where(used > t.over * limit, _RANK[Level.OVER], level)
    severe = used > t.severe * limit
    level = np.where(severe, _RANK[Level.SEVERE], level)
    return np.asarray(np.where(severe & severe_before, _RANK[Level.ENFORCEMENT], level))


def settled_days(data: EnergyDays) -> Ints:
    """S x N: as of each day, the index of the first day that a root point's silence at its end reaches into."""
    size = data.days.size
    settled = np.broadcast_to(np.arange(size) + 1, data.energy.shape).copy()
    tails = data.silence.as_of >= 0
    begin = np.searchsorted(data.days.edges_s, data.silence.begin_s[tails], side="right") - 1
    np.minimum.at(settled, (data.silence.series[tails], data.silence.as_of[tails]), begin.clip(0))
    return settled


def _usable_days(data: EnergyDays) -> Bools:
    """S x N: days of which installed registers bound (nearly) all energy, in hindsight."""
    seconds = data.days.seconds[None, :]
    silent = np.zeros_like(data.energy)
    edges = data.days.edges_s
    heads = data.silence.as_of < 0
    for s, begin, end in zip(
        data.silence.series[heads], data.silence.begin_s[heads], data.silence.end_s[heads], strict=True
    ):
        silent[s] += np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0, None)
    bounded = data.installed_s - silent
    installed = (data.installed_s >= _USABLE_SHARE * seconds) & ~data.unknown
    return installed & (bounded >= _USABLE_SHARE * data.installed_s)


def _mostly_profile(missing: Floats, from_profile: Bools) -> Bools:
    total = missing.sum(axis=1)
    return np.asarray((missing * from_profile).sum(axis=1) * 2 >= total) & from_profile.any(axis=1)


def _running(values: Floats) -> Floats:
    return np.concatenate([np.zeros((len(values), 1)), np.cumsum(values, axis=1)], axis=1)


def _year_days(year: int) -> int:
    return 366 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 365
