"""What a person judges of readings decides what energy counts, as schema `api` shows it after the derivation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import psycopg
import pytest

from storage.derivation import Deriver
from storage.review_runs import runs_listed
from storage.reviews import Judged, Person, Verdict, Wanted, adopt, find_series, judge
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 1, tzinfo=CST)
HOUR = timedelta(hours=1)
COUNT = 24 * 10
#: The reading that jumps or is judged: 7 March, noon; it should show 412.
AT = T0 + 156 * HOUR
SPIKE = 3000.0
FULL = 2.0 * (COUNT - 1)
LI = Person("li", "looked at the meter")


@pytest.fixture
def town(database) -> Iterator[Town]:
    """A point with a meter, nothing read."""
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        connection.execute("delete from nengliu.reading_version")
        town = Town(connection, database.worker_url, database.superuser_url)
        town.install("m", town.point("P", town.site("S")), T0)
        town.place()
        yield town


def read(town: Town, *others: tuple[datetime, float]) -> None:
    """Ten days of hours by 2 an hour, some of which show something else."""
    shown = {T0 + n * HOUR: 100.0 + 2.0 * n for n in range(COUNT)} | dict(others)
    town.read("m", sorted(shown.items()))
    derive(town)


def derive(town: Town) -> None:
    deriver = Deriver(lambda: psycopg.connect(town.url))
    try:
        deriver.run_all()
    finally:
        deriver.close()


def say(town: Town, verdict: Verdict, ts: datetime = AT, to: datetime | None = None) -> Judged:
    [series] = find_series(town.connection, "m", "1.8.0")
    done = judge(town.connection, series, (ts, to), verdict, LI)
    derive(town)
    return done


def used(town: Town) -> float:
    [(total,)] = town.rows("select sum(consumption) from api.energy_day")
    return round(total, 6)


def estimated(town: Town) -> int:
    [(hours,)] = town.rows("select count(*) from api.energy_hour where estimated > 0")
    return hours


def findings(town: Town):
    return town.rows("select kind, state from api.finding order by starts, kind")


def doubts(town: Town):
    return town.rows("select ts, value, kind from api.reading_doubt order by ts")


def test_energy_of_a_spike_counts_once_it_is_accepted_and_no_longer_when_that_is_taken_back(town):
    read(town, (AT, SPIKE))
    assert (doubts(town), used(town)) == ([(AT, SPIKE, "spike")], FULL)
    say(town, "accepted")
    assert AT not in [ts for ts, *_ in doubts(town)]
    assert used(town) > SPIKE - 500
    say(town, "open")
    assert (doubts(town), used(town)) == ([(AT, SPIKE, "spike")], FULL)
    assert ("spike", "open") in findings(town)


def test_a_good_reading_that_is_refused_leaves_a_gap_until_that_is_taken_back(town):
    read(town)
    assert (doubts(town), estimated(town)) == ([], 0)
    say(town, "refused")
    assert (doubts(town), estimated(town), used(town)) == ([(AT, 412.0, "refused")], 2, FULL)
    say(town, "open")
    assert (doubts(town), estimated(town), used(town)) == ([], 0, FULL)


def test_a_reading_at_the_very_moment_of_its_installation_is_listed_in_doubt_as_long_as_it_is(town):
    """Hours begin with the installation there: no hour before holds that reading."""
    read(town, (T0, 2e6))
    assert doubts(town) == [(T0, 2e6, "out_of_range")]
    read(town)
    assert doubts(town) == []
    say(town, "refused", T0)
    assert doubts(town) == [(T0, 100.0, "refused")]
    say(town, "open", T0)
    assert doubts(town) == []


def test_a_verdict_does_not_hold_for_a_value_that_came_later(town):
    read(town, (AT, SPIKE))
    say(town, "accepted")
    town.read("m", [(AT, SPIKE + 1)])
    derive(town)
    assert (doubts(town), used(town)) == ([(AT, SPIKE + 1, "spike")], FULL)


def test_a_step_without_energy_counts_once_the_reading_that_it_ends_with_is_accepted(town):
    rise = 400_000.0
    read(town, *((T0 + n * HOUR, 100.0 + 2.0 * n + rise) for n in range(156, COUNT)))
    assert findings(town) == [("meter_replaced", "open")]
    assert used(town) < FULL + 1
    [(starts, ends)] = town.rows("select starts, ends from api.finding")
    assert say(town, "accepted", starts, ends).readings == 1
    assert (findings(town), used(town)) == ([("meter_replaced", "accepted")], FULL + rise)
    say(town, "open", ends)
    assert findings(town) == [("meter_replaced", "open")]
    assert used(town) < FULL + 1


def test_a_step_is_asked_about_again_once_the_value_that_was_accepted_is_corrected(town):
    rise = 400_000.0
    read(town, *((T0 + n * HOUR, 100.0 + 2.0 * n + rise) for n in range(156, COUNT)))
    say(town, "accepted")
    assert (findings(town), used(town)) == ([("meter_replaced", "accepted")], FULL + rise)
    town.read("m", [(AT, 411.0 + rise)])
    derive(town)
    assert (findings(town), used(town)) == ([("meter_replaced", "open")], FULL - 1.0)


def test_a_step_is_asked_about_again_where_the_reading_that_was_refused_no_longer_ends_it(town):
    rise = 400_000.0
    read(town, *((T0 + n * HOUR, 100.0 + 2.0 * n + rise) for n in range(156, COUNT)))
    say(town, "refused")
    assert town.rows("select kind, state, ends from api.finding") == [("meter_replaced", "open", AT + HOUR)]


def test_a_reset_that_was_accepted_is_not_said_to_count(town):
    """It was a reset: the reading after it is good, and nobody knows what the register lost."""
    read(town, *((T0 + n * HOUR, 2.0 * (n - 156)) for n in range(156, COUNT)))
    say(town, "accepted")
    listed = runs_listed(town.connection, Wanted(state="all"))
    assert [(r.kind, r.state, r.energy, r.counted) for r in listed if not r.readings] == [
        ("register_reset", "accepted", None, False)
    ]
    assert used(town) == FULL - 2.0


@pytest.mark.parametrize("kind", ["superseded", "conflict"])
def test_energy_is_that_of_the_version_that_was_adopted(town, kind):
    read(town, (AT, SPIKE))
    town.connection.execute(
        "insert into nengliu.reading_version (series_id, ts, value, kind, gateway, received_at)"
        " select series_id, %s, 412, %s, 'gw1', now() from nengliu.series where meter = 'm'",
        (AT, kind),
    )
    assert estimated(town) == 2
    [series] = find_series(town.connection, "m", "1.8.0")
    adopt(town.connection, series, AT, 412.0, LI)
    derive(town)
    assert (doubts(town), estimated(town), used(town)) == ([], 0, FULL)
    assert town.rows("select value from nengliu.reading_version") == [(SPIKE,)]


def test_what_was_said_of_a_finding_stays_in_it_when_the_derivation_finds_it_otherwise(town):
    read(town, *((T0 + n * HOUR, 0.0) for n in range(150, 154)))
    of_it = "select kind, state, detail ->> 'readings', detail -> 'review' ->> 'by' from api.finding"
    assert town.rows(of_it) == [("zero_reading", "open", "4", None)]
    say(town, "refused", T0 + 153 * HOUR)
    assert town.rows(of_it) == [("zero_reading", "refused", "3", "li")]
