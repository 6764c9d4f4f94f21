"""Sparkplug B: no bytes and no order of messages make the intake raise, and none is forgotten."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from collectors.decoders.sparkplug import Naming, decoder_of
from collectors.inflight import Fate, InFlight
from collectors.mqtt_link import Incoming
from collectors.routes import Routes
from collectors.sparkplug_intake import MOST_WAITING, WAIT_S, SparkplugIntake
from simulators.sparkplug_payloads import metric, payload
from stream import codec

NOW_MS = 1_393_604_100_000
maybe = st.none
names = st.one_of(
    maybe(), st.sampled_from(["1.8.0", "m/16.7.0", "bdSeq", "9.9.9", "", "/"]), st.text(max_size=5)
)
values = st.one_of(
    maybe(),
    st.booleans(),
    st.integers(0, 2**64 - 1),
    st.floats(),
    st.binary(min_size=4, max_size=4),
    st.text(max_size=4),
)
metrics = st.builds(
    metric,
    names,
    values,
    alias=st.one_of(maybe(), st.integers(0, 3), st.integers(0, 2**64 - 1)),
    ts_ms=st.one_of(maybe(), st.just(NOW_MS), st.integers(0, 2**64 - 1)),
    datatype=st.one_of(maybe(), st.integers(0, 20), st.integers(0, 2**32 - 1)),
)
payloads = st.builds(
    lambda ms, seq, ts: payload(*ms, seq=seq, ts_ms=ts),
    st.lists(metrics, max_size=4),
    st.one_of(maybe(), st.integers(0, 3), st.integers(0, 2**64 - 1)),
    st.one_of(maybe(), st.just(NOW_MS), st.integers(0, 2**64 - 1)),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    data = draw(payloads)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=3)) + data[at + draw(st.integers(0, 5)) :]
    return data


any_payload = st.one_of(payloads, mutated(), st.binary(max_size=60))
topics = st.one_of(
    st.builds(
        lambda kind, device: f"spBv1.0/g/{kind}/n{device}",
        st.sampled_from(["NBIRTH", "DBIRTH", "NDATA", "DDATA", "NDEATH", "DDEATH", "NCMD"]),
        st.sampled_from(["", "/a", "/b"]),
    ),
    st.text(max_size=20),
)
messages = st.lists(
    st.tuples(topics, any_payload, st.booleans(), st.sampled_from([0.0, 0.0, 1.0, 7.0])), max_size=12
)


@settings(max_examples=400, deadline=None)
@given(messages)
def test_any_messages_in_any_order_are_all_settled_in_the_end(
    sent: list[tuple[str, bytes, bool, float]],
) -> None:
    now = [0.0]
    window = InFlight()
    routes = Routes({"spBv1.0/+/+/{gateway}/#": "sparkplug"})
    intake = SparkplugIntake(routes, window, "", clock=lambda: now[0])
    acknowledged = []

    def forward() -> None:
        intake.tick()
        for record in intake.outgoing():
            if record.topic == "meter.readings":
                batch = codec.decode_readings(record.value)
                assert all(map(math.isfinite, batch.value))
            window.settled(record.entries, Fate.STORED)
        acknowledged.extend(window.to_acknowledge())

    for mid, (topic, data, dup, pause) in enumerate(sent, 1):
        intake.take(Incoming(topic, data, mid, dup, False))
        now[0] += pause
        forward()
    now[0] += WAIT_S
    forward()
    assert acknowledged == list(range(1, len(sent) + 1))
    assert not window.pending
    assert not intake.held
    assert not window.pending_bytes


@settings(max_examples=400, deadline=None)
@given(any_payload, st.sampled_from(["NBIRTH/n", "DDATA/n/d", "NDEATH/n"]))
def test_no_bytes_make_the_decoder_raise(data: bytes, tail: str) -> None:
    decode = decoder_of(f"spBv1.0/g/{tail}", Naming())
    assert decode is not None
    got = decode("n", data, (), NOW_MS * 1000)
    assert (got.failure is None) == bool(len(got) or got.rejected)
    assert len(got.meters) == len(got.registers) == len(got.ts_us) == len(got.values)


def test_what_waits_is_bounded() -> None:
    window = InFlight()
    routes = Routes({"spBv1.0/+/+/{gateway}/#": "sparkplug"})
    intake = SparkplugIntake(routes, window, "")
    for mid in range(1, MOST_WAITING + 11):
        data = payload(metric(None, 1.0, alias=mid), seq=mid % 256, ts_ms=NOW_MS)
        intake.take(Incoming("spBv1.0/g/NDATA/n", data, mid, False, False))
    assert intake.held == MOST_WAITING
    assert len(intake.requests()) == 1
