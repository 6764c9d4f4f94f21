"""Stored readings become energy at every level, as contracted: read from schema `api`, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone

import psycopg
import pytest

from storage.derivation import Deriver
from storage.factors import load_factors
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 1, tzinfo=CST)
HOUR = timedelta(hours=1)


@pytest.fixture
def town(database) -> Iterator[Town]:
    """An empty registry, and nothing stored or derived."""
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        yield Town(connection, database.worker_url, database.superuser_url)


def derive(town: Town):
    deriver = Deriver(lambda: psycopg.connect(town.url))
    try:
        return deriver.run_all()
    finally:
        deriver.close()


def one_point(town: Town, item: str = "01", **installation) -> int:
    point = town.point("P", town.site("S"), item)
    town.install("m", point, installation.pop("installed_at", T0), **installation)
    town.place()
    return point


def every(count: int, step: timedelta = HOUR, begin: datetime = T0, value: float = 100.0, rise: float = 2.0):
    return [(begin + n * step, value + n * rise) for n in range(count)]


def hours(town: Town, columns: str = "period, consumption, estimated, completeness"):
    return town.rows(f"select {columns} from api.energy_hour order by period")


def day(town: Town, view: str = "site_energy_day", **where):
    tests = " and ".join(f"{name} = %s" for name in where) or "true"
    return town.rows(
        f"select period, consumption, estimated, completeness from api.{view} where {tests} order by period",
        *where.values(),
    )


def test_hours_days_months_and_years_are_differences_of_the_register(town):
    one_point(town, ratio=3)
    town.read("m", every(49))
    derive(town)
    assert hours(town) == [(T0 + n * HOUR, 6.0, 0.0, 1.0) for n in range(48)]
    assert day(town, "energy_day") == [
        (date(2014, 3, 1), 144.0, 0.0, 1.0),
        (date(2014, 3, 2), 144.0, 0.0, 1.0),
    ]
    assert day(town) == day(town, "energy_day")
    for view in ("energy_month", "site_energy_month", "area_energy_month"):
        assert day(town, view)[0][:2] == (date(2014, 3, 1), 288.0)
    assert [r[:2] for r in day(town, "energy_year")] == [(date(2014, 1, 1), 288.0)]


def test_a_gap_is_apportioned_to_its_hours_and_marked_at_every_level(town):
    one_point(town)
    town.read("m", [(T0, 100.0), (T0 + HOUR, 102.0), (T0 + 5 * HOUR, 110.0), (T0 + 6 * HOUR, 111.0)])
    derive(town)
    assert hours(town) == [
        (T0, 2.0, 0.0, 1.0),
        *((T0 + n * HOUR, 2.0, 2.0, 0.0) for n in range(1, 5)),
        (T0 + 5 * HOUR, 1.0, 0.0, 1.0),
    ]
    for view in ("energy_day", "site_energy_day", "area_energy_day"):
        assert day(town, view)[0][1:3] == (11.0, 8.0)
    assert day(town)[0][3] == pytest.approx(2 / 24)


def test_a_step_of_one_and_a_half_intervals_is_no_gap(town):
    one_point(town, interval_s=3600)
    town.read("m", [(T0, 100.0), (T0 + timedelta(minutes=90), 103.0)])
    derive(town)
    assert hours(town) == [(T0, 2.0, 0.0, 1.0), (T0 + HOUR, 1.0, 0.0, 0.5)]


def test_silence_of_an_open_installation_writes_nothing_and_costs_completeness(town):
    """No row after the last good reading; the day and month know that the meter should have spoken."""
    one_point(town)
    town.read("m", every(13))
    derive(town)
    assert len(hours(town)) == 12
    assert day(town, "energy_day") == [(date(2014, 3, 1), 24.0, 0.0, 0.5)]
    assert day(town, "energy_month")[0][3] == pytest.approx(12 / (31 * 24))


def test_time_without_an_installation_counts_neither_way(town):
    one_point(town, installed_at=T0 + 12 * HOUR, removed_at=T0 + 18 * HOUR, end_value=112.0)
    town.read("m", every(6, begin=T0 + 12 * HOUR))
    derive(town)
    assert day(town) == [(date(2014, 3, 1), 12.0, 0.0, 1.0)]
    assert day(town, "site_energy_year")[0][3] == 1.0


def test_a_register_that_does_not_advance_is_measured_zero(town):
    one_point(town)
    town.read("m", every(25, rise=0.0))
    derive(town)
    assert day(town) == [(date(2014, 3, 1), 0.0, 0.0, 1.0)]


def test_start_and_end_values_bound_energy_like_readings(town):
    one_point(town, start_value=90.0, removed_at=T0 + 4 * HOUR, end_value=120.0)
    town.read("m", [(T0 + HOUR, 100.0), (T0 + 2 * HOUR, 102.0), (T0 + 3 * HOUR, 110.0)])
    derive(town)
    assert [r[1] for r in hours(town)] == [10.0, 2.0, 8.0, 10.0]
    assert day(town) == [(date(2014, 3, 1), 30.0, 0.0, 1.0)]


def test_without_an_end_value_the_last_stretch_is_estimated_and_marked(town):
    one_point(town, removed_at=T0 + 8 * HOUR)
    town.read("m", every(5))
    derive(town)
    assert hours(town) == [
        *((T0 + n * HOUR, 2.0, 0.0, 1.0) for n in range(4)),
        *((T0 + n * HOUR, 2.0, 2.0, 0.0) for n in range(4, 8)),
    ]


@pytest.mark.parametrize("more", [{}, {"end_value": 120.0}])
def test_a_removal_recorded_ahead_is_carried_to_when_it_has_come(town, more):
    """Nothing is written before it comes; then the worker takes it up by itself, though none ran for months."""
    now = datetime.now(CST) - timedelta(days=50)
    one_point(town, installed_at=now - 9 * HOUR, removed_at=now - timedelta(seconds=1), **more)
    town.read("m", every(5, begin=now - 9 * HOUR))
    town.connection.execute("delete from nengliu.change")
    town.connection.execute("update nengliu.removal_look set looked_at = %s", (now - HOUR,))
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.mark_due_removals()
    assert deriver.run_all().changes == 1
    deriver.mark_due_removals()
    assert deriver.run_all().changes == 0
    deriver.close()
    assert town.rows("select sum(consumption) from api.energy_hour where estimated > 0")[0][0] > 9.9


def test_an_end_value_recorded_ahead_puts_no_energy_into_the_future(town):
    now = datetime.now(CST)
    one_point(town, installed_at=now - 9 * HOUR, removed_at=now + 9 * HOUR, end_value=120.0)
    town.read("m", every(5, begin=now - 9 * HOUR))
    derive(town)
    assert town.rows("select sum(consumption), max(estimated) from api.energy_hour") == [
        (pytest.approx(8.0), 0.0)
    ]


def test_a_replaced_meter_and_a_new_ct_add_up(town):
    """One meter ends, another begins at the same point with another ratio; the first one's sum stays."""
    point = one_point(town, ratio=10, removed_at=T0 + 2 * HOUR, end_value=104.0)
    town.install("m2", point, T0 + 2 * HOUR, ratio=20, start_value=0.0)
    town.place()
    town.read("m", every(2))
    town.read("m2", every(3, begin=T0 + 3 * HOUR, value=1.0, rise=1.0))
    derive(town)
    assert [r[1] for r in hours(town)] == [20.0, 20.0, 20.0, 20.0, 20.0]
    assert day(town)[0][1:3] == (100.0, 0.0)


