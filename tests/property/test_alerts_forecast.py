"""The forecast and its band: nothing is seen ahead, units do not matter, and a band is as wide as errors were."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import backtest_honest
from alerts.backtest import Backtest
from alerts.backtest_errors import errors
from alerts.backtest_honest import FOLDS, fit_band, forecasts, honest_plans, past_forecasts
from alerts.days import YEAR_DAYS
from alerts.forecast_band import SHARE_AFTER, own_scale
from alerts.parameter_file import shipped_parameters

P = shipped_parameters()
ZONE = ZoneInfo("Asia/Shanghai")


def buildings(count, first=2009, last=2012, seed=0, spread=None):
    """Daily energy of offices whose level wanders from month to month by `spread` (one figure a building)."""
    rng = np.random.default_rng(seed)
    index = pd.date_range(f"{first}-01-01", f"{last}-12-31")
    spread = np.full(count, 0.05) if spread is None else np.asarray(spread)
    months = (index.year - first) * 12 + index.month - 1
    walk = rng.normal(0.0, 1.0, (int(months.max()) + 1, count)) * spread
    level = 0.7 * walk + 0.3 * np.cumsum(walk, axis=0)
    week = np.where(index.day_of_week < 5, 1.0, 0.4)[:, None]
    noise = np.exp(rng.normal(0.0, 0.05, (len(index), count)))
    return pd.DataFrame(
        rng.uniform(50, 5000, count) * week * np.exp(level[months]) * noise,
        index,
        [f"x{i}" for i in range(count)],
    )


past_errors = st.lists(st.just(np.nan) | st.floats(-2, 2), min_size=8, max_size=8)


def spread_out(values):
    """One series' past errors, each value for a stretch of the two years."""
    return np.repeat(np.array(values), 2 * YEAR_DAYS // len(values) + 1)[: 2 * YEAR_DAYS].reshape(
        1, 2, YEAR_DAYS
    )


def test_without_errors_of_its_own_a_band_is_the_table():
    np.testing.assert_array_equal(own_scale(np.full((3, 2, YEAR_DAYS), np.nan), P.profile_band, P.band), 1.0)


@given(past_errors, st.floats(1, 3))
def test_larger_errors_never_narrow_a_band_and_it_stays_within_bounds(values, factor):
    small = own_scale(spread_out(values), P.profile_band, P.band)
    large = own_scale(spread_out([factor * v for v in values]), P.profile_band, P.band)
    least = np.sqrt(P.band.prior_years / (P.band.prior_years + 2))
    assert (large >= small - 1e-12).all()
    assert (small >= least - 1e-12).all()
    assert (large <= max(1.0, P.band.most) + 1e-12).all()


def test_two_years_of_errors_of_just_the_table_leave_it_as_it_is():
    low, high = P.profile_band.quantiles(SHARE_AFTER)
    past = np.broadcast_to((high - low) / 2, (1, 2, YEAR_DAYS))
    assert own_scale(past, P.profile_band, P.band)[0] == pytest.approx(1.0)


@given(st.floats(1e-3, 1e4))
@settings(max_examples=8, deadline=None)
def test_a_building_in_another_unit_is_forecast_the_same(factor):
    energy = buildings(2)
    one = Backtest(energy, ZONE, P).run([2012], step_days=60)
    other = Backtest(energy * factor, ZONE, P).run([2012], step_days=60)
    for column in ("used", "p10", "p50", "p90"):
        np.testing.assert_allclose(other[column], one[column] * factor, rtol=1e-6, atol=1e-3)


@given(st.integers(0, 20))
@settings(max_examples=8, deadline=None)
def test_who_else_is_assessed_changes_no_forecast(seed):
    energy = buildings(4, seed=seed)
    together = Backtest(energy, ZONE, P).run([2012], step_days=90)
    alone = Backtest(energy[["x2"]], ZONE, P).run([2012], step_days=90)
    of_it = together[together["building"] == "x2"].reset_index(drop=True)
    forecast = ["used", "p10", "p50", "p90"]
    pd.testing.assert_frame_equal(of_it[forecast], alone[forecast], check_exact=True)


@given(st.integers(0, 20), st.integers(0, 363))
@settings(max_examples=8, deadline=None)
def test_past_errors_of_a_year_do_not_hang_on_the_year_itself(seed, day):
    energy = buildings(2, seed=seed)
    other = energy.copy()
    other.iloc[energy.index.get_loc("2012-01-01") + day :] *= 7.0
    one, two = Backtest(energy, ZONE, P).past_errors(2012), Backtest(other, ZONE, P).past_errors(2012)
    np.testing.assert_array_equal(one, two)
    assert np.isfinite(one[:, 0, :300]).all()


def test_past_errors_tell_what_the_forecasts_of_those_years_were_off():
    energy = buildings(3)
    found = Backtest(energy, ZONE, P).run([2011], step_days=73)
    off = np.log((found["total"] - found["used"]) / (found["p50"] - found["used"]))
    past = Backtest(energy, ZONE, P).past_errors(2012)[:, 0]
    day = found["as_of"].dt.day_of_year.to_numpy() - 1
    row = energy.columns.get_indexer(found["building"])
    np.testing.assert_allclose(past[row, day], off, rtol=1e-6)


