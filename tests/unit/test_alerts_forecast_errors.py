"""The backtest of the forecast measures what it says, and makes the hard cases that it names."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from alerts.backtest import Backtest, Outage, read_archive
from alerts.backtest_alerts import warned_years
from alerts.backtest_cases import CASES, spring_festival
from alerts.backtest_errors import errors
from alerts.backtest_pilot import in_sum, judge_years, pilot_limits, twice
from alerts.days import DayGrid
from alerts.parameter_file import shipped_parameters
from alerts.parameters import RuleParameters

P = shipped_parameters()
ZONE = ZoneInfo("Asia/Shanghai")
CASE = {case.name: case for case in CASES}


def even(first=2010, last=2013, energy=100.0):
    index = pd.date_range(f"{first}-01-01", f"{last}-12-31")
    return pd.DataFrame({"a": np.full(len(index), energy), "b": np.full(len(index), 2 * energy)}, index)


def test_errors_pinball_loss_and_coverage_are_those_of_the_definitions():
    found = pd.DataFrame(
        {
            "as_of": pd.to_datetime(["2014-01-31", "2014-01-31", "2014-02-28"]),
            "total": [100.0, 100.0, 200.0],
            "p10": [90.0, 105.0, 150.0],
            "p50": [110.0, 120.0, 200.0],
            "p90": [130.0, 140.0, 190.0],
            "last_total": [80.0, np.nan, 100.0],
            "run_rate": [100.0, 100.0, 200.0],
            "last_shape": [150.0, 50.0, 100.0],
        }
    )
    table = errors(found)
    assert list(table.index) == ["1", "2", "all"]
    assert table.loc["1", "forecast"] == pytest.approx(0.15)
    assert table.loc["1", "last_total"] == pytest.approx(0.2)
    assert table.loc["1", "pinball_p10"] == pytest.approx((0.1 * 10 + 0.9 * 5) / 2 / 100)
    assert table.loc["1", "pinball_p90"] == pytest.approx((0.1 * 30 + 0.1 * 40) / 2 / 100)
    assert table.loc["2", "pinball_p90"] == pytest.approx(0.9 * 10 / 200)
    assert (table.loc["1", "inside"], table.loc["2", "inside"], table.loc["1", "below"]) == (0.5, 0.0, 0.5)


def test_an_even_year_is_forecast_without_error_whatever_the_plain_ones_say():
    found = Backtest(even(2009, 2011), ZONE, P).run([2011])
    assert len(found) == 22
    for column in ("p50", "last_total", "run_rate", "last_shape", "total"):
        np.testing.assert_allclose(found[column], np.where(found["building"] == "a", 36_500, 73_000))


def test_in_an_outage_nothing_is_used_and_afterwards_all_of_it():
    outage = Outage("a", date(2013, 3, 1), date(2013, 3, 31))
    found = Backtest(even(), ZONE, P, (outage,)).run([2013], step_days=1).set_index(["building", "as_of"])
    assert found.loc[("a", "2013-03-15"), "used"] == pytest.approx(59 * 100.0)
    assert found.loc[("b", "2013-03-15"), "used"] == pytest.approx(74 * 200.0)
    assert found.loc[("a", "2013-04-01"), "used"] == pytest.approx(91 * 100.0)
    np.testing.assert_allclose(found.loc["a", "p50"], 36_500)


@pytest.mark.parametrize("name", [case.name for case in CASES if case.name != "whole"])
def test_every_hard_case_changes_the_days_or_the_readings_and_still_has_a_forecast(name):
    energy = even()
    made, outages = CASE[name].make(energy, 2013)
    changed = not made.equals(energy)
    assert changed or outages
    found = Backtest(made, ZONE, P, outages).run([2013])
    assert np.isfinite(found[found["as_of"].dt.month.isin(CASE[name].months)]["p50"]).all()
    pd.testing.assert_frame_equal(energy, even())


def test_spring_festival_and_its_lull_move_with_the_calendar():
    assert [spring_festival(y) for y in (2012, 2013, 2014)] == [
        date(2012, 1, 22),
        date(2013, 2, 9),
        date(2014, 1, 31),
    ]
    made, _ = CASE["festival_moves"].make(even(), 2013)
    assert made.loc["2013-02-12", "a"] == 50.0
    assert made.loc["2013-02-05", "a"] == 80.0
    assert made.loc["2012-02-12", "a"] == 100.0


def test_a_holiday_that_moves_is_expected_where_it_moved_to():
    energy = even()
    for year in (2010, 2011, 2012, 2013):
        first = pd.Timestamp(spring_festival(year))
        energy.loc[first : first + pd.Timedelta(days=6)] *= 0.2
    found = Backtest(energy, ZONE, P).run([2013])
    np.testing.assert_allclose(found["p50"], found["total"], rtol=1e-9)


def test_a_long_holiday_is_known_even_where_the_grid_begins_within_it():
    whole = DayGrid(date(2014, 1, 1), 365, ZONE)
    assert whole.long_holiday.sum() == 14
    late = DayGrid(date(2014, 2, 4), 5, ZONE)
    assert late.long_holiday.tolist() == [True, True, True, False, False]


def test_the_archive_is_read_as_days_and_a_missing_year_only_where_it_is_asked_for(tmp_path):
    for building, years in (("UCam_Building_b1", (2011, 2012)), ("UCam_Building_b2", (2012,))):
        folder = tmp_path / building / "electricity"
        folder.mkdir(parents=True)
        for year in years:
            hours = pd.date_range(f"{year}-01-01", f"{year}-12-31 23:00", freq="h")
            pd.DataFrame({"datetime": hours, "equipment load [kWh]": 1.5}).to_csv(
                folder / f"{year}.csv", index=False
            )
    assert list(read_archive(tmp_path, 2011)) == ["b1"]
    both = read_archive(tmp_path, 2011, whole=False)
    assert both.loc["2012-06-01"].to_dict() == {"b1": 36.0, "b2": 36.0}
    assert np.isnan(both.loc["2011-06-01", "b2"])


def pilot_days(building, year, total, fear_from):
    """Daily rows of a year of even use; the forecast knows the total from day `fear_from` on, before that 0.9 of it."""
    n = 364
    used = total * np.arange(1, n + 1) / 365
    p50 = np.where(np.arange(n) >= fear_from, total, 0.9 * total)
    return pd.DataFrame(
        {
            "building": building,
            "year": year,
            "as_of": pd.date_range(f"{year}-01-01", periods=n),
            "used": used,
            "p10": p50 * 0.999,
            "p50": p50,
            "p90": p50 * 1.001,
            "total": total,
            "run_rate": used / np.arange(1, n + 1) * 365,
        }
    )


def test_the_pilot_rule_counts_who_was_over_twice_and_when_that_was_first_said():
    rule = RuleParameters("", 3, 0.5, calm_days=7)
    daily = pd.concat(
        [
            pilot_days("over", 2014, 130.0, 100),
            pilot_days("over", 2015, 125.0, 0),
            pilot_days("once", 2014, 99.0, 0),
            pilot_days("once", 2015, 110.0, 200),
        ]
    )
    limits = {(b, y): 100.0 for b in ("over", "once") for y in (2014, 2015)}
    years = judge_years(daily, limits, rule, P.levels)
    found = {(y.building, y.year): y for y in years}
    # 0.9 x 130 is over the limit already; 0.9 x 130 < 1.2 x 100.
    assert (found["over", 2014].warned, found["over", 2014].severe_warned) == (2, 102)
    assert found["once", 2015].warned == 202
    assert found["once", 2015].before_end(202) == 162
    assert found["once", 2014].warned is None
    assert found["over", 2015].run_rate == 2
    assert found["once", 2014].run_rate is None
    assert twice(years, 1.2) == ["over"]
    summed = in_sum(years, P.levels)
    assert (summed["over"], summed["over_severely"], summed["warned"], summed["false"]) == (3, 2, 3, 0)
    (quota,) = warned_years(
        daily[(daily["building"] == "once") & (daily["year"] == 2015)], {"once": 100.0}, rule, P.levels
    )
    assert found["once", 2015].passed == quota.passed


def test_limits_of_the_pilot_are_the_base_year_less_the_reduction():
    energy = even(2011, 2015)
    energy.loc["2011-05-01", "b"] = np.nan
    limits = pilot_limits(energy, {2014: 0.06, 2015: 0.12})
    assert limits == {("a", 2014): pytest.approx(34_310), ("a", 2015): pytest.approx(32_120)}
