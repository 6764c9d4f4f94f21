"""Declared formats: no bytes make them raise, and what comes out is sound."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.decoders import native_json, timestamps
from collectors.decoders.declared_formats import load_format

NOW_US = 1_700_000_000_000_000
GOLDEN = Path(__file__).parent.parent / "golden"
FORMATS = sorted(p.parent.name for p in GOLDEN.glob("*/format.toml"))
DECODERS = {name: load_format(GOLDEN / name / "format.toml").decode for name in FORMATS}
PAYLOADS = {name: [p.read_bytes() for p in sorted((GOLDEN / name).glob("*/input.*"))] for name in FORMATS}

words = [
    "timestamp",
    "node",
    "values",
    "errors",
    "meters-1",
    "EPtp",
    "P",
    "data",
    "items",
    "addr",
    "ts",
    "v",
    "id",
]
names = st.one_of(st.sampled_from([*words, "flow", "Ua", "heartbeat"]), st.text(max_size=4))
leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**1030),
    st.sampled_from([1393604100, 1393604100000, "20140228161500123", "20131027013000000", "meters-1"]),
    st.floats(),
    names,
)
documents = st.recursive(
    leaves, lambda x: st.one_of(st.lists(x, max_size=3), st.dictionaries(names, x, max_size=5)), max_leaves=15
)


@st.composite
def mutated(draw: st.DrawFn, name: str) -> bytes:
    """A golden payload with some of its bytes changed, doubled or left out."""
    data = draw(st.sampled_from(PAYLOADS[name]))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        again = data[at : at + draw(st.integers(0, 30))] if draw(st.booleans()) else b""
        data = data[:at] + draw(st.binary(max_size=2)) + again + data[at + draw(st.integers(0, 10)) :]
    return data


@pytest.mark.parametrize("name", FORMATS)
@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_no_bytes_make_a_declared_format_raise(name: str, data: st.DataObject) -> None:
    payload = data.draw(
        st.one_of(mutated(name), documents.map(lambda d: json.dumps(d).encode()), st.binary(max_size=50))
    )
    got = DECODERS[name]("g", payload, (), NOW_US)
    if got.failure is not None:
        assert not len(got)
        assert not got.rejected
    else:
        assert len(got) + len(got.rejected) > 0
    for meter, register, ts_us, value, _ in native_json.pieces(got):
        assert meter
        assert math.isfinite(value)
        assert value >= 0 or register in ("16.7.0", "32.7.0")
        assert timestamps.EARLIEST_US <= ts_us <= NOW_US + timestamps.AHEAD_US
    for r in got.rejected:
        assert r.detail
        assert "\x00" not in r.detail
        again = native_json.decode("g", r.payload, (), NOW_US)
        assert not len(again) or r.reason in ("malformed", "bad_timestamp")
        if r.reason == "bad_timestamp" and len(again):  # an RFC 3339 time where another was declared
            assert isinstance(json.loads(r.payload)["readings"][0]["ts"], str)


@pytest.mark.parametrize("piece", [b'"P":1,', b'"Q":1,', b'"Q":[[1]],'])
def test_a_message_full_of_names_is_decoded_in_proportion(piece: bytes) -> None:
    head, tail = b'{"timestamp":1393604100000,"node":"meters-1","values":{', b'"W2":1},"errors":{}}'
    payload = head + piece * (500_000 // len(piece)) + tail
    got = DECODERS["neuron"]("g", payload, (), NOW_US)
    assert got.failure is not None or len(got) + len(got.rejected) > 40_000


def test_a_long_time_does_not_multiply() -> None:
    """Every reject shows its time: together they stay bounded."""
    errors = b",".join(b'"e%d":1' % n for n in range(20_000))
    payload = b'{"timestamp":"%s","node":"meters-1","values":{},"errors":{%s}}' % (b"x" * 200_000, errors)
    got = DECODERS["neuron"]("g", payload, (), NOW_US)
    assert got.failure is not None
    assert got.failure[0] == "too_large"
