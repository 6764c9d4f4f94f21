"""Publishes the outbox over MQTT 5 and forgets what the platform acknowledges for good.

One thread runs `run`; paho's own thread reads and keeps the connection. Callbacks only put into queues.
"""

from __future__ import annotations

import queue
import ssl
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec
import paho.mqtt.client as paho
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from collectors.edge import metrics
from collectors.edge.clock import ClockEstimate
from collectors.edge.dispatch import Dispatch, DispatchOptions
from collectors.edge.outbox import Acknowledgement, Message, Outbox
from collectors.tls_errors import closed_early, explained
from metering.instants import from_us

log = structlog.get_logger(__name__)

_TURN_S = 0.2
_SESSION_EXPIRY_S = 86_400
_REFUSAL_LOGGED_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class PublisherOptions:
    """Where and as whom. status_every_s: how often the status is published again, unchanged."""

    gateway: str
    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    keepalive_s: int = 15
    status_every_s: float = 60.0
    dispatch: DispatchOptions = field(default_factory=DispatchOptions)


class _Rejected(msgspec.Struct):
    seq: int
    reason: str


class _Ack(msgspec.Struct):
    outbox: str | None = None
    at: str | None = None
    stored: list[int] = []
    rejected: list[_Rejected] = []


class Publisher:
    """The connection of one gateway. meters: what the status says of them."""

    def __init__(
        self,
        outbox: Outbox,
        options: PublisherOptions,
        stop: threading.Event,
        meters: Callable[[], dict[str, Any]] = dict,
    ) -> None:
        self._outbox, self._options, self._stop, self._meters = outbox, options, stop, meters
        self._dispatch = Dispatch(options.dispatch)
        self._clock = ClockEstimate()
        self._acks: queue.SimpleQueue[tuple[bytes, float, float]] = queue.SimpleQueue()
        self._wake = threading.Event()
        self._subscribed = threading.Event()
        self._new_connection = False
        self._answered = False
        self._online = False
        self._status_at = 0.0
        self._extras: bool | None = None
        self._refused_at = -_REFUSAL_LOGGED_EVERY_S
        self._client = self._made()
        outbox.on_put = self._wake.set

    # ------------------------------------------------------------ the loop

    def run(self) -> None:
        """Publish until `stop` is set; then say that the gateway is offline."""
        o = self._options
        self._client.connect_async(
            o.host, o.port, keepalive=o.keepalive_s, clean_start=False, properties=_session()
        )
        self._client.loop_start()
        try:
            while not self._stop.is_set():
                self._turn()
                self._wake.wait(_TURN_S)
                self._wake.clear()
        finally:
            self._leave()

    @property
    def connected(self) -> bool:
        """Whether messages can go: connected, and subscribed to acknowledgements."""
        return self._subscribed.is_set()

    @property
    def clock_offset_s(self) -> float | None:
        """The edge's clock minus the platform's; None while unknown."""
        return self._clock.offset_s(time.time(), time.monotonic())

    def _turn(self) -> None:
        self._hear()
        metrics.show(self._outbox.depth, self.connected, self.clock_offset_s)
        if not self._subscribed.is_set():
            self._online = False
            return
        now = time.monotonic()
        if self._new_connection:
            self._new_connection = False
            self._dispatch.connected(self._outbox.last_seq, now)
        self._say_status(now)
        self._send(now)

    def _send(self, now: float) -> None:
        plan, outbox = self._dispatch, self._outbox
        again = plan.again(now)
        found = outbox.these(again)
        plan.gone(set(again) - {m.seq for m in found})
        room = plan.live_room()
        live = outbox.between(plan.live_after, 2**62, room) if room else []
        self._publish([*found, *live], now)
        room = plan.backlog_room(now)
        if room and plan.backlog_after < plan.live_from:
            on_the_way = plan.on_the_way
            backlog = outbox.between(plan.backlog_after, plan.live_from, room + len(on_the_way))
            self._publish([m for m in backlog if m.seq not in on_the_way][:room], now)

    def _publish(self, messages: list[Message], now: float) -> None:
        topic = f"nl/v1/{self._options.gateway}/readings"
        for message in messages:
            done = self._client.publish(topic, self._payload(message), qos=1)
            if done.rc != paho.MQTT_ERR_SUCCESS:
                return  # the connection is gone; what was not sent stays in the outbox
            self._dispatch.sent(message.seq, now)
            metrics.SENT.inc()

    def _payload(self, message: Message) -> bytes:
        head = {
            "v": 1,
            "outbox": self._outbox.name,
            "seq": message.seq,
            "sent_at": from_us(time.time_ns() // 1000),
            "readings": msgspec.Raw(message.readings.encode()),
        }
        return msgspec.json.encode(head)

    # ------------------------------------------------------------ what comes down

    def _hear(self) -> None:
        while True:
            try:
                payload, wall_s, monotonic_s = self._acks.get_nowait()
            except queue.Empty:
                return
            try:
                ack = msgspec.json.decode(payload, type=_Ack)
            except msgspec.DecodeError as e:
                log.warning("acknowledgement_unreadable", error=str(e), payload=payload[:200])
                continue
            if ack.outbox == self._outbox.name:
                self._take(ack, wall_s, monotonic_s)

    def _take(self, ack: _Ack, wall_s: float, monotonic_s: float) -> None:
        rejected = {r.seq: r.reason for r in ack.rejected}
        for seq, reason in rejected.items():
            log.warning("message_rejected_by_platform", seq=seq, reason=reason)
        self._outbox.settle(Acknowledgement(frozenset(ack.stored), rejected))
        self._dispatch.settled([*ack.stored, *rejected], monotonic_s)
        metrics.SETTLED.labels("stored").inc(len(ack.stored))
        metrics.SETTLED.labels("rejected").inc(len(rejected))
        try:
            at = datetime.fromisoformat(ack.at) if ack.at else None
        except ValueError:
            at = None
        if at is not None and at.tzinfo is not None:
            self._clock.heard(at.timestamp(), wall_s, monotonic_s)

    # ------------------------------------------------------------ status

    def _say_status(self, now: float) -> None:
        extras = self._outbox.extras_allowed
        due = now - self._status_at >= self._options.status_every_s
        if self._online and extras == self._extras and not due:
            return
        oldest = self._outbox.oldest_us
        status: dict[str, Any] = {
            "v": 1,
            "state": "online",
            "outbox_depth": self._outbox.depth,
            "extras": "polled" if extras else "stopped: the disk is nearly full",
            "meters": self._meters(),
        }
        if oldest is not None:
            status["outbox_oldest"] = from_us(oldest)
        if (offset := self.clock_offset_s) is not None:
            status["clock_offset_s"] = round(offset, 3)
        self._client.publish(self._status_topic, msgspec.json.encode(status), qos=1, retain=True)
        self._online, self._extras, self._status_at = True, extras, now

    @property
    def _status_topic(self) -> str:
        return f"nl/v1/{self._options.gateway}/status"

    def _leave(self) -> None:
        if self.connected:
            last = self._client.publish(self._status_topic, _OFFLINE, qos=1, retain=True)
            try:
                last.wait_for_publish(2.0)
            except (RuntimeError, ValueError) as e:
                log.warning("offline_not_said", error=str(e))
        self._client.disconnect()
        self._client.loop_stop()

    # ------------------------------------------------------------ paho

    def _made(self) -> paho.Client:
        o = self._options
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=f"edge-{o.gateway}", protocol=paho.MQTTv5)
        client.username_pw_set(o.username, o.password)
        if o.tls is not None:
            client.tls_set_context(o.tls)
        client.reconnect_delay_set(1, 30)
        client.max_inflight_messages_set(o.dispatch.window + 10)
        client.will_set(self._status_topic, _OFFLINE, qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _on_connect_fail(self, *_: Any) -> None:
        # paho calls this while it handles the error, and does not hand it over.
        said = explained(sys.exception(), "NENGLIU_EDGE_MQTT")
        log.warning("mqtt_away", host=self._options.host, port=self._options.port, error=said)

    def _on_connect(self, client: paho.Client, _: Any, flags: Any, reason: Any, __: Any) -> None:
        self._answered = True
        if reason.is_failure:
            log.error("mqtt_refused", reason=str(reason), gateway=self._options.gateway)
            return
        log.info("mqtt_connected", host=self._options.host, session_kept=flags.session_present)
        client.subscribe(f"nl/v1/{self._options.gateway}/ack", qos=1)

    def _on_subscribe(self, _: Any, __: Any, ___: int, reasons: list[Any], ____: Any) -> None:
        if any(r.is_failure for r in reasons):
            log.error(
                "acknowledgements_refused", gateway=self._options.gateway, reasons=[str(r) for r in reasons]
            )
            return
        self._new_connection = True
        self._subscribed.set()
        self._wake.set()

    def _on_disconnect(self, _: Any, __: Any, ___: Any, reason: Any, ____: Any) -> None:
        self._subscribed.clear()
        if not self._stop.is_set():
            early = closed_early(self._options.tls is not None, "NENGLIU_EDGE_MQTT")
            log.warning("mqtt_disconnected", reason=str(reason) if self._answered else early)
        self._answered = False

    def _on_publish(self, _: Any, __: Any, mid: int, reason: Any, ___: Any) -> None:
        now = time.monotonic()
        if reason.is_failure and now - self._refused_at >= _REFUSAL_LOGGED_EVERY_S:
            self._refused_at = now
            log.error("publish_refused", mid=mid, reason=str(reason), then="it is sent again later")

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        self._acks.put((bytes(message.payload), time.time(), time.monotonic()))
        self._wake.set()


_OFFLINE = b'{"v":1,"state":"offline"}'


def _session() -> Properties:
    properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    properties.SessionExpiryInterval = _SESSION_EXPIRY_S
    return properties
