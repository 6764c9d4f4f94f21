"""Totals that do not balance with their sub-meters are findings by month, as days and registry have them now."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import psycopg
import pytest

from storage.derivation import Deriver
from storage.levels import watch_levels
from storage.registry import import_registry
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 1, tzinfo=CST)
DAYS = 40


@pytest.fixture
def town(database) -> Iterator[Town]:
    with (
        empty_database(database.superuser_url, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        made = Town(connection, database.worker_url, database.superuser_url)
        with made.superuser() as superuser:
            superuser.execute("truncate nengliu.level_due, nengliu.finding, nengliu.validation_rule")
        total = made.point("total", made.site("S"))
        for name, item in (("light", "01A"), ("power", "01C")):
            made.install(f"m-{name}", made.point(name, made.site("S"), item, parent=total), T0)
        made.install("m-total", total, T0)
        made.install("m-total", total, T0, register="31.7.0", unit="A")
        made.place()
        yield made


def read(town: Town, name: str, per_hour: list[float]) -> None:
    """Readings by the hour of a register that rises by so much in every hour of each day."""
    value, rows = 1000.0, [(T0, 1000.0)]
    for n in range(24 * len(per_hour)):
        value += per_hour[n // 24]
        rows.append((T0 + timedelta(hours=n + 1), round(value, 2)))
    town.read(f"m-{name}", rows)


def look(town: Town) -> None:
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    with psycopg.connect(town.url) as worker:
        watch_levels(worker)


def found(town: Town) -> list[tuple[str, str, int, int, str]]:
    rows = town.rows(
        "select point_code, severity, starts, ends, state from api.finding where kind = 'imbalance' order by starts"
    )
    return [(code, how, (a - T0).days, (b - T0).days, state) for code, how, a, b, state in rows]


def test_sub_meters_that_show_more_than_their_total_are_a_finding_a_month(town):
    read(town, "total", [10.0] * DAYS)
    read(town, "light", [6.0] * DAYS)
    read(town, "power", [3.5] * 10 + [5.5] * 3 + [3.5] * 2 + [5.5] * 1 + [3.5] * 17 + [6.0] * 2 + [3.5] * 5)
    look(town)
    assert found(town) == [("total", "warning", 10, 16, "open"), ("total", "warning", 33, 35, "open")]
    detail = town.rows("select detail from api.finding where kind = 'imbalance' order by starts")[0][0]
    assert (detail["days"], detail["total"], detail["children"]) == (4, 960.0, 1104.0)
    assert "4 days" in detail["text_en"]
    assert "15.0%" in detail["text_zh"]
    look(town)
    assert len(found(town)) == 2


def test_a_correction_that_mends_it_takes_it_back(town):
    for name, kwh in (("total", 10.0), ("light", 6.0), ("power", 6.0)):
        read(town, name, [kwh] * 5)
    look(town)
    assert found(town) == [("total", "warning", 0, 5, "open")]
    read(town, "power", [3.0] * 5)
    look(town)
    assert found(town) == [("total", "warning", 0, 5, "withdrawn")]


def test_the_last_day_of_a_month_is_judged_by_readings_on_the_hour(town):
    """The reading at midnight ends it; the first hour of the next month tells that it is over."""
    energy = {"total": [10.0] * 31, "light": [6.0] * 31, "power": [3.5] * 30 + [6.0]}
    for hours in ([*range(30 * 24 + 24)], [31 * 24], [31 * 24 + 1]):
        for name, per_hour in energy.items():
            at = [sum(per_hour[: h // 24]) * 24 + (h % 24) * (per_hour + per_hour)[h // 24] for h in hours]
            rows = zip(hours, at, strict=True)
            town.read(f"m-{name}", [(T0 + timedelta(hours=h), 1000 + kwh) for h, kwh in rows])
        look(town)
    assert found(town) == [("total", "warning", 30, 31, "open")]


def test_days_that_one_of_them_did_not_measure_say_nothing(town):
    read(town, "total", [10.0] * 5)
    read(town, "light", [12.0] * 5)
    look(town)
    assert found(town) == []


def test_a_sub_meter_that_was_read_by_the_day_long_ago_says_as_much_as_others(town):
    power = town.rows("select point_id from nengliu.point where point_code = 'power'")[0][0]
    before = T0 - timedelta(days=90)
    town.install("m-old", power, before, removed_at=before + timedelta(days=30), interval_s=86400)
    for name, kwh in (("total", 10.0), ("light", 6.0), ("power", 6.0)):
        read(town, name, [kwh] * 5)
    look(town)
    assert found(town) == [("total", "warning", 0, 5, "open")]


def test_the_display_of_a_meter_that_is_gone_hides_nothing(town):
    """The total's meter of a year ago counted in steps of 4,000 kWh."""
    total = town.rows("select point_id from nengliu.point where point_code = 'total'")[0][0]
    before = T0 - timedelta(days=400)
    town.install("m-old", total, before, removed_at=before + timedelta(days=300), ratio=4000, decimals=0)
    for name, kwh in (("total", 10.0), ("light", 6.0), ("power", 6.0)):
        read(town, name, [kwh] * 5)
    look(town)
    assert found(town) == [("total", "warning", 0, 5, "open")]
    assert town.rows("select meter from api.finding where kind = 'imbalance'") == [("m-total",)]


