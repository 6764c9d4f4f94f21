"""Hostile native JSON v1: the whole message, its header, single readings, and what only the registry can tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from simulators.hostile.cases import Kind, Leaf, Message, Reading, Reject, Spot, iso, shown, v1

_REGISTER = "1.8.0"
_LIMIT = 512 * 1024


# ---------------------------------------------------------------- whole messages


def _whole(reason: str, payload: Callable[[Spot], bytes]) -> Callable[[Spot], Message]:
    """A message of which nothing can be read: its bytes are kept as they came."""

    def make(spot: Spot) -> Message:
        data = payload(spot)
        return Message(spot.topic(Leaf.NATIVE), data, rejects=(Reject(reason, data),))

    return make


def _good(spot: Spot, head: str = '"v":1') -> str:
    """A message that would be good, with another head; it names a reading of its own."""
    reading = shown(spot.names.meter, json.dumps(spot.ts), _REGISTER, "1.5")
    return f'{{{head},"readings":[{reading}]}}'


def _cut(spot: Spot) -> bytes:
    text = _good(spot)
    return text[: spot.rng.randrange(1, len(text))].encode()


def _random_bytes(spot: Spot) -> bytes:
    return b"\xff" + spot.rng.randbytes(spot.rng.randrange(1, 400))


def _bad_utf8(spot: Spot) -> bytes:
    return _good(spot).encode().replace(b"meter", b"met\xc3\x28er", 1)


def _nested(spot: Spot) -> bytes:
    deep = spot.rng.choice((5_000, 20_000))
    return f'{{"v":1,"seq":{spot.n},"readings":{"[" * deep}'.encode()


def _nested_closed(spot: Spot) -> bytes:
    deep = 100_000
    return f'{{"v":1,"x":{"[" * deep}{"]" * deep},"readings":[],"n":{spot.n}}}'.encode()


def _over_limit(by: int) -> Callable[[Spot], bytes]:
    def payload(spot: Spot) -> bytes:
        text = _good(spot)
        return text.encode() + b" " * (_LIMIT + by - len(text))

    return payload


def _at_limit(spot: Spot) -> Message:
    """As large as a message may be, and good: it must be stored."""
    text = _good(spot)
    reading = Reading(spot.names.meter, _REGISTER, spot.ts_us, 1.5)
    return Message(spot.topic(Leaf.NATIVE), text.encode() + b" " * (_LIMIT - len(text)), stored=(reading,))


def _head(head: str) -> Callable[[Spot], bytes]:
    return lambda spot: _good(spot, head).encode()


def _body(text: str) -> Callable[[Spot], bytes]:
    """`text` with the message's number in it, so that no two are the same."""
    return lambda spot: text.replace("#", str(spot.n)).encode()


