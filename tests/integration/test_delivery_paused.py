"""A writer that sleeps past its session time-out, and wakes after another took over, changes nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from deploy.clients import connect_database
from deploy.settings import Settings

from .collectors_support import running, wait_until
from .conftest import Database, database_server
from .delivery_support import ledger, producing, put_messages, register_meter, rows, stored

pytestmark = pytest.mark.integration

_WRITERS = "from pg_stat_activity where datname = %s and usename = 'nengliu_writer'"


@contextmanager
def gateways_locked(settings: Settings) -> Iterator[Any]:
    """Hold up whoever notes that a gateway was heard."""
    with connect_database(settings, "owner") as connection:
        connection.execute("lock table nengliu.gateway in exclusive mode")
        yield
        connection.rollback()


def test_a_writer_that_wakes_after_another_took_over_changes_nothing(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    """It is stopped in the middle of a transaction that has moved offsets: its successor must not wait for it."""
    register_meter(settings, tmp_path)
    quick = settings.model_copy(update={"writer_session_timeout": 6})

    def states() -> list[tuple[str, str]]:
        with database_server(settings) as server:
            return server.execute(f"select state, wait_event_type {_WRITERS}", [database.name]).fetchall()

    with producing(quick) as producer, running(quick, "write", "a") as sleeper:
        put_messages(quick, producer, range(100))
        wait_until(lambda: len(stored(settings)) == 100, "the first rows")
        with gateways_locked(settings):
            put_messages(quick, producer, range(100, 200))
            wait_until(lambda: ("active", "Lock") in states(), "the writer to be in its transaction")
            os.kill(sleeper.process.pid, signal.SIGSTOP)
        try:
            wait_until(lambda: "idle in transaction" in [s for s, _ in states()], "it to sleep in it")
            with running(quick, "write", "b"):
                put_messages(quick, producer, range(200, 300))
                wait_until(lambda: len(stored(settings)) == 300, "its successor to take everything")
                os.kill(sleeper.process.pid, signal.SIGCONT)
                wait_until(lambda: sleeper.metric("nengliu_stream_rebalances_total") > 2, "it to join again")
                wait_until(lambda: sleeper.metric("nengliu_stream_ready"), "it to be ready again")
                put_messages(quick, producer, range(300, 400))
                wait_until(lambda: len(stored(settings)) == 400, "the rows after that")
        finally:
            os.kill(sleeper.process.pid, signal.SIGCONT)
        assert sleeper.alive()
    assert stored(settings) == [float(n) for n in range(400)]
    assert ledger(settings) == {
        "received": 400,
        "stored": 400,
        "repeated": 0,
        "conflicting": 0,
        "rejected": 0,
    }
    [(reached,)] = rows(settings, "select sum(next_offset)::bigint from nengliu.stream_offset")
    assert reached == 400
