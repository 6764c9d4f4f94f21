"""Spans of time behave as sets of instants, and no energy of a site counts twice or not at all."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from metering.items import item_prefixes
from metering.spans import (
    END,
    HOUR_US,
    START,
    PlacedPoint,
    intersect,
    root_spans,
    subtract,
    symmetric_difference,
    to_whole_hours,
    union,
)

UNIT = HOUR_US // 4
bounds = st.integers(0, 40).map(lambda n: n * UNIT)
spans = st.lists(st.tuples(bounds, bounds), max_size=6)
normal = spans.map(union)


def instants(*lists):
    """Every instant at which something may change, and one before and one after all of them."""
    ends = {e for found in lists for span in found for e in span}
    return sorted(ends | {e + 1 for e in ends} | {-1, 41 * UNIT})


def covers(found, t):
    return any(a <= t < b for a, b in found)


def is_normal(found):
    return all(a < b for a, b in found) and all(x[1] < y[0] for x, y in pairwise(found))


@given(spans)
def test_a_union_covers_the_same_and_is_normal(given_spans):
    merged = union(given_spans)
    assert is_normal(merged)
    assert all(covers(merged, t) == covers(given_spans, t) for t in instants(given_spans))


@given(normal, normal)
def test_difference_intersection_and_symmetric_difference_are_those_of_sets(one, other):
    for t in instants(one, other):
        a, b = covers(one, t), covers(other, t)
        assert covers(subtract(one, other), t) == (a and not b)
        assert covers(intersect(one, other), t) == (a and b)
        assert covers(symmetric_difference(one, other), t) == (a != b)
    assert is_normal(subtract(one, other))
    assert is_normal(symmetric_difference(one, other))


@given(spans)
def test_whole_hours_are_the_hours_that_are_touched(given_spans):
    hours = to_whole_hours(given_spans)
    assert all(a % HOUR_US == 0 and b % HOUR_US == 0 for a, b in hours)
    for hour in range(-1, 12):
        touched = any(a < (hour + 1) * HOUR_US and hour * HOUR_US < b for a, b in given_spans if a < b)
        assert covers(hours, hour * HOUR_US) == touched


def test_unbounded_spans_stay_unbounded():
    assert to_whole_hours([(START, 5), (HOUR_US * 2 + 1, END)]) == [(START, HOUR_US), (HOUR_US * 2, END)]
    assert subtract([(START, END)], [(0, 1)]) == [(START, 0), (1, END)]


ITEMS = ["01", "01A", "01A1", "01B", "02"]


@st.composite
def sites(draw):
    """Up to six points, each under one before it or under none."""
    points = {}
    for n in range(draw(st.integers(1, 6))):
        parent = draw(st.sampled_from([None, *points]))
        points[f"p{n}"] = PlacedPoint(draw(st.sampled_from(ITEMS)), parent, draw(normal))
    return points


@given(sites())
def test_in_every_hour_a_point_counts_unless_an_installed_ancestor_does(points):
    roots = root_spans(points)
    for code, point in points.items():
        ancestors, parent = [], point.parent
        while parent is not None:
            ancestors.append(points[parent])
            parent = points[parent].parent
        for item in item_prefixes(point.item_code):
            above = [a for a in ancestors if a.item_code.startswith(item)]
            for t in instants(point.installed):
                hour = t - t % HOUR_US
                covered = any(a < hour + HOUR_US and hour < b for p in above for a, b in p.installed)
                expected = covers(point.installed, t) and not covered
                assert covers(roots.get((item, code), []), t) == expected
    assert all(points[code].item_code.startswith(item) and found for (item, code), found in roots.items())