WHOLE = [
    Kind("native_truncated", _whole("malformed", _cut)),
    Kind("native_empty_payload", _whole("malformed", lambda _: b"")),
    Kind("native_random_bytes", _whole("malformed", _random_bytes)),
    Kind("native_not_json", _whole("malformed", _body("hello, is this # the meter?"))),
    Kind("native_invalid_utf8", _whole("malformed", _bad_utf8)),
    Kind("native_byte_order_mark", _whole("malformed", lambda s: b"\xef\xbb\xbf" + _good(s).encode())),
    Kind("native_utf16", _whole("malformed", lambda s: _good(s).encode("utf-16"))),
    Kind(
        "native_nul_bytes",
        _whole("malformed", lambda s: _good(s).replace(",", ",\0", 1).encode() + b"\0" * 8),
    ),
    Kind("native_trailing_garbage", _whole("malformed", lambda s: _good(s).encode() + b"}")),
    Kind("native_two_documents", _whole("malformed", lambda s: _good(s).encode() * 2)),
    Kind("native_deep_nesting", _whole("malformed", _nested), 0.05),
    Kind("native_deep_nesting_closed", _whole("malformed", _nested_closed), 0.02),
    Kind(
        "native_raw_control_character", _whole("malformed", lambda s: _good(s).replace(":", ":\x07").encode())
    ),
    Kind("native_list", _whole("malformed", _body("[1,2,#]"))),
    Kind("native_number", _whole("malformed", _body("#"))),
    Kind("native_no_readings", _whole("malformed", _body('{"v":1,"note":#}'))),
    Kind("native_readings_empty", _whole("malformed", _body('{"v":1,"note":#,"readings":[]}'))),
    Kind("native_readings_object", _whole("malformed", _body('{"v":1,"note":#,"readings":{}}'))),
    Kind("native_readings_twice", _whole("malformed", _body('{"v":1,"readings":[#],"readings":[1]}'))),
    Kind("native_version_2", _whole("unknown_version", _head('"v":2'))),
    Kind("native_version_missing", _whole("unknown_version", _head('"w":1'))),
    Kind("native_version_true", _whole("unknown_version", _head('"v":true'))),
    Kind(
        "native_version_huge",
        _whole("unknown_version", lambda s: _good(s, '"v":1' + "0" * 5000).encode()),
        0.1,
    ),
    Kind("native_seq_negative", _whole("malformed", _head('"v":1,"outbox":"o","seq":-1'))),
    Kind(
        "native_seq_over_63_bits", _whole("malformed", _head('"v":1,"outbox":"o","seq":9223372036854775808'))
    ),
    Kind(
        "native_seq_digits_without_end",
        _whole("malformed", lambda s: _good(s, f'"v":1,"seq":{"9" * 6000}').encode()),
        0.1,
    ),
    Kind("native_seq_text", _whole("malformed", _head('"v":1,"outbox":"o","seq":"7"'))),
    Kind("native_seq_fraction", _whole("malformed", _head('"v":1,"outbox":"o","seq":7.5'))),
    Kind("native_seq_twice", _whole("malformed", _head('"v":1,"outbox":"o","seq":1,"seq":2'))),
    Kind("native_outbox_nul", _whole("malformed", _head('"v":1,"outbox":"a\\u0000b","seq":1'))),
    Kind("native_outbox_half_surrogate", _whole("malformed", _head('"v":1,"outbox":"\\ud800","seq":1'))),
    Kind(
        "native_outbox_too_long",
        _whole("malformed", lambda s: _good(s, f'"v":1,"outbox":"{"x" * 129}","seq":1').encode()),
    ),
    Kind("native_over_limit_by_one", _whole("too_large", _over_limit(1)), 0.005),
    Kind("native_over_limit", _whole("too_large", _over_limit(400_000)), 0.005),
    Kind("native_at_limit", _at_limit, 0.005),
]


# ---------------------------------------------------------------- single readings among good ones


def _beside(reason: str, bad: Callable[[Spot], str], with_seq: bool = True) -> Callable[[Spot], Message]:
    """A bad reading, as JSON text, between two good ones."""

    def make(spot: Spot) -> Message:
        text = bad(spot)
        good = [Reading(spot.names.meter, r, spot.ts_us, spot.n % 1000 + 0.25) for r in (_REGISTER, "2.8.0")]
        return Message(
            spot.topic(Leaf.NATIVE),
            _message(spot, [_text(good[0]), text, _text(good[1])], with_seq),
            stored=tuple(good),
            rejects=(Reject(reason, v1(text)),),
        )

    return make


def _message(spot: Spot, readings: Iterable[str], with_seq: bool) -> bytes:
    head = f'"outbox":"hostile","seq":{spot.outbox.take()},' if with_seq else ""
    return f'{{"v":1,{head}"readings":[{",".join(readings)}]}}'.encode()


def _text(r: Reading) -> str:
    return shown(r.meter, json.dumps(iso(r.ts_us)), r.register, repr(r.value))


def _at(*times: str) -> Callable[[Spot], str]:
    """A reading at a time that is none, given as JSON text; # is the message's number."""
    return lambda s: shown(
        s.names.meter, s.rng.choice(times).replace("#", str(s.n)), _REGISTER, f"{s.n % 1000}"
    )


def _of(*values: str, register: str = _REGISTER) -> Callable[[Spot], str]:
    """A reading of a value that is none, given as JSON text."""
    return lambda s: shown(s.names.meter, json.dumps(s.ts), register, s.rng.choice(values))