@pytest.fixture
def few_choices(monkeypatch):
    monkeypatch.setattr(
        backtest_honest, "CHOICES", ((0.3, 10.0, 30.0, 60.0, 0.0), (0.6, 15.0, 30.0, 30.0, 0.25))
    )


@pytest.mark.usefixtures("few_choices")
def test_a_plan_knows_neither_its_own_buildings_nor_its_year_or_later():
    energy = buildings(10, last=2013)
    fold = [c for i, c in enumerate(energy.columns) if i % FOLDS == 1]
    other = energy.copy()
    other.loc["2012-01-01":] *= np.random.default_rng(1).uniform(0.2, 5.0, other.loc["2012-01-01":].shape)
    other[fold] = buildings(len(fold), last=2013, seed=9).to_numpy()

    def of(data):
        return [p for p in honest_plans(data, ZONE, P, [2012, 2013]) if p.year == 2012][1]

    one, two = of(energy), of(other)
    assert one.buildings == two.buildings == tuple(fold)
    assert one.parameters.forecast == two.parameters.forecast
    for band in ("profile_band", "run_rate_band"):
        for field in ("share", "q10", "q90"):
            a, b = (getattr(getattr(plan.parameters, band), field) for plan in (one, two))
            np.testing.assert_array_equal(a, b)


@pytest.mark.usefixtures("few_choices")
def test_the_band_holds_four_years_in_five_and_knows_the_steady_from_the_restless():
    spread = np.where(np.arange(40) % 2 == 0, 0.03, 0.2)
    energy = buildings(40, last=2012, seed=4, spread=spread)

    def measured(prior_years):
        p = replace(P, band=replace(P.band, prior_years=prior_years))
        plans = honest_plans(energy, ZONE, p, [2012])
        found = forecasts(plans, lambda plan: Backtest(energy[list(plan.buildings)], ZONE, plan.parameters))
        restless = found["building"].map(dict(zip(energy.columns, spread > 0.1, strict=True)))
        return errors(found, restless)

    own, pooled = measured(P.band.prior_years), measured(1e9)
    assert own.loc["all", "inside"] == pytest.approx(0.8, abs=0.1)
    uneven, uneven_pooled = (t.loc["False", "inside"] - t.loc["True", "inside"] for t in (own, pooled))
    assert uneven < uneven_pooled
    assert own.loc["True", "width"] > 1.8 * own.loc["False", "width"]
    for loss in ("pinball_p10", "pinball_p90"):
        assert own.loc["all", loss] < 0.95 * pooled.loc["all", loss]


def test_a_table_fitted_to_one_scale_is_stretched_for_another():
    steady = buildings(20, seed=4, spread=np.full(20, 0.03))
    restless = buildings(20, seed=4, spread=np.full(20, 0.12))
    tables = []
    for energy in (steady, restless):
        tables.append(fit_band(replace(past_forecasts(Backtest(energy, ZONE, P), [2011]), past={}), P.band))
    assert ((tables[1].q90 - tables[1].q10) > 1.5 * (tables[0].q90 - tables[0].q10))[3:].all()


@pytest.mark.parametrize("since", ["2012-01-01", "2011-07-01", "2011-01-01"])
def test_little_history_still_gives_a_forecast_with_a_band(since):
    energy = buildings(2)
    energy.loc[energy.index < since] = np.nan
    found = Backtest(energy, ZONE, P).run([2012], step_days=1)
    row = found[found["as_of"] == "2012-06-30"].iloc[0]
    assert row["used"] < row["p10"] < row["p50"] < row["p90"]
    assert row["p50"] == pytest.approx(row["total"], rel=0.5)
    assert np.isnan(Backtest(energy, ZONE, P).past_errors(2012)[:, 1]).all()


def test_a_day_before_the_first_meter_is_no_row():
    energy = buildings(2)
    energy.loc[energy.index < "2012-04-01", "x0"] = np.nan
    found = Backtest(energy, ZONE, P).run([2012])
    assert found[found["building"] == "x0"]["as_of"].min() == pd.Timestamp(date(2012, 4, 30))
    assert found[found["building"] == "x1"]["as_of"].min() == pd.Timestamp(date(2012, 1, 31))


def test_half_of_a_step_that_stays_is_believed_after_two_months():
    energy = buildings(1, spread=[0.0])
    energy.loc["2012-07-01":] *= 1.4
    found = Backtest(energy, ZONE, P).run([2012]).set_index("as_of")
    plain = Backtest(buildings(1, spread=[0.0]), ZONE, P).run([2012]).set_index("as_of")
    believed = ((found["p50"] - found["used"]) / (plain["p50"] - plain["used"]) - 1) / 0.4
    assert believed["2012-06-30"] == pytest.approx(0.0, abs=1e-9)
    assert believed["2012-08-31"] == pytest.approx(0.5, abs=0.1)
    assert believed.is_monotonic_increasing
