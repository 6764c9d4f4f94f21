"""Payloads of any format with some of their bytes changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from random import Random

from .chance import below, few, pick

#: An input grows no further by these edits; `blown_up` makes the large ones.
LONGEST = 2048

_BYTES = (
    b"\x00",
    b"\x01",
    b"\x16",
    b"\x68",
    b"\x7f",
    b"\x80",
    b"\x91",
    b"\xc0",
    b"\xfe",
    b"\xff",
    b'"',
    b"\\",
)
_TOKENS = (
    *_BYTES,
    b"\xef\xbb\xbf",
    b"\xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xc0\x80",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x80" * 11,
    b"\xfe\xfe\xfe\xfe\x68",
    b"\r\n",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"{}",
    b"[]",
    b"null",
    b"true",
    b"NaN",
    b"-Infinity",
    b"1e999",
    b"\\ud800",
    b"\\u0000",
)
_NUMBERS = (
    b"0",
    b"-0",
    b"-1",
    b"255",
    b"256",
    b"1e999",
    b"-1e999",
    b"1e-999",
    b"NaN",
    b"Infinity",
    b"2147483648",
    b"9223372036854775807",
    b"9223372036854775808",
    b"18446744073709551616",
    b"9" * 301,
    b"9" * 4400,
    b"0.1",
    b"00",
    b"1.",
    b".5",
    b"1e5",
)
_NUMBER = re.compile(rb"-?\d[\d.eE+-]*")

Edit = Callable[[bytes, Random, Sequence[bytes]], bytes]


def _stretch(data: bytes, rng: Random, most: int = 24) -> tuple[int, int]:
    at = below(rng, len(data) + 1)
    return at, min(len(data), at + few(rng, most))


def _flip(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    if not data:
        return data
    at = below(rng, len(data))
    return data[:at] + bytes((data[at] ^ (1 << below(rng, 8)),)) + data[at + 1 :]


def _overwrite(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = below(rng, len(data) + 1)
    new = pick(rng, _BYTES) if rng.random() < 0.5 else bytes((below(rng, 256),))
    return data[:at] + new + data[at + 1 :]


def _insert(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = below(rng, len(data) + 1)
    new = pick(rng, _TOKENS) if rng.random() < 0.7 else rng.randbytes(few(rng, 8))
    return data[:at] + new + data[at:]


def _delete(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, rng)
    return data[:start] + data[end:]


def _double(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, rng, 60)
    return data[:end] + data[start:end] + data[end:]


def _move(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, rng)
    moved, rest = data[start:end], data[:start] + data[end:]
    at = below(rng, len(rest) + 1)
    return rest[:at] + moved + rest[at:]


def _repeat(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    start, end = _stretch(data, rng, 40)
    return data[:end] + data[start:end] * few(rng, 16) + data[end:]


def _truncate(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    at = below(rng, len(data) + 1)
    return data[:at] if rng.random() < 0.8 else data[at:]


def _splice(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    other = pick(rng, others)
    return data[: below(rng, len(data) + 1)] + other[below(rng, len(other) + 1) :]


def _join(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    return data + pick(rng, others)


def _number(data: bytes, rng: Random, _: Sequence[bytes]) -> bytes:
    """Another number in the place of one that is written in digits."""
    found = _NUMBER.search(data, below(rng, len(data) + 1))
    if found is None:
        return data
    return data[: found.start()] + pick(rng, _NUMBERS) + data[found.end() :]


_EDITS: tuple[Edit, ...] = (
    _flip,
    _flip,
    _overwrite,
    _insert,
    _insert,
    _delete,
    _double,
    _move,
    _repeat,
    _truncate,
    _splice,
    _join,
    _number,
)


def edited(data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
    """One to five edits of a payload. others: payloads to splice with."""
    for _ in range(few(rng, 5)):
        data = pick(rng, _EDITS)(data, rng, others)
    return data[:LONGEST]


def blown_up(data: bytes, rng: Random, limit: int) -> bytes:
    """A stretch of a payload, again and again, up to a length about or far below `limit`."""
    start, end = _stretch(data, rng, 80)
    block = data[start:end] or b"\x68"
    wanted = limit + below(rng, 40) - 20 if rng.random() < 0.3 else below(rng, limit // 4)
    room = max(0, wanted - len(data))
    return data[:end] + block * (room // len(block)) + data[end:]
