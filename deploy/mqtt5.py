"""Packets of MQTT 5 as bytes, for what must cost little itself or sends what no client library does: benchmarks, and
the probe whether a broker is ready.

Source: MQTT 5.0, 1.5 (data types), 2.1 (fixed header), 3.1 (CONNECT), 3.3 (PUBLISH).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator

CONNACK, PUBACK, PUBREC, PUBCOMP = 0x20, 0x40, 0x50, 0x70
DISCONNECT = b"\xe0\x00"
#: Reason codes from here on say that something failed (2.4).
FAILED_FROM = 0x80


def varint(n: int) -> bytes:
    """A variable byte integer (1.5.5)."""
    out = b""
    while True:
        n, digit = n >> 7, n & 0x7F
        out += bytes([digit | (0x80 if n else 0)])
        if not n:
            return out


def string(text: str) -> bytes:
    """A UTF-8 string with its length before it; whether MQTT allows its characters is the caller's business."""
    data = text.encode()
    return struct.pack(">H", len(data)) + data


def packet(first: int, body: bytes) -> bytes:
    """A control packet. first: type and flags."""
    return bytes([first]) + varint(len(body)) + body


def connect(client_id: str, user: str | None, password: str | None, keepalive_s: int = 0) -> bytes:
    """CONNECT with a clean start, and a user where there is one; keepalive_s: 0 is without end."""
    flags = 0x02 | (0x80 if user else 0) | (0x40 if password else 0)
    head = string("MQTT") + struct.pack(">BBHB", 5, flags, keepalive_s, 0)
    return packet(
        0x10, b"".join([head, string(client_id), *(string(text) for text in (user, password) if text)])
    )


def publish(
    topic: str,
    payload: bytes,
    mid: int = 0,
    qos: int = 1,
    dup: bool = False,
    retain: bool = False,
    properties: bytes = b"",
) -> bytes:
    """PUBLISH, of whatever QoS and properties (encoded) is given. mid: packet id, where qos is not 0."""
    first = 0x30 | dup << 3 | qos << 1 | retain
    middle = struct.pack(">H", mid) if qos else b""
    return packet(first, b"".join((string(topic), middle, varint(len(properties)), properties, payload)))


def user_properties(pairs: Iterable[tuple[str, str]]) -> bytes:
    """Encoded user properties (3.3.2.3.7)."""
    return b"".join(b"\x26" + string(k) + string(v) for k, v in pairs)


def topic_alias(number: int) -> bytes:
    """An encoded topic alias (3.3.2.3.4)."""
    return b"\x23" + struct.pack(">H", number)


def pubrel(mid: int) -> bytes:
    """PUBREL: the second half of QoS 2."""
    return packet(0x62, struct.pack(">H", mid))


def take_packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """(first byte, body) of each whole packet in `buffer`, which keeps the rest."""
    at = 0
    while at + 1 < len(buffer):
        length, shift, p = 0, 0, at + 1
        while p < len(buffer):
            length |= (buffer[p] & 0x7F) << shift
            shift += 7
            p += 1
            if buffer[p - 1] < 0x80:
                break
        else:
            break
        if p + length > len(buffer):
            break
        yield buffer[at], bytes(buffer[p : p + length])
        at = p + length
    del buffer[:at]


def answer_of(body: bytes) -> tuple[int, int]:
    """(packet id, reason code) of a PUBACK, PUBREC or PUBCOMP; no code is success (3.4.2.1)."""
    return struct.unpack_from(">H", body)[0], body[2] if len(body) > 2 else 0
