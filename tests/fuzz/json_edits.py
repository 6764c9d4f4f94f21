"""JSON texts whose tree was changed: they stay JSON, so they come past the first check."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from .chance import below, few, pick
from .json_spans import Spans, spans

_TEXTS = (
    b'""',
    b'" "',
    b'"\\u0000"',
    b'"\\ud800"',
    b'"\\udfff\\ud800"',
    b'"\\ud83d\\ude00"',
    b'"' + b"a" * 128 + b'"',
    b'"' + b"a" * 129 + b'"',
    b'"' + "表".encode() * 128 + b'"',
    b'"' + b"x" * 3000 + b'"',
    b'"\xf0\x9f\x98\x80"',
    b'"\xed\xa0\x80"',
    b'"\xff"',
    b'"\n"',
    b'"1.8.0"',
    b'"1e999"',
    b'"online"',
    b'"offline"',
    b'"12345.67"',
    b'"NaN"',
    b'"\\""',
)
_NUMBERS = (
    b"0",
    b"-0",
    b"-0.0",
    b"1",
    b"-1",
    b"1.5",
    b"-5e-324",
    b"5e-324",
    b"1e308",
    b"1.8e308",
    b"1e999",
    b"-1e999",
    b"1e-999",
    b"NaN",
    b"Infinity",
    b"-Infinity",
    b"2147483648",
    b"4294967295",
    b"9007199254740993",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551616",
    b"1" + b"0" * 299,
    b"9" * 301,
    b"1" + b"0" * 308,
    b"1" + b"0" * 309,
    b"9" * 4301,
    b"0." + b"3" * 400,
    b"1e99999999999999999999",
    b"01",
    b"1.",
    b"+1",
    b"0x10",
)
_TIMES = (
    b"1393603200",
    b"1393603200.123456",
    b"1393603200000",
    b"1393604100000",
    b"99999999999",
    b"100000000000",
    b"100000000001",
    b"946684799",
    b"946684800",
    b"1393608000",
    b"1393608001",
    b"4611686018427387904",
    b"-4611686018427387905",
    b"253370764800",
    b"1e11",
    b"1e15",
    b"1e18",
    b'"2014-03-01T00:15:00+08:00"',
    b'"2014-03-01t00:15:00z"',
    b'"2014-03-01T00:15:60Z"',
    b'"2014-03-01T24:00:00Z"',
    b'"2014-02-29T00:00:00Z"',
    b'"0001-01-01T00:00:00+23:59"',
    b'"9999-12-31T23:59:59-23:59"',
    b'"9999-12-31T23:59:59.9999999Z"',
    b'"0000-01-01T00:00:00Z"',
    b'"2014-03-01T00:15:00"',
    b'"1393603200"',
    b'"20140228161500123"',
    b'"20131027013000000"',
    b'"20140330013000000"',
    b'"00010101000000000"',
    b'"99991231235959999999"',
    b'"00000000000000000"',
    '"２０１４-03-01T00:15:00Z"'.encode(),
)
_OTHERS = (
    b"null",
    b"true",
    b"false",
    b"{}",
    b"[]",
    b"[null]",
    b"[[]]",
    b'{"":null}',
    b"[" * 40 + b"]" * 40,
    b"[" * 300 + b"]" * 300,
    b'{"a":' * 200 + b"1" + b"}" * 200,
)
#: Seldom: each costs as much as twenty others.
_DEEP = (b"[" * 1200 + b"]" * 1200, b'{"a":' * 1100 + b"1" + b"}" * 1100, b"[" * 2000, b"[" * 20_000)
_NAMES = (
    "v readings meter ts values correction outbox seq sent_at timestamp node group errors metas data items addr id "
    "state clock_offset_s outbox_depth outbox_oldest meters final devs d m cmd rssi heartbeat at flow E P Ua EPtp W2 "
    "1.8.0 2.8.0 16.7.0 32.7.0 8:1.0.0 6:1.0.0 9.9.9"
)
_KEYS = (*(json.dumps(name).encode() for name in _NAMES.split()), *_TEXTS)
_KINDS: tuple[Sequence[bytes], ...] = (_TEXTS, _NUMBERS, _NUMBERS, _TIMES, _TIMES, _OTHERS)


@dataclass(frozen=True, slots=True)
class Sample:
    """A JSON text with its spans, or bytes that are none."""

    text: bytes
    spans: Spans | None


def sample(text: bytes) -> Sample:
    """A text to be edited."""
    return Sample(text, spans(text))


def edited(given: Sample, rng: Random, others: Sequence[Sample]) -> bytes:
    """One to five edits of the tree of a text. others: texts whose values are put in."""
    text, where = given.text, given.spans
    if where is None:
        return text
    cuts = [_cut(text, where, rng, others) for _ in range(few(rng, 5))]
    cuts.sort(reverse=True)
    limit = len(text)
    for start, end, new in cuts:
        if end <= limit:
            text = text[:start] + new + text[end:]
            limit = start
    return text


def _cut(text: bytes, where: Spans, rng: Random, others: Sequence[Sample]) -> tuple[int, int, bytes]:
    """(start, end, what comes there instead)."""
    what = rng.random()
    if what < 0.5 or not where.members:
        start, end = pick(rng, where.values)
        return start, end, _value(text[start:end], rng, others)
    if what < 0.62 and where.keys:
        start, end = pick(rng, where.keys)
        return start, end, pick(rng, _KEYS)
    if what < 0.74:
        return (*pick(rng, where.leaving), b"")
    start, end = pick(rng, where.members)
    member = text[start:end]
    if what < 0.86:
        return start, start, (member + b",") * few(rng, 8)
    at, _ = pick(rng, where.members)
    if what < 0.93:
        return at, at, member + b","
    return at, at, pick(rng, _KEYS) + b":" + _value(member, rng, others) + b","


def _value(old: bytes, rng: Random, others: Sequence[Sample]) -> bytes:
    """Another value."""
    what = rng.random()
    if what < 0.002:
        return pick(rng, _DEEP)
    if what < 0.55:
        return pick(rng, pick(rng, _KINDS))
    if what < 0.7:
        return _number(rng)
    if what < 0.75:
        return b"[" + old + b"]"
    if what < 0.8:
        return b"{" + pick(rng, _KEYS) + b":" + old + b"}"
    if what < 0.85:
        return b'"' + old.strip(b'"') + b'"'
    if what < 0.9:
        return old.strip(b'"')
    other = pick(rng, others)
    if other.spans is None:
        return old
    start, end = pick(rng, other.spans.values)
    return other.text[start:end]


def _number(rng: Random) -> bytes:
    """A number of any size."""
    number = rng.random() * 10.0 ** (below(rng, 40) - 15)
    if rng.random() < 0.2:
        number = -number
    if rng.random() < 0.5:
        return b"%d" % number
    return repr(number).encode()
