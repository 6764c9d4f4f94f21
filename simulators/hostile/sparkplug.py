"""Hostile Sparkplug B, and the right births and data of a node among it. The node of a hostile message never gives
birth to the aliases that others of its messages use. Source: Sparkplug specification 3.0.0, 6.4.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator

from simulators.hostile.cases import Kind, Message, Reading, Reject, Spot, iso, shown, v1
from simulators.sparkplug_payloads import data, metric, payload, varint

_DOUBLE, _STRING = 10, 12
#: First alias of a hostile birth: beyond the number of any message, which is the alias of one without a birth.
_BORN = 2**40


def topic_of(spot: Spot, kind: str, device: str = "") -> str:
    """Where the gateway's own node says it."""
    return f"spBv1.0/{spot.names.prefix}/{kind}/{spot.names.gateway}{device and '/' + device}"


def _whole(
    reason: str, make_payload: Callable[[Spot], bytes], kind: str = "NDATA"
) -> Callable[[Spot], Message]:
    def make(spot: Spot) -> Message:
        told = make_payload(spot)
        return Message(topic_of(spot, kind), told, rejects=(Reject(reason, told),))

    return make


def _metric(
    reason: str,
    register: str,
    kept: str,
    told: Callable[[Spot], bytes],
    meter: Callable[[Spot], str] | None = None,
) -> Callable[[Spot], Message]:
    """A metric that is no reading, beside a good one."""

    def make(spot: Spot) -> Message:
        whose = meter(spot) if meter else spot.names.meter
        text = shown(whose, json.dumps(spot.ts), register, kept)
        good = Reading(spot.names.meter, "2.8.0", spot.ts_us, 12.5)
        named = metric(f"{spot.names.meter}/2.8.0", 12.5, datatype=_DOUBLE)
        return Message(
            topic_of(spot, "NDATA"),
            payload(named, told(spot), seq=spot.n % 256, ts_ms=spot.ts_us // 1000),
            stored=(good,),
            rejects=(Reject(reason, v1(text)),),
        )

    return make


def _named(value: object, datatype: int | None = None) -> Callable[[Spot], bytes]:
    return lambda s: metric(f"{s.names.meter}/1.8.0", value, datatype=datatype)


def _at(ms: int, kept_us: int) -> Callable[[Spot], Message]:
    """A metric whose own time is out of range."""

    def make(spot: Spot) -> Message:
        text = shown(spot.names.meter, json.dumps(iso(kept_us)), "1.8.0", "5.0")
        told = payload(metric(f"{spot.names.meter}/1.8.0", 5.0, ts_ms=ms), seq=spot.n % 256)
        return Message(topic_of(spot, "NDATA"), told, rejects=(Reject("timestamp_out_of_range", v1(text)),))

    return make


def _alias_of_nobody(kind: str, device: str) -> Callable[[Spot], Message]:
    """Data before any birth: it waits for one, then it is rejected."""

    def make(spot: Spot) -> Message:
        text = shown(device or spot.names.gateway, json.dumps(spot.ts), f"alias:{spot.n}", "5.0")
        told = payload(metric(None, 5.0, alias=spot.n), seq=spot.n % 256, ts_ms=spot.ts_us // 1000)
        return Message(topic_of(spot, kind, device), told, rejects=(Reject("unknown_alias", v1(text)),))

    return make


def _birth_of_thousands(spot: Spot) -> Message:
    """A birth whose metrics are none of ours, each of them a reject."""
    names = [f"Line {spot.n}/Temp {i}" for i in range(300)]
    told = payload(
        *(metric(n, 1.5, alias=_BORN + i) for i, n in enumerate(names)), seq=0, ts_ms=spot.ts_us // 1000
    )
    rejects = tuple(
        Reject("unknown_register", v1(shown(spot.names.gateway, json.dumps(spot.ts), n, "1.5")))
        for n in names
    )
    return Message(topic_of(spot, "NBIRTH"), told, rejects=rejects)


def _birth_too_large(_: Spot) -> bytes:
    return payload(*(metric(f"m{i:06d}" * 8, 1.5, alias=i) for i in range(9000)), seq=0)


def _cut(spot: Spot) -> bytes:
    whole = payload(metric(f"{spot.names.meter}/1.8.0", 5.0), ts_ms=spot.ts_us // 1000)
    return whole[: spot.rng.randrange(len(whole) - 8, len(whole))]


def _group_of_nowhere(spot: Spot) -> bytes:
    """An end of a group that never began (wire type 4)."""
    return bytes([0x0C]) + str(spot.n).encode()


KINDS = [
    Kind("sparkplug_text", _whole("malformed", lambda s: f"\x7fhello {s.n}".encode())),
    Kind("sparkplug_cut", _whole("malformed", _cut)),
    Kind(
        "sparkplug_varint_without_end",
        _whole("malformed", lambda s: b"\x08" + b"\xff" * 11 + str(s.n).encode()),
    ),
    Kind(
        "sparkplug_length_beyond_end", _whole("malformed", lambda s: varint(2 << 3 | 2) + varint(2**31 + s.n))
    ),
    Kind("sparkplug_group_of_nowhere", _whole("malformed", _group_of_nowhere)),
    Kind("sparkplug_birth_too_large", _whole("too_large", _birth_too_large, "NBIRTH"), 0.005),
    Kind("sparkplug_birth_of_hundreds_of_strange_metrics", _birth_of_thousands, 0.01),
    Kind("sparkplug_unknown_alias_of_node", _alias_of_nobody("NDATA", ""), 0.3),
    Kind("sparkplug_data_before_birth_of_device", _alias_of_nobody("DDATA", "dev"), 0.3),
    Kind("sparkplug_nan", _metric("bad_value", "1.8.0", "NaN", _named(math.nan, _DOUBLE))),
    Kind("sparkplug_infinity", _metric("bad_value", "1.8.0", "-1e999", _named(-math.inf, _DOUBLE))),
    Kind("sparkplug_null", _metric("bad_value", "1.8.0", "null", _named(None, _DOUBLE))),
    Kind("sparkplug_string", _metric("bad_value", "1.8.0", '"12.5"', _named("12.5", _STRING))),
    Kind("sparkplug_boolean", _metric("bad_value", "1.8.0", "true", _named(True))),
    Kind("sparkplug_negative", _metric("bad_value", "1.8.0", "-5.0", _named(-5.0, _DOUBLE))),
    Kind(
        "sparkplug_strange_metric",
        _metric(
            "unknown_register",
            "Temperature",
            "21.5",
            lambda _: metric("Temperature", 21.5),
            lambda s: s.names.gateway,
        ),
    ),
    Kind(
        "sparkplug_neither_name_nor_alias",
        _metric("malformed", "?", "5.0", lambda _: metric(None, 5.0), lambda s: s.names.gateway),
    ),
    Kind(
        "sparkplug_name_not_utf8",
        _metric(
            "unknown_register",
            "\\xff\\xfe",
            "5.0",
            lambda _: data(1, b"\xff\xfe") + metric(None, 5.0),
            lambda s: s.names.gateway,
        ),
    ),
    Kind("sparkplug_time_zero", _at(0, 0)),
    Kind("sparkplug_time_1999", _at(946_684_799_000, 946_684_799_000_000)),
]


def good_node(spot: Spot, device: str) -> Iterator[Message]:
    """Births, then data by alias for ever; `spot` is set to each message's place before it is asked for."""
    seq = 0

    def say(kind: str, where: str, told: bytes, *stored: Reading) -> Message:
        nonlocal seq
        made = Message(
            topic_of(spot, kind, where), payload(told, seq=seq, ts_ms=spot.ts_us // 1000), stored=stored
        )
        seq = (seq + 1) % 256
        return made

    yield say("NBIRTH", "", metric("bdSeq", 0, datatype=8))
    first = Reading(device, "1.8.0", spot.ts_us, 0.5)
    yield say("DBIRTH", device, metric("1.8.0", 0.5, alias=7, datatype=_DOUBLE), first)
    while True:
        value = spot.n / 4
        yield say("DDATA", device, metric(None, value, alias=7), Reading(device, "1.8.0", spot.ts_us, value))
