"""Loads above a building's own habit: what is told of, what is not, and for how long."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.days import DayGrid
from alerts.load_rules import RUN_DAYS, Loads, load_step, night_load, runs, weekend_load
from alerts.parameter_file import shipped_parameters

P = shipped_parameters().loads
DAYS = DayGrid(date(2024, 1, 1), 600, ZoneInfo("Asia/Shanghai"))

WEEKEND = DAYS.day_off & np.array([DAYS.day(d).weekday() >= 5 for d in range(DAYS.size)])


def loads(night, day, first=450):
    rng = np.random.default_rng(1)
    noise = rng.normal(1, 0.02, (1, DAYS.size))
    return Loads(
        np.asarray(night, float)[None, :] * noise,
        np.asarray(day, float)[None, :] * noise,
        DAYS.day_off,
        WEEKEND,
        first,
    )


def flat(level):
    return np.full(DAYS.size, float(level))


def spells(rule, p, x):
    """(first day, last day) of stretches in which the rule holds."""
    j = rule(x, p)
    r = runs(j.above(p), j.counts, x.first)
    holds = (r.held >= p.days)[0] & j.counts[0]
    days = np.flatnonzero(holds).tolist()
    return [] if not days else [(days[0], days[-1])]


def test_a_steady_building_has_nothing_to_tell():
    x = loads(flat(20), np.where(DAYS.day_off, 30.0, 80.0))
    for name, rule in (("night_load", night_load), ("weekend_load", weekend_load), ("load_step", load_step)):
        assert spells(rule, P[name], x) == []


def test_nights_that_stay_high_are_told_of_after_some_nights_until_they_are_habit():
    night = flat(20)
    night[500:] = 40
    ((begin, end),) = spells(night_load, P["night_load"], loads(night, flat(80)))
    assert begin == 500 + P["night_load"].days - 1
    assert 525 < end < 575


def test_a_few_kilowatts_more_in_a_small_building_are_nothing():
    night = flat(1)
    night[500:] = 1.9
    assert spells(night_load, P["night_load"], loads(night, flat(8))) == []


def test_a_weekend_that_runs_like_a_workday_is_told_of():
    day = np.where(DAYS.day_off, 30.0, 80.0)
    day[520:560] = 80.0
    ((begin, _),) = spells(weekend_load, P["weekend_load"], loads(flat(20), day))
    offs = [d for d in range(520, 560) if WEEKEND[d]]
    assert begin == offs[P["weekend_load"].days - 1]


def test_a_level_that_rises_for_good_is_told_of_and_a_season_that_comes_every_year_is_not():
    season = 80.0 + 40.0 * (np.sin(2 * np.pi * np.arange(DAYS.size) / 364) > 0.3)
    assert spells(load_step, P["load_step"], loads(flat(20), season)) == []
    risen = season.copy()
    risen[510:] *= 1.6
    ((begin, _),) = spells(load_step, P["load_step"], loads(flat(20), risen))
    assert 510 < begin < 510 + 2 * P["load_step"].window


def test_nights_nobody_measured_neither_break_a_run_nor_make_one():
    night = flat(20)
    night[500:] = 40
    night[502:505] = np.nan
    ((begin, _),) = spells(night_load, P["night_load"], loads(night, flat(80)))
    assert begin == 500 + P["night_load"].days - 1 + 3


@given(st.lists(st.sampled_from("+-?"), min_size=1, max_size=60), st.integers(0, 59))
def test_runs_are_what_a_reader_would_count(days, first):
    above = np.array([[d == "+" for d in days]])
    counts = np.array([[d != "?" for d in days]])
    r = runs(above, counts, min(first, len(days) - 1))
    for d in range(min(first, len(days) - 1), len(days)):
        seen = [c for c in days[max(0, d - RUN_DAYS + 1) : d + 1] if c != "?"]
        text = "".join(seen)
        assert r.held[0, d] == len(text) - len(text.rstrip("+"))
        assert r.calm[0, d] == len(text) - len(text.rstrip("-"))
        if r.held[0, d]:
            assert days[r.began[0, d]] == "+"
            assert "-" not in days[r.began[0, d] : d + 1]


@settings(max_examples=8)
@given(st.integers(570, 590), st.integers(1, 20))
def test_a_verdict_does_not_hang_on_which_days_are_looked_at_together(first, more):
    rng = np.random.default_rng(first)
    night, day = rng.gamma(3, 10, (1, 600)), rng.gamma(3, 30, (1, 600))
    for name, rule in (("night_load", night_load), ("weekend_load", weekend_load), ("load_step", load_step)):
        found = []
        for begin in (first, first - more):
            x = Loads(night, day, DAYS.day_off, WEEKEND, begin - RUN_DAYS)
            j = rule(x, P[name])
            r = runs(j.above(P[name]), j.counts, begin)
            found.append((r.held[0, first:], r.calm[0, first:], j.habit[0, first:]))
        for one, other in zip(*found, strict=True):
            np.testing.assert_array_equal(one, other)
