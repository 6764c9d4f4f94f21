"""Cost follows change: deriving one reading costs the same whatever else a city has stored."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import psycopg
import pytest

from storage.derivation import Deriver
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 1, tzinfo=CST)
HOUR = timedelta(hours=1)

#: Sites of the city, and those of them that have had a step over midnight on so many days.
SITES, OLD_SITES, DAYS = 4_000, 40, 1_000

#: Rows that a derivation of one reading may look at, in all of our tables. It needs about a hundred.
MOST_ROWS = 1_000

_CITY = f"""
insert into nengliu.site (site_code, name, kind, sector)
select 'S' || n, 'S', 'building', 'buildings' from generate_series(1, {SITES}) n;
insert into nengliu.point (point_code, site_id, item_code, name)
select 'P' || site_id, site_id, '01', 'P' from nengliu.site;
insert into nengliu.installation
    (meter, point_id, register, gateway, protocol, unit, digits, decimals, ratio, installed_at)
select 'm' || point_id, point_id, '1.8.0', 'gw1', 'json', 'kWh', 6, 2, 1, '2014-03-01T00:00+08' from nengliu.point;
insert into nengliu.series (meter, register) select meter, register from nengliu.installation;
insert into nengliu.point_span select point_id, '2014-03-01T00:00+08', 'infinity' from nengliu.point;
insert into nengliu.root_span
select site_id, '01', point_id, '2014-03-01T00:00+08', 'infinity' from nengliu.point;
"""

_OPEN_DAYS = f"""
insert into nengliu.point_day_open
select point_id, date '2005-01-01' + n, 1, 900 from nengliu.point, generate_series(1, {DAYS}) n
where site_id <= (select min(site_id) + {OLD_SITES} from nengliu.site);
insert into nengliu.site_day_open
select site_id, '01', day, consumption, covered_s from nengliu.point_day_open join nengliu.point using (point_id);
"""

_ROWS_READ = """
select relname, coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0) from pg_stat_user_tables
where schemaname = 'nengliu'
"""


@pytest.fixture
def city(database) -> Iterator[Town]:
    """Thousands of sites, some of them with years of days."""
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.superuser_url, autocommit=True) as connection,
    ):
        connection.execute(_CITY)
        connection.execute(_OPEN_DAYS)
        yield Town(connection, database.pipeline_url, database.superuser_url)


def rows_read(town: Town) -> dict[str, int]:
    """Rows that all sessions which reported have read of each table."""
    return {name: int(count) for name, count in town.rows(_ROWS_READ)}


def test_one_reading_is_derived_without_looking_through_the_city(city):
    [[meter]] = city.rows("select meter from nengliu.installation order by point_id limit 1")
    opened: list[psycopg.Connection[Any]] = []

    def connect() -> psycopg.Connection[Any]:
        opened.append(psycopg.connect(city.url))
        return opened[-1]

    def report() -> None:
        opened[-1].execute("select pg_stat_force_next_flush()")
        opened[-1].commit()

    deriver = Deriver(connect)
    try:
        city.read(meter, [(T0 + n * HOUR, float(n)) for n in range(48)])
        deriver.run_all()
        city.connection.execute("analyze")
        city.read(meter, [(T0 + 48 * HOUR, 50.0)])
        report()
        before = rows_read(city)
        assert deriver.run_once().hours == 1
        report()
        after = rows_read(city)
    finally:
        deriver.close()
    looked_at = {name: n for name in after if (n := after[name] - before[name])}
    assert sum(looked_at.values()) < MOST_ROWS, looked_at