def _text_with(text: str) -> Callable[[Spot], str]:
    return lambda s: text.replace("#", str(s.n)).replace("@", s.ts)


def _future(spot: Spot) -> str:
    ahead = spot.rng.choice((4000, 86_400, 400_000_000)) * 1_000_000
    return shown(spot.names.meter, json.dumps(iso(spot.now_us + ahead + 3600_000_000)), _REGISTER, "3")


def _long_name(spot: Spot) -> str:
    return shown("m" * 129 + str(spot.n), json.dumps(spot.ts), _REGISTER, "1")


def _naive(spot: Spot) -> str:
    return shown(spot.names.meter, json.dumps(spot.ts.replace("+00:00", "")), _REGISTER, "1")


def _gateway_in_body(spot: Spot) -> Message:
    """Another gateway's name in the body: the topic says who it is."""
    reading = Reading(spot.names.meter, _REGISTER, spot.ts_us, 2.5)
    payload = f'{{"v":1,"gateway":"gw-of-another","readings":[{_text(reading)}]}}'.encode()
    return Message(spot.topic(Leaf.NATIVE), payload, stored=(reading,))


SINGLE = [
    Kind("reading_naive_time", _beside("bad_timestamp", _naive)),
    Kind("reading_time_words", _beside("bad_timestamp", _at('"now"', '"yesterday #"', '""', '"2014-03-01"'))),
    Kind(
        "reading_time_ambiguous",
        _beside("bad_timestamp", _at('"03/04/2014 05:06:07"', '"20140301001500"', '"1393603200"')),
    ),
    Kind(
        "reading_time_impossible",
        _beside(
            "bad_timestamp",
            _at(
                '"2014-02-30T00:00:00Z"',
                '"2014-03-01T24:00:00Z"',
                '"2014-03-01T23:59:60Z"',
                '"2014-W10-1T00:00:00Z"',
            ),
        ),
    ),
    Kind(
        "reading_time_no_text",
        _beside("bad_timestamp", _at("null", "true", "[]", '{"a":#}', "NaN", "Infinity")),
    ),
    Kind(
        "reading_time_huge_text",
        _beside("bad_timestamp", lambda s: shown(s.names.meter, json.dumps("2" * 5000), _REGISTER, "1")),
        0.2,
    ),
    Kind(
        "reading_time_before_2000",
        _beside(
            "timestamp_out_of_range",
            _at("0", "-1", '"1970-01-01T00:00:00Z"', '"1999-12-31T23:59:59Z"', '"0001-01-01T00:00:00Z"'),
        ),
    ),
    Kind("reading_time_future", _beside("timestamp_out_of_range", _future)),
    Kind(
        "reading_time_absurd",
        _beside(
            "timestamp_out_of_range",
            _at("1e+300", "9223372036854775807", '"9999-12-31T23:59:59Z"', "1" + "0" * 200),
        ),
    ),
    Kind("reading_value_nan", _beside("bad_value", _of("NaN", "Infinity", "-Infinity", "1e999", "-1e400"))),
    Kind("reading_value_no_number", _beside("bad_value", _of("null", "true", '"12.5"', "[1]", '{"x":1}'))),
    Kind(
        "reading_value_many_digits",
        _beside("bad_value", lambda s: shown(s.names.meter, json.dumps(s.ts), _REGISTER, "9" * 4000)),
        0.2,
    ),
    Kind(
        "reading_value_over_float",
        _beside("bad_value", lambda s: shown(s.names.meter, json.dumps(s.ts), "16.7.0", "1" + "0" * 400)),
    ),
    Kind(
        "reading_value_deep",
        _beside(
            "bad_value", lambda s: shown(s.names.meter, json.dumps(s.ts), _REGISTER, "[" * 60 + "]" * 60)
        ),
    ),
    Kind("reading_negative_cumulative", _beside("bad_value", _of("-1", "-0.01", "-1e+300"))),
    Kind("reading_unknown_register", _beside("unknown_register", _of("1", register="99.99.0"))),
    Kind("reading_register_of_full_width_digits", _beside("unknown_register", _of("1", register="１.８.０"))),
    Kind("reading_register_with_space", _beside("unknown_register", _of("1", register=" 1.8.0"))),
    Kind("reading_register_empty", _beside("unknown_register", _of("1", register=""))),
    Kind("reading_register_of_kilobytes", _beside("unknown_register", _of("1", register="1.8.0" * 500)), 0.2),
    Kind(
        "reading_register_control_characters",
        _beside("unknown_register", _of("1", register="1.8.0\u0000\u001b[2J")),
    ),
    Kind("reading_no_meter", _beside("malformed", _text_with('{"n":#,"ts":"@","values":{"1.8.0":1}}'))),
    Kind(
        "reading_meter_number", _beside("malformed", _text_with('{"meter":#,"ts":"@","values":{"1.8.0":1}}'))
    ),
    Kind(
        "reading_meter_empty", _beside("malformed", _text_with('{"meter":"","ts":"@","values":{"1.8.0":1}}'))
    ),
    Kind(
        "reading_meter_nul",
        _beside("malformed", _text_with('{"meter":"a\\u0000b","ts":"@","values":{"1.8.0":1}}')),
    ),
    Kind(
        "reading_meter_half_surrogate",
        _beside("malformed", _text_with('{"meter":"\\udfff#","ts":"@","values":{"1.8.0":1}}')),
    ),
    Kind("reading_meter_too_long", _beside("malformed", _long_name)),
    Kind(
        "reading_meter_twice",
        _beside("malformed", _text_with('{"meter":"a","meter":"b","ts":"@","values":{"1.8.0":1}}')),
    ),
    Kind("reading_no_time", _beside("malformed", _text_with('{"meter":"a#","values":{"1.8.0":1}}'))),
    Kind("reading_no_object", _beside("malformed", _text_with('"reading #"'))),
    Kind("reading_null", _beside("malformed", lambda _: "null")),
    Kind("reading_values_empty", _beside("malformed", _text_with('{"meter":"a#","ts":"@","values":{}}'))),
    Kind("reading_values_list", _beside("malformed", _text_with('{"meter":"a#","ts":"@","values":[1,2]}'))),
    Kind(
        "reading_correction_text",
        _beside("malformed", _text_with('{"meter":"a#","ts":"@","values":{"1.8.0":1},"correction":"yes"}')),
    ),
    Kind("reading_without_seq", _beside("bad_value", _of("null"), with_seq=False)),
    Kind("reading_gateway_in_body", _gateway_in_body),
]


