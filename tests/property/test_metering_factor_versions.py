"""Laying factors over factors: on any day at most one is in force, the new one in its days, else the one of before."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metering.factors import Factor, changed_days, in_force, laid_over, misfits, timelines

FIRST = date(2010, 1, 1)
KEY = ("01", "tce")
DAYS = 60


def factor(begin: int, end: int | None, value: float, name: str) -> Factor:
    until = None if end is None else FIRST + timedelta(days=end)
    return Factor(
        "01", "tce", value, "tce/kWh", FIRST + timedelta(days=begin), until, name, "test", None, False
    )


@st.composite
def whole_timelines(draw, name: str) -> list[Factor]:
    """Factors without a gap or an overlap, the last one perhaps until further notice."""
    edges = sorted(draw(st.sets(st.integers(0, DAYS), min_size=2, max_size=6)))
    found = [factor(a, b, draw(st.sampled_from([1.0, 2.0, 3.0])), f"{name} {a}") for a, b in pairwise(edges)]
    if draw(st.booleans()):
        found.append(factor(edges[-1], None, draw(st.sampled_from([1.0, 2.0])), f"{name} open"))
    return found


def on(factors: list[Factor], day: date) -> list[Factor]:
    return [f for f in factors if f.valid_from <= day and (f.valid_to is None or day < f.valid_to)]


@given(st.lists(whole_timelines("v"), min_size=1, max_size=5))
def test_on_any_day_exactly_one_factor_or_none_is_in_force(versions):
    known: list[Factor] = []
    for new in versions:
        before, known = known, laid_over(known, new)
        for n in range(-2, DAYS + 3):
            day = FIRST + timedelta(days=n)
            found = on(known, day)
            assert len(found) <= 1
            assert in_force(known, KEY, day) == (found[0] if found else None)
            wanted = (on(new, day) or on(before, day) or [None])[0]
            assert (found[0].source if found else None) == (wanted.source if wanted else None)


@given(whole_timelines("old"), whole_timelines("new"))
def test_just_the_days_whose_value_differs_are_said_to_change(old, new):
    after = laid_over(old, new)
    days = changed_days(old, after).get(KEY, [])
    assert all(a < b for a, b in days)
    assert all(one[1] < other[0] for one, other in pairwise(days))
    for n in range(-2, DAYS + 3):
        day = FIRST + timedelta(days=n)
        was, now = in_force(old, KEY, day), in_force(after, KEY, day)
        differs = (was and was.value) != (now and now.value)
        assert differs == any(a <= day < b for a, b in days)


@given(whole_timelines("old"), whole_timelines("new"))
def test_laying_over_again_changes_nothing(old, new):
    after = laid_over(old, new)
    assert laid_over(after, new) == after
    assert laid_over(old, []) == old


@given(whole_timelines("v"), st.data())
def test_a_gap_or_an_overlap_is_seen(timeline, data):
    assert list(misfits(timeline)) == []
    if len(timeline) < 3:
        return
    without = data.draw(st.integers(1, len(timeline) - 2))
    gap = [f for n, f in enumerate(timeline) if n != without]
    assert len(list(misfits(gap))) == 1
    twice = timelines([*timeline, timeline[without]])[KEY]
    assert len(list(misfits(twice))) == 1
