"""The daily proof: nothing missing, or named; ledger against rows; closed days stay closed until they change."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import psycopg
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings

from storage.reconcile import named, reconcile

from .conftest import empty
from .test_sequences import DAY_US, JANUARY_US, RECEIVED_US, VALUE
from .test_writer_killed import wait_for
from .test_writer_model import intakes

pytestmark = pytest.mark.integration

MARCH_1 = date(2014, 3, 1)
MARCH_2 = date(2014, 3, 2)


@pytest.fixture(autouse=True)
def _empty(pipeline, registry):
    yield
    empty(pipeline)
    pipeline.execute("delete from nengliu.ledger_closing")


def kinds(result):
    return [(p.day, p.gateway, p.outbox, p.kind) for p in result.problems]


def test_an_outbox_and_day_are_told_with_what_came_and_what_is_missing(pipeline, feed):
    feed.send("gw1", VALUE, ("nobody", "1.8.0", JANUARY_US, 1.0, False), seq=1, outbox="o")
    feed.send("gw1", VALUE, seq=5, outbox="o")
    feed.send("gw1", VALUE, received_us=RECEIVED_US + DAY_US)
    result = reconcile(pipeline)
    assert result.days == (MARCH_1, MARCH_2)
    assert kinds(result) == [(MARCH_1, "gw1", "o", "missing")]
    assert result.problems[0].detail == "3 messages: 2-4"
    first, second = result.outboxes
    assert (first.outbox, first.first_seq, first.last_seq, first.seen, first.gaps) == ("o", 1, 5, 2, [(2, 4)])
    assert (first.received, first.stored, first.repeated, first.rejected) == (3, 1, 1, 1)
    assert (second.outbox, second.first_seq, second.received, second.missing) == (None, None, 1, 0)
    assert result.closed == (MARCH_2,)


def test_a_closed_day_is_not_looked_at_again_until_something_of_it_comes(pipeline, feed):
    feed.send("gw1", VALUE, seq=1, outbox="o")
    assert reconcile(pipeline).closed == (MARCH_1,)
    assert reconcile(pipeline).days == ()
    assert reconcile(pipeline, MARCH_1).days == (MARCH_1,)
    feed.send("gw1", VALUE, seq=3, outbox="o")
    assert kinds(reconcile(pipeline)) == [(MARCH_1, "gw1", "o", "missing")]
    feed.send("gw1", VALUE, seq=2, outbox="o")
    assert reconcile(pipeline).closed == (MARCH_1,)


def test_rows_that_are_gone_or_too_many_are_found(pipeline, feed):
    feed.send("gw1", VALUE, ("nobody", "1.8.0", JANUARY_US, 1.0, False), seq=1, outbox="o")
    feed.send("gw1", (*VALUE[:3], 2.0, False), seq=2, outbox="o")
    assert reconcile(pipeline, with_rows=False).closed == ()
    assert not reconcile(pipeline).problems
    pipeline.execute("delete from nengliu.reading")
    pipeline.execute("delete from nengliu.reading_version")
    pipeline.execute("delete from nengliu.reject")
    pipeline.execute("update nengliu.ingest_ledger set seen = 9")
    found = reconcile(pipeline)
    assert kinds(found) == [
        (None, "gw1", "o", "seen"),
        (MARCH_1, None, None, "stored"),
        (MARCH_1, None, None, "conflicting"),
        (MARCH_1, "gw1", None, "rejected"),
    ]
    assert found.closed == ()


@given(intakes)
@hypothesis_settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_whatever_comes_the_ledger_agrees_with_the_rows(pipeline, new_feed, given_intakes):
    empty(pipeline)
    feed = new_feed()
    for n, given_messages in enumerate(given_intakes):
        feed.write(
            feed.batch(
                *(
                    feed.message(
                        g, v, seq=s, outbox="o" if s else None, received_us=RECEIVED_US + (n + i) % 3 * DAY_US
                    )
                    for i, (g, v, s) in enumerate(given_messages)
                )
            )
        )
    assert {p.kind for p in reconcile(pipeline).problems} <= {"missing"}


def test_the_command_names_what_is_missing_and_its_exit_code_says_so(nengliu, pipeline, feed):
    feed.send("gw1", VALUE, seq=1, outbox="o")
    feed.send("gw1", VALUE, seq=3, outbox="o")
    wanting = nengliu("reconcile", "--json")
    data = json.loads(wanting.stdout)
    assert (wanting.returncode, data["missing"]) == (1, 1)
    (day,) = data["days"]
    assert (day["day"], day["closed"], day["outboxes"][0]["gaps"]) == ("2014-03-01", False, [[2, 2]])
    assert "missing 1: 2" in nengliu("reconcile").stdout
    feed.send("gw1", VALUE, seq=2, outbox="o")
    done = nengliu("reconcile", "--day", "2014-03-01", "--json")
    assert (done.returncode, json.loads(done.stdout)["days"][0]["closed"]) == (0, True)
    assert nengliu("reconcile", "--day", "1.3.2014").returncode == 2
    nothing = nengliu("reconcile")
    assert (nothing.returncode, nothing.stdout) == (0, "0 days; 0 messages missing, 0 problems\n")


def test_figures_are_of_one_moment_while_a_writer_goes_on(database, pipeline, feed):
    feed.send("gw1", VALUE, seq=1, outbox="o")
    with psycopg.connect(database.pipeline_url) as other:
        other.execute("update nengliu.ingest_ledger set seen = seen + 5")
        assert not reconcile(pipeline).problems
        other.rollback()


def test_two_who_reconcile_at_once_both_come_to_an_end(database, pipeline, feed):
    feed.send("gw1", VALUE, seq=1, outbox="o")
    reconcile(pipeline)
    blocked = "select 1 from pg_stat_activity where application_name = 'second' and wait_event_type = 'Lock'"
    with (
        psycopg.connect(database.superuser_url, autocommit=True) as watcher,
        psycopg.connect(database.pipeline_url) as first,
        psycopg.connect(database.pipeline_url, autocommit=True, application_name="second") as second,
        ThreadPoolExecutor(1) as pool,
    ):
        first.execute("update nengliu.ledger_closing set closed_at = now()")
        result = pool.submit(reconcile, second, MARCH_1)
        wait_for(lambda: watcher.execute(blocked).fetchone())
        first.commit()
        assert result.result(timeout=60).closed == (MARCH_1,)


def test_ranges_are_named_shortly():
    assert named([(1, 1), (3, 5)]) == "1, 3-5"
    assert named([(n, n) for n in range(0, 50, 2)], 2) == "0, 2, and 23 more"
