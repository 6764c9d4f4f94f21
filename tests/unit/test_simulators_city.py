"""A simulated city: the same seed gives the same city, sub-items add up, loads look like those of its buildings."""

from __future__ import annotations

from datetime import date

import numpy as np

from simulators.city import City, CityOptions
from simulators.city_load import LOSS, block_values, rated_per_hour

WEEK = CityOptions(date(2026, 7, 6), days=7, sites=400, points=30)  # a Monday


def hours(city: City, block: int = 0) -> np.ndarray:
    """Energy of each hour, shape (sites, points, days, 24)."""
    values = block_values(city, block)
    start = city.start_ticks[city.sites_of(block)][:, :, np.newaxis] / 100
    steps = np.diff(values, axis=2, prepend=start)
    return steps.reshape(*steps.shape[:2], city.options.days, 24, -1).sum(axis=4)


def test_the_same_seed_gives_the_same_city_and_another_seed_another():
    one, same, other = City(WEEK), City(WEEK), City(CityOptions(WEEK.start, 7, 400, 30, seed=2))
    assert one.sites == same.sites
    assert np.array_equal(block_values(one, 1), block_values(same, 1))
    assert one.sites != other.sites
    assert not np.array_equal(block_values(one, 1), block_values(other, 1))


def test_floor_areas_are_those_of_the_citys_public_buildings():
    city = City(CityOptions(date(2026, 7, 6)))
    large = city.floor_area_m2 > 20_000
    assert (len(city.sites), large.sum()) == (11_258, 1_680)
    assert abs(city.floor_area_m2.sum() / 147e6 - 1) < 0.001
    assert abs(city.floor_area_m2[large].sum() / 82e6 - 1) < 0.001
    assert city.floor_area_m2.min() >= 3_000
    assert len({site.site_code for site in city.sites}) == 11_258
    assert {len(site.site_code) for site in city.sites} == {10}


def test_registers_never_fall_and_parents_show_their_children_and_a_loss():
    city = City(WEEK)
    energy = hours(city)
    assert (energy >= 0).all()
    for parent in {p.parent for p in city.patterns if p.parent}:
        below = sum(energy[:, p.number - 1] for p in city.patterns if p.parent == parent)
        whole = energy[:, parent - 1].sum(axis=(1, 2))
        assert np.allclose(whole, below.sum(axis=(1, 2)) * (1 + LOSS), atol=0.02)
    assert (energy.max(axis=(2, 3)) < 2 * rated_per_hour(city)[city.sites_of(0)]).all()


def test_offices_are_busy_by_day_and_on_working_days_and_data_centres_always():
    city = City(WEEK)
    types = [site.building_type for site in city.sites[city.sites_of(0)]]
    office = hours(city)[[n for n, t in enumerate(types) if t == "A"]].sum(axis=0)
    lighting, data_centre = office[1], office[15]
    assert lighting[:5, 9:17].mean() > 4 * lighting[:5, :5].mean()
    assert lighting[5:].sum(axis=1).mean() < 0.7 * lighting[:5].sum(axis=1).mean()
    assert data_centre.max() < 1.4 * data_centre.min()


def test_any_number_of_points_is_a_tree_whose_parents_come_first():
    for points in (1, 2, 5, 17, 30, 45):
        city = City(CityOptions(date(2026, 1, 5), sites=3, points=points))
        assert [p.number for p in city.patterns] == list(range(1, points + 1))
        assert all(p.parent is None or p.parent < p.number for p in city.patterns)
        took = block_values(city, 0)[:, 0, -1] - city.start_ticks[:, 0] / 100
        assert (took > 0).all()
        assert np.allclose(took.sum() / (city.year_kwh.sum() / 365), 1, atol=0.6)


def test_a_day_of_a_clock_change_has_as_many_readings_as_it_has_quarters():
    city = City(CityOptions(date(2026, 3, 29), sites=2, points=3, timezone="Europe/Berlin"))
    assert block_values(city, 0).shape == (2, 3, 92)
