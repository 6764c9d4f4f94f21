"""Which parameters a past year may be forecast with, had nobody seen it: from other buildings, and years before it.

The buildings are parted into folds. For a fold and a year the hyper-parameters are the best of a small grid, and the
table of bands is fitted, both on the errors of the buildings outside the fold in the years before. What a building's
own earlier years say (its profile, its level, the width of its band) comes in as it always does, by `forecast.fit`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from alerts.backtest import Backtest
from alerts.days import Floats
from alerts.forecast import ForecastParameters
from alerts.forecast_band import own_scale
from alerts.parameters import Band, BandParameters, Parameters

#: Shares of the year that is missing at which the table of bands has a row.
BAND_SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95, 1.0)
#: Own errors are told in half-widths of the table that is being fitted: twice round, it stands still.
_ROUNDS = 3
_BETWEEN_DAYS = 3
_LEAST_ENERGY = 1.0
FOLDS = 5
#: The grid of older_year_weight, level_half_life_days, season_days, prior_days and carry that is chosen from.
CHOICES = tuple(product((0.3, 0.6), (10.0, 15.0), (20.0, 30.0), (30.0, 60.0, 90.0), (0.0, 0.25)))


@dataclass(frozen=True, slots=True)
class Plan:
    """Buildings whose `year` is to be forecast with `parameters`."""

    year: int
    buildings: tuple[str, ...]
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Errors:
    """Past forecasts in hindsight, one entry a forecast.

    building: names; year; missing: share of the year that was missing; log_ratio: ln(actual / expected) of it;
    past: by (building, year) what the building's own two years before said then, 2 x 366.
    """

    building: np.ndarray[tuple[int, ...], np.dtype[np.object_]]
    year: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    missing: Floats
    log_ratio: Floats
    past: dict[tuple[str, int], Floats]

    def part(self, buildings: set[str], before: int) -> Errors:
        """Those of `buildings` in the years before `before`."""
        keep = (self.year < before) & np.isin(self.building, sorted(buildings))
        return Errors(
            self.building[keep], self.year[keep], self.missing[keep], self.log_ratio[keep], self.past
        )


def past_forecasts(test: Backtest, years: Sequence[int], history_years: int | None = None) -> Errors:
    """Errors of forecasts of `years`, every third day; without `past` where the history is cut."""
    found = test.run(years, _BETWEEN_DAYS, history_years)
    come = (found["total"] - found["used"]).clip(lower=_LEAST_ENERGY)
    feared = (found["p50"] - found["used"]).clip(lower=_LEAST_ENERGY)
    past: dict[tuple[str, int], Floats] = {}
    for year in years if history_years is None else ():
        of_year = test.past_errors(year)
        past |= {(str(b), year): of_year[i] for i, b in enumerate(test.energy.columns)}
    return Errors(
        found["building"].to_numpy(dtype=object),
        found["year"].to_numpy(dtype=np.int64),
        found["missing"].to_numpy(dtype=np.float64),
        np.log((come / feared).to_numpy(dtype=np.float64)),
        past,
    )


def fit_band(found: Errors, p: BandParameters) -> Band:
    """Quantiles of ln(actual / expected) by the missing share, each error taken in its own building's scale."""
    scale = np.ones(len(found.year))
    band = _quantiles(found, scale)
    if not found.past:
        return band
    keys = list(zip(found.building.tolist(), found.year.tolist(), strict=True))
    groups = {key: i for i, key in enumerate(dict.fromkeys(keys))}
    member = np.array([groups[key] for key in keys], dtype=np.int64)
    past = np.stack([found.past[key] for key in groups])
    for _ in range(_ROUNDS):
        band = _quantiles(found, own_scale(past, band, p)[member])
    return band


def choose(
    energy: pd.DataFrame, zone: ZoneInfo, parameters: Parameters, years: Sequence[int]
) -> Callable[[set[str], int], ForecastParameters]:
    """Try every point of the grid on `years`; what is returned picks the best for some buildings before a year."""
    tried = []
    for older, half_life, season, prior, carry in CHOICES:
        p = replace(
            parameters.forecast,
            older_year_weight=older,
            level_half_life_days=half_life,
            season_days=season,
            prior_days=prior,
            carry=carry,
        )
        found = Backtest(energy, zone, replace(parameters, forecast=p)).run(years)
        error = (found["p50"] / found["total"] - 1).abs()
        tried.append((p, error.groupby([found["building"], found["year"]]).mean()))

    def best(buildings: set[str], before: int) -> ForecastParameters:
        def mean(error: pd.Series) -> float:
            building, year = (error.index.get_level_values(n) for n in (0, 1))
            return float(error[building.isin(buildings) & (year < before)].mean())

        return min(tried, key=lambda t: mean(t[1]))[0]

    return best


def honest_plans(
    energy: pd.DataFrame, zone: ZoneInfo, parameters: Parameters, years: Sequence[int]
) -> list[Plan]:
    """A plan for each fold of the buildings and each of `years`.

    The first year of `energy` is history only; errors are collected from the second on.
    """
    first = int(energy.index[0].year)
    seen = range(first + 1, max(years))
    best = choose(energy, zone, parameters, seen)
    by_parameters: dict[ForecastParameters, tuple[Errors, Errors]] = {}
    plans = []
    names = [str(b) for b in energy.columns]
    for year, fold in product(years, range(FOLDS)):
        inside = tuple(names[fold::FOLDS])
        others = set(names) - set(inside)
        forecast = best(others, year)
        p = replace(parameters, forecast=forecast)
        if forecast not in by_parameters:
            test = Backtest(energy, zone, p)
            by_parameters[forecast] = (
                past_forecasts(test, seen),
                past_forecasts(test, range(first, max(years)), history_years=0),
            )
        profile, run_rate = (fit_band(e.part(others, year), p.band) for e in by_parameters[forecast])
        plans.append(Plan(year, inside, replace(p, profile_band=profile, run_rate_band=run_rate)))
    return plans


def forecasts(
    plans: Sequence[Plan], test: Callable[[Plan], Backtest], step_days: int | None = None
) -> pd.DataFrame:
    """Rows of `Backtest.run` of every plan; `test` says what is known of a plan's buildings in its year."""
    return pd.concat([test(plan).run([plan.year], step_days) for plan in plans], ignore_index=True)


def shipped_bands(energy: pd.DataFrame, zone: ZoneInfo, parameters: Parameters, last: int) -> dict[str, Band]:
    """The tables to ship: fitted on all buildings and all years up to `last`."""
    first = int(energy.index[0].year)
    test = Backtest(energy, zone, parameters)
    return {
        "profile": fit_band(past_forecasts(test, range(first + 1, last + 1)), parameters.band),
        "run_rate": fit_band(past_forecasts(test, range(first, last + 1), history_years=0), parameters.band),
    }


def _quantiles(found: Errors, scale: Floats) -> Band:
    knots = np.array(BAND_SHARES)
    edges = np.concatenate([[-1.0], (knots[1:] + knots[:-1]) / 2, [2.0]])
    nearest = np.searchsorted(edges, found.missing) - 1
    scaled = found.log_ratio / scale
    rows = [np.quantile(scaled[nearest == i], [0.1, 0.9]) for i in range(len(knots)) if (nearest == i).any()]
    seen = np.array([(nearest == i).any() for i in range(len(knots))])
    quantiles = np.array(rows)
    return Band(knots[seen], quantiles[:, 0].copy(), quantiles[:, 1].copy())
