"""Loads above a building's habit become alerts in a real database, one a run of days, the same at any speed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import pytest

from alerts.alert_hand import ByPerson, close_alert, reopen_alert
from alerts.alert_rows import FollowUp
from alerts.alert_store import Hearing
from alerts.days import end_of_day
from alerts.frames import copy_columns, load_series
from alerts.load_alerts import hear_loads
from alerts.parameter_file import shipped_parameters
from storage.registry import import_registry
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import ZONE, registry

pytestmark = pytest.mark.integration

FIRST = date(2013, 1, 1)
DAYS = 130
SHIPPED = shipped_parameters()
NIGHTS = replace(SHIPPED, loads={"night_load": SHIPPED.loads["night_load"]})
FOLLOW_UP = FollowUp(SHIPPED.care, ZONE)
#: Days from FIRST on: nights above the habit; three that are not end an alert, and five make one.
HIGH = {*range(90, 96), *range(99, 120)}


@pytest.fixture
def database(servers, template, tmp_path):
    with fresh_database(servers.settings, template) as database:
        with psycopg.connect(database.pipeline_url) as conn:
            import_registry(conn, registry(tmp_path), "test")
        with psycopg.connect(database.owner_url) as conn:
            conn.execute(
                "insert into nengliu.site_hour "
                "(site_id, item_code, hour, consumption, estimated, covered_s, installed_s, revision) "
                "select s.site_id, '01', (%(first)s + n + h * interval '1 hour') at time zone 'Asia/Shanghai', "
                "case when n = any (%(high)s) then 50 else 20 end, 0, 3600, 3600, 1 "
                "from nengliu.site s, generate_series(0, %(days)s) n, generate_series(0, 5) h "
                "where s.site_code = 'S1'",
                {"first": FIRST, "days": DAYS, "high": sorted(HIGH)},
            )
        yield database


def heard(database, days_at_once, by_event=True, days=(60, DAYS)):
    """Look at the loads as of days from and to a number, in helpings; the alerts."""
    day, last = (FIRST + timedelta(days=n) for n in days)
    with psycopg.connect(database.worker_url) as conn:
        while day <= last:
            until = min(day + timedelta(days=days_at_once - 1), last)
            now = end_of_day(until, ZONE).astimezone(UTC) + timedelta(hours=12)
            hearing = Hearing(
                (lambda d: end_of_day(d, ZONE).astimezone(UTC)) if by_event else (lambda _, now=now: now),
                None,
                by_event,
            )
            hear_loads(conn, load_series(conn, ["S1"]), day, until, NIGHTS, FOLLOW_UP, hearing)
            conn.commit()
            day = until + timedelta(days=1)
    return alerts(database)


def alerts(database):
    with psycopg.connect(database.owner_url) as conn:
        return [
            (state, (date.fromisoformat(since) - FIRST).days, opened_at, resolved_at)
            for state, since, opened_at, resolved_at in conn.execute(
                "select state, evidence ->> 'since', opened_at, resolved_at from api.alert order by alert_id"
            )
        ]


def close_open(database, day):
    with psycopg.connect(database.worker_url) as conn:
        (alert_id,) = conn.execute("select alert_id from nengliu.alert where resolved_at is null").fetchone()
        close_alert(conn, alert_id, ByPerson("Li", end_of_day(day, ZONE)), FOLLOW_UP)


@pytest.mark.parametrize("days_at_once", [1, 4, 200])
def test_nights_above_the_habit_right_after_an_alert_ended_are_another(database, days_at_once):
    def end(n):
        return end_of_day(FIRST + timedelta(days=n), ZONE)

    # A night is judged at the end of the day after.
    assert heard(database, days_at_once) == [
        ("resolved", 90, end(90 + 4 + 1), end(96 + 2 + 1)),
        ("resolved", 99, end(99 + 4 + 1), end(120 + 2 + 1)),
    ]


def test_by_the_wall_clock_too(database):
    assert [a[:2] for a in heard(database, 1, by_event=False)] == [("resolved", 90), ("resolved", 99)]


def test_a_run_that_a_person_closed_is_not_told_of_again(database):
    assert [a[:2] for a in heard(database, 1, days=(60, 106))] == [("resolved", 90), ("confirmed", 99)]
    close_open(database, FIRST + timedelta(days=106))
    assert [a[:2] for a in heard(database, 200, days=(107, DAYS))] == [("resolved", 90), ("resolved", 99)]


def test_an_alert_that_a_person_took_up_again_ends_after_as_many_days_without_as_ever(database):
    heard(database, 1, days=(60, 99))
    (only,) = alerts(database)
    assert only[0] == "resolved"
    with psycopg.connect(database.worker_url) as conn:
        (alert_id,) = conn.execute("select alert_id from nengliu.alert").fetchone()
        at = end_of_day(FIRST + timedelta(days=99), ZONE)
        reopen_alert(conn, alert_id, ByPerson("Li", at), FOLLOW_UP)
    with psycopg.connect(database.owner_url) as conn:
        conn.execute("update nengliu.site_hour set consumption = 20")  # the nights from day 99 on, too
    assert [a[0] for a in heard(database, 1, days=(100, 103))] == ["confirmed"]
    assert [a[0] for a in heard(database, 1, days=(104, 110))] == ["resolved"]


def test_a_day_on_which_clocks_change_has_the_mean_of_its_hours(database):
    days = [date(2014, 3, 30), date(2014, 7, 1), date(2014, 10, 26)]
    with psycopg.connect(database.owner_url) as conn:
        for day, hours in zip(days, (23, 24, 25), strict=True):
            conn.execute(
                "insert into nengliu.site_period "
                "(site_id, item_code, grain, period, consumption, estimated, covered_s, installed_s) "
                "select site_id, '01', 'day', %s, %s, 0, 3600, 3600 from nengliu.site where site_code = 'S1'",
                (day, 10.0 * hours),
            )
        (series,) = load_series(conn, ["S1"])
        zone = ZoneInfo("Europe/London")
        keys = {
            "sites": [series.site_id],
            "items": ["01"],
            "first": days[0],
            "last": days[-1],
            "zone": str(zone),
        }
        _, _, mean = copy_columns(conn, "load_days", keys, ("int4", "int4", "float8"))
    np.testing.assert_allclose(mean, 10.0)
