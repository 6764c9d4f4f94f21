"""Writers, imports of the registry and several workers at once: in the end energy is what deriving all anew gives."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Event

import numpy as np
import psycopg
import pytest

from metering.errors import InputFileError
from metering.instants import to_us
from metering.records import Advance, Intake, MessageHeader, Partition, ReadingBatch
from storage.derivation import DeriveOptions, Deriver
from storage.writer import Writer
from tests.integration.energy_support import derive_anew, derived, empty_database
from tests.integration.test_derivation_incremental import HOURS, T0, Plan, shown

pytestmark = pytest.mark.integration

WRITERS, WORKERS, EDITS, MESSAGES = 2, 2, 25, 80


@pytest.mark.parametrize("seed", [1, 2])
def test_everybody_at_once_comes_to_the_same_energy(database, seed):
    """Nothing that a writer marks is overlooked by a worker, whatever an import moves at the same moment."""

    def connect() -> psycopg.Connection:
        return psycopg.connect(database.worker_url)

    def connect_writer() -> psycopg.Connection:
        return psycopg.connect(database.writer_url)

    with (
        empty_database(database.superuser_url, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
        ThreadPoolExecutor() as threads,
    ):
        plan = Plan.begin(random.Random(seed))
        plan.take_in(connection)
        meters = sorted({(row["meter"], row["register"]) for row in plan.installations})
        over = Event()
        workers = [
            threads.submit(work, Deriver(connect, DeriveOptions(sites=1)), over) for _ in range(WORKERS)
        ]
        others = [threads.submit(write, connect_writer, f"{seed}-{n}", meters) for n in range(WRITERS)]
        others.append(threads.submit(edit, lambda: psycopg.connect(database.pipeline_url), plan))
        try:
            for other in others:
                other.result()
        finally:
            over.set()
        assert all(worker.result() for worker in workers)
        last = Deriver(connect)
        last.run_all()
        last.close()
        grown = derived(connection)
        assert grown["site_hour"]
        want = derive_anew(connection, database)
        for table, rows in want.items():
            assert grown[table] == rows, table


def work(deriver: Deriver, over: Event) -> int:
    """Derive until the others are done; how many sites. Two that are in each other's way try again, as workers do."""
    sites = 0
    while not over.is_set():
        try:
            sites += deriver.run_once().sites
        except psycopg.errors.DeadlockDetected:
            continue
    deriver.close()
    return sites


def write(connect: Callable[[], psycopg.Connection], name: str, meters: list[tuple[str, str]]) -> None:
    """Messages with some readings each, in no order of time, some of them sent by the other writer too."""
    chance = random.Random(name)
    writer = Writer(connect)
    partition = Partition("cluster", f"topic-{name}", "meter.readings", 0)
    for position in range(MESSAGES):
        meter, register = chance.choice(meters)
        minutes = sorted(chance.sample(range(0, HOURS * 60, 10), chance.randrange(1, 40)))
        received = time.time_ns() // 1000
        n = len(minutes)
        batch = ReadingBatch(
            (MessageHeader("gw1", "nl/v1/gw1/readings", received, n),),
            (meter,),
            (register,),
            np.zeros(n, dtype=np.int32),
            np.zeros(n, dtype=np.int32),
            np.array([to_us(T0 + timedelta(minutes=m)) for m in minutes], dtype=np.int64),
            np.array([shown(meter, register, m, 0) for m in minutes]),
            np.array([chance.random() < 0.1] * n),
        )
        writer.write(Intake((batch,), (), (), (Advance(partition, position, position + 1),)))
    writer.close()


def edit(connect: Callable[[], psycopg.Connection], plan: Plan) -> None:
    """Edits of the registry, one import each; what the import refuses is taken back."""
    with connect() as connection:
        connection.autocommit = True
        for _ in range(EDITS):
            saved = plan.save()
            plan.edit()
            if plan.chance.random() < 0.2:  # a meter moves to a point of the other site
                plan.chance.choice(plan.installations)["point_code"] = plan.chance.choice(list(plan.points))
            try:
                plan.take_in(connection)
            except InputFileError:
                plan.restore(saved)
