"""The worker: derives what arrives, waits for servers that are away, relays events, and survives being killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from threading import Event, Thread

import psycopg
import pytest
import typer
from kafka import KafkaConsumer

from deploy.cli.work_commands import derive_again, moment, would_change
from deploy.clients import kafka_server
from deploy.services.work import KafkaEvents, Worker, WorkerOptions
from metering.instants import to_us
from metering.spans import END, START
from storage import rehearsal
from storage.derivation import Backlog, Deriver, DeriveResult
from storage.derive_metrics import AWAY, BACKLOG
from storage.event_outbox import enqueue, relay_events
from tests.integration.energy_support import Town, derived, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 1, tzinfo=CST)
QUICK = WorkerOptions(poll_s=0.01, assess_s=0.05, relay_s=0.05, watch_s=0.05)


@pytest.fixture
def town(database) -> Iterator[Town]:
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        yield Town(connection, database.worker_url, database.superuser_url)


def wait_for(condition: Callable[[], bool], what: str, timeout_s: float = 60.0) -> None:
    end = time.monotonic() + timeout_s
    pause = Event()
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        pause.wait(0.02)


class Running:
    """A worker in a thread."""

    def __init__(self, connect, assess=lambda: None, relay=lambda: 0) -> None:
        self.stop = Event()
        self.deriver = Deriver(connect)
        self.worker = Worker(self.deriver, assess, relay, self.stop, QUICK)
        self.thread = Thread(target=self.worker.run)

    def __enter__(self) -> Running:
        self.thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.stop.set()
        self.thread.join(30)
        self.deriver.close()
        assert not self.thread.is_alive()


def meter(town: Town, name: str = "m") -> None:
    town.install(name, town.point(name, town.site(name)), T0)
    town.place()


def hours_of(town: Town) -> int:
    return town.rows("select count(*) from api.energy_hour")[0][0]


def test_the_worker_derives_assesses_and_relays_as_things_arrive(town):
    meter(town)
    assessed, relayed = Event(), Event()
    with Running(lambda: psycopg.connect(town.url), lambda: assessed.set(), lambda: relayed.set() or 0):
        for n in range(3):
            town.read("m", [(T0 + timedelta(hours=h), 2.0 * h) for h in range(10 * n, 10 * n + 10)])
            wait_for(lambda want=10 * n + 9: hours_of(town) == want, "hours")
        wait_for(assessed.is_set, "an assessment")
        wait_for(relayed.is_set, "the relay")
        wait_for(lambda: BACKLOG._value.get() == 0, "the backlog to be counted")


def test_the_worker_waits_visibly_for_a_database_that_is_away(town):
    meter(town)
    town.read("m", [(T0 + timedelta(hours=h), 2.0 * h) for h in range(10)])
    away = Event()
    away.set()

    def connect() -> psycopg.Connection:
        if away.is_set():
            raise psycopg.OperationalError("connection refused")
        return psycopg.connect(town.url)

    with Running(connect):
        wait_for(lambda: AWAY._value.get() == 1, "the worker to say that it waits")
        away.clear()
        wait_for(lambda: hours_of(town) == 9, "hours")
        wait_for(lambda: AWAY._value.get() == 0, "the worker to say that it works")


def test_a_connection_that_breaks_is_made_anew(town):
    meter(town)
    with Running(lambda: psycopg.connect(town.url, application_name="worker-under-test")):
        town.read("m", [(T0, 0.0), (T0 + timedelta(hours=1), 2.0)])
        wait_for(lambda: hours_of(town) == 1, "an hour")
        with town.superuser() as superuser:
            superuser.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'worker-under-test'"
            )
        town.read("m", [(T0 + timedelta(hours=2), 4.0)])
        wait_for(lambda: hours_of(town) == 2, "the next hour")


def test_events_reach_kafka_once_and_in_order(town, settings):
    for n in range(5):
        enqueue(town.connection, "alert.events", "S", {"number": n})
    events = KafkaEvents(lambda: kafka_server(settings, "worker"), settings.kafka_topic_prefix)
    try:
        assert relay_events(lambda: psycopg.connect(town.url), events.publish) == 5
        assert relay_events(lambda: psycopg.connect(town.url), events.publish) == 0
    finally:
        events.close()
    consumer = KafkaConsumer(
        settings.kafka_topic_prefix + "alert.events",
        **kafka_server(settings, "admin").options(),
        auto_offset_reset="earliest",
        consumer_timeout_ms=20_000,
    )
    found = []
    for record in consumer:
        found.append(json.loads(record.value))
        if len(found) == 5:
            break
    consumer.close()
    assert [e["number"] for e in found] == list(range(5))
    assert sorted({e["event_id"] for e in found}) == [e["event_id"] for e in found]


def service(settings, database) -> subprocess.Popen:
    """`nengliu work` as a process of its own."""
    known = {
        "NENGLIU_DATABASE_URL": database.worker_url,
        "NENGLIU_STATE_DIR": str(settings.state_dir),
        "NENGLIU_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
    }
    return subprocess.Popen(
        [sys.executable, "-m", "deploy.cli.app", "work"],
        env={**os.environ, **known},
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_worker_stops_when_told_and_one_that_is_killed_loses_nothing(town, settings, database):
    """kill -9 in the middle of its work, again and again: what is derived in the end is what one quiet run gives."""
    for name in ("a", "b", "c"):
        meter(town, name)
    for round_no in range(2):
        process = service(settings, database)
        for n in range(4):
            for name in ("a", "b", "c"):
                begin = 400 * (4 * round_no + n)
                town.read(name, [(T0 + timedelta(hours=h), 2.0 * h) for h in range(begin, begin + 400)])
        if round_no == 0:
            wait_for(lambda: hours_of(town) > 0, "the first hours")
        process.kill()
        process.communicate()
    process = service(settings, database)
    wait_for(lambda: town.rows("select count(*) from nengliu.change") == [(0,)], "the backlog to be gone")
    process.send_signal(signal.SIGTERM)
    _, log = process.communicate(timeout=60)
    assert process.returncode == 0, log
    assert "worker_stopped" in log
    grown = derived(town.connection)
    assert len(grown["point_hour"]) == 3 * (8 * 400 - 1)
    town.place()
    deriver = Deriver(lambda: psycopg.connect(town.url))
    assert deriver.run_all().hours == 0
    deriver.close()
    assert derived(town.connection) == grown


def test_derive_by_hand_mends_what_was_tampered_with(town, settings):
    """And says what it did; a site that is not there, or a time that is none, is wrong use."""
    meter(town)
    town.read("m", [(T0 + timedelta(hours=h), 2.0 * h) for h in range(49)])
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    want = derived(town.connection)
    town.connection.execute("update nengliu.point_hour set consumption = 7 where hour = %s", (T0,))
    town.connection.execute("delete from nengliu.site_period")
    done = derive_again(settings, ["m"], to_us(T0), to_us(T0 + timedelta(hours=50)))
    assert (done["points"], done["hours"]) == (1, 1)
    assert derived(town.connection) == want
    with pytest.raises(typer.BadParameter, match="nowhere"):
        derive_again(settings, ["nowhere"], 0, 1)
    with pytest.raises(typer.BadParameter, match="offset"):
        moment("2014-03-01T00:00:00", settings, last=False)
    for never in ("9999-12-31", "0001-01-01", "9999-12-31T00:00:00+08:00"):
        with pytest.raises(typer.BadParameter, match="out of range"):
            moment(never, settings, last=True)
    assert moment("2014-03-01", settings, last=False) == to_us(T0)
    assert moment("2014-03-01", settings, last=True) == to_us(T0 + timedelta(days=1)) - 1


def test_a_dry_run_says_what_a_derivation_would_change_and_changes_nothing(town, settings):
    meter(town)
    town.read("m", [(T0 + timedelta(hours=h), 2.0 * h) for h in range(49)])
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    assert would_change(settings, ["m"], START, END) == []
    town.connection.execute("update nengliu.point_hour set consumption = 7 where hour = %s", (T0,))
    town.connection.execute("delete from nengliu.point_hour where hour = %s", (T0 + timedelta(hours=1),))
    tampered = derived(town.connection)
    (change,) = would_change(settings, ["m"], to_us(T0), to_us(T0 + timedelta(hours=50)))
    assert (change.hours, change.after - change.before) == (2, pytest.approx(-3.0))
    assert would_change(settings, [], to_us(T0 + timedelta(hours=5)), to_us(T0 + timedelta(hours=9))) == []
    assert derived(town.connection) == tampered
    assert town.rows("select 1 from nengliu.change") == []
    with pytest.raises(typer.BadParameter, match="nowhere"):
        would_change(settings, ["nowhere"], 0, 1)


def test_a_dry_run_of_a_city_holds_only_some_sites_at_a_time(town, monkeypatch):
    monkeypatch.setattr(rehearsal, "SITES_AT_ONCE", 1)
    for name in ("a", "b"):
        meter(town, name)
        town.read(name, [(T0 + timedelta(hours=h), 2.0 * h) for h in range(9)])
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    town.connection.execute("update nengliu.point_hour set consumption = 7 where hour = %s", (T0,))
    parts = []
    for done, total, changes in rehearsal.rehearse(deriver, [], START, END):
        town.rows("select 1 from nengliu.site for update nowait")
        parts.append((done, total, [c.site_code for c in changes]))
    deriver.close()
    assert parts == [(1, 2, ["a"]), (2, 2, ["b"])]


def test_a_backlog_is_derived_before_it_is_assessed_but_not_for_ever():
    """The loop alone: a deriver that is behind, and then keeps up with what arrives all the time."""

    class Endless:
        behind = True
        turns = 0

        def run_once(self):
            self.turns += 1
            return DeriveResult(sites=1)

        def mark_due_removals(self):
            pass

        def backlog(self):
            return Backlog(changes=1, oldest_s=100.0 if self.behind else 1.0)

    deriver, stop, assessed = Endless(), Event(), []
    options = replace(QUICK, assess_behind_s=1.0)
    worker = Worker(deriver, lambda: assessed.append(deriver.turns), lambda: 0, stop, options)
    thread = Thread(target=worker.run)
    thread.start()
    try:
        wait_for(lambda: deriver.turns > 100 and len(assessed) == 1, "one assessment beside a backlog")
        assert assessed[0] > 100, "it came first"
        deriver.behind = False
        turns = len(assessed)
        wait_for(lambda: len(assessed) > turns + 5, "assessments once all is derived")
    finally:
        stop.set()
        thread.join(30)
