"""A load of messages: a process of its own that publishes them with QoS 1, at a rate or as fast as they are taken.

It speaks MQTT 5 on bare sockets (in TLS where the stack does), so that measuring costs little of what is measured:
packets are encoded before the clock starts, sent many at a time, and PUBACKs are only counted. At most `window`
messages a connection are unacknowledged by the broker, and of all connections together at most `ahead` are ones that
the platform has not taken yet: a broker keeps only so many for a bridge and drops the others, which real outboxes
would send again. A connection speaks for one gateway or for several, subscribes to their acknowledgements and checks
off the sequence numbers that are durable. Where there is a rate, latency counts from the moment at which a message was
due, so that a load that falls behind cannot hide it.

Run as ``python -m deploy.load.process``. Lines on stdin: the task as JSON, "go" after "ready" came on stdout, then now
and then how many messages the platform has taken (if it is not to count by acknowledgements), and "stop" to send no
more. The result comes as JSON, and before it, where asked for, now and then how far it is.
"""

from __future__ import annotations

import json
import os
import selectors
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy import mqtt5
from deploy.clients import MqttEndpoint
from deploy.load import wire
from deploy.load.rows import Load, value_of
from deploy.tls import trusting

_CHUNK = 64 * 1024
_TELL_EVERY_S = 0.25
_SUBACK = 0x90


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

    packets: made when they are asked for, in order; count: how many; steps: which message each is, by its place in
    sent_s and durable_s, those of one gateway after the other; sent_s, durable_s: Unix time of each message (NaN: not
    yet); ack_topics: topic -> place of its gateway's first message; outbox: whose acknowledgements are ours.
    """

    sock: socket.socket
    packets: Iterator[bytes]
    count: int
    steps: Iterator[int]
    sent_s: npt.NDArray[np.float64]
    durable_s: npt.NDArray[np.float64]
    ack_topics: dict[bytes, int]
    outbox: str
    rejected: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    acked: int = 0
    durable: int = 0
    out: bytes = b""
    buffer: bytearray = field(default_factory=bytearray)

    def done(self) -> bool:
        """Whether the broker has everything."""
        return self.acked == self.count

    def settled(self) -> int:
        """Messages that are in the database or in the dead letters for good."""
        return self.durable + self.rejected.total()

    def write(self, window: int, most: int, pace: Pace) -> None:
        """Send as much as window and socket take, and at most `most` messages more."""
        while True:
            if not self.out:
                take = min(window - (self.sent - self.acked), self.count - self.sent, most, 32)
                if take <= 0:
                    return
                self.out = b"".join(next(self.packets) for _ in range(take))
                self.sent += take
                most -= take
                for step, due in zip(islice(self.steps, take), pace.due(take), strict=True):
                    if self.sent_s[step] != self.sent_s[step]:  # not when it comes once more
                        self.sent_s[step] = due
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
        if payload["outbox"] != self.outbox:
            return
        self.rejected.update(r["reason"] for r in payload["rejected"])
        stored = np.array(payload["stored"], np.int64) + self.ack_topics[body[2:start]]
        first = stored[np.isnan(self.durable_s[stored])]
        self.durable_s[first] = time.time()
        self.durable += len(np.unique(first))


def _publisher(task: dict[str, Any], load: Load, gateways: Sequence[int]) -> Publisher:
    """The connection of the first of `gateways`, which speaks for all of them."""
    names = [task["gateways"][g][0] for g in gateways]
    acks = [f"nl/v1/{name}/ack" for name in names]
    topics = [task["topic"].replace("{gateway}", name) for name in names]
    sock = _connected(task, gateways[0], acks)

    def packets() -> Iterator[bytes]:
        mid = 0
        for step in load.steps():
            for topic, gateway in zip(topics, gateways, strict=True):
                yield mqtt5.publish(topic, message(load, gateway, step), mid % 65535 + 1)
                mid += 1

    prepared = not task["rate"] and task["seconds"] is None
    steps = (n * load.messages + step for step in load.steps() for n in range(len(names)))
    never = np.full(load.messages * len(names), np.nan)
    return Publisher(
        sock,
        iter(list(packets())) if prepared else packets(),
        sum(1 for _ in load.steps()) * len(names),
        steps,
        never,
        never.copy(),
        {ack.encode(): n * load.messages for n, ack in enumerate(acks)},
        load.tag,
    )


def _connected(task: dict[str, Any], gateway: int, acks: Sequence[str]) -> socket.socket:
    """A connection that gets the acknowledgements; does not block."""
    name, password = task["gateways"][gateway]
    tls = trusting(Path(task["ca_file"]), "the local stack's authority") if task["ca_file"] else None
    sock = MqttEndpoint(task["host"], task["port"], name, password, tls).open(10)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.sendall(mqtt5.connect(f"load-{name}", name, password))
    _, answer = _answer(sock, mqtt5.CONNACK)
    if answer[1]:
        raise ConnectionError(f"the broker refused {name}")
    wanted = b"".join(mqtt5.string(topic) + b"\x00" for topic in acks)
    sock.sendall(mqtt5.packet(0x82, b"\x00\x01\x00" + wanted))
    _, answer = _answer(sock, _SUBACK)
    if any(code >= mqtt5.FAILED_FROM for code in answer[3 + answer[2] :]):
        raise ConnectionError(f"the broker does not let {name} read its acknowledgements")
    sock.setblocking(False)
    return sock


def _answer(sock: socket.socket, first: int) -> tuple[int, bytes]:
    """The next packet of a type, while nothing else is awaited."""
    buffer = bytearray()
    while True:
        buffer += wire.receive(sock)
        for packet in mqtt5.take_packets(buffer):
            if packet[0] == first:
                return packet


class Pace:
    """How many messages of all publishers may have been sent by now, and until when they go on.

    rate: messages a second, 0: any; ahead: how many more than the platform has taken; seconds: for how long, None:
    until all is sent.
    """

    def __init__(self, rate: float, ahead: int, seconds: float | None = None) -> None:
        self._rate, self._ahead, self._seconds = rate, ahead, seconds
        self._started, self._started_at = time.monotonic(), time.time()
        self._told_to_stop = False
        self._due = 0
        self.taken = 0

    def took(self, lines: bytes) -> None:
        """What the parent says: that is enough, or of the platform the last of some lines; nothing: it is gone."""
        if not lines or b"stop" in lines:
            self._told_to_stop = True
        elif lines.endswith(b"\n") and lines.strip():
            self.taken = int(lines.split()[-1])

    def stopped(self) -> bool:
        """Whether nothing more is to be sent."""
        over = self._seconds is not None and time.monotonic() - self._started > self._seconds
        return self._told_to_stop or over

    def allowed(self) -> int:
        """Of all publishers together."""
        most = self.taken + self._ahead
        return min(most, int((time.monotonic() - self._started) * self._rate)) if self._rate else most

    def due(self, count: int) -> list[float]:
        """Unix times at which the next `count` messages that are sent should have been: now, where there is no rate."""
        first, self._due = self._due, self._due + count
        if not self._rate:
            return [time.time()] * count
        return [self._started_at + n / self._rate for n in range(first + 1, first + count + 1)]


class Teller:
    """Tells the parent now and then how far the load is, where it wants to know."""

    def __init__(self, publishers: Sequence[Publisher], wanted: bool) -> None:
        self._publishers, self._wanted = publishers, wanted
        self._next = 0.0

    def tell(self) -> None:
        """One line, if it is time."""
        now = time.monotonic()
        if not self._wanted or now < self._next:
            return
        self._next = now + _TELL_EVERY_S
        sent, settled = (sum(getter(p) for p in self._publishers) for getter in (_sent, Publisher.settled))
        _say({"sent": sent, "settled": settled})


def _sent(publisher: Publisher) -> int:
    return publisher.sent


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def run(publishers: list[Publisher], window: int, pace: Pace, teller: Teller, by_acks: bool) -> None:
    """Publish everything until the broker has acknowledged it. by_acks: what is settled counts as taken."""
    selector = selectors.DefaultSelector()
    for p in publishers:
        selector.register(p.sock, selectors.EVENT_READ, p)
    selector.register(0, selectors.EVENT_READ)
    turn = 0
    while not all(p.done() for p in publishers):
        for key, events in selector.select(0.005):
            if key.data is None:
                pace.took(lines := os.read(0, _CHUNK))
                if not lines:
                    selector.unregister(0)
            elif events & selectors.EVENT_READ:
                key.data.read()
        if by_acks:
            pace.taken = sum(p.settled() for p in publishers)
        if pace.stopped():
            for p in publishers:
                p.count = p.sent
        turn += 1
        _write(publishers, turn, window, pace, selector)
        teller.tell()


def _write(
    publishers: list[Publisher], turn: int, window: int, pace: Pace, selector: selectors.BaseSelector
) -> None:
    """Let each publisher send its share of what may be sent now; another one begins every time."""
    room = pace.allowed() - sum(p.sent for p in publishers)
    share = -(-room // len(publishers))
    for i in range(len(publishers)):
        p = publishers[(turn + i) % len(publishers)]
        before = p.sent
        p.write(window, max(0, min(share, room)), pace)
        room -= p.sent - before
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if p.out else 0)
        if selector.get_key(p.sock).events != wanted:
            selector.modify(p.sock, wanted, p)


def await_durable(publishers: list[Publisher], patience_s: float, teller: Teller) -> None:
    """Wait until every message that was sent is settled for good, or nothing more comes for `patience_s`."""
    selector = selectors.DefaultSelector()
    for p in publishers:
        selector.register(p.sock, selectors.EVENT_READ, p)
    wanted = sum(int(np.count_nonzero(~np.isnan(p.sent_s))) for p in publishers)
    settled, deadline = -1, 0.0
    while settled < wanted:
        now = sum(p.settled() for p in publishers)
        if now > settled:
            settled, deadline = now, time.monotonic() + patience_s
        elif time.monotonic() > deadline:
            return
        for key, _ in selector.select(0.25):
            key.data.read()
        teller.tell()


def _latency(publishers: list[Publisher]) -> dict[str, float]:
    """Seconds from sending a message (from when it was due) to its durable acknowledgement."""
    taken = np.concatenate([p.durable_s - p.sent_s for p in publishers])
    taken = taken[~np.isnan(taken)]
    if not len(taken):
        return {}
    return {f"p{q:g}": round(float(np.percentile(taken, q)), 4) for q in (50, 90, 95, 99, 100)}


def main() -> None:
    """Prepare, wait for "go", publish, report."""
    task = json.loads(sys.stdin.readline())
    load = Load(**task["load"])
    connections = task["connections"]
    publishers = [_publisher(task, load, range(c, load.gateways, connections)) for c in range(connections)]
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    teller = Teller(publishers, task["tell"])
    started, cpu = time.time(), time.process_time()
    pace = Pace(task["rate"], task["ahead"], task["seconds"])
    run(publishers, task["window"], pace, teller, task["by_acks"])
    published = time.time()
    if task["durable"]:
        await_durable(publishers, task["timeout_s"], teller)
    _say(
        {
            "started": started,
            "published": published,
            "durable": time.time(),
            "sent": sum(p.sent for p in publishers),
            "acknowledged": sum(p.acked for p in publishers),
            "durable_messages": sum(p.durable for p in publishers),
            "rejected": dict(sum((p.rejected for p in publishers), Counter())),
            "latency_s": _latency(publishers),
            "cpu_s": time.process_time() - cpu,
        }
    )


if __name__ == "__main__":
    main()
