"""The community edition compresses old readings by itself, and late data is written into them as into any other."""

from __future__ import annotations

import psycopg
import pytest

from storage.community import LEAST_VERSION, is_community, switch_on, timescale_version

pytestmark = pytest.mark.integration

HOUR_US = 3_600_000_000
#: 2014-01-10T00:00:00Z.
T0_US = 1_389_312_000_000_000


@pytest.fixture
def owner(database):
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def community(owner):
    if not is_community(owner):
        pytest.skip("this server's TimescaleDB is the Apache edition, which has no compression")
    if timescale_version(owner) < LEAST_VERSION:
        pytest.skip(f"this server's TimescaleDB is older than {LEAST_VERSION}")
    return owner


def state(connection) -> tuple:
    return connection.execute(
        """select (select compression_enabled from timescaledb_information.hypertables
                   where hypertable_schema = 'nengliu' and hypertable_name = 'reading'),
                  (select count(*) from timescaledb_information.jobs where hypertable_schema = 'nengliu')"""
    ).fetchone()


def test_the_apache_edition_is_left_as_it_is(owner):
    if is_community(owner):
        pytest.skip("this server's TimescaleDB is the community edition")
    assert switch_on(owner) == []
    assert state(owner) == (False, 0)


def test_compression_and_its_policy_are_on_after_migrations_and_once(community):
    assert state(community) == (True, 1)
    assert switch_on(community) == ["compression.sql"]
    assert state(community) == (True, 1)


def hour(n: float, value: float, correction: bool = False, meter: str = "m1") -> tuple:
    return (meter, "1.8.0", T0_US + int(n * HOUR_US), value, correction)


def test_late_repeated_conflicting_and_corrected_readings_of_compressed_chunks(community, pipeline, feed):
    feed.send("gw1", *[hour(n, 100 + n) for n in range(200)], seq=1)
    chunks = "select count(public.compress_chunk(c)) from public.show_chunks('nengliu.reading') c"
    assert community.execute(chunks).fetchone()[0] > 0
    late = feed.send("gw1", hour(5.5, 105.5), hour(60.5, 160.5), seq=2)
    assert (late.stored, late.repeated, late.conflicting) == (2, 0, 0)
    mixed = feed.send(
        "gw1", hour(4.5, 104.5), hour(5, 105), hour(6, 999), hour(6.5, 106.5), hour(7, 107.25, True), seq=3
    )
    assert (mixed.stored, mixed.repeated, mixed.conflicting) == (3, 1, 1), "none after a repeat is left out"
    many = feed.send("gw1", *[hour(n, 1000 + n, True) for n in range(20, 200)], seq=4)
    assert many.stored == 180
    rows = pipeline.execute(
        "select count(*), count(distinct (series_id, ts)) from nengliu.reading"
    ).fetchone()
    assert rows == (204, 204)
    told = pipeline.execute(
        "select value from nengliu.reading"
        " where ts between to_timestamp(%s / 1e6) and to_timestamp(%s / 1e6) order by ts",
        (T0_US + 4 * HOUR_US, T0_US + 8 * HOUR_US),
    ).fetchall()
    assert [v for (v,) in told] == [104, 104.5, 105, 105.5, 106, 106.5, 107.25, 108]
    community.execute("select public.compress_chunk(c, true) from public.show_chunks('nengliu.reading') c")
    assert feed.send("gw1", hour(6.5, 106.5), seq=5).repeated == 1
