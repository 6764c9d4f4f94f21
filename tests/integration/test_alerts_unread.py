"""A meter that was installed and not read yet is a silence, once: however many days are assessed together."""

from __future__ import annotations

from contextlib import closing
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import psycopg
import pytest

from alerts.assess_set import Scope, assess_days
from alerts.frames import load_series
from alerts.parameter_file import shipped_parameters
from storage.derivation import Deriver
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 3, tzinfo=CST)
DAY = 24
FIRST_READ = 40 * DAY


@pytest.mark.parametrize("by_event", [True, False])
def test_the_last_day_of_a_set_knows_no_more_than_that_day_in_a_longer_one(database, by_event):
    """Two meters of 10 kWh an hour each; the second comes on day 30 and is first read on day 40."""
    scope = Scope(ZoneInfo("Asia/Shanghai"), shipped_parameters(), by_event)
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        town = Town(connection, database.worker_url, database.superuser_url)
        site = town.site("A")
        town.install("m-one", town.point("one", site), T0, start_value=0)
        town.install("m-two", town.point("two", site), T0 + timedelta(days=30))
        town.place()
        town.read("m-one", [(T0 + timedelta(hours=h), 10.0 * h) for h in range(60 * DAY)])
        town.read("m-two", [(T0 + timedelta(hours=h), 10.0 * h) for h in range(FIRST_READ, 60 * DAY)])
        with closing(Deriver(lambda: psycopg.connect(town.url))) as deriver:
            deriver.run_all()

        def forecast(day: int, last: int) -> float:
            """p50 as of a day, in a set of days up to `last`."""
            days = [date(2014, 3, 3) + timedelta(days=n) for n in (day, last)]
            with town.superuser() as conn:
                (found,) = assess_days(conn, load_series(conn, ["A"]), *days, scope)
            (row,) = [
                n
                for n in found.asked.nonzero()[0]
                if found.days.day(found.rows.as_of[n]) == days[0]
                and found.series[found.rows.series[n]].item_code == "01"
            ]
            return float(found.rows.p50[row])

        # Six days of which half is not known, at the 240 kWh a day that the first meter used until then.
        used, to_come = 36 * 240.0, (365 - 61 - 36) * 240.0
        assert forecast(35, 50) == pytest.approx(used + 6 * 0.5 * 240 + to_come)
        assert forecast(35, 35) == pytest.approx(forecast(35, 50))
        assert forecast(39, 39) == pytest.approx(forecast(39, 50))
