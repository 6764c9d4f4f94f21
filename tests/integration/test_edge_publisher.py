"""An edge's outbox on real servers: a message is a row before it is forgotten, and live data pass a backlog."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from collectors.edge.dispatch import DispatchOptions
from collectors.edge.outbox import Outbox, outbox_state
from collectors.edge.publisher import Publisher, PublisherOptions
from collectors.edge.readings import MeterReading
from deploy.clients import connect_database
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from storage.registry import import_registry
from stream import codec
from stream.topics import READINGS

from .collectors_support import Running, endpoint_of, records, running, wait_until
from .delivery_support import rows
from .test_collectors_bridge import write_registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

START = datetime(2014, 3, 1, tzinfo=UTC)


@dataclass
class Edge:
    """An edge's gateway: its outbox, and how it connects."""

    outbox: Outbox
    options: PublisherOptions
    put_so_far: int = 0

    @property
    def meter(self) -> str:
        return f"{self.options.gateway}-m"

    def put(self, count: int = 1, meter: str | None = None) -> None:
        for _ in range(count):
            self.put_so_far += 1
            ts = START + timedelta(seconds=self.put_so_far)
            self.outbox.put([MeterReading(meter or self.meter, ts, {"1.8.0": float(self.put_so_far)})])

    @contextmanager
    def publishing(self, **changes: object) -> Iterator[Publisher]:
        stop, failures = threading.Event(), []
        publisher = Publisher(self.outbox, replace(self.options, **changes), stop, lambda: {"count": 1})

        def run() -> None:
            try:
                publisher.run()
            except BaseException as e:
                failures.append(e)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        try:
            yield publisher
        finally:
            stop.set()
            thread.join(20)
        assert not thread.is_alive()
        assert not failures


@pytest.fixture(scope="module", autouse=True)
def bridge(settings: Settings) -> Iterator[Running]:
    with running(settings, "collect") as service:
        yield service


@pytest.fixture
def edge(settings: Settings, tmp_path: Path) -> Iterator[Edge]:
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"edge-{secrets.token_hex(4)}"])
    name = credential.gateway
    (tmp_path / "registry").mkdir()
    write_registry(tmp_path / "registry", name, [f"{name}-m"])
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, tmp_path / "registry", "test")
    outbox = Outbox(tmp_path / "outbox.sqlite")
    yield Edge(outbox, PublisherOptions(name, endpoint.host, endpoint.port, name, credential.password))
    outbox.close()
    remove_gateways(endpoint, [name])


def values(settings: Settings, edge: Edge) -> list[float]:
    found = rows(settings, "select value from api.reading where meter = %s order by value", edge.meter)
    return [value for (value,) in found]


def empty(edge: Edge) -> Callable[[], bool]:
    return lambda: edge.outbox.depth == 0


def test_what_is_forgotten_is_in_the_database_and_the_status_says_how_it_stands(
    settings: Settings, edge: Edge
) -> None:
    with running(settings, "write"), edge.publishing() as publisher:
        edge.put(30)
        wait_until(empty(edge), "the outbox to be empty")
        assert values(settings, edge) == [float(i) for i in range(1, 31)]
        edge.put(meter="nobody")
        wait_until(empty(edge), "the rejected message to be settled")
        assert outbox_state(edge.outbox.path).refused == {"unknown_meter": 1}
        offset = wait_until(lambda: publisher.clock_offset_s, "the clock to be measured")
        assert abs(offset) < 5
        query = "select state, clock_offset_s is not null from api.gateway_status where gateway = %s"
        name = edge.options.gateway
        wait_until(
            lambda: rows(settings, query, name) in ([("online", False)], [("online", True)]), "the status"
        )
    with running(settings, "write"):
        wait_until(lambda: rows(settings, query, name)[0][0] == "offline", "the edge to be offline")
    ledger = "select sum(received)::int, sum(stored)::int, sum(missing)::int from api.ingest_ledger where gateway = %s"
    assert rows(settings, ledger, name) == [(31, 30, 0)]


def test_nothing_is_forgotten_while_the_database_does_not_have_it(
    settings: Settings, bridge: Running, edge: Edge
) -> None:
    before = bridge.metric("nengliu_bridge_readings_total")
    with edge.publishing():
        edge.put(20)
        wait_until(lambda: bridge.metric("nengliu_bridge_readings_total") >= before + 20, "Kafka to have all")
        assert outbox_state(edge.outbox.path).waiting == 20
        with running(settings, "write"):
            wait_until(empty(edge), "the outbox to be empty")
    assert values(settings, edge) == [float(i) for i in range(1, 21)]


def test_an_acknowledgement_for_another_outbox_is_not_ours(settings: Settings, edge: Edge) -> None:
    edge.put(3)
    with edge.publishing() as publisher:
        wait_until(lambda: publisher.connected, "the connection")
        publisher._acks.put((b'{"v":1,"outbox":"other","stored":[1,2,3],"rejected":[]}', 0.0, 0.0))
        publisher._acks.put((b"not JSON", 0.0, 0.0))
        wait_until(publisher._acks.empty, "the acknowledgements to be taken")
    assert edge.outbox.depth == 3


def test_live_data_pass_a_backlog_and_both_arrive(settings: Settings, edge: Edge) -> None:
    edge.put(1000)
    pace = DispatchOptions(backlog_per_s=200)
    with (
        running(settings, "write"),
        running(settings, "collect"),
        edge.publishing(dispatch=pace) as publisher,
    ):
        wait_until(lambda: publisher.connected and edge.outbox.depth < 950, "the backlog to go")
        edge.put(5)
        wait_until(empty(edge), "the outbox to be empty", 60)
    order = [
        float(v)
        for batch in records(settings, READINGS, codec.decode_readings, edge.options.gateway)
        for v in batch.value
    ]
    assert set(order) == {float(i) for i in range(1, 1006)}
    assert max(order.index(v) for v in (1001.0, 1002.0, 1003.0, 1004.0, 1005.0)) < order.index(1000.0)
    assert values(settings, edge) == [float(i) for i in range(1, 1006)]


def test_a_publisher_that_is_refused_keeps_everything(settings: Settings, edge: Edge) -> None:
    edge.put(3)
    with capture_logs() as said, edge.publishing(password="wrong") as publisher:
        wait_until(lambda: [e for e in said if e["event"] == "mqtt_refused"], "a refusal to be logged")
        assert not publisher.connected
    assert edge.outbox.depth == 3
