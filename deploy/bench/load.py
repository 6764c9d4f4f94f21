"""The load of `bench ingest`: a process of its own that publishes prepared messages with QoS 1 as fast as
they are taken.

It speaks MQTT 5 on plain sockets, so that measuring costs little of what is measured: packets are encoded
before the clock starts, sent many at a time, and PUBACKs are only counted. At most `window` messages a
connection are unacknowledged. Every gateway also subscribes to its acknowledgements and checks off the
sequence numbers that are durable.

Run as ``python -m deploy.bench.load``; the task comes as JSON on stdin, "ready" goes to stdout, "go" is
awaited, and the result comes as JSON.
"""

from __future__ import annotations

import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from deploy.bench.rows import Load, value_of

_CHUNK = 64 * 1024


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def _packet(first: int, body: bytes) -> bytes:
    length, n = b"", len(body)
    while True:
        n, digit = n >> 7, n & 0x7F
        length += bytes([digit | (0x80 if n else 0)])
        if not n:
            return bytes([first]) + length + body


def connect_packet(client_id: str, user: str, password: str) -> bytes:
    """MQTT 5 CONNECT with a clean start and a user."""
    return _packet(
        0x10,
        _string("MQTT") + b"\x05\xc2\x00\x00\x00" + _string(client_id) + _string(user) + _string(password),
    )


def publish_packet(topic: str, mid: int, payload: bytes) -> bytes:
    """MQTT 5 PUBLISH with QoS 1."""
    return _packet(0x32, _string(topic) + struct.pack(">HB", mid, 0) + payload)


def message(load: Load, gateway: int, step: int) -> bytes:
    """The native message of one gateway for one step: all its meters at one instant."""
    ts = datetime.fromtimestamp(load.ts_us(step) / 1e6, UTC).isoformat().replace("+00:00", "Z")
    readings = [
        {"meter": meter, "ts": ts, "values": {"1.8.0": value_of(gateway, step, i)}}
        for i, meter in enumerate(load.meters(gateway, step))
    ]
    head = {"v": 1, "outbox": load.tag, "seq": step, "readings": readings}
    return json.dumps(head, separators=(",", ":")).encode()


@dataclass
class Publisher:
    """One connection: what it has to send, and what the broker and the platform have said."""

    sock: socket.socket
    packets: list[bytes]
    sent: int = 0
    acked: int = 0
    durable: int = 0
    out: bytes = b""
    buffer: bytearray = field(default_factory=bytearray)

    def done(self) -> bool:
        return self.acked == len(self.packets)

    def write(self, window: int) -> None:
        """Send as much as window and socket take."""
        while True:
            if not self.out:
                room = min(window - (self.sent - self.acked), len(self.packets) - self.sent)
                if room <= 0:
                    return
                take = self.packets[self.sent : self.sent + min(room, 32)]
                self.sent += len(take)
                self.out = b"".join(take)
            try:
                n = self.sock.send(self.out[:_CHUNK])
            except BlockingIOError:
                return
            self.out = self.out[n:]

    def read(self) -> None:
        """Count what came."""
        try:
            data = self.sock.recv(_CHUNK)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionError("the broker closed a publisher's connection")
        self.buffer += data
        for first, body in self._packets():
            if first == 0x40:
                if len(body) > 2 and body[2] >= 0x80:
                    raise ConnectionError(f"a message was refused with reason {body[2]}")
                self.acked += 1
            elif first & 0xF0 == 0x30:
                self._take_ack(body)

    def _take_ack(self, body: bytes) -> None:
        start = 2 + struct.unpack_from(">H", body)[0]
        payload = json.loads(body[start + 1 + body[start] :])
        self.durable += len(payload["stored"]) + len(payload["rejected"])

    def _packets(self) -> Iterator[tuple[int, bytes]]:
        buffer, at = self.buffer, 0
        while at + 1 < len(buffer):
            length, shift, p = 0, 0, at + 1
            while p < len(buffer):
                length |= (buffer[p] & 0x7F) << shift
                shift += 7
                p += 1
                if buffer[p - 1] < 0x80:
                    break
            else:
                break
            if p + length > len(buffer):
                break
            yield buffer[at], bytes(buffer[p : p + length])
            at = p + length
        del buffer[:at]


def _publisher(task: dict[str, Any], load: Load, gateway: int) -> Publisher:
    name, password = task["gateways"][gateway]
    sock = socket.create_connection((task["host"], task["port"]), timeout=10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(connect_packet(f"bench-{name}", name, password))
    answer = sock.recv(256)
    if len(answer) < 4 or answer[0] != 0x20 or answer[3]:
        raise ConnectionError(f"the broker refused {name}")
    sock.sendall(_packet(0x82, b"\x00\x01\x00" + _string(f"nl/v1/{name}/ack") + b"\x00"))
    sock.recv(256)
    sock.setblocking(False)
    topic = task["topic"].replace("{gateway}", name)
    packets = [
        publish_packet(topic, i % 65535 + 1, message(load, gateway, step))
        for i, step in enumerate(load.steps)
    ]
    return Publisher(sock, packets)


def run(publishers: list[Publisher], window: int) -> None:
    """Publish everything until the broker has acknowledged it."""
    selector = selectors.DefaultSelector()
    for p in publishers:
        selector.register(p.sock, selectors.EVENT_READ | selectors.EVENT_WRITE, p)
        p.write(window)
    while not all(p.done() for p in publishers):
        for key, events in selector.select(1.0):
            p = key.data
            if events & selectors.EVENT_READ:
                p.read()
            p.write(window)
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if p.out else 0)
            if key.events != wanted:
                selector.modify(p.sock, wanted, p)


def await_durable(publishers: list[Publisher], timeout_s: float) -> None:
    """Wait until the platform has acknowledged every message for good."""
    selector = selectors.DefaultSelector()
    for p in publishers:
        selector.register(p.sock, selectors.EVENT_READ, p)
    deadline = time.monotonic() + timeout_s
    while any(p.durable < len(p.packets) for p in publishers) and time.monotonic() < deadline:
        for key, _ in selector.select(0.5):
            key.data.read()


def main() -> None:
    """Prepare, wait for "go", publish, report."""
    task = json.loads(sys.stdin.readline())
    load = Load(**task["load"])
    publishers = [_publisher(task, load, g) for g in range(load.gateways)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    started, cpu = time.time(), time.process_time()
    run(publishers, task["window"])
    published = time.time()
    await_durable(publishers, task["timeout_s"])
    report = {
        "started": started,
        "published": published,
        "durable": time.time(),
        "acknowledged": sum(p.acked for p in publishers),
        "durable_messages": sum(p.durable for p in publishers),
        "cpu_s": time.process_time() - cpu,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
