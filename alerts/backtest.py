"""Forecasts of past years from what was known then, beside what came: one row a building and day.

`Backtest` runs the assessor itself over daily sums; what its rows say is measured in backtest_errors.py, and with which
parameters a year may be forecast without having seen it is the subject of backtest_honest.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from alerts.assessment import Assessor, EnergyDays, Silence, settled_days
from alerts.days import Bools, DayGrid, Floats, Ints
from alerts.forecast import fit
from alerts.parameters import Parameters


@dataclass(frozen=True, slots=True)
class Outage:
    """Local days `first` to `last` of a building without a reading; the register goes on and the next reading says
    how much it was in all.
    """

    building: str
    first: date
    last: date


@dataclass(frozen=True, slots=True)
class Backtest:
    """Daily energy: one column a building, one row a local day, all years whole; NaN: no meter was installed."""

    energy: pd.DataFrame
    zone: ZoneInfo
    parameters: Parameters
    outages: tuple[Outage, ...] = ()

    def run(
        self, years: Sequence[int], step_days: int | None = None, history_years: int | None = None
    ) -> pd.DataFrame:
        """Forecasts of `years` at every month's end (or every `step_days`), one row a building and day with a meter.

        history_years: pretend that the data begin so many years before the year forecast (None: as they do).
        Columns: building, year, as_of, missing (share of the year to come), used, p10, p50, p90, total, and three
        plain forecasts, NaN where there is none: last_total, run_rate (used so far, spread over the year), last_shape
        (used so far, times last year's total by last year's use up to the same date).
        """
        return pd.concat([self._year(y, step_days, history_years) for y in years], ignore_index=True)

    def past_errors(self, year: int) -> Floats:
        """Buildings x 2 x 366, of the two years before `year` (forecast.Model)."""
        days, energy = self._days(year, None)
        data = self._data(days, energy)
        usable = np.isfinite(energy)
        return fit(days, data.energy, usable, settled_days(data), year, self.parameters.forecast).past_errors

    def _year(self, year: int, step_days: int | None, history_years: int | None) -> pd.DataFrame:
        days, energy = self._days(year, history_years)
        assessor = Assessor(self._data(days, energy), year, self.parameters)
        ix, as_of = self._rows(days, energy, year, step_days)
        a = assessor.assess(ix, as_of, np.full(len(ix), np.nan), np.zeros(len(ix), dtype=np.bool_))
        return pd.DataFrame(
            {
                "building": np.asarray(self.energy.columns)[ix],
                "year": year,
                "as_of": days.dates[as_of],
                "missing": 1.0 - (as_of - days.index(date(year, 1, 1)) + 1) / (days.years == year).sum(),
                "used": a.used,
                "p10": a.p10,
                "p50": a.p50,
                "p90": a.p90,
                "total": np.nansum(energy[:, days.years == year], axis=1)[ix],
                **_plain_forecasts(days, energy, year, ix, as_of, a.used),
            }
        )

    def _days(self, year: int, history_years: int | None) -> tuple[DayGrid, Floats]:
        begin = year - (self.parameters.forecast.years if history_years is None else history_years)
        part = self.energy.loc[f"{max(begin, self.energy.index[0].year)}-01-01" : f"{year}-12-31"]
        days = DayGrid(part.index[0].date(), len(part), self.zone)
        return days, np.ascontiguousarray(part.to_numpy(dtype=np.float64).T)

    @staticmethod
    def _rows(days: DayGrid, energy: Floats, year: int, step_days: int | None) -> tuple[Ints, Ints]:
        if step_days is None:
            month_ends = [date.fromordinal(date(year, m + 1, 1).toordinal() - 1) for m in range(1, 12)]
            columns = np.array([days.index(d) for d in month_ends], dtype=np.int64)
        else:
            columns = np.arange(days.index(date(year, 1, 1)), days.index(date(year, 12, 31)), step_days)
        ix, as_of = np.repeat(np.arange(len(energy)), len(columns)), np.tile(columns, len(energy))
        metered = np.isfinite(energy[ix, as_of])
        return ix[metered], as_of[metered]

    def _data(self, days: DayGrid, energy: Floats) -> EnergyDays:
        """What derivation would have made of readings without gaps but for `outages`, whose energy it spreads."""
        installed = np.isfinite(energy)
        known, seconds = np.where(installed, energy, 0.0), np.where(installed, days.seconds, 0.0)
        covered, open_energy = seconds.copy(), np.zeros_like(known)
        tails: list[tuple[int, int, float, float]] = []
        for outage in self.outages:
            building = self.energy.columns.get_loc(outage.building)
            first, stop = max(days.index(outage.first), 0), min(days.index(outage.last) + 1, days.size)
            if first >= stop or not isinstance(building, int):
                continue
            known[building, first:stop] = known[building, first:stop].mean()
            covered[building, first:stop] = 0.0
            for d in range(first, stop):
                since = max(first, int(days.year_start[d]))
                open_energy[building, d] = known[building, since : d + 1].sum()
                tails.append((building, d, days.edges_s[first], days.edges_s[d + 1]))
        return EnergyDays(
            days, known, covered, seconds, open_energy, np.zeros_like(known), _silence(tails), _never(known)
        )


def read_archive(folder: Path, since: int, whole: bool = True) -> pd.DataFrame:
    """Daily sums of buildings of a folder laid out as the Cambridge University Estates archive.

    (BUILDING/electricity/YEAR.csv, hours, taken as local wall time.) whole: only those with every year from `since` on;
    else NaN on the days that a building lacks.
    """
    series = {}
    for building in sorted(folder.glob("*/electricity")):
        files = [f for f in sorted(building.glob("*.csv")) if int(f.stem) >= since]
        if files:
            hours = pd.concat([pd.read_csv(f, index_col=0, parse_dates=True) for f in files]).iloc[:, 0]
            name = building.parent.name.removeprefix("UCam_Building_")
            series[name] = hours.resample("D").sum(min_count=1)
    daily = pd.DataFrame(series)
    return daily.dropna(axis="columns") if whole else daily


def read_areas(folder: Path) -> pd.Series:
    """Gross internal area in m2 of the archive's buildings; empty where the folder does not tell."""
    file = folder / "building_floor_roof_areas.csv"
    return pd.read_csv(file, index_col=0).iloc[:, 0] if file.exists() else pd.Series(dtype=np.float64)


