"""The smallest MQTT 5 client: connect, publish one message with QoS 1, see it acknowledged. For readiness only."""

from __future__ import annotations

import secrets
import socket
import struct

from deploy.clients import MqttEndpoint

_CONNECT = 0x10
_CONNACK = 0x20
_PUBLISH_QOS1 = 0x32
_PUBACK = 0x40
_DISCONNECT = 0xE0
_REFUSED_FROM = 0x80


def publish_once(endpoint: MqttEndpoint, topic: str | None, timeout_s: float = 5.0) -> None:
    """Connect, and publish an empty message to `topic` unless it is None.

    Raises OSError where nobody answers, ValueError where the broker refuses.
    """
    with _connected(endpoint, timeout_s) as wire:
        wire.sendall(_packet(_CONNECT, _connect_body(endpoint)))
        kind, body = _receive(wire)
        if kind != _CONNACK or len(body) < 2 or body[1] >= _REFUSED_FROM:
            raise ValueError(f"connection refused, reason code {body[1] if len(body) > 1 else '?'}")
        if topic is not None:
            _publish(wire, topic)
        wire.sendall(_packet(_DISCONNECT, b""))


def _connected(endpoint: MqttEndpoint, timeout_s: float) -> socket.socket:
    wire = socket.create_connection((endpoint.host, endpoint.port), timeout=timeout_s)
    if endpoint.tls is None:
        return wire
    try:
        return endpoint.tls.wrap_socket(wire, server_hostname=endpoint.host)
    except BaseException:
        wire.close()
        raise


def _publish(wire: socket.socket, topic: str) -> None:
    wire.sendall(_packet(_PUBLISH_QOS1, _string(topic) + b"\0\1" + b"\0"))
    kind, body = _receive(wire)
    if kind != _PUBACK or (len(body) > 2 and body[2] >= _REFUSED_FROM):
        raise ValueError(f"publish refused, reason code {body[2] if len(body) > 2 else '?'}")


def _connect_body(endpoint: MqttEndpoint) -> bytes:
    flags = 0x02 | (0x80 if endpoint.username else 0) | (0x40 if endpoint.password else 0)
    body = _string("MQTT") + bytes([5, flags]) + struct.pack("!H", 10) + b"\0"
    body += _string(f"nengliu-ready-{secrets.token_hex(4)}")
    for text in (endpoint.username, endpoint.password):
        if text:
            body += _string(text)
    return body


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("!H", len(data)) + data


def _packet(kind: int, body: bytes) -> bytes:
    length, left = bytearray(), len(body)
    while True:
        left, digit = divmod(left, 128)[0], left % 128
        length.append(digit | (0x80 if left else 0))
        if not left:
            return bytes([kind]) + bytes(length) + body


def _receive(wire: socket.socket) -> tuple[int, bytes]:
    kind = _exactly(wire, 1)[0]
    length = shift = 0
    while True:
        digit = _exactly(wire, 1)[0]
        length |= (digit & 0x7F) << shift
        shift += 7
        if not digit & 0x80:
            return kind & 0xF0, _exactly(wire, length)


def _exactly(wire: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = wire.recv(count - len(data))
        if not more:
            raise ConnectionError("the broker closed the connection")
        data += more
    return data
