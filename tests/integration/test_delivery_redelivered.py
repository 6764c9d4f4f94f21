"""A message without seq that Kafka has and the broker delivers again counts once, whatever process took it first."""

from __future__ import annotations

import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from deploy.clients import connect_database, mqtt_connection
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from storage.registry import import_registry
from stream import codec
from stream.topics import READINGS, REJECTS

from .collectors_support import Gateway, endpoint_of, records, running, wait_until
from .delivery_support import rows
from .test_collectors_bridge import reading, write_registry
from .test_delivery_acks import writing

pytestmark = pytest.mark.integration


class Wire:
    """The line between a bridge and its broker: `muted`, nothing that the bridge says arrives any more."""

    def __init__(self, host: str, port: int) -> None:
        self.muted = threading.Event()
        self._broker = (host, port)
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                bridge, _ = self._server.accept()
                broker = socket.create_connection(self._broker)
                self._open += [bridge, broker]
                for source, sink, said in ((bridge, broker, True), (broker, bridge, False)):
                    threading.Thread(target=self._carry, args=(source, sink, said), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket, said: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if not (said and self.muted.is_set()):
                    sink.sendall(data)
        if not (said and self.muted.is_set()):
            with suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """End the connections there are."""
        for s in self._open:
            with suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)
            s.close()
        self._open.clear()

    def close(self) -> None:
        """No more of it."""
        self._server.close()
        self.cut()


@pytest.fixture
def gateway(settings: Settings, tmp_path: Path) -> Iterator[Gateway]:
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"gw-{secrets.token_hex(4)}"])
    write_registry(tmp_path, credential.gateway, ["m"])
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, tmp_path, "test")
    made = Gateway(endpoint, credential.gateway, credential.password)
    yield made
    made.close()
    remove_gateways(endpoint, [credential.gateway])


@pytest.fixture
def wire(settings: Settings) -> Iterator[Wire]:
    broker = mqtt_connection(settings, "bridge")
    made = Wire(broker.host, broker.port)
    yield made
    made.close()


def ledger(settings: Settings, gateway: Gateway) -> tuple[int, ...]:
    columns = ("received", "stored", "repeated", "conflicting", "rejected")
    sums = ", ".join(f"coalesce(sum({c}), 0)::int" for c in columns)
    [found] = rows(settings, f"select {sums} from api.ingest_ledger where gateway = %s", gateway.name)
    return found


def in_kafka(settings: Settings, gateway: Gateway) -> int:
    batches = records(settings, READINGS, codec.decode_readings, gateway.name)
    return sum(len(b.messages) for b in batches) + len(
        records(settings, REJECTS, codec.decode_reject, gateway.name)
    )


def test_what_a_killed_bridge_had_in_kafka_counts_once_and_true_repeats_count(
    settings: Settings, gateway: Gateway, wire: Wire
) -> None:
    broker = mqtt_connection(settings, "bridge")
    url = f"mqtt://{broker.username}:{broker.password}@127.0.0.1:{wire.port}"

    def good(number: int) -> None:
        gateway.send({"v": 1, "readings": [reading("m", 1393603200 + 60 * number, number)]})

    with writing(settings), running(settings, "collect", "again", NENGLIU_MQTT_URL=url) as bridge:
        good(0)
        wait_until(lambda: ledger(settings, gateway) == (1, 1, 0, 0, 0), "the first message")
        for round_no in range(1, 3):
            wire.muted.set()
            first = 100 * round_no
            for number in range(first, first + 40):
                good(number)
            for number in range(first, first + 10):  # other messages that say the same
                good(number)
            for _ in range(10):
                gateway.send(b"{")
            at_least = 120 * round_no - 59
            wait_until(lambda n=at_least: in_kafka(settings, gateway) >= n, "Kafka to have all of them")
            bridge.kill()
            for number in range(first + 40, first + 50):  # nobody has these
                good(number)
            gateway.send(b"{")
            wire.cut()
            wire.muted.clear()
            bridge.start()
            expected = tuple(round_no * n for n in (71, 50, 10, 0, 11))
            wanted = (expected[0] + 1, expected[1] + 1, *expected[2:])
            wait_until(lambda: bridge.metric("nengliu_bridge_messages_total") >= 71, "all to come again")
            wait_until(
                lambda n=131 * round_no + 1: in_kafka(settings, gateway) >= n, "Kafka to have them twice"
            )
            good(0)  # a true repeat, the last record of its partition
            wait_until(
                lambda w=wanted[2] + round_no: ledger(settings, gateway)[2] >= w, "the books to be kept"
            )
            assert ledger(settings, gateway) == (
                wanted[0] + round_no,
                wanted[1],
                wanted[2] + round_no,
                *wanted[3:],
            )
        [(rejected,)] = rows(settings, "select count(*) from nengliu.reject where gateway = %s", gateway.name)
        assert rejected == 22