# ---------------------------------------------------------------- what only the registry can tell


def _refused(reason: str, meter: Callable[[Spot], str]) -> Callable[[Spot], Message]:
    """A well-formed reading that the registry refuses, beside a good one."""

    def make(spot: Spot) -> Message:
        good = Reading(spot.names.meter, _REGISTER, spot.ts_us, 7.5)
        bad = Reading(meter(spot), _REGISTER, spot.ts_us, 8.5)
        return Message(
            spot.topic(Leaf.NATIVE),
            _message(spot, [_text(good), _text(bad)], with_seq=True),
            stored=(good,),
            rejects=(Reject(reason, _kept(bad)),),
        )

    return make


def _kept(r: Reading) -> bytes:
    """What the writer keeps: text as it is, not escaped."""
    reading = {"meter": r.meter, "ts": iso(r.ts_us), "values": {r.register: r.value}}
    return v1(json.dumps(reading, ensure_ascii=False, separators=(",", ":")))


def _conflict(spot: Spot) -> Message:
    """Another value of the reading that its gateway sent last, one that no message gave it yet: the first stays."""
    own = Reading(spot.names.meter, "1.8.4", spot.ts_us, 100.0)
    first = spot.last or own
    value = 17.0 if first.value != 17.0 else 18.0
    other = Reading(first.meter, first.register, first.ts_us, value)
    both = [own, other]
    return Message(
        spot.topic(Leaf.NATIVE), _message(spot, map(_text, both), True), stored=(own,), conflicting=1
    )


