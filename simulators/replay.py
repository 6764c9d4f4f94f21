"""Replay of real consumption by simulated gateways: registers as v1 messages over MQTT, until all are safe.

Each building has a gateway of its own with its own connection. A message stays in the gateway's outbox until
its durable acknowledgement comes on nl/v1/{gateway}/ack; one that is not acknowledged in time is sent again.
When nothing is left the gateway says status offline with "final": true.
"""

from __future__ import annotations

import heapq
import queue
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import msgspec
import numpy as np
import pandas as pd

from metering.errors import DependencyAwayError
from simulators.mqtt import GatewayClient, GatewayConnection, Incoming
from simulators.outbox import Outbox
from simulators.registers import RegisterSeries

_REGISTER = "1.8.0"
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """How to replay. speed: simulated seconds a second, None: as fast as acknowledgements come.

    window: messages sent and not acknowledged yet, over all gateways. retry_s: send again after so long.
    patience_s: give up when no acknowledgement at all came for so long.
    """

    timezone: str = "Asia/Shanghai"
    readings_per_message: int = 24
    speed: float | None = None
    window: int = 600
    retry_s: float = 30.0
    patience_s: float = 300.0

    def __post_init__(self) -> None:
        if self.readings_per_message < 1 or self.window < 1 or (self.speed is not None and self.speed <= 0):
            raise ValueError("readings_per_message, window and speed must be over 0")


@dataclass(frozen=True, slots=True)
class ReplaySource:
    """What one gateway sends: the readings of its meter, and how it connects."""

    gateway: str
    meter: str
    series: RegisterSeries
    connection: GatewayConnection


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is, in readings; at: newest time of a reading that was sent, None before the first."""

    total: int
    published: int
    acknowledged: int
    at: datetime | None


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay did. rejected: messages refused for good, by reason; seconds: first publish to last
    acknowledgement.
    """

    gateways: int
    meters: int
    messages: int
    readings: int
    resent: int
    rejected: dict[str, int]
    started_at: datetime
    seconds: float


@dataclass(slots=True)
class _Gateway:
    source: ReplaySource
    client: GatewayClient
    outbox: Outbox
    times: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Message:
    """Readings first..last-1 of a gateway; due_us: time of the last of them."""

    due_us: int
    gateway_ix: int
    first: int
    last: int


def replay(
    sources: Sequence[ReplaySource],
    options: ReplayOptions,
    on_progress: Callable[[ReplayProgress], None] = lambda _: None,
) -> ReplayResult:
    """Send everything and return when all of it is acknowledged for good.

    Raises DependencyAwayError when the broker refuses or no acknowledgement comes for `patience_s`. On an
    interrupt the gateways say offline (not final) and the interrupt goes on.
    """
    run = _Replay(sources, options, on_progress)
    try:
        run.connect()
        result = run.send_all()
        run.close(final=True)
    except BaseException:
        run.close(final=False)
        raise
    return result


def messages_of(series: Sequence[RegisterSeries], readings_per_message: int) -> Iterator[_Message]:
    """The messages of all gateways in the order of their newest reading."""

    def of_one(ix: int, s: RegisterSeries) -> Iterator[_Message]:
        for first in range(0, len(s), readings_per_message):
            last = min(first + readings_per_message, len(s))
            yield _Message(int(s.ts_us[last - 1]), ix, first, last)

    return heapq.merge(
        *(of_one(ix, s) for ix, s in enumerate(series)), key=lambda m: (m.due_us, m.gateway_ix)
    )


