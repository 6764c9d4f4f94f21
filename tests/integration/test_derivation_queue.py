"""The queue of the derivation: what several workers, a kill -9, and a backlog of old readings do to it."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from threading import Barrier, Event

import psycopg
import pytest

from deploy.settings import Settings
from deploy.stack.status import read_status
from storage.derivation import Backlog, DeriveOptions, Deriver, read_backlog
from storage.derive_metrics import BACKLOG_READINGS, OLDEST_LIVE
from tests.integration.conftest import Database
from tests.integration.energy_support import Town, derive_anew, derived, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 1, tzinfo=CST)
HOUR = timedelta(hours=1)
ROOT = Path(__file__).parents[2]

#: Derives one site at a time until it is killed.
CHILD = """
import sys, time
import psycopg
from storage.derivation import DeriveOptions, Deriver

deriver = Deriver(lambda: psycopg.connect(sys.argv[1], application_name="victim"), DeriveOptions(sites=1))
while True:
    try:
        if not deriver.run_once().sites:
            time.sleep(0.01)
    except psycopg.errors.DeadlockDetected:
        pass
"""
#: Where a worker stands still while a test has locked the table: in the order of its work.
STAGES = (
    "change",
    "point_hour",
    "point_period",
    "point_day_open",
    "site_hour",
    "site_period",
    "site_day_open",
)


@pytest.fixture
def town(database: Database) -> Iterator[Town]:
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        yield Town(connection, database.worker_url, database.superuser_url)


def build(town: Town, count: int, installed: datetime = T0) -> list[str]:
    """Sites with one meter each, derived so far that nothing waits."""
    meters = [f"m{n}" for n in range(count)]
    for meter in meters:
        town.install(meter, town.point(meter, town.site(meter)), installed)
    town.place()
    run_all(town)
    return meters


def run_all(town: Town, options: DeriveOptions | None = None) -> None:
    deriver = Deriver(lambda: psycopg.connect(town.url), options)
    deriver.run_all()
    deriver.close()


def waiting_sites(town: Town) -> set[str]:
    return {
        code
        for (code,) in town.rows("select site_code from nengliu.change join nengliu.site using (site_id)")
    }


def wait_for(condition: Callable[[], object], what: str, timeout_s: float = 60.0) -> None:
    end, pause = time.monotonic() + timeout_s, Event()
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        pause.wait(0.005)


# ---------------------------------------------------------------- several workers


def test_several_workers_do_nothing_twice(town: Town) -> None:
    """Every mark is taken once and every hour written once, though four workers begin at the same moment."""
    meters = build(town, 40)
    for meter in meters:
        town.read(meter, [(T0 + n * HOUR, 2.0 * n) for n in range(49)])
    [(marks,)] = town.rows("select count(*) from nengliu.change")
    together = Barrier(4)

    def work() -> tuple[int, int]:
        deriver = Deriver(lambda: psycopg.connect(town.url), DeriveOptions(sites=1))
        together.wait(30)
        done = deriver.run_all()
        deriver.close()
        return done.changes, done.hours

    with ThreadPoolExecutor(4) as threads:
        each = [f.result() for f in [threads.submit(work) for _ in range(4)]]
    assert sum(changes for changes, _ in each) == marks == 40
    assert sum(hours for _, hours in each) == 40 * 48
    assert town.rows("select count(*) from nengliu.point_hour") == [(40 * 48,)]


def test_a_site_that_another_worker_has_is_left_to_it_and_not_waited_for(town: Town) -> None:
    meters = build(town, 6)
    for meter in meters:
        town.read(meter, [(T0 + n * HOUR, 2.0 * n) for n in range(9)])
    with psycopg.connect(town.url) as other:
        other.execute("select from nengliu.site where site_code = %s for no key update", (meters[2],))
        run_all(town)
        assert waiting_sites(town) == {meters[2]}
    run_all(town)
    assert waiting_sites(town) == set()


# ---------------------------------------------------------------- kill -9


@contextmanager
def worker(url: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker in a process of its own, killed at the end of the block."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    try:
        yield child
    finally:
        child.kill()
        child.wait()


def same_as_from_scratch(town: Town, database: Database) -> None:
    """Derive the rest; the rows are those that a derivation from the beginning gives, and there are some."""
    run_all(town)
    assert town.rows("select count(*) from nengliu.change") == [(0,)]
    grown = derived(town.connection)
    assert grown["point_hour"]
    assert grown["site_period"]
    assert derive_anew(town.connection, database) == grown


def test_killed_at_any_stage_of_a_batch_it_loses_and_doubles_nothing(town: Town, database: Database) -> None:
    """A lock on one table after the other stops the worker there; it is killed while it stands."""
    [meter] = build(town, 1)
    stands = "select 1 from pg_stat_activity where application_name = 'victim' and wait_event_type = 'Lock'"
    gone = "select 1 from pg_stat_activity where application_name = 'victim'"
    shown = 0
    with town.superuser() as watcher:
        for stage in STAGES:
            # The last reading is in the night: the day's end is open.
            readings = [(T0 + (shown + n) * HOUR * 1.25, 2.0 * (shown + n)) for n in range(40)]
            shown += 40
            town.read(meter, readings)
            before = derived(town.connection)
            with psycopg.connect(database.superuser_url) as holder:
                # Marks are locked row by row: a lock on their table would stop the claim already.
                holder.execute(
                    "select from nengliu.change for update"
                    if stage == "change"
                    else f"lock table nengliu.{stage} in share row exclusive mode"
                )
                with worker(database.worker_url):
                    wait_for(lambda: watcher.execute(stands).fetchone(), f"the worker to stand at {stage}")
                holder.rollback()
            wait_for(lambda: not watcher.execute(gone).fetchone(), "its session to end")
            assert derived(town.connection) == before, stage
            assert waiting_sites(town) == {meter}, stage
            run_all(town)
    same_as_from_scratch(town, database)


def seen_at_work(watcher: psycopg.Connection, times: int) -> Callable[[], bool]:
    """Looks whether a worker is at work; true once one has been seen so many times."""
    looks: list[tuple] = []
    busy = "select 1 from pg_stat_activity where application_name = 'victim' and state = 'active'"

    def look() -> bool:
        looks.extend(watcher.execute(busy).fetchall())
        return len(looks) >= times

    return look


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_killed_at_random_moments_while_readings_come_it_loses_and_doubles_nothing(
    town: Town, database: Database, seed: int
) -> None:
    """Two workers, killed once they have been seen at work some random number of times; then two others."""
    chance = random.Random(seed)
    meters = build(town, 4)
    at = dict.fromkeys(meters, 0)
    with town.superuser() as watcher:
        for _ in range(6):
            with worker(database.worker_url), worker(database.worker_url):
                for _ in range(chance.randrange(1, 60)):
                    meter = chance.choice(meters)
                    late = chance.random() < 0.2
                    first = chance.randrange(at[meter] + 1) if late else at[meter]
                    count = chance.randrange(1, 200)
                    town.read(meter, [(T0 + (first + n) * HOUR / 2, 1.5 * (first + n)) for n in range(count)])
                    at[meter] = max(at[meter], first + count)
                seen = seen_at_work(watcher, chance.randrange(1, 40))
                wait_for(lambda seen=seen: seen() or not waiting_sites(town), "a worker to be at it")
    same_as_from_scratch(town, database)


# ---------------------------------------------------------------- live before backlog


def old_and_live(town: Town, old: int, live: int) -> tuple[list[str], list[str]]:
    """Meters with two years of readings that wait, and ones with readings of the last hours that came after."""
    now = datetime.now(UTC)
    meters = build(town, old + live, now - timedelta(days=800))
    for meter in meters[:old]:
        begin = now - timedelta(days=790)
        town.read(meter, [(begin + n * 24 * HOUR, 5.0 * n) for n in range(730)])
    for meter in meters[old:]:
        read_live(town, meter)
    return meters[:old], meters[old:]


def read_live(town: Town, meter: str) -> None:
    now = datetime.now(UTC)
    town.read(meter, [(now - 2 * HOUR, 100.0), (now - HOUR, 101.0)])


def test_readings_of_the_last_hours_go_before_a_backlog_of_old_ones(town: Town) -> None:
    old, _ = old_and_live(town, 12, 8)
    deriver = Deriver(lambda: psycopg.connect(town.url), DeriveOptions(sites=4))
    for _ in range(2):
        deriver.run_once()
    assert waiting_sites(town) == set(old)
    deriver.run_all()
    deriver.close()
    assert waiting_sites(town) == set()


def test_live_readings_of_a_site_do_not_wait_for_its_own_backlog(town: Town, database: Database) -> None:
    """They are derived alone, the years behind them later, and all is as if derived from the beginning."""
    old, _ = old_and_live(town, 3, 0)
    for meter in old:
        read_live(town, meter)
    deriver = Deriver(lambda: psycopg.connect(town.url))
    done = deriver.run_once()
    assert (done.sites, done.changes) == (3, 3)
    assert town.rows("select count(*) from nengliu.change where from_ts > now() - interval '1 day'") == [(0,)]
    assert waiting_sites(town) == set(old)
    deriver.close()
    same_as_from_scratch(town, database)


def test_the_backlog_is_not_left_while_live_readings_never_end(town: Town) -> None:
    """It has every fourth batch, and with the batches of one site all of it is derived in so many of them."""
    old, live = old_and_live(town, 5, 4)
    deriver = Deriver(lambda: psycopg.connect(town.url), DeriveOptions(sites=1, backlog_every=4))
    left = []
    for n in range(4 * len(old)):
        deriver.run_once()
        left.append(len(waiting_sites(town) & set(old)))
        read_live(town, live[n % len(live)])
    deriver.close()
    assert left == [5, 5, 5, 4, 4, 4, 4, 3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0]


def test_every_kind_of_batch_takes_what_there_is(town: Town) -> None:
    """A turn of the backlog with none, and one of live data with none, are not lost."""
    for old, live in ((0, 8), (8, 0)):
        with empty_database(town.superuser_url):
            old_and_live(town, old, live)
            deriver = Deriver(lambda: psycopg.connect(town.url), DeriveOptions(sites=1))
            assert [deriver.run_once().sites for _ in range(9)] == [1] * 8 + [0]
            deriver.close()


# ---------------------------------------------------------------- how far behind


def test_how_far_behind_is_told_in_readings_and_in_time(town: Town, settings: Settings) -> None:
    now = datetime.now(UTC)
    meters = build(town, 3, now - timedelta(days=800))
    assert read_backlog(town.connection) == Backlog()
    begin = now - timedelta(days=100)
    town.read(meters[0], [(begin + n * HOUR, 1.0 * n) for n in range(1000)])  # a run
    town.read(meters[1], [(now - HOUR, 1.0)])
    town.read(meters[2], [(begin, 1.0)])
    town.place()  # marks of the registry are no readings
    town.connection.execute("update nengliu.change set marked_at = now() - interval '100 s'")
    live = "update nengliu.change set marked_at = now() - interval '40 s' where from_ts > now() - interval '1 day'"
    town.connection.execute(live)
    deriver = Deriver(lambda: psycopg.connect(town.url))
    behind = deriver.backlog()
    deriver.close()
    assert (behind.changes, behind.readings) == (6, 1002)
    assert 100 <= behind.oldest_s < 160
    assert 40 <= behind.oldest_live_s < behind.oldest_s
    assert (BACKLOG_READINGS._value.get(), OLDEST_LIVE._value.get()) == (1002, behind.oldest_live_s)
    told = read_status(settings).as_json()["derivation"]
    assert (told["changes"], told["readings"]) == (6, 1002)
    assert told["oldest_s"] > told["oldest_live_s"] >= 40
    run_all(town)
    assert read_status(settings).as_json()["derivation"] == {
        "changes": 0,
        "readings": 0,
        "oldest_s": 0.0,
        "oldest_live_s": 0.0,
    }
