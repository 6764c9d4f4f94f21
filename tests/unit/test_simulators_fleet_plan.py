"""A fleet is a city in small: the same from a seed, and a registry that the platform takes."""

from __future__ import annotations

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from metering.items import item_table
from simulators.fleet.plan import FleetOptions, FleetPlan
from simulators.fleet.planning import plan_fleet
from simulators.fleet.registry_files import registry_rows, write_registry, yearly_use
from simulators.fleet.tables import meter_ratios, mixes, profile_names, profile_table, site_kinds, uses
from storage.registry import check_registry


@pytest.fixture(scope="module")
def city() -> FleetPlan:
    return plan_fleet(FleetOptions(seed=5, sites=400))


def test_a_site_stays_as_it_was_when_more_are_asked_for_or_other_days() -> None:
    few = plan_fleet(FleetOptions(seed=3, sites=7))
    many = plan_fleet(FleetOptions(seed=3, sites=90, start=date(2016, 5, 1), days=9, interval_s=300))
    assert few.sites == many.sites[:7]
    assert few.points == many.points[: len(few.points)]


def test_another_seed_is_another_fleet() -> None:
    assert plan_fleet(FleetOptions(seed=1)).points != plan_fleet(FleetOptions(seed=2)).points


def test_a_city_has_all_sectors_kinds_and_types_and_most_districts(city: FleetPlan) -> None:
    assert {s.sector for s in city.sites} == {"industry", "buildings", "transport", "public_institutions"}
    assert {s.site_kind for s in city.sites} == {k.site_kind for k in site_kinds()}
    assert {s.building_type for s in city.sites} == set("ABCDEFGH")
    assert len({s.district_code for s in city.sites}) >= 14


def test_ten_sites_are_already_of_many_kinds() -> None:
    sites = plan_fleet(FleetOptions(seed=1, sites=10)).sites
    assert len({s.site_kind for s in sites}) >= 7
    assert len({s.sector for s in sites}) >= 3


def test_codes_meters_and_gateways_are_each_one_thing(city: FleetPlan) -> None:
    assert len({s.site_code for s in city.sites}) == len({s.gateway for s in city.sites}) == 400
    assert len({p.point_code for p in city.points}) == len({p.meter for p in city.points}) == len(city.points)
    assert all(s.site_code[:6] == s.district_code and s.site_code[6] == s.building_type for s in city.sites)
    for p in city.points:
        assert p.meter.isdigit()
        assert len(p.meter) == (12 if p.item_code.startswith("01") else 14)


def test_items_are_named_ones_and_lie_under_their_own_parents(city: FleetPlan) -> None:
    for i, p in enumerate(city.points):
        assert p.item_code in item_table()
        if p.parent is not None:
            parent = city.points[p.parent]
            assert p.parent < i
            assert p.site == parent.site
            assert p.item_code.startswith(parent.item_code)


def test_sites_have_as_many_points_as_their_size_asks_for(city: FleetPlan) -> None:
    counts = Counter(p.site for p in city.points)
    large = [counts[n] for n, s in enumerate(city.sites) if s.floor_area_m2 > 20_000]
    small = [counts[n] for n, s in enumerate(city.sites) if s.floor_area_m2 < 5_000]
    assert min(counts.values()) >= 3
    assert max(counts.values()) <= 45
    assert sum(large) / len(large) > 1.5 * sum(small) / len(small)


def test_a_few_sites_have_two_totals_and_a_few_have_none(city: FleetPlan) -> None:
    totals = Counter(p.site for p in city.points if p.item_code == "01")
    two, none = (sum(totals[n] == k for n in range(400)) for k in (2, 0))
    assert 8 <= two <= 60
    assert 8 <= none <= 60
    assert two + none + sum(totals[n] == 1 for n in range(400)) == 400


def test_only_heads_of_electricity_and_heat_meters_send_instants(city: FleetPlan) -> None:
    for p in city.points:
        has = {"01": p.parent is None, "04": True}.get(p.item_code[:2], False)
        assert bool(p.instants) == has


def test_transformers_fit_the_load_and_registers_last_for_years(city: FleetPlan) -> None:
    sizes = {r.ratio: r.most_kw for r in meter_ratios()}
    for p in city.points:
        if p.item_code.startswith("01"):
            assert p.rated_per_hour <= sizes[p.face.ratio]
        assert p.rated_per_hour * 8760 / float(p.face.ratio) < 3 * 10**p.face.digits
    used = yearly_use(city.only(range(60)), 2014)
    for p, year in zip(city.points, used.tolist(), strict=False):
        assert year / float(p.face.ratio) < 0.5 * 10**p.face.digits


def test_a_part_of_a_plan_is_whole_in_itself(city: FleetPlan) -> None:
    part = city.only([3, 17])
    assert [s.site_code for s in part.sites] == [city.sites[3].site_code, city.sites[17].site_code]
    for p in part.points:
        assert part.sites[p.site].site_code == p.point_code.split("-")[0]
        assert p.parent is None or part.points[p.parent].site == p.site


def test_the_platform_takes_the_registry(tmp_path: Path) -> None:
    plan = plan_fleet(FleetOptions(seed=9, sites=30, days=400))
    write_registry(tmp_path, plan)
    counts = check_registry(None, tmp_path).counts
    assert counts["site"].new == 30
    assert counts["point"].new == len(plan.points)
    assert counts["installation"].new == sum(1 + len(p.instants) for p in plan.points)
    assert counts["quota"].new == 60  # two years begin within 400 days
    assert counts["contact"].new == 31


def test_meters_are_installed_with_their_start_value_when_the_first_day_begins() -> None:
    plan = plan_fleet(FleetOptions(seed=9, sites=3, interval_s=300))
    faces = {(p.meter, p.register): p.face for p in plan.points}
    for row in registry_rows(plan).installations:
        assert row.installed_at.isoformat() == "2014-01-01T00:00:00+08:00"
        assert row.interval_s == 300
        face = faces.get((row.meter, row.register))
        assert row.start_value == (face.start_value if face else None)


def test_limits_lie_near_what_a_site_uses_in_a_year_some_below_it() -> None:
    plan = plan_fleet(FleetOptions(seed=2, sites=40))
    used = dict.fromkeys((s.site_code for s in plan.sites), 0.0)
    for p, use in zip(plan.points, yearly_use(plan, 2014).tolist(), strict=True):
        if p.parent is None and p.item_code.startswith("01"):
            used[plan.sites[p.site].site_code] += use
    ratios = [(row.limit_value or 0) / used[row.site_code] for row in registry_rows(plan).quotas]
    assert len(ratios) == 40
    assert all(0.84 < r < 1.26 for r in ratios)
    assert any(r < 0.95 for r in ratios)
    assert any(r > 1.1 for r in ratios)


def test_the_tables_name_each_other() -> None:
    profiles = {u.profile for u in uses().values() if u.profile} | {k.profile for k in site_kinds()}
    assert profiles <= set(profile_names())
    assert set(mixes()) == {k.site_kind for k in site_kinds()}
    assert {p.use for parts in mixes().values() for p in parts} <= set(uses())
    assert all(u.item_code in item_table() for u in uses().values())
    own = [profile_names().index(k.profile) for k in site_kinds()]
    assert not (profile_table()[own, :4] != profile_table()[own, :4]).any(), (
        "a site's own profile lacks a kind of day"
    )
