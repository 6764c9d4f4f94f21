"""The figures that compare generated with metered loads say what they claim to."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from datetime import date, timedelta

import numpy as np
import pytest

from deploy.bench.fleet_shapes import (
    Weeks,
    compare,
    figures,
    generated_weeks,
    picked_weeks,
    real_weeks,
    two_sample,
)
from deploy.bench.fleet_shapes_chart import shapes_table, weeks_chart
from metering.errors import InputFileError
from simulators.consumption import Consumption


def weeks_of(day_kw: list[float], off_kw: list[float], n: int = 30) -> Weeks:
    week = np.array([day_kw] * 5 + [off_kw] * 2)
    return Weeks("b", tuple(date(2014, 1, 6) + timedelta(weeks=k) for k in range(n)), np.array([week] * n))


def test_figures_of_a_load_that_is_known() -> None:
    found = figures(weeks_of([1.0] * 8 + [4.0] * 8 + [1.0] * 8, [1.0] * 24))
    assert found["load_factor_day"] == 0.5
    assert found["night_to_day"] == 0.25
    assert found["weekend_to_workday"] == 0.5
    assert found["morning_rise_hour"] == 8
    assert found["day_to_day"] == 0
    assert found["season"] == pytest.approx(0, abs=1e-9)
    assert found["load_factor_week"] == pytest.approx((5 * 2 + 2 * 1) / 7 / 4)


def test_two_samples_of_one_kind_agree_and_of_two_do_not() -> None:
    chance = np.random.default_rng(1)
    a, b = chance.normal(size=40), chance.normal(size=60)
    assert two_sample(a, a) == (0.0, 1.0)
    assert two_sample(a, b)[1] > 0.05
    d, p = two_sample(a, b + 10)
    assert d == 1.0
    assert p < 1e-6


def test_the_p_of_two_samples_is_right_where_nothing_differs() -> None:
    chance = np.random.default_rng(2)
    p = [two_sample(chance.random(30), chance.random(50))[1] for _ in range(400)]
    assert 0.02 < np.mean(np.array(p) < 0.1) < 0.16


def test_weeks_with_gaps_or_zeros_are_left_out() -> None:
    first = (date(2014, 1, 6) - date(1970, 1, 1)).days * 24
    hour = np.delete(np.arange(first, first + 30 * 168), 5 * 168 + 3)
    energy = np.full(len(hour), 10**9)
    energy[:100] = 0
    (found,) = real_weeks([Consumption("b", None, hour, energy)], 2014)
    assert len(found.first) == 28
    assert found.first[0] == date(2014, 1, 13)
    with pytest.raises(InputFileError):
        real_weeks([Consumption("b", None, hour, energy)], 2010)


def test_generated_buildings_are_compared_and_drawn() -> None:
    generated = generated_weeks(seed=1, sites=3, year=2014)
    assert [w.kw.shape for w in generated] == [(52, 7, 24)] * 3
    assert all(w.first[0].weekday() == 0 for w in generated)
    report = compare(generated, generated)
    assert all(f["d"] == 0 for f in report["figures"].values())
    assert report["profile_distance"]["generated"] == [0, 0, 0]
    assert "load_factor_day" in shapes_table({"year": 2014, **report})
    picture = ET.fromstring(weeks_chart(picked_weeks(generated, generated, 1, 4)))
    assert len(picture.findall("{http://www.w3.org/2000/svg}polyline")) == 8
