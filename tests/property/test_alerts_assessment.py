"""Assessments: order of levels, no peeking, and what the forecast promises, for any data."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts.assessment import LEVELS, Assessor, EnergyDays, Level, Silence, level_of
from alerts.days import DayGrid
from alerts.parameter_file import shipped_parameters

P = shipped_parameters()
ZONE = ZoneInfo("Asia/Shanghai")
FIRST, LAST = date(2011, 1, 1), date(2013, 12, 31)
DAYS = DayGrid.spanning(FIRST, LAST, ZONE)
RANK = {level: rank for rank, level in enumerate(Level)}
NO_SILENCE = Silence(np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros(0))


def metered(energy, silence=NO_SILENCE, covered=None):
    """Series that were metered all the time."""
    seconds = np.broadcast_to(DAYS.seconds, energy.shape)
    nothing = np.zeros_like(energy)
    return EnergyDays(
        DAYS,
        energy,
        seconds if covered is None else covered,
        seconds.copy(),
        nothing,
        nothing,
        silence,
        nothing > 0,
    )


def assess(data, day, limit):
    ix = np.arange(len(data.energy))
    as_of = np.full(len(ix), DAYS.index(day))
    none = np.zeros(len(ix), dtype=bool)
    return Assessor(data, day.year, P).assess(ix, as_of, np.full(len(ix), limit), none)


def loads(seed, series=2):
    return np.random.default_rng(seed).uniform(50, 150, (series, DAYS.size))


days_of_2013 = st.dates(date(2013, 1, 1), LAST)
amounts = st.floats(0, 1e7)


@given(seed=st.integers(0, 50), day=days_of_2013, limit=amounts)
@settings(max_examples=15, deadline=None)
def test_nothing_after_the_day_changes_the_assessment_of_the_day(seed, day, limit):
    energy = loads(seed)
    other = energy.copy()
    after = DAYS.index(day) + 1
    other[:, after:] = np.random.default_rng(seed + 1).uniform(0, 1e4, other[:, after:].shape)
    one, two = assess(metered(energy), day, limit), assess(metered(other), day, limit)
    for name in ("used", "p10", "p50", "p90", "exhaustion", "completeness", "level", "method"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), err_msg=name)


@given(seed=st.integers(0, 50), day=days_of_2013, limit=amounts)
@settings(max_examples=15, deadline=None)
def test_the_forecast_is_ordered_and_at_least_what_is_used(seed, day, limit):
    a = assess(metered(loads(seed)), day, limit)
    assert (a.used <= a.p10).all()
    assert (a.p10 <= a.p50).all()
    assert (a.p50 <= a.p90).all()
    assert ((a.exhaustion >= 0) == ((a.p50 > limit) | (a.used > limit))).all()


def test_at_the_end_of_a_complete_year_the_forecast_is_what_was_used():
    a = assess(metered(loads(1)), LAST, 1.0)
    for forecast in (a.p10, a.p50, a.p90):
        np.testing.assert_array_equal(forecast, a.used)
    np.testing.assert_allclose(a.used, loads(1)[:, DAYS.index(date(2013, 1, 1)) :].sum(1))


def test_silence_at_the_end_of_the_year_is_forecast_like_time_to_come():
    energy = np.full((1, DAYS.size), 100.0)
    begin = DAYS.index(date(2013, 11, 1))
    covered = np.broadcast_to(DAYS.seconds, energy.shape).copy()
    energy[:, begin:], covered[:, begin:] = 0.0, 0.0
    tail = Silence(
        np.array([0]),
        np.array([DAYS.index(LAST)]),
        DAYS.edges_s[[begin]],
        DAYS.edges_s[[DAYS.size]],
        np.zeros(1),
    )
    a = assess(metered(energy, tail, covered), LAST, 36_000.0)
    assert a.used[0] == pytest.approx(30_400)
    assert a.p50[0] == pytest.approx(36_500)
    assert a.p10[0] < a.p50[0] < a.p90[0]
    assert a.completeness[0] == pytest.approx(304 / 365)
    assert LEVELS[a.level[0]] == "undetermined"


def test_what_sub_meters_told_of_a_silence_is_not_forecast_again():
    energy = np.full((1, DAYS.size), 100.0)
    begin, told = DAYS.index(date(2013, 8, 1)), DAYS.index(date(2013, 9, 1))
    covered = np.broadcast_to(DAYS.seconds, energy.shape).copy()
    covered[:, begin:], energy[:, begin:told], energy[:, told:] = 0.0, 90.0, 0.0
    as_of = DAYS.index(date(2013, 9, 10))
    edges = DAYS.edges_s
    tail = Silence(
        np.array([0]), np.array([as_of]), edges[[begin]], edges[[as_of + 1]], np.array([31 * 86_400.0])
    )
    a = assess(metered(energy, tail, covered), date(2013, 9, 10), 36_000.0)
    assert a.used[0] == pytest.approx(212 * 100 + 31 * 90)
    assert a.p50[0] == pytest.approx(a.used[0] + (365 - 212 - 31) * 100)
    assert a.completeness[0] == pytest.approx(212 / 253)


def test_what_the_next_reading_will_tell_is_no_want_of_data():
    energy = np.full((1, DAYS.size), 100.0)
    covered = np.broadcast_to(DAYS.seconds, energy.shape).copy()
    begin, as_of = DAYS.index(date(2012, 12, 20)), DAYS.index(date(2013, 1, 10))
    covered[:, begin:], energy[:, begin:] = 0.0, 0.0
    ends = np.array([as_of - 1, as_of])
    tails = Silence(np.zeros(2, int), ends, DAYS.edges_s[[begin, begin]], DAYS.edges_s[ends + 1], np.zeros(2))
    for waits, share in ((np.array([True, True]), 1.0), (np.array([True, False]), 0.0), (None, 0.0)):
        a = assess(metered(energy, replace(tails, waits=waits), covered), date(2013, 1, 10), 36_000.0)
        assert (a.completeness[0], a.waiting[0]) == (0.0, share)


def test_a_site_without_any_reading_has_no_forecast():
    energy = np.zeros((1, DAYS.size))
    ends = np.array([DAYS.index(date(year, 12, 31)) for year in (2011, 2012, 2013)])
    begins = np.repeat(DAYS.edges_s[0], 3)
    silence = Silence(np.zeros(3, dtype=int), ends, begins, DAYS.edges_s[ends + 1], np.zeros(3))
    a = assess(metered(energy, silence, np.zeros_like(energy)), LAST, 10.0)
    assert np.isnan([a.p10[0], a.p50[0], a.p90[0]]).all()
    assert a.completeness[0] == 0
    assert LEVELS[a.level[0]] == "undetermined"


def test_an_open_step_counts_neither_as_used_nor_as_covered():
    data = metered(np.full((1, DAYS.size), 100.0))
    day = date(2013, 3, 1)
    open_energy, open_covered = data.open_energy.copy(), data.open_covered_s.copy()
    open_energy[0, DAYS.index(day)], open_covered[0, DAYS.index(day)] = 10.0, 8640.0
    ended = DAYS.edges_s[[DAYS.index(day) + 1]]
    tail = Silence(np.array([0]), np.array([DAYS.index(day)]), ended - 8640.0, ended, np.zeros(1))
    a = assess(replace(data, open_energy=open_energy, open_covered_s=open_covered, silence=tail), day, 1e9)
    assert a.used[0] == pytest.approx(5_990)
    assert a.completeness[0] == pytest.approx(59.9 / 60)
    assert a.p50[0] == pytest.approx(36_500)


limits, shares = st.just(np.nan) | amounts, st.just(np.nan) | st.floats(0, 1)
level_inputs = st.tuples(amounts, limits, amounts, amounts, shares, st.booleans())


def one_level(used, limit, p50, p90, completeness, before):
    columns = [np.array([x], dtype=float) for x in (used, limit, p50, p90, completeness)]
    return int(level_of(*columns, np.array([before]), P.levels)[0])


@given(level_inputs)
def test_the_level_is_the_highest_that_holds(inputs):
    used, limit, p50, p90, completeness, before = inputs
    certain = not np.isnan(limit) and completeness >= 0.9
    holds = [
        Level.NORMAL if certain else Level.UNDETERMINED,
        *([Level.WATCH] if certain and p90 > limit else []),
        *([Level.WARNING] if certain and p50 > limit else []),
        *([Level.OVER] if used > limit else []),
        *([Level.SEVERE] if used > 1.2 * limit else []),
        *([Level.ENFORCEMENT] if used > 1.2 * limit and before else []),
    ]
    assert one_level(*inputs) == max(RANK[level] for level in holds)


@given(level_inputs, st.floats(1, 1e6))
def test_more_use_never_lowers_the_level(inputs, more):
    used, limit, p50, p90, completeness, before = inputs
    raised = one_level(used + more, limit, p50 + more, p90 + more, completeness, before)
    assert raised >= one_level(*inputs)
