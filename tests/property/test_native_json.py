"""The native JSON decoder: no bytes make it raise, and its fast way answers what its exact way answers."""

from __future__ import annotations

import json
import math

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.decoders import native_json, timestamps
from collectors.decoders.base import Decoded
from collectors.decoders.json_text import dumps, loads

NOW_US = 1_700_000_000_000_000

good_times = st.one_of(
    st.sampled_from(
        [
            "2014-03-01T00:15:00+08:00",
            "2014-03-01T00:15:00Z",
            "2012-02-29t23:59:59.5z",
            "2014-03-01T00:15:00-00:00",
        ]
    ),
    st.integers(946684800, 1_600_000_000),
    st.integers(946684800_000, 1_600_000_000_000),
    st.floats(946684800, 1_600_000_000),
)
odd_times = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=30),
    st.floats(allow_nan=False),
    st.integers(-(2**80), 2**80),
    st.sampled_from(
        ["2014-03-01T00:15:00", "2014-W09-6T00:15:00Z", "2014-03-01T24:00:00Z", "1393603200", "", []]
    ),
)
registers = st.sampled_from(["1.8.0", "2.8.0", "16.7.0", "8:1.0.0", "9.9.9", "", "\x00"])
good_values = st.one_of(st.floats(0, 1e9), st.integers(0, 10**9))
odd_values = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=5),
    st.floats(),
    st.integers(-(2**70), 2**1030),
    st.just([1]),
    st.just({}),
)
names = st.one_of(st.sampled_from(["110108000123", "m", "水表", 'a":b']), st.text(max_size=6))


def mostly(good: st.SearchStrategy, odd: st.SearchStrategy) -> st.SearchStrategy:
    """Values of which most are good, so that messages good throughout occur often."""
    return st.integers(0, 9).flatmap(lambda n: odd if n == 0 else good)


readings = st.fixed_dictionaries(
    {
        "meter": mostly(names, st.one_of(st.none(), st.integers())),
        "ts": mostly(good_times, odd_times),
        "values": mostly(
            st.dictionaries(registers, mostly(good_values, odd_values), min_size=1, max_size=4),
            st.one_of(st.none(), st.just([]), st.just({})),
        ),
    },
    optional={"correction": st.one_of(st.booleans(), st.none()), "note": st.text(max_size=5)},
)
messages = st.fixed_dictionaries(
    {
        "v": mostly(st.just(1), st.one_of(st.integers(), st.booleans(), st.just(1.0), st.none())),
        "readings": mostly(
            st.lists(mostly(readings, st.one_of(st.none(), st.just([]))), min_size=1, max_size=6), st.just([])
        ),
    },
    optional={
        "outbox": mostly(st.text(min_size=1, max_size=6), st.one_of(st.none(), st.integers(), st.just(""))),
        "seq": mostly(
            st.integers(0, 2**63 - 1), st.one_of(st.none(), st.integers(), st.floats(), st.booleans())
        ),
        "sent_at": mostly(good_times, odd_times),
    },
)
separators = st.sampled_from([(",", ":"), (", ", ": "), (",", " :"), (",\n", ":\t")])


@st.composite
def payloads(draw: st.DrawFn) -> bytes:
    """A message as JSON bytes, now and then with some of them changed."""
    text = json.dumps(draw(messages), separators=draw(separators), ensure_ascii=draw(st.booleans()))
    data = text.encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        for _ in range(draw(st.integers(1, 3))):
            at = draw(st.integers(0, len(data)))
            data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 20)) :]
    if draw(st.integers(0, 5)) == 0:  # double some stretch: doubled keys
        at = draw(st.integers(0, len(data)))
        data = data[:at] + data[at : at + draw(st.integers(0, 40))] + data[at:]
    return data


def answer(d: Decoded) -> tuple:
    return (list(native_json.pieces(d)), d.rejected, d.outbox, d.seq, d.sent_us, d.failure)


@settings(max_examples=600, deadline=None)
@given(payloads())
def test_the_fast_way_answers_what_the_exact_way_answers(payload: bytes) -> None:
    fast = native_json.decode_fast(payload, NOW_US)
    if fast is not None:
        assert answer(fast) == answer(native_json.decode_exact(payload, NOW_US))
        assert not fast.rejected


@settings(max_examples=400, deadline=None)
@given(
    st.one_of(
        payloads(), st.binary(max_size=200), st.text(max_size=50).map(lambda t: t.encode("utf-8", "replace"))
    )
)
def test_no_bytes_make_the_decoder_raise_and_whatever_comes_out_is_sound(payload: bytes) -> None:
    decoded = native_json.decode("g", payload, (), NOW_US)
    if decoded.failure is not None:
        assert not len(decoded)
        assert not decoded.rejected
    else:
        assert len(decoded) + len(decoded.rejected) > 0
    for meter, register, ts_us, value, _ in native_json.pieces(decoded):
        assert meter
        assert "\x00" not in meter
        assert math.isfinite(value)
        assert value >= 0 or register == "16.7.0"
        assert timestamps.EARLIEST_US <= ts_us <= NOW_US + timestamps.AHEAD_US
    for r in decoded.rejected:
        assert "\x00" not in r.detail
        r.detail.encode()


@settings(max_examples=300, deadline=None)
@given(payloads())
def test_a_rejected_value_put_in_again_is_rejected_for_the_same_reason(payload: bytes) -> None:
    for r in native_json.decode("g", payload, (), NOW_US).rejected:
        again = native_json.decode("g", r.payload, (), NOW_US)
        assert not len(again)
        assert [x.reason for x in again.rejected] == [r.reason]
        assert again.outbox is None
        assert again.seq is None


@settings(max_examples=300, deadline=None)
@given(st.recursive(st.one_of(st.none(), st.booleans(), st.integers(), st.text()), st.lists, max_leaves=20))
def test_json_that_was_read_exactly_is_written_the_same(value: object) -> None:
    assert json.loads(dumps(loads(json.dumps(value).encode()))) == value


def test_a_number_of_thousands_of_digits_costs_only_itself() -> None:
    payload = b'{"v":1,"readings":[{"meter":"a","ts":1393603200,"values":{"1.8.0":%s,"16.7.0":1}}]}' % (
        b"9" * 9000
    )
    decoded = native_json.decode("g", payload, (), NOW_US)
    assert [r.reason for r in decoded.rejected] == ["bad_value"]
    assert decoded.registers == ["16.7.0"]


def test_deep_nesting_is_malformed_or_a_bad_value_never_an_exception() -> None:
    for depth in (10, 300, 900, 5_000, 100_000):
        nested = b"[" * depth + b"]" * depth
        assert native_json.decode("g", nested, (), NOW_US).failure
        payload = (
            b'{"v":1,"readings":[{"meter":"a","ts":1393603200,"values":{"1.8.0":%s,"16.7.0":1}}]}' % nested
        )
        decoded = native_json.decode("g", payload, (), NOW_US)
        assert decoded.failure or [r.reason for r in decoded.rejected] == ["bad_value"]


def test_a_time_of_any_length_is_a_bad_timestamp_and_is_not_remembered() -> None:
    for ts in ("x" * 300, "2014-03-01T00:15:00." + "1" * 400_000 + "Z"):
        reading = {"meter": "m", "ts": ts, "values": {"1.8.0": 1.0, "2.8.0": 2.0}}
        payload = json.dumps({"v": 1, "readings": [reading]}).encode()
        decoded = native_json.decode("gw", payload, (), NOW_US)
        assert [r.reason for r in decoded.rejected] == ["bad_timestamp"] * 2
        assert ts not in timestamps._cache
