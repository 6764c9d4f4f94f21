"""Sparkplug B payloads as fields that can be edited: other numbers, other wire types, lengths that lie."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from random import Random
from typing import NamedTuple

from simulators.sparkplug_payloads import varint

from .chance import below, few, pick


class Field(NamedTuple):
    """A field as it came. value: of wire type 0 a number, else bytes; for a metric its fields."""

    number: int
    wire: int
    value: int | bytes | tuple[Field, ...]


Fields = tuple[Field, ...]

_METRIC = 2
_WHOLE = (0, 1, 2, 3, 127, 128, 255, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
_TIMES = (1_393_604_100_000, 1_393_608_000_000, 1_393_608_000_001, 946_684_799_999, 1_393_604_100, 2**62)
_NAMES = (
    b"1.8.0",
    b"2.8.0",
    b"16.7.0",
    b"m/1.8.0",
    b"a/b/16.7.0",
    b"/1.8.0",
    b"bdSeq",
    b"Node Control/Rebirth",
    b"Properties/x",
    b"Energy/Active Import",
    b"Temperature",
    b"9.9.9",
    b"",
    b"/",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    b"a\x00b",
    b"x" * 129 + b"/1.8.0",
    "表".encode() * 60,
    b"undeclared:1.8.0",
)
_DOUBLES = tuple(
    struct.pack("<d", x)
    for x in (0.0, -0.0, 1.5, -1.0, 1e308, 5e-324, float("inf"), float("-inf"), float("nan"))
)
_FLOATS = tuple(
    struct.pack("<f", x)
    for x in (0.0, -0.0, 1.5, 0.1, -1.0, 3.4028234e38, 1e-45, float("inf"), float("-inf"), float("nan"))
)


def parsed(data: bytes) -> Fields | None:
    """The fields of a payload, those of its metrics among them; None where it is not a payload."""
    return _fields(data, top=True)


def _fields(data: bytes, top: bool) -> Fields | None:
    out: list[Field] = []
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if at < 0 or not number:
            return None
        value: int | bytes | Fields
        if wire == 0:
            value, at = _varint(data, at)
        elif wire in (1, 5):
            size = 8 if wire == 1 else 4
            value, at = data[at : at + size], at + size
        elif wire == 2:
            size, at = _varint(data, at)
            value, at = data[at : at + size], (at + size if at >= 0 else at)
            inner = _fields(value, top=False) if top and number == _METRIC else None
            value = value if inner is None else inner
        else:
            return None
        if not 0 <= at <= len(data):
            return None
        out.append(Field(number, wire, value))
    return tuple(out)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """(number, where it ends); the end is -1 where there is none."""
    number = shift = 0
    while 0 <= at < len(data) and shift < 70:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at
    return 0, -1


def written(fields: Sequence[Field], rng: Random | None = None) -> bytes:
    """The bytes of fields. rng: now and then a length lies."""
    out: list[bytes] = []
    for number, wire, value in fields:
        out.append(varint(number << 3 | wire))
        if isinstance(value, int):
            out.append(varint(value))
            continue
        data = written(value, rng) if isinstance(value, tuple) else value
        if wire == 2:
            lie = pick(rng, (-1, 1, 5, 2**31)) if rng is not None and rng.random() < 0.01 else 0
            out.append(varint(max(0, len(data) + lie)))
        out.append(data)
    return b"".join(out)


def edited(fields: Fields, rng: Random, others: Sequence[Fields]) -> bytes:
    """One to five fields of a payload, or of its metrics, changed."""
    for _ in range(few(rng, 5)):
        fields = _edit(fields, rng, others, top=True)
    return written(fields, rng)


def _edit(fields: Fields, rng: Random, others: Sequence[Fields], top: bool) -> Fields:
    at = below(rng, len(fields) + 1)
    what = rng.random()
    if at == len(fields) or what < 0.1:
        return (*fields[:at], _some_field(rng, others, top), *fields[at:])
    old = fields[at]
    if isinstance(old.value, tuple) and what < 0.8:
        return (*fields[:at], old._replace(value=_edit(old.value, rng, others, top=False)), *fields[at + 1 :])
    if what < 0.2:
        return fields[:at] + fields[at + 1 :]
    if what < 0.3:
        return (*fields[:at], *([old] * few(rng, 6)), *fields[at:])
    if what < 0.35:
        return (*fields[:at], old._replace(wire=below(rng, 8)), *fields[at + 1 :])
    if what < 0.4:
        return (*fields[:at], old._replace(number=1 + below(rng, 20)), *fields[at + 1 :])
    return (*fields[:at], _changed(old, rng), *fields[at + 1 :])


def _changed(field: Field, rng: Random) -> Field:
    if isinstance(field.value, int):
        return field._replace(value=pick(rng, _TIMES) if rng.random() < 0.2 else _whole(rng))
    if isinstance(field.value, bytes):
        return field._replace(value=_bytes(field.wire, rng))
    return field


def _whole(rng: Random) -> int:
    return pick(rng, _WHOLE) if rng.random() < 0.7 else rng.getrandbits(1 + below(rng, 64))


def _bytes(wire: int, rng: Random) -> bytes:
    if wire == 1:
        return pick(rng, _DOUBLES) if rng.random() < 0.6 else rng.randbytes(8)
    if wire == 5:
        return pick(rng, _FLOATS) if rng.random() < 0.6 else rng.randbytes(4)
    return pick(rng, _NAMES) if rng.random() < 0.8 else rng.randbytes(few(rng, 12))


def _some_field(rng: Random, others: Sequence[Fields], top: bool) -> Field:
    if not top:
        return _metric_field(rng, pick(rng, (1, 2, 3, 4, 7, 10, 11, 12, 13, 14, 15, 16, 17)))
    what = rng.random()
    if what < 0.2:
        return Field(pick(rng, (1, 3)), 0, pick(rng, _TIMES))
    if what < 0.5:
        other = pick(rng, others)
        if other:
            return pick(rng, other)
    return Field(_METRIC, 2, metric(rng))


def _metric_field(rng: Random, number: int) -> Field:
    wire = {1: 2, 12: 5, 13: 1}.get(number, 2 if number >= 15 else 0)
    if wire:
        return Field(number, wire, _bytes(wire, rng))
    if number == 2:
        return Field(2, 0, below(rng, 4))
    if number == 3:
        return Field(3, 0, pick(rng, _TIMES))
    return Field(number, 0, below(rng, 21) if number == 4 else _whole(rng))


def metric(rng: Random) -> Fields:
    """A metric made anew."""
    numbers = [n for n in (1, 2, 3, 4) if rng.random() < (0.8, 0.4, 0.3, 0.6)[n - 1]]
    numbers.append(pick(rng, (7, 10, 11, 11, 12, 12, 13, 13, 13, 14, 15, 16, 17)))
    return tuple(_metric_field(rng, n) for n in numbers)
