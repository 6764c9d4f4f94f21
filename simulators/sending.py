"""Sends what a run gives away over MQTT, each gateway with its own connection, until all of it is safe.

A message stays in its gateway's outbox until its durable acknowledgement comes on nl/v1/{gateway}/ack; one that is not
acknowledged in time is sent again. At the end each gateway says status offline with "final": true.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from metering.errors import DependencyAwayError
from simulators.emission import Emission, RegistryChange
from simulators.mqtt import GatewayClient, GatewayConnection, Incoming
from simulators.outbox import Outbox

#: A wait of so long is told.
_SAID_FROM_S = 2.0


@dataclass(frozen=True, slots=True)
class SendOptions:
    """How to send. speed: simulated seconds a second, None: as fast as acknowledgements come. What is still to
    come by the wall clock is waited for at any speed.

    window: messages sent and not acknowledged yet, over all gateways. retry_s: send again after so long.
    patience_s: give up when no acknowledgement at all came for so long.
    """

    speed: float | None = None
    window: int = 3000
    retry_s: float = 30.0
    patience_s: float = 300.0

    def __post_init__(self) -> None:
        if self.window < 1 or (self.speed is not None and self.speed <= 0):
            raise ValueError("window and speed must be over 0")


@dataclass(frozen=True, slots=True)
class SendProgress:
    """How far it is, in readings, those of the run before it was stopped included; at: simulated time of the newest
    message, None before the first; waits_until: when the next one has happened, None where nothing is waited for.
    """

    total: int
    published: int
    acknowledged: int
    at: datetime | None
    waits_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class SendResult:
    """What was sent. rejected: messages refused for good, by reason; seconds: first publish to last acknowledgement."""

    gateways: int
    messages: int
    readings: int
    resent: int
    rejected: dict[str, int]
    started_at: datetime
    seconds: float


@dataclass(slots=True)
class Sender:
    """connections: of every gateway by name; total: readings that are expected; on_registry: enters a change of the
    registry, when all that was sent before is safe. done: how many emissions, from the first on, are safe for good.
    """

    connections: Mapping[str, GatewayConnection]
    options: SendOptions
    total: int = 0
    on_progress: Callable[[SendProgress], None] = lambda _: None
    on_registry: Callable[[RegistryChange], None] = lambda _: None
    skip: int = 0
    make_client: Callable[[str, GatewayConnection, Callable[[Incoming], None]], GatewayClient] = GatewayClient
    _events: queue.SimpleQueue[Incoming] = field(default_factory=queue.SimpleQueue)
    _clients: dict[str, GatewayClient] = field(default_factory=dict)
    _outboxes: dict[tuple[str, str], Outbox] = field(default_factory=dict)
    _outstanding: dict[tuple[str, str, int], int] = field(default_factory=dict)
    _next: int = 0
    _messages: int = 0
    _published: int = 0
    _acknowledged: int = 0
    _before: int = 0
    _newest_us: int | None = None
    _first_us: int | None = None
    _started: float = 0.0
    _last_ack: float = 0.0
    _waits_since: float = 0.0

    @property
    def done(self) -> int:
        """How many emissions from the first on are safe: where to go on."""
        return next(iter(self._outstanding.values()), self._next)

    def send_all(self, coming: Iterable[Emission | RegistryChange]) -> SendResult:
        """Send everything and return when all of it is acknowledged for good.

        Raises DependencyAwayError when the broker refuses or no acknowledgement comes for `patience_s`. On an
        interrupt the gateways say offline (not final) and the interrupt goes on.
        """
        try:
            for name, connection in self.connections.items():
                self._clients[name] = self.make_client(name, connection, self._events.put)
            for client in self._clients.values():
                client.connect()
            started_at = datetime.now(UTC)
            self._started = self._last_ack = time.monotonic()
            for item in coming:
                self._one(item)
            self._until(lambda: not self._outstanding)
            result = self._result(started_at)
            self._close(final=True)
        except BaseException:
            self._close(final=False)
            raise
        return result

    def _one(self, item: Emission | RegistryChange) -> None:
        """Send it, or enter it, when it is due; only then it counts."""
        if self._next < self.skip:
            self._before += item.readings if isinstance(item, Emission) and item.awaited else 0
        else:
            if self._first_us is None:
                self._first_us = item.due_us
            due = self._due(item.due_us)
            room = self.options.window if isinstance(item, Emission) else 1
            self._until(lambda: len(self._outstanding) < room and time.monotonic() >= due, due)
            if isinstance(item, Emission):
                self._publish(item)
            else:
                self.on_registry(item)
        self._next += 1
        self._take_events(0.0)

    def _until(self, is_so: Callable[[], bool], due: float = 0.0) -> None:
        while not is_so():
            self._send_again(time.monotonic())
            self._take_events(self._pause(due))
            self.on_progress(self._progress(due))

    def _due(self, simulated_us: int) -> float:
        """When to send, by the monotonic clock: by the speed, and never before it has happened by the wall clock."""
        happens = simulated_us / 1e6 - time.time() + time.monotonic()
        due = happens if happens > time.monotonic() else 0.0
        if self.options.speed is None or self._first_us is None:
            return due
        return max(due, self._started + (simulated_us - self._first_us) / 1e6 / self.options.speed)

    def _pause(self, due: float) -> float:
        """Seconds to wait for an event: until `due` or until a message must be sent again, at most 0.5 s."""
        now = time.monotonic()
        until = [now + 0.5, *(d for o in self._outboxes.values() if (d := o.next_due()) is not None)]
        if due > now:
            until.append(due)
        return max(0.001, min(until) - now)

    def _publish(self, item: Emission) -> None:
        payload = item.payload if isinstance(item.payload, bytes) else item.payload()
        if item.awaited:
            outbox = self._outboxes.setdefault(
                (item.gateway, item.outbox), Outbox(item.outbox, self.options.retry_s)
            )
            outbox.put(payload, item.readings, time.monotonic(), item.seq)
            if not self._outstanding:
                self._waits_since = time.monotonic()
            self._outstanding[item.gateway, item.outbox, item.seq] = self._next
            self._published += item.readings
        self._clients[item.gateway].publish_readings(payload)
        self._messages += 1
        self._newest_us = item.due_us

    def _send_again(self, now: float) -> None:
        for (gateway, _), outbox in self._outboxes.items():
            for payload in outbox.overdue(now):
                self._clients[gateway].publish_readings(payload)
        if self._outstanding and now - self._waits_since > self.options.patience_s:
            raise DependencyAwayError(
                f"no durable acknowledgement for {self.options.patience_s:.0f} s, "
                f"{len(self._outstanding)} messages wait: "
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
        ack = event.ack
        outbox = None if ack is None else self._outboxes.get((event.gateway, ack.outbox or ""))
        if ack is None or outbox is None:
            return
        self._acknowledged += outbox.acknowledge(ack.stored, [(r.seq, r.reason) for r in ack.rejected])
        for seq in (*ack.stored, *(r.seq for r in ack.rejected)):
            if self._outstanding.pop((event.gateway, outbox.name, seq), None) is not None:
                self._last_ack = self._waits_since = time.monotonic()

    def _close(self, *, final: bool) -> None:
        for client in self._clients.values():
            client.close(final=final)

    def _progress(self, due: float) -> SendProgress:
        at = None if self._newest_us is None else datetime.fromtimestamp(self._newest_us / 1e6, UTC)
        ahead = due - time.monotonic()
        until = datetime.fromtimestamp(time.time() + ahead, UTC) if ahead > _SAID_FROM_S else None
        published, acknowledged = self._published + self._before, self._acknowledged + self._before
        return SendProgress(self.total, published, acknowledged, at, until)

    def _result(self, started_at: datetime) -> SendResult:
        rejected: dict[str, int] = {}
        for outbox in self._outboxes.values():
            for reason, n in outbox.rejected.items():
                rejected[reason] = rejected.get(reason, 0) + n
        return SendResult(
            gateways=len(self.connections),
            messages=self._messages,
            readings=self._published,
            resent=sum(o.resent for o in self._outboxes.values()),
            rejected=rejected,
            started_at=started_at,
            seconds=max(0.0, self._last_ack - self._started),
        )
