"""One simulated gateway's connection: MQTT v5, QoS 1, last will, durable acknowledgements coming back."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from metering.errors import DependencyAwayError

_KEEPALIVE_S = 60


@dataclass(frozen=True, slots=True)
class GatewayConnection:
    """Where and as whom a gateway connects; the user name is the gateway's id. `tls`: None for plain MQTT."""

    host: str
    port: int
    username: str
    password: str
    connect_timeout_s: float = 15.0
    tls: ssl.SSLContext | None = None


class Rejected(msgspec.Struct, frozen=True):
    """A message that is in the dead letters as a whole."""

    seq: int
    reason: str


class DurableAck(msgspec.Struct, frozen=True):
    """Payload of nl/v1/{gateway}/ack, as contracted."""

    v: int
    outbox: str | None = None
    at: str | None = None
    stored: tuple[int, ...] = ()
    rejected: tuple[Rejected, ...] = ()


@dataclass(frozen=True, slots=True)
class Incoming:
    """What came of a gateway's connection: an acknowledgement, or a failure that cannot mend itself."""

    gateway: str
    ack: DurableAck | None = None
    failure: str | None = None


_decode_ack = msgspec.json.Decoder(DurableAck).decode


class GatewayClient:
    """One gateway's MQTT client, with its own network thread; what comes in is handed to `on_event`."""

    def __init__(
        self, gateway: str, connection: GatewayConnection, on_event: Callable[[Incoming], None]
    ) -> None:
        self._gateway = gateway
        self._connection = connection
        self._on_event = on_event
        self._ready = threading.Event()
        self._refused: str | None = None
        self._closing = False
        client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=f"simulated-{gateway}", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.username_pw_set(connection.username, connection.password)
        if connection.tls is not None:
            client.tls_set_context(connection.tls)
        client.will_set(self._topic("status"), self._status("offline"), qos=1, retain=True)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        self._client = client

    def connect(self) -> None:
        """Connect and return when acknowledgements can come in. Raises DependencyAwayError."""
        c = self._connection
        where = f"MQTT broker at {c.host}:{c.port}"
        try:
            self._client.connect(c.host, c.port, _KEEPALIVE_S, clean_start=True)
        except OSError as e:
            raise DependencyAwayError(
                f"{where} is not to be reached: {e}; `nengliu up` starts the local one"
            ) from e
        self._client.loop_start()
        if not self._ready.wait(c.connect_timeout_s):
            raise DependencyAwayError(
                f"{where} does not answer gateway {self._gateway} in {c.connect_timeout_s:.0f} s"
            )
        if self._refused is not None:
            raise DependencyAwayError(
                f"{where} refuses gateway {self._gateway}: {self._refused}; "
                "`nengliu gateway add` gives it a password"
            )

    def publish_readings(self, payload: bytes) -> None:
        """Publish one v1 message; queued while the broker is away."""
        self._client.publish(self._topic("readings"), payload, qos=1)

    def close(self, *, final: bool) -> None:
        """Say offline, wait shortly until the broker has it, and disconnect; final: nothing will ever
        follow.
        """
        self._closing = True
        if self._client.is_connected():
            extra = {"final": True} if final else {}
            said = self._client.publish(
                self._topic("status"), self._status("offline", **extra), qos=1, retain=True
            )
            if said.rc == MQTTErrorCode.MQTT_ERR_SUCCESS:
                said.wait_for_publish(timeout=10 if final else 1)
        self._client.disconnect()
        self._client.loop_stop()

    def _topic(self, leaf: str) -> str:
        return f"nl/v1/{self._gateway}/{leaf}"

    @staticmethod
    def _status(state: str, **extra: Any) -> bytes:
        sent_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        return msgspec.json.encode({"v": 1, "state": state, "sent_at": sent_at, **extra})

    def _on_connect(
        self, client: paho.Client, _userdata: Any, _flags: Any, reason: ReasonCode, _props: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refused = str(reason)
            self._ready.set()
            return
        client.subscribe(self._topic("ack"), qos=1)
        client.publish(self._topic("status"), self._status("online"), qos=1, retain=True)

    def _on_subscribe(
        self,
        _client: paho.Client,
        _userdata: Any,
        _mid: int,
        reasons: list[ReasonCode],
        _props: Properties | None,
    ) -> None:
        if any(r.is_failure for r in reasons):
            self._refused = f"{reasons[0]} on {self._topic('ack')}"
        self._ready.set()

    def _on_message(self, _client: paho.Client, _userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            ack = _decode_ack(message.payload)
        except msgspec.MsgspecError as e:
            self._on_event(Incoming(self._gateway, failure=f"acknowledgement that is none: {e}"))
            return
        self._on_event(Incoming(self._gateway, ack=ack))

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, _mid: int, reason: ReasonCode, _props: Properties | None
    ) -> None:
        if reason.is_failure and not self._closing:
            self._on_event(Incoming(self._gateway, failure=f"the broker refuses a message: {reason}"))
