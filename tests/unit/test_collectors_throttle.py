"""A hard limit holds a gateway to its rate, and never rejects for it what its outbox would send again."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from collectors.inflight import InFlight
from collectors.intake import Intake
from collectors.mqtt_link import Incoming
from collectors.routes import Routes
from collectors.throttle import _REMEMBERED, Limits, Throttle
from stream import codec

gaps = st.floats(0, 3)


@given(st.floats(0.1, 50), st.lists(gaps, max_size=80))
def test_no_more_messages_pass_than_the_limit_and_a_second_of_it(rate: float, waits: list[float]) -> None:
    throttle, now, passed = Throttle(Limits(messages_per_s=rate)), 0.0, 0
    for wait in waits:
        now += wait
        passed += throttle.admits("g", 1, now)
    assert passed <= max(1.0, rate) + rate * now + 1e-6


@given(st.floats(0.1, 50), st.lists(st.tuples(gaps, st.integers(1, 500)), max_size=80))
def test_readings_are_held_to_the_limit_but_for_the_last_message(
    rate: float, sent: list[tuple[float, int]]
) -> None:
    throttle, now, passed, largest = Throttle(Limits(readings_per_s=rate)), 0.0, 0, 0
    for wait, readings in sent:
        now += wait
        largest = max(largest, readings)
        passed += readings * throttle.admits("g", readings, now)
    assert passed <= max(1.0, rate) + rate * now + largest + 1e-6


def test_every_message_passes_in_the_end_however_large() -> None:
    throttle = Throttle(Limits(messages_per_s=1, readings_per_s=10))
    assert throttle.admits("g", 5000, 0.0)
    assert not throttle.admits("g", 1, 400.0)
    assert throttle.admits("g", 5000, 500.0)
    assert throttle.admits("another", 1, 0.0)


def test_gateways_that_are_quiet_are_forgotten() -> None:
    throttle = Throttle(Limits(messages_per_s=1))
    for n in range(_REMEMBERED + 10):
        throttle.admits(f"g{n}", 1, n / 10)
    assert len(throttle._buckets) < 100
    assert not throttle.admits(f"g{_REMEMBERED + 9}", 1, (_REMEMBERED + 9) / 10)


def incoming(seq: int | None, mid: int, values: dict[str, object]) -> Incoming:
    body = {"v": 1, "readings": [{"meter": "m", "ts": 1393603200 + mid, "values": values}]}
    if seq is not None:
        body["seq"] = seq
    return Incoming("nl/v1/g/readings", json.dumps(body).encode(), mid, False, False)


def test_over_the_limit_a_message_with_seq_is_left_to_its_outbox_and_one_without_is_rejected() -> None:
    window = InFlight()
    intake = Intake(Routes(), window, "p.", Limits(messages_per_s=0.001))
    intake.take(incoming(1, 1, {"1.8.0": 1}))
    intake.take(incoming(2, 2, {"1.8.0": 2}))
    intake.take(incoming(None, 3, {"1.8.0": 3, "1.8.1": None, "1.8.2": 4}))
    intake.take(Incoming("nl/v1/g/readings", b"junk", 4, False, False))
    records = {r.topic: r for r in intake.outgoing()}
    [stored] = codec.decode_readings(records["p.meter.readings"].value).messages
    assert stored.seq == 1
    assert [mid for mid, _ in window._queue] == [1, 2, 3, 4]
    assert window.pending == 3, "the throttled one settled: the broker need not keep it"


def test_what_is_rejected_for_its_rate_keeps_each_reading_and_the_others_their_reason() -> None:
    intake = Intake(Routes(), InFlight(), "p.", Limits(readings_per_s=0.001))
    intake.take(incoming(None, 1, {"1.8.0": 1}))
    intake.take(incoming(None, 2, {"1.8.0": 3.5, "1.8.1": None, "1.8.2": 4}))
    [_, record] = sorted(intake.outgoing(), key=lambda r: r.topic)
    reject = codec.decode_reject(record.value)
    assert [i.reason for i in reject.items] == ["bad_value", "rate_limited", "rate_limited"]
    again = json.loads(reject.items[1].payload)
    assert again == {
        "v": 1,
        "readings": [{"meter": "m", "ts": "2014-02-28T16:00:02+00:00", "values": {"1.8.0": 3.5}}],
    }
