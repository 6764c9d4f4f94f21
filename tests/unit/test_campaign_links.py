"""The campaign's links fail as networks do; else its verdicts would be about something else."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import pytest

from tests.campaign.links import KafkaAddresses, Link, Network, Slowness


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(10)
        yield listening


@pytest.fixture
def link(server: socket.socket) -> Iterator[Link]:
    network = Network()
    yield network.add("a-link", server.getsockname()[1])
    network.close()


def connected(link: Link, server: socket.socket) -> tuple[socket.socket, socket.socket]:
    client = socket.create_connection(("127.0.0.1", link.port), timeout=10)
    far, _ = server.accept()
    far.settimeout(10)
    client.sendall(b"hello")
    assert far.recv(5) == b"hello"
    far.sendall(b"there")
    assert client.recv(5) == b"there"
    return client, far


def nothing_comes(sock: socket.socket) -> bool:
    sock.settimeout(0.3)
    try:
        return sock.recv(1) is None
    except TimeoutError:
        return True
    finally:
        sock.settimeout(10)


def test_a_black_out_passes_nothing_and_resets_nothing_and_what_was_sent_arrives_after_it(
    link: Link, server: socket.socket
) -> None:
    client, far = connected(link, server)
    with client, far:
        link.black_out()
        client.sendall(b"late")
        far.sendall(b"too")
        assert nothing_comes(far)
        assert nothing_comes(client)
        with pytest.raises(TimeoutError):
            socket.create_connection(("127.0.0.1", link.port), timeout=0.3)
        link.mend()
        assert far.recv(4) == b"late"
        assert client.recv(3) == b"too"


def test_the_kernel_acknowledges_nothing_in_a_black_out(link: Link, server: socket.socket) -> None:
    """So a client's own TCP time-outs see a dead peer, as in a dead network."""
    client, far = connected(link, server)
    with client, far:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 300)
        link.black_out()
        client.sendall(b"lost")
        with pytest.raises(OSError, match="timed out"):
            client.recv(1)


def test_a_forgotten_connection_stays_dead_after_the_network_is_mended(
    link: Link, server: socket.socket
) -> None:
    client, far = connected(link, server)
    with client, far:
        link.forget()
        link.mend()
        client.sendall(b"lost")
        assert nothing_comes(far)
        other, other_far = connected(link, server)
        with other, other_far:
            link.bury()
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_a_cut_resets_what_is_open_and_lets_nothing_in_until_it_is_mended(
    link: Link, server: socket.socket
) -> None:
    client, far = connected(link, server)
    with client, far:
        link.cut()
        with pytest.raises(ConnectionResetError):
            client.recv(1)
        with pytest.raises(ConnectionResetError):
            far.recv(1)
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.1", link.port)) as refused,
        ):
            refused.recv(1)
        link.mend()
    for sock in connected(link, server):
        sock.close()


def test_a_slow_link_keeps_order_and_loses_nothing(link: Link, server: socket.socket) -> None:
    client, far = connected(link, server)
    sent = bytes(range(256)) * 100
    with client, far:
        link.slow_down(Slowness(latency_s=0.05, jitter_s=0.1, bytes_per_s=500_000))
        for start in range(0, len(sent), 1000):
            client.sendall(sent[start : start + 1000])
        got = b""
        while len(got) < len(sent):
            got += far.recv(65536)
        assert got == sent


def test_kafkas_address_is_replaced_in_whole_answers_however_they_are_cut() -> None:
    body = b"\x00\x0a127.0.0.1" + struct.pack(">i", 9092) + b"tail 127.0.0.1" + struct.pack(">i", 9093)
    answer = struct.pack(">i", len(body)) + body
    wanted = answer.replace(b"127.0.0.1\x00\x00\x23\x84", b"127.0.0.1\x00\x00\x75\x30")
    assert wanted != answer
    for size in (1, 7, len(answer), 3 * len(answer)):
        change = KafkaAddresses("127.0.0.1", 9092, 30000)
        stream = answer * 3
        got = b"".join(change(stream[i : i + size]) for i in range(0, len(stream), size))
        assert got == wanted * 3
