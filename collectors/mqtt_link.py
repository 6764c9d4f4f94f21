"""The bridge's connection to the broker: paho-mqtt for the protocol, with our own loop and our own way of
reading.

paho's receive path costs about 90 us a message (a system call for each of the first bytes, a Properties
object, a log line, callbacks under locks). Here the socket is read in large pieces and PUBLISH packets are
taken apart directly; every other packet goes to paho's own handling. PUBACKs of one round leave in one
write. See docs/decisions/mqtt-client.md; the private names of paho that this rests on are listed in
`PRIVATE_NAMES` and checked by a test.
"""

from __future__ import annotations

import ssl
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import paho.mqtt.client as paho
import structlog
from paho.mqtt import MQTTException
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from collectors.tls_errors import closed_early, explained

log = structlog.get_logger(__name__)

PRIVATE_NAMES = (
    "_handle_publish",
    "_in_packet",
    "_last_bytes_received",
    "_loop_rc_handle",
    "_packet_handle",
    "_packet_queue",
    "_msgtime_mutex",
)

_READ_BYTES = 256 * 1024
_READ_AT_MOST = 4 * _READ_BYTES
#: A read of less than this has most likely emptied a plain socket.
_SHORT_READ = _READ_BYTES // 4
_PUBLISH = 0x30
_PUBACK = 0x40
_SESSION_TAKEN_OVER = 0x8E


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Where and as whom to connect. `receive_maximum`: PUBLISHes that the broker may have unacknowledged."""

    host: str
    port: int
    username: str | None
    password: str | None
    client_id: str
    subscriptions: tuple[str, ...]
    keepalive_s: int = 15
    receive_maximum: int = 2000
    session_expiry_s: int = 86_400
    connect_timeout_s: float = 5.0
    tls: ssl.SSLContext | None = None


@dataclass(slots=True)
class Incoming:
    """A PUBLISH as it came. `mid` is 0 with QoS 0."""

    topic: str
    payload: bytes
    mid: int
    dup: bool
    retain: bool
    user_properties: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class _State:
    answered: bool = False
    ready: bool = False
    reading_wants_write: bool = False
    unsubscribed: int = 0
    session_present: bool = False
    refused: str | None = None
    lost: str | None = None
    taken_over: bool = False
    denied: list[str] = field(default_factory=list)


class ProtocolError(Exception):
    """The broker sent what is not MQTT 5; the connection is given up."""


def _properties(packet_type: int) -> Properties:
    return Properties(packet_type)  # type: ignore[no-untyped-call]


def split_packets(buffer: bytearray | bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Take whole MQTT packets off the front of `buffer`: [(first byte, body)], and how many bytes they were.

    Raises ProtocolError where a length has more than four bytes (MQTT 5.0, 1.5.5).
    """
    packets: list[tuple[int, bytes]] = []
    at, end = 0, len(buffer)
    with memoryview(buffer) as view:
        while at + 1 < end:
            length, shift, p = 0, 0, at + 1
            while True:
                if p >= end:
                    return packets, at
                byte = view[p]
                p += 1
                length |= (byte & 0x7F) << shift
                if byte < 0x80:
                    break
                shift += 7
                if shift > 21:
                    raise ProtocolError("a packet's length has more than four bytes")
            if p + length > end:
                break
            packets.append((view[at], bytes(view[p : p + length])))
            at = p + length
    return packets, at


def why_disconnected(reason: ReasonCode) -> str:
    """What to say of a connection that the broker ended, and what to do where it is told."""
    if reason.value == _SESSION_TAKEN_OVER:
        return (
            "disconnected: another client took the session over; give every bridge of a broker "
            "its own NENGLIU_BRIDGE_ID"
        )
    return f"disconnected: {reason}"


def read_publish(first: int, body: bytes) -> Incoming:
    """Take a PUBLISH apart (MQTT 5.0, 3.3). Raises ProtocolError where it is shorter than it says.

    Text that is not UTF-8 and properties that cannot be read are the publisher's fault, not the connection's: they are
    replaced and left out, so that one such message cannot come again and again.
    """
    try:
        topic_end = 2 + (body[0] << 8 | body[1])
        topic = body[2:topic_end].decode("utf-8", "replace")
        at, mid = topic_end, 0
        if first & 0x06:
            mid = body[at] << 8 | body[at + 1]
            at += 2
        properties: tuple[tuple[str, str], ...] = ()
        if body[at] == 0:
            at += 1
        else:
            end = _end_of_properties(body, at)
            properties = _user_properties(body[at:end])
            at = end
    except IndexError as e:
        raise ProtocolError("a PUBLISH is shorter than it says") from e
    return Incoming(topic, body[at:], mid, bool(first & 0x08), bool(first & 0x01), properties)


