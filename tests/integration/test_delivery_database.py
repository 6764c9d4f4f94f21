"""The database goes away, or stands in the way, in the middle of the load: the writer waits, says so, loses nothing."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from deploy.clients import connect_database
from deploy.settings import Settings
from deploy.stack.figures import read_samples
from deploy.stack.notices import notices
from deploy.stack.steps import Steps

from .collectors_support import running, wait_until
from .conftest import Database, database_server
from .delivery_support import ledger, producing, put_messages, register_meter, rows, stored

pytestmark = pytest.mark.integration


@contextmanager
def away(settings: Settings, database: Database) -> Iterator[None]:
    """Nobody is let into the database, and those inside are thrown out."""
    with database_server(settings) as server:
        server.execute(f"alter database {database.name} with allow_connections false")
        server.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database.name]
        )
        try:
            yield
        finally:
            server.execute(f"alter database {database.name} with allow_connections true")


@contextmanager
def in_the_way(settings: Settings, codes: list[str]) -> Iterator[None]:
    """The next writes of the ledger fail with these SQLSTATEs, one after the other."""
    with connect_database(settings, "owner", autocommit=True) as connection:
        connection.execute("create sequence nengliu.hindrance")
        connection.execute("grant usage on sequence nengliu.hindrance to public")
        connection.execute(
            "create function nengliu.hinder() returns trigger language plpgsql as $$"
            " declare n bigint := nextval('nengliu.hindrance'); codes text[] := tg_argv[0]::text[];"
            " begin if n <= array_length(codes, 1) then"
            " raise exception 'forced' using errcode = codes[n]; end if; return null; end $$"
        )
        connection.execute(
            "create trigger hinder before insert on nengliu.ingest_ledger for each statement"
            f" execute function nengliu.hinder('{{{','.join(codes)}}}')"
        )
        try:
            yield
        finally:
            connection.execute("drop trigger hinder on nengliu.ingest_ledger")
            connection.execute("drop function nengliu.hinder()")
            connection.execute("drop sequence nengliu.hindrance")


def assert_each_once(settings: Settings, count: int) -> None:
    assert stored(settings) == [float(n) for n in range(count)]
    assert ledger(settings) == {
        "received": count,
        "stored": count,
        "repeated": 0,
        "conflicting": 0,
        "rejected": 0,
    }
    [(reached,)] = rows(settings, "select sum(next_offset)::bigint from nengliu.stream_offset")
    assert reached == count


def test_a_writer_waits_longer_than_its_session_and_goes_on_where_it_was(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    """Then transactions in each other's way, more often than it tries one again at once."""
    register_meter(settings, tmp_path)
    quick = settings.model_copy(update={"writer_session_timeout": 6})
    with producing(quick) as producer, running(quick, "write") as writer:
        put_messages(quick, producer, range(200))
        wait_until(lambda: len(stored(settings)) == 200, "the first rows")
        moved = writer.metric("nengliu_stream_rebalances_total")
        waited = threading.Event()
        with away(quick, database):
            put_messages(quick, producer, range(200, 1200))
            wait_until(lambda: writer.metric("nengliu_stream_sink_away") == 1, "the writer to say so")
            told = notices("writer", read_samples(f"127.0.0.1:{writer.port}"), Steps("en"))
            assert told == ["the writer waits for the database; readings stay in Kafka"]
            waited.wait(8)  # longer than its session: what is held here is time itself
        wait_until(lambda: len(stored(settings)) == 1200, "the rows that waited")
        assert writer.metric("nengliu_stream_rebalances_total") == moved, "it stayed a member all the while"
        assert writer.metric("nengliu_stream_sink_away") == 0
        assert_each_once(settings, 1200)

        codes = ["40P01", "40001", "55P03", *["40001"] * 12, "57014", "53100"]
        with in_the_way(quick, codes):
            put_messages(quick, producer, range(1200, 1300))
            wait_until(lambda: len(stored(settings)) == 1300, "the rows in spite of that")
        assert writer.metric("nengliu_writer_retries_total") >= 10
        assert writer.alive()
    assert_each_once(settings, 1300)


def test_a_connection_whose_network_is_gone_ends_within_seconds(settings: Settings) -> None:
    """Else a writer waits for ever for an answer. The campaign tries that it does not: half_open_writer-postgres."""
    with (
        connect_database(settings, "pipeline") as connection,
        socket.socket(fileno=os.dup(connection.fileno())) as sock,
    ):
        unanswered_ms = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
        idle_s = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
    assert 0 < unanswered_ms <= 30_000
    assert 0 < idle_s <= 30
