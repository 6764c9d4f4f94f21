"""Faults of the servers, on a stack of this module's own: Kafka and Mosquitto die or stall while gateways publish.

Services run under the stack's supervisor, which brings back what is killed.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from collectors import mqtt_link
from collectors.bridge import Bridge
from collectors.routes import Routes
from deploy.clients import connect_database
from deploy.gateways import add_gateways
from deploy.kafka_topics import prepare_topics, remove_topics
from deploy.services.collect import bridge_options
from deploy.settings import Settings
from deploy.stack import stack
from deploy.stack.state import StackState
from deploy.stack.status import read_status
from deploy.stack.steps import SilentSteps
from deploy.stack.supervisor import Supervisor
from metering.errors import DependencyAwayError
from storage.registry import import_registry
from stream import codec
from stream.topics import READINGS

from .collectors_support import Gateway, Outbox, endpoint_of, records, wait_until
from .conftest import ANY_PORT
from .test_collectors_bridge import reading, write_registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def own() -> Iterator[Settings]:
    """A whole stack, services included."""
    with tempfile.TemporaryDirectory(prefix="nengliu-faults-") as folder:
        settings = Settings(state_dir=Path(folder, "state"), **ANY_PORT)
        try:
            stack.up(settings, SilentSteps())
            yield settings
        finally:
            stack.down(settings, SilentSteps(), purge=True)


def pid_of(settings: Settings, name: str) -> int:
    processes = Supervisor(StackState.of(settings)).processes() or {}
    pid = processes[name].pid
    assert pid
    return pid


def killed(settings: Settings, name: str) -> None:
    """kill -9 a process of the stack and wait until its successor runs."""
    before = pid_of(settings, name)
    os.kill(before, signal.SIGKILL)

    def back() -> bool:
        process = (Supervisor(StackState.of(settings)).processes() or {})[name]
        return process.state == "RUNNING" and process.pid not in (None, before)

    wait_until(back, f"{name} to be started again", 60)


@contextmanager
def stalled(pid: int) -> Iterator[None]:
    """A process that neither works nor ends."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def stored(settings: Settings, meters: list[str]) -> list[tuple[Any, ...]]:
    with connect_database(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(
            "select meter, extract(epoch from ts)::bigint, value from nengliu.reading"
            " join nengliu.series using (series_id) where meter = any(%s)",
            [meters],
        )
        return cursor.fetchall()


def test_nothing_is_lost_or_doubled_while_everything_dies_in_turn(own: Settings, tmp_path: Path) -> None:
    endpoint = endpoint_of(own)
    [credential] = add_gateways(endpoint, ["gw-faults"])
    meters = [f"fault-{i}" for i in range(5)]
    write_registry(tmp_path, "gw-faults", meters)
    with connect_database(own, "pipeline") as connection:
        import_registry(connection, tmp_path, "test")
    gateway = Gateway(endpoint, credential.gateway, credential.password)
    messages = {seq: [reading(m, 1393603200 + seq * 60, seq) for m in meters] for seq in range(1, 1001)}
    outbox = Outbox(gateway, "faults", messages)
    for victim, at in (
        ("kafka", 300),
        ("mosquitto", 1200),
        ("bridge", 2000),
        ("postgres", 2800),
        ("writer", 3600),
    ):
        wait_until(lambda at=at: _count(own, meters) >= at, f"{at} rows before {victim} is killed", 90)
        killed(own, victim)
    outbox.finish(120)
    gateway.close()
    values = stored(own, meters)
    assert len(values) == len(set(values)) == 5000
    assert set(values) == {(m, 1393603200 + s * 60, float(s)) for s in messages for m in meters}
    wait_until(lambda: read_status(own).is_ready, "everything to be ready again", 60)


def _count(settings: Settings, meters: list[str]) -> int:
    try:
        return len(stored(settings, meters))
    except (DependencyAwayError, psycopg.OperationalError):  # the database is one of the victims
        return 0


class Threaded:
    """A bridge in a thread of this process, so that a test sees into it."""

    def __init__(self, settings: Settings, **changes: Any) -> None:
        self.stop = threading.Event()
        self.bridge = Bridge(replace(bridge_options(settings), **changes), Routes(), self.stop)
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        wait_until(lambda: self.failure or self.bridge._link.ready, "the bridge to be ready", 60)

    def _run(self) -> None:
        try:
            self.bridge.run()
        except BaseException as e:
            self.failure = e
            raise

    @property
    def in_flight(self) -> int:
        return self.bridge._inflight.pending

    def cut(self) -> None:
        """Cut its connection to the broker as a dead link does."""
        before = self.bridge._inflight.generation
        sock = self.bridge._link._client.socket()
        assert sock is not None
        sock.shutdown(socket.SHUT_RDWR)
        wait_until(
            lambda: self.bridge._inflight.generation > before and self.bridge._link.ready, "a new connection"
        )

    def close(self) -> None:
        self.stop.set()
        self.thread.join(30)
        assert not self.thread.is_alive()
        assert self.failure is None


@contextmanager
def threaded(own: Settings, prefix: str, **changes: Any) -> Iterator[tuple[Settings, Threaded, Gateway]]:
    """A bridge of its own topics and session, and a gateway."""
    settings = own.model_copy(
        update={"kafka_topic_prefix": prefix, "bridge_id": prefix, "kafka_partitions": 2}
    )
    prepare_topics(settings)
    endpoint = endpoint_of(own)
    [credential] = add_gateways(endpoint, [f"gw-{prefix.rstrip('.')}"])
    bridge = Threaded(settings, **changes)
    gateway = Gateway(endpoint, credential.gateway, credential.password)
    try:
        yield settings, bridge, gateway
    finally:
        gateway.close()
        bridge.close()
        remove_topics(settings)


def test_a_redelivery_of_what_kafka_has_counts_once(own: Settings) -> None:
    """Without seq nothing else would tell the copies apart: Kafka stalls, the link dies, the broker sends again."""
    with threaded(own, "redelivery.") as (settings, bridge, gateway):
        with stalled(pid_of(own, "kafka")):
            mids = [gateway.send({"v": 1, "readings": [reading("m", 1393603200 + i, i)]}) for i in range(40)]
            gateway.answered(mids)
            wait_until(lambda: bridge.in_flight == 40, "all messages to be in flight")
            bridge.cut()
            bridge.cut()
            assert bridge.in_flight == 40
        wait_until(lambda: bridge.in_flight == 0, "Kafka's answers", 60)
        bridge.cut()
        batches = records(settings, READINGS, codec.decode_readings, gateway.name)
        assert [v for b in batches for v in b.value.tolist()] == [float(i) for i in range(40)]


def test_memory_is_bounded_while_kafka_is_away_and_nothing_is_lost(own: Settings) -> None:
    with threaded(own, "bounded.", receive_maximum=100) as (settings, bridge, gateway):
        with stalled(pid_of(own, "kafka")):
            mids = [
                gateway.send({"v": 1, "readings": [reading("m", 1393603200 + i, i)]}) for i in range(1000)
            ]
            assert gateway.answered(mids) == ["Success"] * 1000, "the broker takes what the bridge cannot yet"
            wait_until(lambda: bridge.in_flight == 100, "the receive-maximum to be reached")
            assert bridge.bridge._inflight.unanswered == 100
        wait_until(lambda: len(_values(settings, gateway)) >= 1000, "all messages in Kafka", 60)
        assert _values(settings, gateway) == [float(i) for i in range(1000)]


def test_large_messages_are_bounded_in_bytes_too(own: Settings) -> None:
    with threaded(own, "bytes.", max_in_flight_bytes=300_000) as (settings, bridge, gateway):
        with stalled(pid_of(own, "kafka")):
            pad = "x" * 50_000
            mids = [
                gateway.send({"v": 1, "pad": pad, "readings": [reading("m", 1393603200 + i, i)]})
                for i in range(100)
            ]
            gateway.answered(mids)
            wait_until(lambda: bridge.bridge._inflight.pending_bytes >= 300_000, "the bound to be reached")
            beyond = mqtt_link._READ_AT_MOST + mqtt_link._READ_BYTES
            assert bridge.bridge._inflight.pending_bytes < 300_000 + beyond, (
                "at most one round of reads beyond the bound"
            )
        wait_until(lambda: len(_values(settings, gateway)) >= 100, "all messages in Kafka", 60)
        assert _values(settings, gateway) == [float(i) for i in range(100)]


def _values(settings: Settings, gateway: Gateway) -> list[float]:
    batches = records(settings, READINGS, codec.decode_readings, gateway.name)
    return [v for b in batches for v in b.value.tolist()]
