"""Readings that are old enough go by chunk; the hours made of them stay as they are, whatever comes later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from metering.instants import to_us
from metering.spans import START
from storage.derivation import Deriver
from storage.findings import FindingOptions, watch_findings
from storage.retention import apply_retention, floor_us, going, kept

from .energy_support import DERIVED, Town, derived, empty_database

pytestmark = pytest.mark.integration

T0 = datetime(2014, 1, 1, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NOW = T0 + 2 * 365 * DAY
MARGIN = timedelta(days=77)


@pytest.fixture
def town(database) -> Iterator[Town]:
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        made = Town(connection, database.pipeline_url, database.superuser_url)
        with made.superuser() as superuser:
            superuser.execute(
                "truncate nengliu.silent_step, nengliu.silence_due, nengliu.finding, nengliu.reading_dropped,"
                f" nengliu.reading_version, {', '.join(f'nengliu.{name}' for name in DERIVED)}"
            )
            superuser.execute("delete from nengliu.retention")
            superuser.execute("insert into nengliu.retention default values")
        yield made


def read_from(begin: int, end: int, step: int = 1) -> list[tuple[datetime, float]]:
    """Readings of each `step` hours from hour `begin` to `end`: the load has a day's shape."""
    return [(T0 + h * HOUR, round(100 + h + h % 24 / 48, 2)) for h in range(begin, end, step)]


def lived(town: Town) -> None:
    """Two years: m1 hourly; m2 silent from day 100 on; m3 daily, with other values kept beside."""
    site = town.site("A")
    total = town.point("p1", site)
    town.install("m1", total, T0)
    town.install("m2", town.point("p2", site, item="01A", parent=total), T0)
    town.install("m3", town.point("p3", site, item="02"), T0, interval_s=86400, unit="m3")
    town.place()
    town.read("m1", read_from(0, 2 * 365 * 24))
    town.read("m2", read_from(0, 100 * 24))
    town.read("m3", read_from(0, 2 * 365 * 24, 24))
    town.connection.execute(
        """insert into nengliu.reading_version (series_id, ts, value, kind, gateway, received_at)
           select series_id, ts, value + 1, 'conflict', 'gw1', received_at from nengliu.reading
           where ts < %s order by ts limit 5""",
        (T0 + DAY,),
    )
    settle(town)


def settle(town: Town) -> None:
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    assert watch_findings(town.connection, lambda _: NOW, FindingOptions(by_event=True))


def before_hour(rows: list[tuple], moment: datetime) -> list[tuple]:
    return [r for r in rows if r[1] < moment]


def test_what_is_old_goes_and_hours_stay_whatever_comes_later(town):
    lived(town)
    hours = derived(town.connection)
    versions = town.rows("select count(*) from nengliu.reading_version")
    due = going(town.connection, 1, NOW)
    assert due.chunks > 5
    assert due.size_bytes > 0
    assert (due.floor, due.waits) == (due.end + MARGIN, False)
    assert due.floor <= NOW - 365 * DAY
    [(old,)] = town.rows("select count(*) from nengliu.reading where ts < %s", due.end)
    assert due.readings == old
    state = apply_retention(town.connection, 1, NOW)
    assert (state.floor, state.dropped_before, state.chunks) == (due.floor, due.end, due.chunks)
    [(left,)] = town.rows("select count(*) from nengliu.reading where ts < %s", due.end)
    assert state.readings == old - left
    assert town.rows("select sum(readings) from nengliu.reading_dropped") == [(old - left,)]
    assert town.rows("select count(*) from nengliu.reading_version") == versions
    assert town.rows("select floor_ts, chunks from api.retention") == [(due.floor, due.chunks)]
    assert derived(town.connection) == hours
    town.place()  # every point from the beginning, as an import that rewrites the registry marks it
    settle(town)
    assert derived(town.connection) == hours, "what has no readings any more is not derived again"
    again = apply_retention(town.connection, 1, NOW)
    assert again == state, "it is done once"


def test_a_step_across_the_floor_stays_whole(town):
    lived(town)
    apply_retention(town.connection, 1, NOW)
    with town.connection.cursor() as cursor:
        floor = floor_us(cursor)
    silent_since = T0 + (100 * 24 - 1) * HOUR
    assert to_us(silent_since) < floor - to_us(T0 + MARGIN) + to_us(T0), "its last reading was in what went"
    [(hours, total)] = town.rows(
        "select count(*), sum(consumption) from nengliu.point_hour join nengliu.point using (point_id)"
        " where point_code = 'p2'"
    )
    town.read("m2", [(T0 + 700 * DAY, 5000.0)])
    settle(town)
    [(more, all_of_it)] = town.rows(
        "select count(*), sum(consumption) from nengliu.point_hour join nengliu.point using (point_id)"
        " where point_code = 'p2'"
    )
    assert more > hours
    assert all_of_it == pytest.approx(5000.0 - 100.0), "from its first reading to its newest, over what went"
    assert total < all_of_it


def test_hours_after_the_floor_come_out_the_same_as_if_nothing_had_gone(town):
    lived(town)
    apply_retention(town.connection, 1, NOW)
    floor = kept(town.connection).floor
    late = (floor + 30 * HOUR + timedelta(minutes=30), round(100 + (floor - T0) / HOUR + 30.7, 2))
    town.read("m1", [late])
    settle(town)
    hours = derived(town.connection)
    with (
        town.superuser() as superuser
    ):  # as if nothing had ever gone: what went is put back, and all is derived
        superuser.execute("update nengliu.retention set floor_ts = '-infinity', dropped_before = '-infinity'")
    town.connection.execute("delete from nengliu.reading")
    town.place()
    town.read("m1", [*read_from(0, 2 * 365 * 24), late])
    town.read("m2", read_from(0, 100 * 24))
    town.read("m3", read_from(0, 2 * 365 * 24, 24))
    settle(town)
    assert derived(town.connection) == hours


def test_nothing_goes_that_is_still_to_be_derived(town):
    lived(town)
    town.read("m1", [(T0 + 5 * HOUR + timedelta(minutes=1), 105.3)])
    assert going(town.connection, 1, NOW).waits
    assert apply_retention(town.connection, 1, NOW).chunks == 0
    with town.connection.cursor() as cursor:
        assert floor_us(cursor) == START
    settle(town)
    assert apply_retention(town.connection, 1, NOW).chunks > 0


def test_silences_of_what_went_stay_and_none_are_made_of_its_absence(town):
    lived(town)
    town.read("m1", [(T0 + 365 * DAY + timedelta(minutes=7), 9000.0)])
    shown = "select subject, kind, starts, ends, state from nengliu.finding order by 1, 2, 3"
    settle(town)
    before = town.rows(shown)
    apply_retention(town.connection, 1, NOW)
    town.place()
    settle(town)
    assert town.rows(shown) == before


def test_a_floor_of_this_year_is_refused_by_the_database(town, database):
    with psycopg.connect(database.worker_url, autocommit=True) as worker:
        worker.execute("update nengliu.retention set floor_ts = now() - interval '10 days'")
        with pytest.raises(psycopg.errors.RaiseException, match="last 300 days"):
            worker.execute("select * from nengliu.drop_readings()")
        worker.execute("update nengliu.retention set floor_ts = '-infinity'")


def test_a_worker_that_died_between_floor_and_drop_is_made_up_for(town):
    lived(town)
    due = going(town.connection, 1, NOW)
    town.connection.execute("update nengliu.retention set floor_ts = %s", (due.floor,))
    state = apply_retention(town.connection, 1, NOW)
    assert (state.floor, state.dropped_before, state.chunks) == (due.floor, due.end, due.chunks)
