"""The bridge's link over TLS: nothing that OpenSSL holds already is left lying, whatever the socket says."""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import termios
import threading
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event

import pytest
import trustme

from collectors.bridge import Bridge, BridgeOptions
from collectors.mqtt_link import Incoming, LinkOptions, MqttLink
from collectors.routes import Routes
from deploy import mqtt5
from stream.server import KafkaServer

CONNACK = b"\x20\x03\x00\x00\x00"


class Broker:
    """A TLS listener that takes one connection and sends what it is told."""

    def __init__(self) -> None:
        ca = trustme.CA()
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.num_tickets = 0  # so that what is readable is only what is sent
        ca.issue_cert("127.0.0.1").configure_cert(server)
        self.context = ssl.create_default_context()
        ca.configure_trust(self.context)
        self._listener = server.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        self._connection, _ = self._listener.accept()

    def send(self, data: bytes) -> None:
        self._thread.join()
        self._connection.sendall(data)

    def close(self) -> None:
        self._thread.join()
        self._connection.close()
        self._listener.close()


@pytest.fixture
def broker() -> Iterator[Broker]:
    made = Broker()
    yield made
    made.close()


@contextmanager
def connected(broker: Broker, got: list[Incoming]) -> Iterator[MqttLink]:
    options = LinkOptions("127.0.0.1", broker.port, None, None, "a-bridge", (), tls=broker.context)
    link = MqttLink(options, got.append)
    link.connect()
    broker.send(CONNACK)
    while not link.ready:
        wait_readable(link)
        link.read()
    yield link
    link.drop("the test is over")


def wait_readable(link: MqttLink) -> None:
    assert select.select([link.fileno()], [], [], 30)[0]


def waiting_bytes(link: MqttLink) -> int:
    """How many bytes the kernel holds for the link."""
    count = array("i", [0])
    fcntl.ioctl(link.fileno(), termios.FIONREAD, count)
    return count[0]


def readable(link: MqttLink) -> bool:
    return bool(select.select([link.fileno()], [], [], 0)[0])


def test_messages_of_many_records_come_whole_and_in_order(broker: Broker) -> None:
    sent = [bytes([i]) * 300_000 for i in range(1, 11)]
    stream = b"".join(mqtt5.publish("a/b", p, i + 1) for i, p in enumerate(sent))
    got: list[Incoming] = []
    with connected(broker, got) as link:
        sender = threading.Thread(target=broker.send, args=(stream,))
        sender.start()
        while len(got) < len(sent):
            wait_readable(link)
            link.read()
        sender.join()
    assert [m.payload for m in got] == sent


def test_one_round_takes_many_records(broker: Broker) -> None:
    """A record is at most 16 KiB: a short read says nothing of what is left."""
    got: list[Incoming] = []
    with connected(broker, got) as link:
        for i in range(20):
            broker.send(mqtt5.publish("a/b", b"x" * 1000, i + 1))
        while waiting_bytes(link) < 20_000:
            wait_readable(link)
        link.read()
        assert len(got) == 20


def test_what_is_decrypted_but_not_read_is_known_though_the_socket_is_silent(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.mqtt_link._READ_BYTES", 1000)
    monkeypatch.setattr("collectors.mqtt_link._READ_AT_MOST", 1000)
    got: list[Incoming] = []
    with connected(broker, got) as link:
        assert not link.has_decrypted
        broker.send(mqtt5.publish("a/b", b"x" * 10_000, 1))
        wait_readable(link)
        link.read()
        assert not got
        assert link.has_decrypted
        assert not readable(link)
        while link.has_decrypted:
            link.read()
        assert [len(m.payload) for m in got] == [10_000]


def test_the_bridge_does_not_sleep_over_decrypted_bytes(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collectors.mqtt_link._READ_BYTES", 1000)
    monkeypatch.setattr("collectors.mqtt_link._READ_AT_MOST", 1000)
    options = BridgeOptions(
        "127.0.0.1", broker.port, None, None, "b", KafkaServer("127.0.0.1:1"), tls=broker.context
    )
    bridge = Bridge(options, Routes({}, {}), Event())
    bridge._link.connect()
    broker.send(CONNACK + mqtt5.publish("nl/v1/g/status", b"x" * 10_000, 1))
    wait_readable(bridge._link)
    bridge._link.read()
    assert bridge._link.has_decrypted
    while not readable(bridge._link) and bridge._link.has_decrypted:
        assert bridge._wait(30), "the poll ran out although bytes were there"
        bridge._link.read()
    assert bridge._intake.taken == 1
    bridge._link.drop("the test is over")
    bridge._wake_up.close()


def test_a_read_that_has_to_write_first_goes_on_when_it_may(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the broker asked for new keys while our side of the socket is full."""
    got: list[Incoming] = []
    with connected(broker, got) as link:
        broker.send(mqtt5.publish("a/b", b"x", 1))
        wait_readable(link)

        def blocked(*_: object) -> bytes:
            raise ssl.SSLWantWriteError

        with monkeypatch.context() as patched:
            patched.setattr(ssl.SSLSocket, "recv", blocked)
            link.read()
        assert link.lost is None
        assert link.wants_write
        link.write()
        assert len(got) == 1
        assert not link.wants_write