HEADS = {
    "sites": "site_code,name,kind,sector,building_type,district_code,floor_area_m2",
    "points": "point_code,site_code,item_code,name,parent_point_code,rated_per_hour",
    "installations": "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
    "start_value,end_value,interval_s",
}


@pytest.mark.parametrize(
    ("item", "interval_s", "decimals"), [("01A", 3600, 2), ("01", 86400, 2), ("01", 3600, 0)]
)
def test_an_edit_that_leaves_energy_as_it_was_is_judged_again(
    town, database, tmp_path, item, interval_s, decimals
):
    """The total is of another item than the sub-meter, this is read by the day, or its display too coarse to say."""

    def edit(item: str, interval_s: int, decimals: int) -> None:
        ends = f"2,1,{T0.isoformat()},,,,"
        rows = {
            "sites": ["S,S,building,buildings,,110108,5000"],
            "points": [f"total,S,{item},total,,", "light,S,01A,light,total,", "power,S,01C,power,total,"],
            "installations": [
                *(f"m-{name},{name},1.8.0,gw1,json,kWh,6,{ends}3600" for name in ("total", "light")),
                f"m-power,power,1.8.0,gw1,json,kWh,6,{decimals},1,{T0.isoformat()},,,,{interval_s}",
            ],
        }
        for name, lines in rows.items():
            (tmp_path / f"{name}.csv").write_text("\n".join([HEADS[name], *lines]) + "\n", encoding="utf-8")
        with psycopg.connect(database.owner_url) as owner:
            import_registry(owner, tmp_path, "test")

    for name, kwh in (("total", 0.1), ("light", 0.06), ("power", 0.05)):
        read(town, name, [kwh] * 5)
    edit("01", 3600, 2)
    look(town)
    assert found(town) == [("total", "warning", 0, 5, "open")]
    edit(item, interval_s, decimals)
    look(town)
    assert found(town) == [("total", "warning", 0, 5, "withdrawn")]


def test_losses_are_one_where_a_person_says_what_is_usual(town):
    for name, kwh in (("total", 10.0), ("light", 4.0), ("power", 3.0)):
        read(town, name, [kwh] * 5)
    look(town)
    assert found(town) == []
    town.connection.execute(
        "insert into nengliu.validation_rule (scope, key, rule, value) values ('point', 'total', 'balance_loss', 0.2)"
    )
    read(town, "light", [4.1] * 5)
    look(town)
    assert found(town) == [("total", "warning", 0, 5, "open")]