def test_a_reading_at_the_moment_of_removal_belongs_to_the_next_installation(town):
    """The same meter with a new ratio from then on: its reading there opens the new row, and closes nothing."""
    point = one_point(town, ratio=10, removed_at=T0 + 2 * HOUR, end_value=104.0)
    town.install("m", point, T0 + 2 * HOUR, ratio=20)
    town.place()
    town.read("m", every(5))
    derive(town)
    assert [r[1] for r in hours(town)] == [20.0, 20.0, 40.0, 40.0]


def test_a_register_rolls_over(town):
    one_point(town, digits=4)
    town.read("m", [(T0 + n * HOUR, (9996.0 + 2 * n) % 10_000) for n in range(5)])
    derive(town)
    assert [r[1] for r in hours(town)] == [2.0] * 4


def test_a_decrease_that_is_no_rollover_carries_no_energy(town):
    one_point(town)
    town.read("m", [(T0, 5000.0), (T0 + HOUR, 5002.0), (T0 + 2 * HOUR, 0.0), (T0 + 3 * HOUR, 2.0)])
    derive(town)
    assert hours(town) == [(T0, 2.0, 0.0, 1.0), (T0 + 2 * HOUR, 2.0, 0.0, 1.0)]


def test_readings_off_the_hour_are_apportioned_by_time(town):
    one_point(town)
    town.read("m", every(4, begin=T0 + timedelta(minutes=15)))
    derive(town)
    assert hours(town, "period, consumption, completeness") == [
        (T0, 1.5, 0.75),
        (T0 + HOUR, 2.0, 1.0),
        (T0 + 2 * HOUR, 2.0, 1.0),
        (T0 + 3 * HOUR, 0.5, 0.25),
    ]


