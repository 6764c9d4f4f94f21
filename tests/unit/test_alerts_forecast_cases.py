"""Forecasts of sites that are no steady building, worked out by hand."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from alerts.assessment import Assessor, EnergyDays, Silence
from alerts.days import DayGrid
from alerts.parameter_file import shipped_parameters

P = shipped_parameters()
ZONE = ZoneInfo("Asia/Shanghai")
DAYS = DayGrid.spanning(date(2012, 1, 1), date(2015, 12, 31), ZONE)
NO_SILENCE = Silence(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0))


def days_of(first, last):
    return slice(DAYS.index(first), DAYS.index(last) + 1)


def assessed(energy, day, roots=None):
    """One site of which every installed day is known; roots: how many meters it has on each day (default: one)."""
    energy = energy[None]
    installed = DAYS.seconds * (np.ones(DAYS.size) if roots is None else roots)
    installed, nothing = installed[None], np.zeros_like(energy)
    data = EnergyDays(
        DAYS, energy, installed.copy(), installed.copy(), nothing, nothing, NO_SILENCE, nothing > 0
    )
    one = np.array([DAYS.index(day)])
    return Assessor(data, day.year, P).assess(np.zeros(1, int), one, np.full(1, np.inf), np.zeros(1, bool))


@pytest.mark.parametrize("moved_in", [date(2014, 10, 1), date(2015, 1, 1)])
def test_a_building_that_was_moved_into_is_not_forecast_by_the_time_when_it_stood_empty(moved_in):
    energy = np.full(DAYS.size, 100.0)
    energy[: DAYS.index(moved_in)] = 0.0
    for month in (6, 7, 8, 9):
        a = assessed(energy, date(2015, month, 28))
        assert a.p50[0] == pytest.approx(36_500, rel=0.08)
        assert a.p10[0] < a.p50[0] < a.p90[0]


def test_a_building_that_uses_nothing_is_expected_to_go_on_so():
    a = assessed(np.zeros(DAYS.size), date(2015, 6, 30))
    assert (a.used[0], a.p10[0], a.p50[0], a.p90[0]) == (0.0, 0.0, 0.0, 0.0)


def heated(last=date(2015, 3, 15)):
    """10 a day from 15 November to 15 March, in 2015 to another day."""
    dates = [DAYS.day(i) for i in range(DAYS.size)]
    winter = np.array([(d.month, d.day) >= (11, 15) or (d.month, d.day) <= (3, 15) for d in dates])
    winter[days_of(date(2015, 3, 15), last)] = True
    return 10.0 * winter


def test_heat_is_expected_in_winter_only():
    for month in (1, 2, 4, 7, 10, 12):
        a = assessed(heated(), date(2015, month, 28))
        assert a.p50[0] == pytest.approx(1_210, rel=0.01)
        assert a.method[0] == "profile/1"


def test_a_week_more_of_heating_says_little_of_the_next_winter():
    energy = heated(date(2015, 3, 22))
    for day in (date(2015, 3, 22), date(2015, 3, 31), date(2015, 4, 15)):
        assert assessed(energy, day).p50[0] == pytest.approx(1_280, rel=0.08)
    assert assessed(energy, date(2015, 3, 31)).p50[0] == pytest.approx(1_280, rel=0.06)


def test_while_the_only_meter_is_away_the_year_is_expected_to_go_on():
    energy, roots = np.full(DAYS.size, 100.0), np.ones(DAYS.size)
    away = days_of(date(2015, 6, 20), date(2015, 7, 9))
    energy[away], roots[away] = 0.0, 0.0
    a = assessed(energy, date(2015, 7, 5), roots)
    # Up to 19 June it was metered; what was used since is nobody's, what comes from 6 July on is expected.
    assert (a.used[0], a.p50[0]) == (pytest.approx(17_000), pytest.approx(17_000 + 179 * 100))
    assert a.p10[0] < a.p50[0] < a.p90[0]
    assert assessed(energy, date(2015, 7, 10), roots).p50[0] == pytest.approx(34_500)


def test_a_site_whose_meters_are_gone_for_good_uses_no_more():
    energy, roots = np.full(DAYS.size, 100.0), np.ones(DAYS.size)
    gone = days_of(date(2015, 6, 20), date(2015, 12, 31))
    energy[gone], roots[gone] = 0.0, 0.0
    assert assessed(energy, date(2015, 7, 19), roots).p50[0] == pytest.approx(17_000 + 165 * 100)
    for day in (date(2015, 7, 20), date(2015, 12, 31)):
        a = assessed(energy, day, roots)
        assert (a.used[0], a.p10[0], a.p50[0], a.p90[0]) == (17_000.0,) * 4


def test_a_leap_year_has_a_day_more():
    days = DayGrid.spanning(date(2013, 1, 1), date(2016, 12, 31), ZONE)
    seconds, nothing = days.seconds[None], np.zeros((1, days.size))
    energy = np.full((1, days.size), 100.0)
    data = EnergyDays(days, energy, seconds, seconds, nothing, nothing, NO_SILENCE, nothing > 0)
    for day, share in ((date(2016, 2, 28), 59), (date(2016, 2, 29), 60), (date(2016, 3, 1), 61)):
        one = np.array([days.index(day)])
        a = Assessor(data, 2016, P).assess(np.zeros(1, int), one, np.full(1, 30_000.0), np.zeros(1, bool))
        assert a.p50[0] == pytest.approx(36_600)
        assert a.share[0] == pytest.approx(share / 366)
        # The 301st day of 2016.
        assert date(2016, 1, 1).toordinal() + a.exhaustion[0] == date(2016, 10, 27).toordinal()
