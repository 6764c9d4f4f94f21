"""Replay of real consumption by simulated gateways: registers as v1 messages over MQTT, until all are safe.

Each building has a gateway of its own with its own connection and outbox.
"""

from __future__ import annotations

import heapq
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

import msgspec

from simulators.emission import Emission
from simulators.mqtt import GatewayConnection
from simulators.registers import RegisterSeries
from simulators.sending import Sender, SendOptions, SendProgress, SendResult
from simulators.times import local_texts

_REGISTER = "1.8.0"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay: timezone of the times sent, readings a message, and how to send."""

    timezone: str = "Asia/Shanghai"
    readings_per_message: int = 24
    sending: SendOptions = field(default_factory=SendOptions)

    def __post_init__(self) -> None:
        if self.readings_per_message < 1:
            raise ValueError("readings_per_message must be over 0")


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """What one gateway sends: the readings of its meter, and how it connects."""

    gateway: str
    meter: str
    series: RegisterSeries
    connection: GatewayConnection


def replay(
    sources: Sequence[ReplaySource],
    options: ReplayOptions,
    on_progress: Callable[[SendProgress], None] = lambda _: None,
) -> SendResult:
    """Send everything and return when all of it is acknowledged for good. Raises as Sender.send_all does."""
    sender = Sender(
        {s.gateway: s.connection for s in sources},
        options.sending,
        sum(len(s.series) for s in sources),
        on_progress,
    )
    return sender.send_all(emissions_of(sources, options))


@dataclass(frozen=True, slots=True)
class _Message:
    """Readings first..last-1 of a gateway; due_us: time of the last of them."""

    due_us: int
    gateway_ix: int
    first: int
    last: int


def messages_of(series: Sequence[RegisterSeries], readings_per_message: int) -> Iterator[_Message]:
    """The messages of all gateways in the order of their newest reading."""

    def of_one(ix: int, s: RegisterSeries) -> Iterator[_Message]:
        for first in range(0, len(s), readings_per_message):
            last = min(first + readings_per_message, len(s))
            yield _Message(int(s.ts_us[last - 1]), ix, first, last)

    return heapq.merge(
        *(of_one(ix, s) for ix, s in enumerate(series)), key=lambda m: (m.due_us, m.gateway_ix)
    )


def emissions_of(sources: Sequence[ReplaySource], options: ReplayOptions) -> Iterator[Emission]:
    """The messages as they are sent; each says the time at which it really is."""
    outboxes = [secrets.token_hex(4) for _ in sources]
    texts = [local_texts(s.series.ts_us, options.timezone) for s in sources]
    seqs = [0] * len(sources)
    for m in messages_of([s.series for s in sources], options.readings_per_message):
        source, part = sources[m.gateway_ix], slice(m.first, m.last)
        seqs[m.gateway_ix] += 1
        readings: list[dict[str, object]] = [
            {"meter": source.meter, "ts": ts, "values": {_REGISTER: value}}
            for ts, value in zip(texts[m.gateway_ix][part], source.series.value[part].tolist(), strict=True)
        ]
        head = {"v": 1, "outbox": outboxes[m.gateway_ix], "seq": seqs[m.gateway_ix]}
        yield Emission(
            m.due_us,
            source.gateway,
            outboxes[m.gateway_ix],
            seqs[m.gateway_ix],
            partial(_payload, head, readings),
            m.last - m.first,
        )


def _payload(head: dict[str, object], readings: list[dict[str, object]]) -> bytes:
    sent_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    return _encode({**head, "sent_at": sent_at, "readings": readings})
