"""The load of a benchmark: a process of its own that publishes prepared messages with QoS 1, at a rate or as fast as
they are taken.

It speaks MQTT 5 on bare sockets (in TLS where the stack does), so that measuring costs little of what is measured:
packets are encoded before the clock starts, sent many at a time, and PUBACKs are only counted. At most `window`
messages a connection are unacknowledged by the broker, and of all connections together at most `ahead` are ones that
the platform has not taken yet: a broker keeps only so many for a bridge and drops the others, which real outboxes
would send again. Every gateway also subscribes to its acknowledgements and checks off the sequence numbers that are
durable.

Run as ``python -m deploy.bench.load``. Lines on stdin: the task as JSON, "go" after "ready" came on stdout, then now
and then how many messages the platform has taken. The result comes as JSON.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy import mqtt5
from deploy.bench import wire
from deploy.bench.rows import Load, value_of
from deploy.clients import MqttEndpoint
from deploy.tls import trusting

_CHUNK = 64 * 1024


def message(load: Load, gateway: int, step: int) -> bytes:
    """The native message of one gateway for one step: its meters at one instant."""
    ts = datetime.fromtimestamp(load.ts_us(step) / 1e6, UTC).isoformat().replace("+00:00", "Z")
    readings = [
        {"meter": meter, "ts": ts, "values": {"1.8.0": value_of(gateway, step, i)}}
        for i, meter in enumerate(load.meters(gateway, step))
    ]
    head = {"v": 1, "outbox": load.tag, "seq": step, "readings": readings}
    return json.dumps(head, separators=(",", ":")).encode()


@dataclass
class Publisher:
    """One connection: what it has to send, and what the broker and the platform have said.

    packets: made when they are asked for, in order; count: how many; sent_s, durable_s: Unix time of each sequence
    number (NaN: not yet).
    """

    sock: socket.socket
    packets: Iterator[bytes]
    count: int
    steps: Iterator[int]
    sent_s: npt.NDArray[np.float64]
    durable_s: npt.NDArray[np.float64]
    sent: int = 0
    acked: int = 0
    durable: int = 0
    out: bytes = b""
    buffer: bytearray = field(default_factory=bytearray)

    def done(self) -> bool:
        """Whether the broker has everything."""
        return self.acked == self.count

    def write(self, window: int, most: int) -> None:
        """Send as much as window and socket take, and at most `most` messages more."""
        while True:
            if not self.out:
                take = min(window - (self.sent - self.acked), self.count - self.sent, most, 32)
                if take <= 0:
                    return
                self.out = b"".join(next(self.packets) for _ in range(take))
                self.sent += take
                most -= take
                now = time.time()
                for step in islice(self.steps, take):
                    if self.sent_s[step] != self.sent_s[step]:  # not when it comes once more
                        self.sent_s[step] = now
            sent = wire.send(self.sock, self.out)
            if not sent:
                return
            self.out = self.out[sent:]

    def read(self) -> None:
        """Count what came."""
        self.buffer += wire.receive(self.sock)
        for first, body in mqtt5.take_packets(self.buffer):
            if first == mqtt5.PUBACK:
                _, reason = mqtt5.answer_of(body)
                if reason >= mqtt5.FAILED_FROM:
                    raise ConnectionError(f"a message was refused with reason {reason}")
                self.acked += 1
            elif first & 0xF0 == 0x30:
                self._take_ack(body)

    def _take_ack(self, body: bytes) -> None:
        start = 2 + struct.unpack_from(">H", body)[0]
        payload = json.loads(body[start + 1 + body[start] :])
        stored = np.array(payload["stored"], np.int64)
        first = stored[np.isnan(self.durable_s[stored])]
        self.durable_s[first] = time.time()
        self.durable += len(np.unique(first))


def _publisher(task: dict[str, Any], load: Load, gateway: int) -> Publisher:
    name, password = task["gateways"][gateway]
    tls = trusting(Path(task["ca_file"]), "the local stack's authority") if task["ca_file"] else None
    sock = MqttEndpoint(task["host"], task["port"], name, password, tls).open(10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(mqtt5.connect(f"bench-{name}", name, password))
    answer = sock.recv(256)
    if len(answer) < 4 or answer[0] != 0x20 or answer[3]:
        raise ConnectionError(f"the broker refused {name}")
    sock.sendall(mqtt5.packet(0x82, b"\x00\x01\x00" + mqtt5.string(f"nl/v1/{name}/ack") + b"\x00"))
    sock.recv(256)
    sock.setblocking(False)
    topic = task["topic"].replace("{gateway}", name)

    def packets() -> Iterator[bytes]:
        for i, step in enumerate(load.steps()):
            yield mqtt5.publish(topic, message(load, gateway, step), i % 65535 + 1)

    made = packets() if task["rate"] else iter(list(packets()))
    count = sum(1 for _ in load.steps())
    never = np.full(load.messages, np.nan)
    return Publisher(sock, made, count, load.steps(), never, never.copy())


class Pace:
    """How many messages of all publishers may have been sent by now.

    rate: messages a second, 0: any; ahead: how many more than the platform has taken.
    """

    def __init__(self, rate: float, ahead: int) -> None:
        self._rate, self._ahead = rate, ahead
        self._started = time.monotonic()
        self._taken = 0

    def took(self, lines: bytes) -> None:
        """What the parent says of the platform: the last of some lines."""
        if lines.endswith(b"\n") and lines.strip():
            self._taken = int(lines.split()[-1])

    def allowed(self) -> int:
        """Of all publishers together."""
        most = self._taken + self._ahead
        return min(most, int((time.monotonic() - self._started) * self._rate)) if self._rate else most


def run(publishers: list[Publisher], window: int, pace: Pace) -> None:
    """Publish everything until the broker has acknowledged it."""
    selector = selectors.DefaultSelector()
    for p in publishers:
        selector.register(p.sock, selectors.EVENT_READ, p)
    selector.register(0, selectors.EVENT_READ)
    turn = 0
    while not all(p.done() for p in publishers):
        for key, events in selector.select(0.005):
            if key.data is None:
                pace.took(os.read(0, _CHUNK))
            elif events & selectors.EVENT_READ:
                key.data.read()
        room = pace.allowed() - sum(p.sent for p in publishers)
        share = -(-room // len(publishers))
        turn += 1
        for i in range(len(publishers)):
            p = publishers[(turn + i) % len(publishers)]
            before = p.sent
            p.write(window, max(0, min(share, room)))
            room -= p.sent - before
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if p.out else 0)
            if selector.get_key(p.sock).events != wanted:
                selector.modify(p.sock, wanted, p)


def await_durable(publishers: list[Publisher], timeout_s: float) -> None:
    """Wait until the platform has acknowledged every message for good."""
    selector = selectors.DefaultSelector()
    for p in publishers:
        selector.register(p.sock, selectors.EVENT_READ, p)
    deadline = time.monotonic() + timeout_s
    while any(p.durable < len(p.durable_s) for p in publishers) and time.monotonic() < deadline:
        for key, _ in selector.select(0.5):
            key.data.read()


def _latency(publishers: list[Publisher]) -> dict[str, float]:
    """Seconds from sending a message to its durable acknowledgement."""
    taken = np.concatenate([p.durable_s - p.sent_s for p in publishers])
    taken = taken[~np.isnan(taken)]
    if not len(taken):
        return {}
    return {f"p{q:g}": round(float(np.percentile(taken, q)), 3) for q in (50, 95, 99, 100)}


def main() -> None:
    """Prepare, wait for "go", publish, report."""
    task = json.loads(sys.stdin.readline())
    load = Load(**task["load"])
    publishers = [_publisher(task, load, g) for g in range(load.gateways)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    started, cpu = time.time(), time.process_time()
    run(publishers, task["window"], Pace(task["rate"], task["ahead"]))
    published = time.time()
    if task["durable"]:
        await_durable(publishers, task["timeout_s"])
    report = {
        "started": started,
        "published": published,
        "durable": time.time(),
        "acknowledged": sum(p.acked for p in publishers),
        "durable_messages": sum(p.durable for p in publishers),
        "latency_s": _latency(publishers),
        "cpu_s": time.process_time() - cpu,
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