def test_a_meter_read_once_a_day_is_apportioned_by_design(town):
    one_point(town, interval_s=86400)
    town.read("m", every(3, step=timedelta(days=1), rise=24.0))
    derive(town)
    assert [r[1:] for r in hours(town)] == [(1.0, 0.0, 1.0)] * 48


def test_the_display_unit_is_converted_to_the_items_own(town):
    one_point(town, unit="MWh", digits=4, decimals=3)
    town.read("m", every(3, rise=0.002))
    derive(town)
    assert [r[1] for r in hours(town)] == pytest.approx([2.0, 2.0])
    assert town.rows("select distinct unit from api.energy_hour") == [("kWh",)]


def test_tariff_registers_are_summed_only_where_no_total_is_installed(town):
    point = one_point(town, register="1.8.1")
    town.install("m", point, T0, register="1.8.2")
    town.install("m", point, T0 + 2 * HOUR, register="1.8.0")
    town.install("m", point, T0, register="2.8.0")
    town.install("m", point, T0, register="16.7.0", unit="kW")
    town.place()
    town.read("m", every(5, rise=1.0), "1.8.1")
    town.read("m", every(5, rise=2.0), "1.8.2")
    town.read("m", every(3, begin=T0 + 2 * HOUR, rise=3.5), "1.8.0")
    town.read("m", every(5, rise=99.0), "2.8.0")
    town.read("m", every(5, rise=-9.0), "16.7.0")
    derive(town)
    assert hours(town) == [
        (T0, 3.0, 0.0, 1.0),
        (T0 + HOUR, 3.0, 0.0, 1.0),
        (T0 + 2 * HOUR, 3.5, 0.0, 1.0),
        (T0 + 3 * HOUR, 3.5, 0.0, 1.0),
    ]


def test_late_and_unordered_readings_give_what_ordered_ones_give(town):
    one_point(town)
    readings = every(49)
    for chunk in (readings[30:], readings[:10], readings[20:30], readings[10:20]):
        town.read("m", reversed(chunk))
        derive(town)
    assert hours(town) == [(T0 + n * HOUR, 2.0, 0.0, 1.0) for n in range(48)]
    assert town.rows("select count(*) from nengliu.point_day_open") == [(0,)]


def test_a_correction_derives_its_two_steps_again_and_leaves_the_rest(town):
    one_point(town)
    town.read("m", every(25))
    derive(town)
    before = dict(town.rows("select hour, revision from nengliu.point_hour"))
    town.read("m", [(T0 + 10 * HOUR, 121.0)])
    result = derive(town)
    after = dict(town.rows("select hour, revision from nengliu.point_hour"))
    assert {h for h in after if after[h] != before[h]} == {T0 + 9 * HOUR, T0 + 10 * HOUR}
    assert result.hours == 2
    assert [r[1] for r in hours(town)][8:12] == [2.0, 3.0, 1.0, 2.0]
    assert day(town) == [(date(2014, 3, 1), 48.0, 0.0, 1.0)]


def test_readings_from_before_the_installation_was_known_become_energy(town):
    """Stored with no point first; the import of the installation makes energy of them."""
    point = town.point("P", town.site("S"))
    town.read("m", every(3))
    assert derive(town).hours == 0
    town.install("m", point, T0)
    town.place()
    derive(town)
    assert [r[1] for r in hours(town)] == [2.0, 2.0]


def test_changes_written_just_before_the_import_are_taken_up(town):
    """A writer that did not know the installation yet marks without a site: resolved when it is derived."""
    one_point(town)
    derive(town)
    town.read("m", every(3))
    town.connection.execute("update nengliu.change set site_id = null")
    derive(town)
    assert [r[1] for r in hours(town)] == [2.0, 2.0]
    assert town.rows("select count(*) from nengliu.change") == [(0,)]


def test_a_meter_moved_to_another_site_brings_both_sites_up_to_date(town):
    """A run of late readings that spans the move is marked for one site and reaches both."""
    first = town.point("A1", town.site("A"))
    second = town.point("B1", town.site("B"))
    town.install("m", first, T0, removed_at=T0 + 2 * HOUR, end_value=104.0)
    town.install("m", second, T0 + 2 * HOUR, start_value=104.0)
    town.place()
    derive(town)
    town.read("m", every(5))
    derive(town)
    assert town.rows(
        "select site_code, sum(consumption) from api.site_energy_hour group by 1 order by 1"
    ) == [
        ("A", 4.0),
        ("B", 4.0),
    ]


