"""Steps at exchanges: found from days on both sides, whatever their unit, order and gaps; none where there is none."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.exchanges import ExchangeRule, exchange_step

RULE = ExchangeRule()
WEEK_OFF = np.array([n % 7 >= 5 for n in range(14)])


def days(seed: int, off: np.ndarray, noise: float = 0.08) -> np.ndarray:
    """A building's days: half as much on days off."""
    rng = np.random.default_rng(seed)
    return np.where(off, 300.0, 600.0) * rng.uniform(1 - noise, 1 + noise, len(off))


seeds = st.integers(0, 10_000)
shifts = st.integers(0, 6)


@given(seeds, shifts, shifts, st.sampled_from([0.2, 0.5, 2 / 3, 1.5, 2.0, 3.0, 10.0]))
def test_a_ratio_that_is_off_by_a_factor_is_found_with_its_size(seed, a, b, scale):
    off_before, off_after = np.roll(WEEK_OFF, a), np.roll(WEEK_OFF, b)
    step = exchange_step(days(seed, off_before), off_before, scale * days(seed + 1, off_after), off_after)
    assert step is not None
    assert step.scale == pytest.approx(scale, rel=0.1)
    assert step.days == 14


@given(seeds, shifts, shifts, st.floats(0.85, 1.15))
def test_a_usual_change_of_load_is_none(seed, a, b, change):
    off_before, off_after = np.roll(WEEK_OFF, a), np.roll(WEEK_OFF, b)
    assert (
        exchange_step(days(seed, off_before), off_before, change * days(seed + 1, off_after), off_after)
        is None
    )


@given(seeds, st.floats(1e-3, 1e6), st.permutations(range(14)), st.sampled_from([1.0, 2.0, 0.5]))
def test_neither_the_unit_nor_the_order_of_days_matters(seed, unit, order, scale):
    before, after = days(seed, WEEK_OFF), scale * days(seed + 1, WEEK_OFF)
    plain = exchange_step(before, WEEK_OFF, after, WEEK_OFF)
    other = exchange_step(unit * before[order], WEEK_OFF[order], unit * after[order], WEEK_OFF[order])
    assert (plain is None) == (other is None)
    if plain is not None and other is not None:
        assert other.scale == pytest.approx(plain.scale)


@given(seeds, st.sampled_from([2.0, 0.5]))
def test_a_step_and_its_reverse_are_one_anothers_inverse(seed, scale):
    before, after = days(seed, WEEK_OFF), scale * days(seed + 1, WEEK_OFF)
    there, back = (
        exchange_step(*p) for p in ((before, WEEK_OFF, after, WEEK_OFF), (after, WEEK_OFF, before, WEEK_OFF))
    )
    assert there is not None
    assert back is not None
    assert there.scale * back.scale == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("measured_before", "measured_after", "found"),
    [(5, 2, True), (4, 14, False), (14, 1, False), (14, 2, True), (0, 14, False)],
)
def test_too_few_days_tell_nothing(measured_before, measured_after, found):
    before, after = days(1, WEEK_OFF), 2.0 * days(2, WEEK_OFF)
    before[: 14 - measured_before] = np.nan
    after[measured_after:] = np.nan
    assert (exchange_step(before, WEEK_OFF, after, WEEK_OFF) is not None) == found


def test_only_days_of_one_kind_are_compared():
    workdays, off = np.zeros(14, dtype=bool), np.ones(14, dtype=bool)
    assert exchange_step(days(1, workdays), workdays, days(2, off), off) is None
    # A weekend after workdays and weekends: its level is the weekends', not half of it.
    assert exchange_step(days(1, WEEK_OFF), WEEK_OFF, days(2, off), off) is None


def test_a_load_that_comes_and_goes_needs_a_greater_step():
    rng = np.random.default_rng(3)
    wild = np.exp(rng.normal(0, 0.5, 28)) * 100
    none = np.zeros(14, dtype=bool)
    assert exchange_step(wild[:14], none, 1.5 * wild[14:], none) is None
    assert exchange_step(wild[:14], none, 30 * wild[14:], none) is not None


def test_days_without_any_use_are_no_level():
    none = np.zeros(14, dtype=bool)
    assert exchange_step(np.zeros(14), none, days(1, none), none) is None


def test_a_change_of_workdays_or_of_days_off_alone_is_no_ratio():
    # Spring Festival: seven days off with next to nobody there, five workdays before it; then usual weeks.
    off_before = np.array([False] * 5 + [True] * 9)
    before = np.where(off_before, 150.0, 600.0)
    before[5:7] = 300.0
    after = np.where(WEEK_OFF, 300.0, 600.0)
    assert exchange_step(before, off_before, after, WEEK_OFF) is None
    # A term begins: workdays half as much again, weekends as ever.
    term = np.where(WEEK_OFF, 300.0, 900.0)
    assert exchange_step(np.where(WEEK_OFF, 300.0, 600.0), WEEK_OFF, term, WEEK_OFF) is None
