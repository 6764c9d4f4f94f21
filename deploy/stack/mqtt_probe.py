"""The smallest MQTT 5 client: connect, publish one message with QoS 1, see it acknowledged. For readiness only."""

from __future__ import annotations

import secrets
import socket

from deploy import mqtt5
from deploy.clients import MqttEndpoint


def publish_once(endpoint: MqttEndpoint, topic: str | None, timeout_s: float = 5.0) -> None:
    """Connect, and publish an empty message to `topic` unless it is None.

    Raises OSError where nobody answers, ValueError where the broker refuses.
    """
    with endpoint.open(timeout_s) as wire:
        client_id = f"nengliu-ready-{secrets.token_hex(4)}"
        wire.sendall(mqtt5.connect(client_id, endpoint.username, endpoint.password, 10))
        kind, body = _receive(wire)
        if kind != mqtt5.CONNACK or len(body) < 2 or body[1] >= mqtt5.FAILED_FROM:
            raise ValueError(f"connection refused, reason code {body[1] if len(body) > 1 else '?'}")
        if topic is not None:
            _publish(wire, topic)
        wire.sendall(mqtt5.DISCONNECT)


def _publish(wire: socket.socket, topic: str) -> None:
    wire.sendall(mqtt5.publish(topic, b"", 1))
    kind, body = _receive(wire)
    if kind != mqtt5.PUBACK or (len(body) > 2 and body[2] >= mqtt5.FAILED_FROM):
        raise ValueError(f"publish refused, reason code {body[2] if len(body) > 2 else '?'}")


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
