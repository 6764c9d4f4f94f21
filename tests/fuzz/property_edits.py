"""MQTT user properties: what gateways could say of seq, outbox and ts. Text is what a broker lets through (UTF-8)."""

from __future__ import annotations

from random import Random

from .chance import below, few, pick
from .inputs import Properties

_SEQS = (
    "0",
    "42",
    "007",
    "-1",
    "+1",
    "1.0",
    "1e3",
    "",
    " 5",
    "5\n",
    "٣",
    "９",
    "²",
    "9223372036854775807",
    "9223372036854775808",
    "9999999999999999999",
    "1" * 20,
    "1" * 5000,
    "0" * 19,
    "true",
    "\x00",
)
_OUTBOXES = (
    "k3f9",
    "o",
    "",
    "水表",
    "a" * 128,
    "a" * 129,
    "a\x00b",
    " ",
    "\U0001f600" * 40,
    "\ufeff",
    "\x7f",
)
_TIMES = (
    "2014-03-01T00:15:00+08:00",
    "2014-03-01T00:15:00Z",
    "2014-03-01T00:15:00.1234567890Z",
    "2014-03-01T01:20:00+08:00",
    "2014-03-01T01:20:00.000001+08:00",
    "1999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
    "2014-03-01T00:15:00",
    "2014-03-01 00:15:00Z",
    "2014-03-01T24:00:00Z",
    "1393603200",
    "",
    "x" * 300,
    "２０１４-03-01T00:15:00Z",
    "2014-03-01T00:15:00Z\n",
)
_NAMES = ("seq", "outbox", "ts")
_VALUES = {"seq": _SEQS, "outbox": _OUTBOXES, "ts": _TIMES}


def edited(given: Properties, rng: Random) -> Properties:
    """The properties as they were, mostly; else some left out, doubled, changed or made up."""
    if rng.random() < 0.7:
        return given
    out = [p for p in given if rng.random() < 0.8]
    for _ in range(few(rng, 4)):
        name = pick(rng, _NAMES) if rng.random() < 0.93 else pick(rng, ("SEQ", "", "x", "ts\x00"))
        values = _VALUES.get(name, _OUTBOXES)
        out.insert(below(rng, len(out) + 1), (name, pick(rng, values)))
    return tuple(out)