def tree(town: Town) -> dict[str, int]:
    """A total over two sub-meters, one with a sub-meter of its own."""
    site = town.site("S")
    points = {"total": town.point("total", site, "01")}
    points["hvac"] = town.point("hvac", site, "01B", points["total"])
    points["plant"] = town.point("plant", site, "01B1", points["hvac"])
    points["light"] = town.point("light", site, "01A", points["total"])
    return points


def test_sub_meters_never_count_twice(town):
    points = tree(town)
    for name, rise in (("total", 10.0), ("hvac", 6.0), ("plant", 4.0), ("light", 3.0)):
        town.install(name, points[name], T0)
        town.read(name, every(25, rise=rise))
    town.place()
    derive(town)
    sums = dict(town.rows("select item_code, consumption from api.site_energy_day"))
    assert sums == {"01": 240.0, "01B": 144.0, "01B1": 96.0, "01A": 72.0}


def test_a_site_without_a_total_is_totalled_from_what_there_is(town):
    """Rows for an item and its prefixes; the sub-meter of a sub-meter is in its parent."""
    points = tree(town)
    for name, rise in (("plant", 4.0), ("light", 3.0)):
        town.install(name, points[name], T0)
        town.read(name, every(25, rise=rise))
    town.place()
    derive(town)
    sums = dict(town.rows("select item_code, consumption from api.site_energy_day"))
    assert sums == {"01": 168.0, "01A": 72.0, "01B": 96.0, "01B1": 96.0}


def test_a_total_that_is_removed_half_way_hands_over_to_its_children(town):
    points = tree(town)
    town.install("total", points["total"], T0, removed_at=T0 + 12 * HOUR, end_value=220.0)
    for name, rise in (("hvac", 6.0), ("light", 3.0)):
        town.install(name, points[name], T0)
        town.read(name, every(25, rise=rise))
    town.read("total", every(12, rise=10.0))
    town.place()
    derive(town)
    assert town.rows(
        "select consumption, completeness from api.site_energy_day where item_code = '01' and period = '2014-03-01'"
    ) == [(12 * 10.0 + 12 * 9.0, 1.0)]


def test_completeness_of_a_site_is_the_mean_of_its_points_by_time(town):
    """A silent root point counts, in hours too, whether it has a row or not."""
    site = town.site("S")
    for name in ("a", "b", "c"):
        town.install(name, town.point(name, site), T0)
    town.place()
    town.read("a", every(25))
    town.read("b", every(13))
    derive(town)
    assert day(town)[0][3] == pytest.approx((24 + 12 + 0) / 72)
    found = town.rows("select completeness from api.site_energy_hour order by period")
    assert [r[0] for r in found] == pytest.approx([2 / 3] * 12 + [1 / 3] * 12)


def test_completeness_of_an_area_is_the_mean_of_its_sites_silent_ones_too(town):
    """A site that was silent all day has no row, and still counts; before it had a meter it does not."""
    for code, installed in (("A", T0), ("B", T0), ("C", T0 + 24 * HOUR)):
        town.install(f"m{code}", town.point(code, town.site(code)), installed)
    town.place()
    town.read("mA", every(49))
    town.read("mB", every(13, begin=T0 + 24 * HOUR))
    derive(town)
    for level, code in (("city", "beijing"), ("sector", "buildings"), ("district", "110108")):
        assert day(town, "area_energy_day", level=level, code=code, item_code="01") == [
            (date(2014, 3, 1), 48.0, 0.0, pytest.approx(1 / 2)),
            (date(2014, 3, 2), 48.0 + 24.0, 0.0, pytest.approx((1 + 1 / 2 + 0) / 3)),
        ]


def test_two_gateways_of_a_site_add_up(town):
    site = town.site("S")
    for name, gateway in (("a", "gw1"), ("b", "gw2")):
        town.install(name, town.point(name, site), T0, gateway=gateway)
        town.read(name, every(25))
    town.place()
    derive(town)
    assert day(town) == [(date(2014, 3, 1), 96.0, 0.0, 1.0)]


