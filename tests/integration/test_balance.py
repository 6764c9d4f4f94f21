"""api.balance_hour, _day and _month: a total against its sub-meters, hour for hour."""

from __future__ import annotations

from contextlib import closing
from datetime import date, datetime, timedelta, timezone

import psycopg
import pytest

from storage.derivation import Deriver
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 30, tzinfo=CST)
DAY = 24


@pytest.fixture
def town(database):
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        yield Town(connection, database.worker_url, database.superuser_url)


def meter(
    town: Town, code: str, item: str, parent: int | None, first: int, kwh: float, last: int, **more: str
) -> int:
    """A point read by the hour from its installation on, with the same energy in every hour."""
    point = town.point(code, town.site("S"), item, parent)
    town.install(f"m-{code}", point, T0 + timedelta(hours=first), **more)
    rows = [(T0 + timedelta(hours=h), 100 + kwh * (h - first)) for h in range(first, last + 1)]
    town.read(f"m-{code}", rows)
    return point


def derive(town: Town) -> None:
    town.place()
    with closing(Deriver(lambda: psycopg.connect(town.url))) as deriver:
        deriver.run_all()


def balance(town: Town, grain: str) -> list[tuple]:
    return town.rows(
        f"""select parent_point_code, period, parent, children, difference from api.balance_{grain}
            order by parent_point_code, period"""
    )


def test_a_total_is_held_against_what_is_right_below_it_and_of_its_item(town):
    total = meter(town, "total", "01", None, 0, 20, 3 * DAY)
    hvac = meter(town, "hvac", "01B", total, 0, 12, 3 * DAY)
    meter(town, "light", "01A", total, 0, 5, 3 * DAY)
    meter(town, "chiller", "01B1", hvac, 0, 9, 3 * DAY)
    meter(town, "water", "02", total, 0, 1000, 3 * DAY, unit="m3")
    derive(town)
    hours = balance(town, "hour")
    assert len(hours) == 2 * 3 * DAY
    assert {row[:1] + row[2:] for row in hours} == {("total", 20, 17, 3), ("hvac", 12, 9, 3)}
    days = [("hvac", 288, 216, 72), ("total", 480, 408, 72)]
    assert balance(town, "day") == [
        (code, date(2014, 3, 30) + timedelta(days=n), *kwh) for code, *kwh in days for n in range(3)
    ]
    assert balance(town, "month") == [
        ("hvac", date(2014, 3, 1), 576, 432, 144),
        ("hvac", date(2014, 4, 1), 288, 216, 72),
        ("total", date(2014, 3, 1), 960, 816, 144),
        ("total", date(2014, 4, 1), 480, 408, 72),
    ]


def test_a_day_and_a_month_are_of_the_hours_that_the_total_has(town):
    """The total was installed at ten on the first day; its sub-meter had been there before."""
    total = meter(town, "total", "01", None, 10, 20, 3 * DAY)
    meter(town, "light", "01A", total, 0, 18, 3 * DAY)
    derive(town)
    assert balance(town, "day")[0] == ("total", date(2014, 3, 30), 280, 252, 28)
    assert balance(town, "month")[0] == ("total", date(2014, 3, 1), 38 * 20, 38 * 18, 38 * 2)


def test_where_the_total_has_no_hour_there_is_no_balance(town):
    total = meter(town, "total", "01", None, 2 * DAY, 20, 3 * DAY)
    meter(town, "light", "01A", total, 0, 18, 3 * DAY)
    derive(town)
    assert [row[1] for row in balance(town, "day")] == [date(2014, 4, 1)]