def _register_twice(spot: Spot) -> Message:
    text = f'{{"meter":{json.dumps(spot.names.meter)},"ts":{json.dumps(spot.ts)},"values":{{"1.8.3":5.0,"1.8.3":6.0}}}}'
    first = Reading(spot.names.meter, "1.8.3", spot.ts_us, 5.0)
    return Message(spot.topic(Leaf.NATIVE), _message(spot, [text], True), stored=(first,), conflicting=1)


def _same_reading_often(spot: Spot) -> Message:
    r = Reading(spot.names.meter, "1.8.2", spot.ts_us, 5.0)
    return Message(spot.topic(Leaf.NATIVE), _message(spot, [_text(r)] * 20, True), stored=(r,), repeated=19)


def _same_seq_other_content(spot: Spot) -> Message:
    """The number of the message before with other content: seq never decides what is a repeat."""
    seq = spot.outbox.newest
    r = Reading(spot.names.meter, "1.8.1", spot.ts_us, 9.5)
    payload = f'{{"v":1,"outbox":"hostile","seq":{seq},"readings":[{_text(r)}]}}'.encode()
    return Message(spot.topic(Leaf.NATIVE), payload, stored=(r,))


def _far_seq(spot: Spot) -> Message:
    """The greatest number that there is, of an outbox of its own."""
    r = Reading(spot.names.meter, "1.8.1", spot.ts_us, 3.5)
    payload = f'{{"v":1,"outbox":"far-{spot.n}","seq":{2**63 - 1},"readings":[{_text(r)}]}}'.encode()
    return Message(spot.topic(Leaf.NATIVE), payload, stored=(r,))


def _extreme_value(spot: Spot) -> Message:
    """Absurd, but numbers: they are stored as they are."""
    value = spot.rng.choice((1e300, 5e-324, 1.7976931348623157e308, 2.0**63))
    r = Reading(spot.names.power_meter, "16.7.0", spot.ts_us, spot.rng.choice((1, -1)) * value)
    return Message(spot.topic(Leaf.NATIVE), _message(spot, [_text(r)], True), stored=(r,))


def _extreme_energy(spot: Spot) -> Message:
    """More energy than a register has digits for: stored, for a person to look at."""
    r = Reading(spot.names.water_meter, "8:1.0.0", spot.ts_us, spot.rng.choice((1e300, 1e18, 5e-324)))
    return Message(spot.topic(Leaf.NATIVE), _message(spot, [_text(r)], True), stored=(r,))


def _many(spot: Spot) -> Message:
    """As many bad readings as a message holds, beside a good one."""
    bad = [shown(spot.names.meter, json.dumps(spot.ts), f"x{i}", "1") for i in range(400)]
    good = Reading(spot.names.meter, _REGISTER, spot.ts_us, 4.5)
    return Message(
        spot.topic(Leaf.NATIVE),
        _message(spot, [*bad, _text(good)], True),
        stored=(good,),
        rejects=tuple(Reject("unknown_register", v1(b)) for b in bad),
    )


REGISTRY = [
    Kind("registry_unknown_meter", _refused("unknown_meter", lambda s: f"nobody-{s.n}")),
    Kind(
        "registry_unknown_meter_odd_name",
        _refused(
            "unknown_meter",
            lambda s: s.rng.choice(
                ("电表", "'; drop table reading;--", "../../etc/passwd", "%s%n", "a\u202eb\u0007", "💡")
            ),
        ),
    ),
    Kind("registry_meter_of_another_gateway", _refused("unauthorized", lambda s: s.names.stranger)),
    Kind("registry_other_value_is_a_conflict", _conflict),
    Kind("registry_register_twice", _register_twice),
    Kind("registry_repeats_in_a_message", _same_reading_often, 0.2),
    Kind("registry_same_seq_other_content", _same_seq_other_content),
    Kind("registry_greatest_seq", _far_seq, 0.02),
    Kind("registry_extreme_value", _extreme_value),
    Kind("registry_extreme_energy", _extreme_energy),
    Kind("registry_hundreds_of_rejects", _many, 0.01),
]

KINDS = [*WHOLE, *SINGLE, *REGISTRY]
