"""Monthly plans and percentile rules, whatever the figures."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from alerts.month_rule import MonthRule, PlanVersion, judge_month, months_ended, plan_in_force
from alerts.percentiles import Band, PercentileRule, band_of, reduction_in
from metering.monthly_plans import QUANTUM, monthly_plan, plan_problem

ZONE = ZoneInfo("Asia/Shanghai")
limits = st.floats(0, 1e12) | st.floats(0, 1e9).map(lambda v: round(v, 6)) | st.integers(0, 10**9).map(float)
weights = st.lists(st.floats(0, 1e6), min_size=12, max_size=12)
rules = st.builds(PercentileRule, st.just(True), st.floats(0, 50), st.floats(0, 50), st.floats(0, 20))


@given(limits, weights)
def test_months_sum_to_the_limit_exactly(limit, shares):
    assume(any(shares))
    months = monthly_plan(limit, shares)
    assert len(months) == 12
    assert sum(months) == Decimal(repr(limit))
    assert float(sum(months)) == limit
    assert min(months) >= 0


@given(limits, weights)
def test_months_are_in_proportion_but_for_rounding(limit, shares):
    assume(sum(shares) > 1e-3)
    for month, share in zip(monthly_plan(limit, shares), shares, strict=True):
        assert float(month) == pytest.approx(limit * share / sum(shares), rel=1e-9, abs=2 * float(QUANTUM))


@given(st.lists(st.integers(0, 10**6), min_size=12, max_size=12))
def test_months_that_sum_are_taken_as_they_are(months):
    total = float(sum(months))
    plan = tuple(map(float, months))
    assert plan_problem(plan, total) is None
    assert tuple(map(float, monthly_plan(total, plan) if any(months) or total == 0 else ())) == plan


@given(st.floats(1, 1e9), weights, st.integers(0, 2))
def test_a_limit_in_rounded_months_is_no_error_and_another_one_is(limit, shares, decimals):
    assume(sum(shares) > 1)
    limit = round(limit, decimals)
    months = tuple(round(limit * s / sum(shares), decimals) for s in shares)
    assume(any(months))
    assert plan_problem(months, limit) is None
    assert plan_problem((months[0] + 20.0, *months[1:]), limit) is not None
    assert sum(monthly_plan(limit, months)) == Decimal(repr(limit))


@pytest.mark.parametrize(
    "plan", [(1.0,) * 11, (1.0,) * 11 + (-1.0,), (0.0,) * 12, (1.0,) * 11 + (float("nan"),)]
)
def test_what_is_no_plan(plan):
    assert plan_problem(plan, None) is not None
    assert plan_problem(plan, 12.0) is not None


@given(st.lists(st.floats(0.1, 1e3) | st.sampled_from([1.0, 2.0]), min_size=1, max_size=80), rules)
def test_never_more_than_the_share_is_best_or_worst(rates, rule):
    rates = sorted(rates)
    bands = [band_of(r, rates, rule) for r in rates]
    assert bands.count(Band.BEST) <= len(rates) * rule.best_percent / 100 + 1e-6
    assert bands.count(Band.WORST) <= len(rates) * rule.worst_percent / 100 + 1e-6
    order = [Band.BEST, Band.MIDDLE, Band.WORST]
    assert [order.index(b) for b in bands] == sorted(order.index(b) for b in bands)


@given(st.sampled_from(list(Band)), st.floats(0, 100), rules)
def test_the_worse_the_more_is_cut_and_never_more_than_all(band, percent, rule):
    cut = [reduction_in(b, percent, rule) for b in (Band.BEST, Band.MIDDLE, Band.WORST)]
    assert cut == sorted(cut)
    assert 0 <= reduction_in(band, percent, rule) <= 100


RULE = MonthRule("warning", 0.1, 0.9, 62)


@given(st.floats(0, 1e6), st.none() | st.floats(0, 1e6), st.floats(0, 1) | st.just(float("nan")))
def test_a_month_holds_only_where_it_is_over_and_well_read(use, plan, completeness):
    seen = judge_month(use, plan, completeness, RULE)
    over = plan is not None and use > plan * 1.1
    assert seen.holds == (over and completeness >= 0.9)
    assert seen.gone == (not over)
    assert not (seen.holds and seen.gone)


@given(st.dates(date(1995, 1, 1), date(2090, 1, 1)), st.integers(0, 800))
def test_months_that_ended_in_a_span_of_days(first, days):
    last = first + timedelta(days=days)
    months = months_ended(first, last)
    ends = [m.last for m in months]
    every = [first + timedelta(days=n) for n in range(days + 1)]
    assert ends == [d for d in every if (d + timedelta(days=1)).day == 1]
    assert all(m.first.day == 1 and (m.first.year, m.first.month) == (m.year, m.month) for m in months)


def version(effective, limit_id=1, given=True, recorded=None, superseded=None):
    return PlanVersion(effective, limit_id, (Decimal(1),) * 12, given, recorded, superseded)


JAN, JUN = date(2014, 1, 1), date(2014, 6, 1)
MOMENT = datetime(2014, 3, 31, 16, 30, tzinfo=UTC)  # 00:30 of 1 April in Shanghai


def test_the_plan_in_force_is_the_one_that_was_known():
    early, late = version(JAN, 1), version(JUN, 2)
    assert plan_in_force([early, late], date(2014, 5, 31), None, ZONE) is early
    assert plan_in_force([early, late], date(2014, 6, 30), None, ZONE) is late
    computed = version(JAN, 3, given=False, recorded=MOMENT)
    assert plan_in_force([computed], date(2014, 3, 31), date(2014, 3, 31), ZONE) is None
    assert plan_in_force([computed], date(2014, 3, 31), date(2014, 4, 1), ZONE) is computed
    gone = version(JAN, 4, superseded=MOMENT)
    assert plan_in_force([gone], date(2014, 3, 31), None, ZONE) is None
    assert plan_in_force([early, version(JUN, None)], date(2014, 7, 31), None, ZONE) is None
