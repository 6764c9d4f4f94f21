"""Sparkplug B payloads written byte by byte, from the field numbers of the specification: no mirror of the decoder."""

from __future__ import annotations

import struct
from typing import Any


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def data(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def metric(
    name: str | None = None,
    value: Any = None,
    *,
    alias: int | None = None,
    ts_ms: int | None = None,
    datatype: int | None = None,
) -> bytes:
    """value: int -> long_value, float -> double_value, bool, str, bytes (float_value, packed), None: is_null."""
    out = b"" if name is None else data(1, name.encode())
    out += b"" if alias is None else number(2, alias)
    out += b"" if ts_ms is None else number(3, ts_ms)
    out += b"" if datatype is None else number(4, datatype)
    if value is None:
        return out + number(7, 1)
    if isinstance(value, bool):
        return out + number(14, value)
    if isinstance(value, int):
        return out + number(11, value)
    if isinstance(value, float):
        return out + varint(13 << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, bytes):
        return out + varint(12 << 3 | 5) + value
    return out + data(15, value.encode())


def payload(*metrics: bytes, seq: int | None = None, ts_ms: int | None = None) -> bytes:
    out = b"" if ts_ms is None else number(1, ts_ms)
    out += b"".join(data(2, m) for m in metrics)
    return out + (b"" if seq is None else number(3, seq))
