"""The wall clock: what changed is assessed again and nothing else, closed years too, all series once a day ends."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta

import numpy as np
import psycopg
import pytest

from alerts.by_hand import HandOptions, assess_by_hand, refresh_limits_by_hand
from alerts.parameter_file import shipped_parameters
from alerts.rolling import RollingAssessor, RollingOptions
from metering.records import Intake
from storage.derivation import Deriver
from storage.factors import load_factors
from storage.registry import import_quota_file, import_registry
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import HOUR_US, ZONE, batch, intakes, registers, registry

pytestmark = pytest.mark.integration

NOW = datetime(2014, 1, 20, 23, 30, tzinfo=ZONE)
OPTIONS = HandOptions(by_event=False, patience_s=600.0, parameters=shipped_parameters())
QUOTAS = "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from"


class House:
    """A database with a wall clock that tests turn."""

    def __init__(self, database) -> None:
        self.now = NOW
        self._database = database
        self._assessor = RollingAssessor(
            self.work, RollingOptions(by_event=False, debounce_s=0.0), lambda: self.now
        )

    def connect(self):
        return psycopg.connect(self._database.pipeline_url)

    def work(self):
        return psycopg.connect(self._database.worker_url)

    def write(self, *readings):
        writer = Writer(self.connect)
        writer.write(Intake(readings=readings))
        writer.close()
        self.derive()

    def derive(self):
        deriver = Deriver(self.work)
        deriver.run_all()
        deriver.close()

    def turn(self):
        """One run of the assessor without the pause that spares the machine; the series and days it wrote."""
        self._assessor._next = float("-inf")
        with self.connect() as conn:
            before = conn.execute(
                "select coalesce(max(assessed_at), '-infinity'::timestamptz)::text from nengliu.quota_assessment"
            )
            newest = before.fetchone()[0]
        result = self._assessor.run_once()
        self.now += timedelta(seconds=1)
        rows = self.rows(
            "select s.site_code, a.item_code, a.as_of from nengliu.quota_assessment a join nengliu.site s "
            f"using (site_id) where a.assessed_at > '{newest}' order by 1, 2, 3"
        )
        return result, rows

    def rows(self, text):
        with self.connect() as conn:
            return conn.execute(text).fetchall()

    def quotas(self, folder, *lines):
        file = folder / "quotas.csv"
        file.write_text("\n".join([QUOTAS, *lines]) + "\n", encoding="utf-8")
        with self.connect() as conn:
            import_quota_file(conn, file, "test")


@pytest.fixture(scope="module")
def filled(servers, template, tmp_path_factory):
    with fresh_database(servers.settings, template) as database:
        house = House(database)
        with house.connect() as conn:
            import_registry(conn, registry(tmp_path_factory.mktemp("registry")), "test")
        house.write(*[r for intake, _ in intakes([2000]) for r in intake.readings])
        yield database


@pytest.fixture
def house(filled):
    """The house when everything due was assessed."""
    with psycopg.connect(filled.owner_url) as conn:
        conn.execute(
            "truncate nengliu.alert_transition, nengliu.alert, nengliu.quota_assessment, nengliu.event_outbox"
        )
        conn.execute(
            "insert into nengliu.assessment_due (site_id, year) "
            "select site_id, generate_series(2012, 2014) from nengliu.site"
        )
    house = House(filled)
    house.turn()
    assert house.turn()[0].assessed == 0
    return house


def corrected(gateway, meter, at, by):
    """The reading of a meter at a time, corrected by so much."""
    ts, value = registers()[meter]
    (n,) = np.flatnonzero(ts == int(at.timestamp()) * 1_000_000)
    found = batch(gateway, {meter: (ts[n : n + 1], value[n : n + 1] + by)}, int(ts[n]), int(ts[n]) + 1)
    return replace(found, correction=np.ones(1, dtype=np.bool_))


def next_reading(house, meter, gateway):
    (newest,) = house.rows(
        "select (extract(epoch from ts) * 1e6)::bigint, value from api.reading "
        f"where meter = '{meter}' order by ts desc limit 1"
    )
    ts, value = newest[0] + HOUR_US, newest[1] + 40.0
    return batch(gateway, {meter: (np.array([ts]), np.array([value]))}, ts, ts + 1)


def test_a_reading_has_only_its_own_series_assessed(house):
    house.write(next_reading(house, "S1M1", "G1"))
    result, rows = house.turn()
    assert result.assessed == 2, "one site, today and yesterday"
    assert {r[:2] for r in rows} == {("S1", "01")}
    assert house.turn()[0].assessed == 0


def test_a_quota_has_only_its_own_series_assessed(house, tmp_path):
    house.quotas(tmp_path, "S3,01,2014,123456,manual,,,decision,2014-01-02")
    result, rows = house.turn()
    assert (result.assessed, {r[0] for r in rows}) == (2, {"S3"})
    assert house.rows(
        "select distinct limit_value from api.quota_assessment where site_code = 'S3' and as_of = '2014-01-20'"
    ) == [(123456.0,)]


def test_a_days_end_has_all_series_assessed_once_also_after_a_restart(house):
    house.now += timedelta(hours=2)
    result, _ = house.turn()
    assert result.assessed == 6
    assert house.rows(
        "select count(*) from api.quota_assessment where as_of in ('2014-01-20', '2014-01-21')"
    ) == [(6,)]
    again = RollingAssessor(
        house.connect,
        RollingOptions(by_event=False, debounce_s=0.0),
        lambda: house.now + timedelta(minutes=1),
    )
    assert again.run_once().assessed == 0
    house.now = NOW


def test_a_correction_in_a_closed_year_makes_its_verdict_again_and_alerts_follow(house, tmp_path):
    ((used,),) = house.rows(
        "select used from api.quota_assessment where site_code = 'S2' and as_of = '2013-12-31'"
    )
    house.quotas(tmp_path, f"S2,01,2013,{used - 5.0},manual,,,decision,2013-02-01")
    house.turn()
    alert = "select state from api.alert where rule = 'quota_over' and subject = 'S2/01/2013'"
    verdict = "select level, used from api.quota_assessment where site_code = 'S2' and as_of = '2013-12-31'"
    assert house.rows(alert) == [("confirmed",)]
    assert house.rows(verdict) == [("over", used)]
    # 20 kWh less until 23:20, and as many more in the hour that ends at 00:20: 6.67 kWh less in 2013.
    house.write(corrected("G1", "S2M1", datetime(2013, 12, 31, 23, 20, tzinfo=ZONE), -20.0))
    _, rows = house.turn()
    assert ("S2", "01", date(2013, 12, 31)) in rows
    assert {r[0] for r in rows} == {"S2"}
    assert house.rows(alert) == [("retracted",)]
    ((level, now_used),) = house.rows(verdict)
    assert level == "normal"
    assert now_used == pytest.approx(used - 20 / 3, abs=0.01)


def test_a_base_year_that_is_corrected_moves_limits_and_what_is_judged_by_them(house):
    def limits():
        return house.rows(
            "select year, limit_value from api.quota where site_code = 'S1' and superseded_at is null order by 1"
        )

    before = limits()
    # 240 kWh less until 23:20, and as many more in the hour that ends at 00:20: 80 kWh less, over 0.01% of the year.
    at = datetime(2011, 12, 31, 23, 20, tzinfo=ZONE)
    house.write(
        *[
            corrected("G1", "S1M1", at - timedelta(hours=hours), -30.0 * (8 - hours))
            for hours in reversed(range(8))
        ]
    )
    house.turn()
    after = limits()
    assert [b > a for (_, a), (_, b) in zip(after, before, strict=True)] == [True] * 3
    judged = house.rows(
        "select distinct year, limit_value from api.quota_assessment where site_code = 'S1' "
        "and as_of in ('2012-12-31', '2013-12-31', '2014-01-20') order by 1"
    )
    assert judged == after


def test_marks_do_not_pile_up_by_the_event_clock(filled, house):
    house.write(next_reading(house, "S1M1", "G1"))
    RollingAssessor(house.connect, RollingOptions(by_event=True)).run_once()
    assert house.rows("select count(*) from nengliu.assessment_due") == [(0,)]


REGISTRY = {
    "sites": (
        "site_code,name,kind,sector,building_type,district_code,floor_area_m2",
        "T1,T1,building,buildings,A,110108,5000",
        "T2,T2,building,buildings,A,110108,5000",
    ),
    "points": (
        "point_code,site_code,item_code,name,parent_point_code,rated_per_hour",
        "T1-E,T1,01,power,,",
        "T1-B,T1,01B,cooling plant,T1-E,",
        "T1-H,T1,04,heat,,",
        "T1-W,T1,02,water,,",
        "T2-C,T2,05,cooling,,",
    ),
    "installations": (
        "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
        "start_value,end_value",
        "TE,T1-E,1.8.0,G9,json,kWh,7,2,1,2012-01-01T00:00:00+08:00,,0,",
        "TB,T1-B,1.8.0,G9,json,kWh,7,2,1,2012-01-01T00:00:00+08:00,,0,",
        "TH,T1-H,6:1.0.0,G9,json,GJ,7,2,1,2012-01-01T00:00:00+08:00,,0,",
        "TW,T1-W,8:1.0.0,G9,json,m3,7,2,1,2012-01-01T00:00:00+08:00,,0,",
        "TC,T2-C,5:1.0.0,G9,json,GJ,7,2,1,2012-01-01T00:00:00+08:00,,0,",
    ),
}


@pytest.fixture(scope="module")
def several_items(servers, template, tmp_path_factory):
    """A site with power, a part of it, heat and water; and one with cooling, which no shipped factor converts."""
    folder = tmp_path_factory.mktemp("items")
    for name, lines in REGISTRY.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    start = int(datetime(2012, 1, 1, tzinfo=ZONE).timestamp()) * 1_000_000
    ts = start + np.arange(0, 366 * 24 + 20 * 24) * HOUR_US
    per_hour = {"TE": 10.0, "TB": 3.0, "TH": 0.2, "TW": 1.0, "TC": 0.3}
    codes = {"TE": "1.8.0", "TB": "1.8.0", "TH": "6:1.0.0", "TW": "8:1.0.0", "TC": "5:1.0.0"}
    with fresh_database(servers.settings, template) as database:
        house = House(database)
        house.now = datetime(2013, 1, 20, 12, tzinfo=ZONE)
        with house.connect() as conn:
            import_registry(conn, folder, "test")
        with psycopg.connect(database.owner_url) as conn:
            load_factors(conn)
        helpings = []
        for meter, load in per_hour.items():
            value = np.round(load * np.arange(len(ts)), 2)
            one = batch("G9", {meter: (ts, value)}, int(ts[0]), int(ts[-1]) + 1)
            helpings.append(replace(one, registers=(codes[meter],)))
        house.write(*helpings)
        house.quotas(
            folder,
            "T1,tce,2012,50,manual,,,decision,2012-01-01",
            "T1,tce,2013,,base_year,2012,3,decision,2013-01-01",
            "T1,tco2,2013,,base_year,2012,3,decision,2013-01-01",
            "T1,01B,2013,,base_year,2012,3,decision,2013-01-01",
            "T2,tce,2013,100,manual,,,decision,2013-01-01",
        )
        house.turn()
        yield house


def test_a_quota_in_tonnes_sums_the_items_that_factors_turn_into_energy(several_items):
    for item in ("tce", "tco2"):
        ((used, completeness, limit),) = several_items.rows(
            "select used, completeness, limit_value from api.quota_assessment "
            f"where site_code = 'T1' and item_code = '{item}' and as_of = '2013-01-19'"
        )
        ((tonnes,),) = several_items.rows(
            f"select sum({item}) from api.site_energy_day where site_code = 'T1' and length(item_code) = 2 "
            "and period between '2013-01-01' and '2013-01-19'"
        )
        ((last_year,),) = several_items.rows(
            f"select sum({item}) from api.site_energy_year where site_code = 'T1' and length(item_code) = 2 "
            "and period = '2012-01-01'"
        )
        assert used == pytest.approx(tonnes, rel=1e-6)
        assert completeness == pytest.approx(1.0)
        assert limit == pytest.approx(0.97 * last_year, rel=1e-6)
    assert several_items.rows(
        "select distinct unit from api.quota where item_code in ('tce', 'tco2') order by 1"
    ) == [("tCO2",), ("tce",)]


def test_a_closed_year_in_tonnes_is_judged(several_items):
    ((level, used),) = several_items.rows(
        "select level, used from api.quota_assessment "
        "where site_code = 'T1' and item_code = 'tce' and as_of = '2012-12-31'"
    )
    assert used == pytest.approx(366 * 24 * (10 * 0.00029 + 0.2 * 0.03412), rel=1e-4)
    assert level == "severe"


def test_a_sub_item_has_a_limit_and_a_verdict_of_its_own(several_items):
    ((used, limit),) = several_items.rows(
        "select used, limit_value from api.quota_assessment "
        "where site_code = 'T1' and item_code = '01B' and as_of = '2013-01-19'"
    )
    assert (used, limit) == (pytest.approx(3.0 * 19 * 24), pytest.approx(0.97 * 3.0 * 366 * 24, rel=1e-3))


def test_without_a_factor_there_is_no_assessment_and_it_is_said(several_items):
    assert several_items.rows(
        "select count(*) from api.quota_assessment where site_code = 'T2' and item_code = 'tce'"
    ) == [(0,)]
    with several_items.connect() as conn:
        refresh_limits_by_hand(conn, OPTIONS, several_items.now)
        result = assess_by_hand(conn, OPTIONS, date(2013, 1, 19), several_items.now)
    assert [(s.site_code, s.item_code) for s in result.without] == [("T2", "tce")]
    assert ("T2", "05") in {(r["site_code"], r["item_code"]) for r in result.rows}


def test_a_reading_of_one_item_has_the_totals_in_tonnes_assessed_too(several_items):
    several_items.turn()
    several_items.write(
        replace(next_reading(several_items, "TH", "G9"), registers=("6:1.0.0",)),
    )
    result, _ = several_items.turn()
    assert result.assessed == 2 * 3, "heat, tce and tco2; not power, its part, or water"


def test_a_year_that_ended_while_no_worker_ran_is_assessed_as_of_its_last_day(house, filled):
    with psycopg.connect(filled.owner_url) as conn:
        conn.execute("delete from nengliu.quota_assessment where as_of = '2013-12-31'")
        conn.execute("update nengliu.assessment_cursor set marked_on = '2013-12-30'")
    _, rows = house.turn()
    assert {r[0] for r in rows if r[2] == date(2013, 12, 31)} == {"S1", "S2", "S3"}
    assert house.turn()[0].assessed == 0