def _end_of_properties(body: bytes, at: int) -> int:
    """Where the properties that start at `at` end; IndexError beyond the body."""
    length = shift = 0
    while True:
        byte = body[at]
        at += 1
        length |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 21:
            raise ProtocolError("a property length has more than four bytes")
    if at + length > len(body):
        raise IndexError
    return at + length


def _user_properties(packed: bytes) -> tuple[tuple[str, str], ...]:
    unpacked = _properties(PacketTypes.PUBLISH)
    try:
        unpacked.unpack(packed)  # type: ignore[no-untyped-call]
    except (IndexError, KeyError, ValueError, struct.error, MQTTException):
        log.warning("mqtt_properties_unreadable", packed=packed[:100].hex())
        return ()
    return tuple(getattr(unpacked, "UserProperty", ()))


class MqttLink:
    """One client of the broker with a persistent session. All methods are called from one thread."""

    def __init__(self, options: LinkOptions, on_publish: Callable[[Incoming], None]) -> None:
        self._options = options
        self._on_publish = on_publish
        self._buffer = bytearray()
        self._state = _State()
        self._unconfirmed = 0
        client = paho.Client(CallbackAPIVersion.VERSION2, client_id=options.client_id, protocol=paho.MQTTv5)
        client.username_pw_set(options.username, options.password)
        client.manual_ack_set(True)
        client.max_inflight_messages_set(500)
        client.connect_timeout = options.connect_timeout_s
        if options.tls is not None:
            client.tls_set_context(options.tls)
        # TLS gives one record of at most 16 KiB a read, however much there is.
        self._short_read = _SHORT_READ if options.tls is None else 0
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_subscribe = self._subscribed
        client.on_unsubscribe = self._unsubscribed
        client.on_publish = self._acknowledged
        self._client = client

    # ------------------------------------------------------------ connection

    def connect(self) -> None:
        """Open the connection and send CONNECT; the answer comes with `read`. Raises OSError."""
        self._buffer.clear()
        self._state = _State()
        o = self._options
        properties = _properties(PacketTypes.CONNECT)
        properties.ReceiveMaximum = o.receive_maximum
        properties.SessionExpiryInterval = o.session_expiry_s
        self._client.connect(
            o.host, o.port, keepalive=o.keepalive_s, clean_start=False, properties=properties
        )

    @property
    def ready(self) -> bool:
        """Whether the broker accepted us and granted the subscriptions."""
        return self._state.ready

    @property
    def lost(self) -> str | None:
        """Why there is no connection; None while there is one."""
        if self._state.refused or self._state.lost:
            return self._state.refused or self._state.lost
        return "not connected" if self._client.socket() is None else None

    @property
    def taken_over(self) -> bool:
        """Whether another client with our id has taken the session over."""
        return self._state.taken_over

    @property
    def denied(self) -> list[str]:
        """Subscriptions that the broker did not grant."""
        return self._state.denied

    @property
    def session_present(self) -> bool:
        """Whether the broker had kept our session."""
        return self._state.session_present

    def fileno(self) -> int | None:
        """The socket's descriptor; None where there is no connection."""
        sock = self._client.socket()
        return None if sock is None else int(sock.fileno())

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be written."""
        return self._state.reading_wants_write or bool(self._client.want_write())

    @property
    def has_decrypted(self) -> bool:
        """Whether TLS holds bytes that were taken off the socket and not read yet: the socket need not be readable."""
        sock = None if self._options.tls is None else self._client.socket()
        return isinstance(sock, ssl.SSLSocket) and sock.pending() > 0

    def drop(self, why: str) -> None:
        """Give the connection up without a word: the broker sends everything unacknowledged again."""
        self._state.lost = self._state.lost or why
        self._client._sock_close()  # no public way to end a connection without DISCONNECT

    def disconnect(self, end_session: bool = False) -> None:
        """Say good-bye; the session stays at the broker, unless it is to end."""
        if self._client.socket() is None:
            return
        properties = None
        if end_session:
            properties = _properties(PacketTypes.DISCONNECT)
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        self._client.loop_write()

    def unsubscribe(self) -> None:
        """Ask the broker to send nothing new. What it sends before its answer was for us; see `unsubscribed`."""
        self._client.unsubscribe(list(self._options.subscriptions))

    @property
    def unsubscribed(self) -> int:
        """How often the broker has answered `unsubscribe` on this connection."""
        return self._state.unsubscribed

    # ------------------------------------------------------------ reading and writing

    def read(self) -> None:
        """Read what is there, up to a bound, and hand every whole PUBLISH over in order."""
        taken = 0
        while taken < _READ_AT_MOST:
            sock = self._client.socket()
            if sock is None:
                return
            try:
                data = sock.recv(_READ_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                return
            except ssl.SSLWantWriteError:
                self._state.reading_wants_write = True
                return
            except OSError as e:
                self._lose(f"reading failed: {explained(e, 'NENGLIU_MQTT')}")
                return
            if not data:
                self._lose(self._why_closed())
                return
            self._received(data)
            taken += len(data)
            if len(data) < self._short_read:
                return

    def _why_closed(self) -> str:
        if self._state.answered:
            return "the broker closed the connection"
        return closed_early(self._options.tls is not None, "NENGLIU_MQTT")

    def _received(self, data: bytes) -> None:
        with self._client._msgtime_mutex:
            self._client._last_bytes_received = time.monotonic()
        self._buffer += data
        try:
            packets, used = split_packets(self._buffer)
            del self._buffer[:used]
            for first, body in packets:
                self._take(first, body)
        except ProtocolError as e:
            log.error("mqtt_protocol_error", error=str(e))
            self._lose(str(e))

    def _take(self, first: int, body: bytes) -> None:
        if first & 0xF0 == _PUBLISH and first & 0x06 != 0x04:
            self._on_publish(read_publish(first, body))
            return
        self._client._in_packet = {
            "command": first,
            "have_remaining": 1,
            "remaining_count": [],
            "remaining_mult": 1,
            "remaining_length": len(body),
            "packet": bytearray(body),
            "to_process": 0,
            "pos": 0,
        }
        rc = self._client._packet_handle()
        if rc:
            self._lose(f"paho: {paho.error_string(rc)}")

    def _lose(self, why: str) -> None:
        self._state.lost = self._state.lost or why
        self._client._loop_rc_handle(MQTTErrorCode.MQTT_ERR_CONN_LOST)

    def write(self) -> None:
        """Write what waits, as much as the socket takes."""
        if self._state.reading_wants_write:
            self._state.reading_wants_write = False
            self.read()
        self._client.loop_write()

    def misc(self, reading: bool = True) -> None:
        """Keep-alive; call it about once a second. A broker that is silent for two keep-alives is given up, but not
        where we are the ones who do not read.
        """
        if not reading:
            with self._client._msgtime_mutex:
                self._client._last_bytes_received = time.monotonic()
        self._client.loop_misc()

    def acknowledge(self, mids: list[int]) -> None:
        """Send PUBACKs (reason Success, short form) in this order, in one write."""
        if mids and self._client.socket() is not None:
            packet = b"".join(struct.pack(">BBH", _PUBACK, 2, mid) for mid in mids)
            self._client._packet_queue(_PUBACK, packet, mids[-1], 0)

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Publish; with QoS 1 paho sends it again after a reconnect until the broker has it."""
        self._client.publish(topic, payload, qos=qos)
        self._unconfirmed += 1

    @property
    def unconfirmed(self) -> int:
        """Publishes of ours that the broker has not confirmed yet."""
        return self._unconfirmed

    # ------------------------------------------------------------ paho's callbacks

    def _connected(
        self,
        client: paho.Client,
        _: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        __: Properties | None,
    ) -> None:
        self._state.answered = True
        if reason.is_failure:
            self._state.refused = f"the broker refused the connection: {reason}"
            return
        self._state.session_present = flags.session_present
        self._state.ready = not self._options.subscriptions
        if self._options.subscriptions:
            options = SubscribeOptions(qos=1)
            client.subscribe([(topic, options) for topic in self._options.subscriptions])

    def _disconnected(
        self,
        _: paho.Client,
        __: object,
        ___: paho.DisconnectFlags,
        reason: ReasonCode,
        ____: Properties | None,
    ) -> None:
        said = why_disconnected(reason) if self._state.answered else self._why_closed()
        self._state.lost = self._state.lost or said
        self._state.taken_over = reason.value == _SESSION_TAKEN_OVER

    def _subscribed(
        self, _: paho.Client, __: object, ___: int, reasons: list[ReasonCode], ____: Properties | None
    ) -> None:
        for topic, reason in zip(self._options.subscriptions, reasons, strict=False):
            if reason.is_failure:
                self._state.denied.append(f"{topic}: {reason}")
        self._state.ready = not self._state.denied

    def _unsubscribed(
        self, _: paho.Client, __: object, ___: int, ____: list[ReasonCode], _____: Properties | None
    ) -> None:
        self._state.unsubscribed += 1

    def _acknowledged(
        self, _: paho.Client, __: object, ___: int, reason: ReasonCode, ____: Properties | None
    ) -> None:
        self._unconfirmed -= 1
        if reason.is_failure:
            log.warning("ack_publish_refused", reason=str(reason))
