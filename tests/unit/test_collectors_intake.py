"""From received messages to Kafka records: grouped by gateway, whole, once each."""

from __future__ import annotations

import json

from collectors.inflight import Fate, InFlight
from collectors.intake import GROUP_MESSAGES, Intake
from collectors.mqtt_link import Incoming
from collectors.routes import Routes
from metering.errors import RejectReason
from stream import codec


def message(
    gateway: str, seq: int, mid: int, leaf: str = "readings", payload: bytes | None = None
) -> Incoming:
    body = {
        "v": 1,
        "seq": seq,
        "readings": [{"meter": "m", "ts": 1393603200 + seq, "values": {"1.8.0": seq}}],
    }
    return Incoming(
        f"nl/v1/{gateway}/{leaf}",
        json.dumps(body).encode() if payload is None else payload,
        mid,
        False,
        False,
    )


def fresh() -> tuple[Intake, InFlight]:
    window = InFlight()
    return Intake(Routes(), window, "p."), window


def test_waiting_messages_of_a_gateway_share_a_record_in_order() -> None:
    intake, _ = fresh()
    for seq in range(6):
        intake.take(message("ab"[seq % 2], seq, seq + 1))
    assert intake.waiting == 6
    records = {r.key: codec.decode_readings(r.value) for r in intake.outgoing()}
    assert intake.waiting == 0
    assert [m.seq for m in records["a"].messages] == [0, 2, 4]
    assert records["b"].value.tolist() == [1.0, 3.0, 5.0]
    assert list(intake.outgoing()) == []


def test_a_record_takes_only_so_many_messages_and_their_order_holds() -> None:
    intake, _ = fresh()
    for seq in range(GROUP_MESSAGES + 10):
        intake.take(message("a", seq, seq + 1))
    batches = [codec.decode_readings(r.value) for r in intake.outgoing()]
    assert [len(b.messages) for b in batches] == [GROUP_MESSAGES, 10]
    assert [m.seq for b in batches for m in b.messages] == list(range(GROUP_MESSAGES + 10))


def test_each_kind_of_message_goes_to_its_topic() -> None:
    intake, _ = fresh()
    intake.take(message("a", 1, 1))
    intake.take(message("a", 2, 2, payload=b"junk"))
    intake.take(message("a", 3, 3, leaf="status", payload=b'{"v":1,"state":"online"}'))
    assert sorted(r.topic for r in intake.outgoing()) == [
        "p.meter.readings",
        "p.meter.rejects",
        "p.meter.status",
    ]


def test_what_needs_no_record_may_be_acknowledged_at_once() -> None:
    intake, window = fresh()
    intake.take(message("a", 1, 1, leaf="status", payload=b""))
    intake.take(message("a", 2, 2, leaf="elsewhere"))
    assert window.to_acknowledge() == [1, 2]
    assert list(intake.outgoing()) == []


def test_what_is_discarded_is_not_sent_and_goes_when_it_comes_again() -> None:
    intake, window = fresh()
    intake.take(message("a", 1, 1))
    intake.discard()
    window.fail_pending()
    window.connected()
    again = message("a", 1, 1)
    again.dup = True
    intake.take(again)
    assert [m.seq for r in intake.outgoing() for m in codec.decode_readings(r.value).messages] == [1]


def test_a_message_that_fills_more_than_a_record_is_rejected_whole() -> None:
    intake, window = fresh()
    intake.take(message("a", 1, 1))
    [out] = intake.outgoing()
    [reject] = intake.too_large(out)
    assert codec.decode_reject(reject.value).reason == RejectReason.TOO_LARGE
    window.settled(reject.entries, Fate.STORED)
    assert window.to_acknowledge() == [1]
