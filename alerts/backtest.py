"""How good the forecast is: forecasts of past years from what was known then, against what came.

`python -m alerts.backtest DIR [--bands]` runs it on daily sums of a folder laid out as the Cambridge University Estates
archive (BUILDING/electricity/YEAR.csv, hours of local wall time) and prints errors, coverage, or the table of bands.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from alerts.assessment import Assessor, EnergyDays, Silence
from alerts.days import DayGrid, Ints
from alerts.parameter_file import shipped_parameters
from alerts.parameters import Parameters

#: Shares of the year that is missing at which the table of bands has a row.
BAND_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)


@dataclass(frozen=True, slots=True)
class Backtest:
    """Daily energy of buildings without gaps: one column a building, one row a local day, all years whole."""

    energy: pd.DataFrame
    zone: ZoneInfo
    parameters: Parameters

    def run(
        self, years: Sequence[int], step_days: int | None = None, history_years: int | None = None
    ) -> pd.DataFrame:
        """Forecasts of `years` at every month's end (or every `step_days`), one row a building and day.

        history_years: pretend that the data begin so many years before the year forecast (None: as they do).
        Columns: building, year, as_of, missing (share of the year to come), used, p10, p50, p90, total, last_total,
        run_rate (used so far, spread over the year).
        """
        return pd.concat([self._year(y, step_days, history_years) for y in years], ignore_index=True)

    def _year(self, year: int, step_days: int | None, history_years: int | None) -> pd.DataFrame:
        p = self.parameters
        begin = year - (p.forecast.years if history_years is None else history_years)
        part = self.energy.loc[f"{max(begin, self.energy.index[0].year)}-01-01" : f"{year}-12-31"]
        days = DayGrid(part.index[0].date(), len(part), self.zone)
        energy = np.ascontiguousarray(part.to_numpy(dtype=np.float64).T)
        assessor = Assessor(_complete(days, energy), year, p)
        columns = self._columns(days, year, step_days)
        ix = np.repeat(np.arange(len(energy)), len(columns))
        as_of = np.tile(columns, len(energy))
        a = assessor.assess(ix, as_of, np.full(len(ix), np.nan), np.zeros(len(ix), dtype=np.bool_))
        inside = days.years == year
        passed = as_of - days.index(date(year, 1, 1)) + 1
        before = (
            energy[:, days.years == year - 1].sum(axis=1) if begin < year else np.full(len(energy), np.nan)
        )
        return pd.DataFrame(
            {
                "building": np.asarray(part.columns)[ix],
                "year": year,
                "as_of": days.dates[as_of],
                "missing": 1.0 - passed / inside.sum(),
                "used": a.used,
                "p10": a.p10,
                "p50": a.p50,
                "p90": a.p90,
                "total": energy[:, inside].sum(axis=1)[ix],
                "last_total": before[ix],
                "run_rate": a.used / passed * inside.sum(),
            }
        )

    @staticmethod
    def _columns(days: DayGrid, year: int, step_days: int | None) -> Ints:
        if step_days is None:
            month_ends = [date.fromordinal(date(year, m + 1, 1).toordinal() - 1) for m in range(1, 12)]
            return np.array([days.index(d) for d in month_ends], dtype=np.int64)
        return np.arange(days.index(date(year, 1, 1)), days.index(date(year, 12, 31)), step_days)


def errors(found: pd.DataFrame) -> pd.DataFrame:
    """MAPE of the forecast and of two plain ones, and coverage of the band, by month of the forecast and over all."""
    share = pd.DataFrame(
        {
            "month": found["as_of"].dt.month,
            "forecast": (found["p50"] / found["total"] - 1).abs(),
            "last_year": (found["last_total"] / found["total"] - 1).abs(),
            "run_rate": (found["run_rate"] / found["total"] - 1).abs(),
            "inside_band": found["total"].between(found["p10"], found["p90"]).astype(float),
        }
    )
    by_month = share.groupby("month").mean()
    by_month.loc["all"] = share.drop(columns="month").mean()
    return by_month


def bands(found: pd.DataFrame) -> pd.DataFrame:
    """Quantiles of ln(actual / expected) of what was to come, by the share of the year that was missing."""
    come = np.log(
        (found["total"] - found["used"]).clip(lower=1.0) / (found["p50"] - found["used"]).clip(lower=1.0)
    )
    knots = np.array(BAND_SHARES)
    edges = np.concatenate([[-1.0], (knots[1:] + knots[:-1]) / 2, [2.0]])
    nearest = pd.Series(knots[np.searchsorted(edges, found["missing"]) - 1], found.index)
    quantiles: pd.DataFrame = come.groupby(nearest).quantile([0.1, 0.9]).unstack()
    return quantiles


def read_archive(folder: Path, since: int) -> pd.DataFrame:
    """Daily sums of every building of the archive that has every year from `since` on."""
    series = {}
    for building in sorted(folder.glob("UCam_Building_*/electricity")):
        files = [f for f in sorted(building.glob("*.csv")) if int(f.stem) >= since]
        hours = pd.concat([pd.read_csv(f, index_col=0, parse_dates=True) for f in files]).iloc[:, 0]
        series[building.parent.name.removeprefix("UCam_Building_")] = hours.resample("D").sum(min_count=1)
    return pd.DataFrame(series).dropna(axis="columns")


def _complete(days: DayGrid, energy: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> EnergyDays:
    seconds = np.broadcast_to(days.seconds, energy.shape)
    nothing = np.zeros_like(energy)
    none = Silence(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))
    return EnergyDays(days, energy, seconds, seconds, nothing, nothing, none, nothing > 0)


def _main(arguments: list[str]) -> None:
    folder, years = Path(arguments[0]), range(2012, 2016)
    test = Backtest(read_archive(folder, 2009), ZoneInfo("Asia/Shanghai"), shipped_parameters())
    out = sys.stdout
    if "--bands" in arguments:
        profile = test.run(range(2010, 2016), step_days=3)
        run_rate = test.run(range(2009, 2016), step_days=3, history_years=0)
        for method, found in (("profile", profile), ("run_rate", run_rate)):
            for share, row in bands(found).round(3).iterrows():
                out.write(f"{method},{share},{row.iloc[0]},{row.iloc[1]}\n")
        return
    found = test.run(years)
    area = pd.read_csv(folder / "building_floor_roof_areas.csv", index_col=0).iloc[:, 0]
    large = found["building"].map(area) >= 3000
    for title, part in (("all", found), ("at least 3,000 m2", found[large]), ("smaller", found[~large])):
        out.write(f"{title}: {part['building'].nunique()} buildings\n{errors(part).round(4).to_string()}\n")
        covered = part["total"].between(part["p10"], part["p90"]).groupby(part["year"]).mean()
        out.write(f"inside the band, by year: {covered.round(3).to_dict()}\n\n")


if __name__ == "__main__":
    _main(sys.argv[1:])
