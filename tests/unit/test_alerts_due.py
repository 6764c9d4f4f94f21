"""Which assessments a mark makes stale: no more than rest on what changed."""

from __future__ import annotations

from datetime import date

import pytest

from alerts.due import Mark, series_by_year
from alerts.frames import Series

SINCE = date(2011, 1, 1)
SERIES = [
    Series("A", 1, "01", SINCE, ("01",)),
    Series("A", 1, "01B", SINCE, ("01B",)),
    Series("A", 1, "04", SINCE, ("04",)),
    Series("A", 1, "tce", SINCE, ("01", "04")),
    Series("B", 2, "01", SINCE, ("01",)),
]


def found(*marks, this_year=2014):
    years = series_by_year(SERIES, marks, this_year, 3)
    return {year: [f"{s.site_code}/{s.item_code}" for s in group] for year, group in years.items()}


@pytest.mark.parametrize(
    ("item", "stale"),
    [
        ("01", ["A/01", "A/tce"]),
        ("01B", ["A/01B"]),
        ("tce", ["A/tce"]),
        (None, ["A/01", "A/01B", "A/04", "A/tce"]),
    ],
)
def test_a_mark_means_its_item_and_what_sums_it(item, stale):
    assert found(Mark("A", item, 2014, False)) == {2014: stale}


def test_a_closed_year_bears_on_the_next_and_on_the_forecasts_that_learn_from_it():
    assert list(found(Mark("B", "01", 2012, False))) == [2012, 2013, 2014]
    assert list(found(Mark("B", "01", 2009, False))) == [2009, 2010]


def test_marks_repeat_and_years_to_come_wait():
    once = found(Mark("B", "01", 2014, False))
    assert found(*[Mark("B", "01", 2014, False)] * 3, Mark("B", "01", 2015, True)) == once
    assert found() == {}