def test_coal_equivalent_and_carbon_follow_the_factors(town):
    """tce by equivalent value, tce_calorific by calorific value, tonnes of CO2; none where no factor covers it."""
    load_factors(town.connection)
    site = town.site("S")
    town.install("e", town.point("E", site), T0)
    town.install("g", town.point("G", site, "03"), T0, register="7:3.0.0", unit="m3")
    town.install("w", town.point("W", site, "02"), T0, register="8:1.0.0", unit="m3")
    town.place()
    town.read("e", every(25, rise=1000.0))
    town.read("g", every(25, rise=10.0), "7:3.0.0")
    town.read("w", every(25, rise=5.0), "8:1.0.0")
    derive(town)
    rows = town.rows("select item_code, tce, tce_calorific, tco2 from api.site_energy_day order by item_code")
    factor = {(r[0], r[1]): r[2] for r in town.rows("select item_code, quantity, value from nengliu.factor")}
    assert rows[0][1:] == pytest.approx(
        tuple(24_000 * factor["01", q] for q in ("tce", "tce_calorific", "tco2"))
    )
    assert rows[0][1] / 24 == pytest.approx(0.29, abs=0.011)
    assert rows[0][2] / 24 == pytest.approx(0.1229)
    assert rows[1] == ("02", None, None, None)
    assert rows[2][1] == rows[2][2] == pytest.approx(240 * 0.0012143)


def test_years_and_months_are_local(town):
    """The hour before local new year belongs to the old year."""
    end = datetime(2014, 12, 31, 23, tzinfo=CST)
    one_point(town)
    town.read("m", every(3, begin=end))
    derive(town)
    assert day(town, "energy_year")[0][:2] == (date(2014, 1, 1), 2.0)
    assert [r[:2] for r in day(town, "energy_month")] == [(date(2014, 12, 1), 2.0), (date(2015, 1, 1), 2.0)]


def test_days_of_a_zone_with_daylight_saving_have_23_and_25_hours(town):
    with town.superuser() as superuser:
        superuser.execute("update nengliu.node set timezone = 'Europe/Berlin'")
    begin = datetime(2014, 3, 29, 23, tzinfo=UTC)
    one_point(town, installed_at=begin)
    town.read("m", every(24, begin=begin))
    autumn = datetime(2014, 10, 25, 22, tzinfo=UTC)
    town.read("m", every(26, begin=autumn, value=50_000.0))
    derive(town)
    found = {r[0]: r[1:] for r in day(town, "energy_day")}
    assert found[date(2014, 3, 30)] == (46.0, 0.0, 1.0)
    assert found[date(2014, 10, 26)] == (50.0, 0.0, 1.0)


def test_a_day_with_an_open_step_at_its_end_is_known_by_what_came_before(town):
    """What the last step put before midnight is kept apart, for the point and for the site."""
    one_point(town)
    town.read("m", every(30, begin=T0 + timedelta(minutes=15), rise=4.0))
    derive(town)
    assert town.rows("select day, consumption, covered_s from nengliu.point_day_open") == [
        (date(2014, 3, 1), 3.0, 2700.0)
    ]
    assert town.rows("select item_code, day, consumption, covered_s from nengliu.site_day_open") == [
        ("01", date(2014, 3, 1), 3.0, 2700.0)
    ]


def test_an_installation_taken_back_takes_its_energy_along(town):
    one_point(town)
    town.read("m", every(25))
    derive(town)
    town.connection.execute("update nengliu.installation set removed_at = installed_at")
    town.place()
    derive(town)
    for view in ("energy_hour", "energy_day", "energy_year", "site_energy_hour", "site_energy_year"):
        assert town.rows(f"select count(*) from api.{view}") == [(0,)]


def test_sites_that_another_worker_has_are_left_to_it(town):
    """Two workers never derive a site at the same time, and none waits for the other."""
    for name in ("A", "B"):
        town.install(name, town.point(name, town.site(name)), T0)
        town.read(name, every(3))
    town.place()
    with psycopg.connect(town.url) as other:
        other.execute("select from nengliu.site where site_code = 'A' for no key update")
        assert derive(town).sites == 1
        assert town.rows("select distinct site_code from api.energy_hour") == [("B",)]
    assert derive(town).sites == 1
    assert town.rows("select site_code, sum(consumption) from api.energy_hour group by 1 order by 1") == [
        ("A", 4.0),
        ("B", 4.0),
    ]


def test_a_worker_that_dies_before_its_commit_changes_nothing(town):
    """What it had taken up is there again for the next one."""
    one_point(town)
    town.read("m", every(25))
    deriver = Deriver(lambda: psycopg.connect(town.url))
    connection = deriver._ready()
    with connection.cursor() as cursor:
        deriver._batch(cursor)
        with town.superuser() as superuser:
            superuser.execute("select pg_terminate_backend(%s)", (connection.info.backend_pid,))
        with pytest.raises(psycopg.OperationalError):
            connection.commit()
    assert hours(town) == []
    derive(town)
    assert day(town) == [(date(2014, 3, 1), 48.0, 0.0, 1.0)]