def local_texts(series: RegisterSeries, timezone: str) -> list[str]:
    """The times of `series` as RFC 3339 text with the offset of `timezone`."""
    utc = pd.DatetimeIndex(series.ts_us.astype("datetime64[us]"), tz="UTC")
    local = utc.tz_convert(timezone).tz_localize(None).to_numpy().astype("datetime64[s]")
    minutes = (local.astype(np.int64) - series.ts_us // 1_000_000) // 60
    offsets = {
        int(m): f"{'-' if m < 0 else '+'}{abs(int(m)) // 60:02d}:{abs(int(m)) % 60:02d}"
        for m in np.unique(minutes)
    }
    return [
        t + offsets[m] for t, m in zip(np.datetime_as_string(local).tolist(), minutes.tolist(), strict=True)
    ]


class _Replay:
    def __init__(
        self,
        sources: Sequence[ReplaySource],
        options: ReplayOptions,
        on_progress: Callable[[ReplayProgress], None],
    ) -> None:
        self._options = options
        self._on_progress = on_progress
        self._events: queue.SimpleQueue[Incoming] = queue.SimpleQueue()
        self._gateways = [
            _Gateway(
                s,
                GatewayClient(s.gateway, s.connection, self._events.put),
                Outbox(secrets.token_hex(4), options.retry_s),
                local_texts(s.series, options.timezone),
            )
            for s in sources
        ]
        self._by_name = {g.source.gateway: g for g in self._gateways}
        self._total = sum(len(s.series) for s in sources)
        self._published = self._acknowledged = self._in_flight = 0
        self._newest_us: int | None = None
        self._last_ack = 0.0

    def connect(self) -> None:
        for g in self._gateways:
            g.client.connect()

    def send_all(self) -> ReplayResult:
        started_at, start = datetime.now(UTC), time.monotonic()
        self._last_ack = start
        coming = messages_of([g.source.series for g in self._gateways], self._options.readings_per_message)
        first_us = min(
            (int(g.source.series.ts_us[0]) for g in self._gateways if len(g.source.series)), default=0
        )
        message = next(coming, None)
        while message is not None or self._in_flight:
            now = time.monotonic()
            while message is not None and self._in_flight < self._options.window:
                wait = self._due(message.due_us - first_us) - (now - start)
                if wait > 0:
                    break
                self._publish(message, now)
                message = next(coming, None)
            self._send_again(now)
            self._take_events(self._pause(message, first_us, start))
            self._on_progress(self._progress())
        return self._result(started_at, self._last_ack - start)

    def close(self, *, final: bool) -> None:
        for g in self._gateways:
            g.client.close(final=final)

    def _due(self, simulated_us: int) -> float:
        return 0.0 if self._options.speed is None else simulated_us / 1e6 / self._options.speed

    def _pause(self, message: _Message | None, first_us: int, start: float) -> float:
        """Seconds to wait for an event: until the next message is due or one must be sent again, at most 0.5
        s.
        """
        now = time.monotonic()
        until = [now + 0.5]
        if message is not None and self._in_flight < self._options.window:
            until.append(start + self._due(message.due_us - first_us))
        until += [due for g in self._gateways if (due := g.outbox.next_due()) is not None]
        return max(0.0, min(until) - now)

    def _publish(self, message: _Message, now: float) -> None:
        g = self._gateways[message.gateway_ix]
        part = slice(message.first, message.last)
        payload = _encode(
            {
                "v": 1,
                "outbox": g.outbox.name,
                "seq": g.outbox.next_seq,
                "sent_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "readings": [
                    {"meter": g.source.meter, "ts": ts, "values": {_REGISTER: value}}
                    for ts, value in zip(g.times[part], g.source.series.value[part].tolist(), strict=True)
                ],
            }
        )
        g.outbox.put(payload, message.last - message.first, now)
        g.client.publish_readings(payload)
        self._in_flight += 1
        self._published += message.last - message.first
        self._newest_us = message.due_us

    def _send_again(self, now: float) -> None:
        for g in self._gateways:
            for payload in g.outbox.overdue(now):
                g.client.publish_readings(payload)
        if self._in_flight and now - self._last_ack > self._options.patience_s:
            raise DependencyAwayError(
                f"no durable acknowledgement for {self._options.patience_s:.0f} s, "
                f"{self._in_flight} messages wait: "
                "are bridge and writer running? `nengliu status` tells"
            )

    def _take_events(self, timeout: float) -> None:
        try:
            self._take(self._events.get(timeout=timeout) if timeout > 0 else self._events.get_nowait())
            while True:
                self._take(self._events.get_nowait())
        except queue.Empty:
            return

    def _take(self, event: Incoming) -> None:
        if event.failure is not None:
            raise DependencyAwayError(f"gateway {event.gateway}: {event.failure}")
        g = self._by_name[event.gateway]
        if event.ack is None or event.ack.outbox != g.outbox.name:
            return
        before = len(g.outbox)
        self._acknowledged += g.outbox.acknowledge(
            event.ack.stored, [(r.seq, r.reason) for r in event.ack.rejected]
        )
        if len(g.outbox) < before:
            self._in_flight -= before - len(g.outbox)
            self._last_ack = time.monotonic()

    def _progress(self) -> ReplayProgress:
        at = None if self._newest_us is None else datetime.fromtimestamp(self._newest_us / 1e6, UTC)
        return ReplayProgress(self._total, self._published, self._acknowledged, at)

    def _result(self, started_at: datetime, seconds: float) -> ReplayResult:
        rejected: dict[str, int] = {}
        for g in self._gateways:
            for reason, n in g.outbox.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + n
        return ReplayResult(
            gateways=len(self._gateways),
            meters=len(self._gateways),
            messages=sum(g.outbox.next_seq - 1 for g in self._gateways),
            readings=self._published,
            resent=sum(g.outbox.resent for g in self._gateways),
            rejected=rejected,
            started_at=started_at,
            seconds=max(0.0, seconds),
        )