def _plain_forecasts(
    days: DayGrid, energy: Floats, year: int, ix: Ints, as_of: Ints, used: Floats
) -> dict[str, Floats]:
    this, last = days.years == year, days.years == year - 1
    start, length = days.index(date(year, 1, 1)), int(this.sum())
    # From the first day with a meter on: a building that came in May is not held to a year of May's use.
    begun = start + np.isfinite(energy[:, this]).argmax(axis=1)[ix]
    passed = as_of - begun + 1
    run_rate = used / np.maximum(passed, 1) * (start + length - begun)
    if not last.any():
        none = np.full(len(ix), np.nan)
        return {"last_total": none, "run_rate": run_rate, "last_shape": none}
    whole = np.asarray(np.isfinite(energy[:, last]).all(axis=1))
    before = np.where(whole.reshape(-1, 1), energy[:, last], np.nan).cumsum(axis=1)
    by_date = before[ix, np.minimum(as_of - start, before.shape[1] - 1)]
    total = before[ix, -1]
    shape = np.divide(used * total, by_date, out=np.full(len(ix), np.nan), where=by_date > 0)
    return {"last_total": total, "run_rate": run_rate, "last_shape": shape}


def _silence(tails: list[tuple[int, int, float, float]]) -> Silence:
    series, as_of, begin, end = (np.array([t[i] for t in tails]) for i in range(4))
    return Silence(
        series.astype(np.int64),
        as_of.astype(np.int64),
        begin.astype(np.float64),
        end.astype(np.float64),
        told_s=np.zeros(len(tails)),
    )


def _never(like: Floats) -> Bools:
    return np.zeros(like.shape, dtype=np.bool_)
