"""From received messages to Kafka records: grouped by gateway, whole, once each."""

from __future__ import annotations

import json
from dataclasses import replace

from collectors import routes
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
    record = codec.decode_reject(reject.value)
    assert (record.reason, record.seq) == (RejectReason.TOO_LARGE, 1)
    window.settled(reject.entries, Fate.STORED)
    assert window.to_acknowledge() == [1]


def swollen(values: int) -> bytes:
    """A message of one good value and many unknown registers, each rejected with all that surrounds it."""
    bad = ",".join(f'"{n:x}":1' for n in range(values))
    meter = "\N{CJK UNIFIED IDEOGRAPH-7535}" * 128
    reading = f'{{"meter":"{meter}","ts":1393603200,"values":{{"1.8.0":5,{bad}}}}}'
    return f'{{"v":1,"outbox":"o","seq":7,"readings":[{reading}]}}'.encode()


def test_user_properties_travel_with_what_is_to_be_decoded_again() -> None:
    intake, _ = fresh()
    whole = message("a", 1, 1)
    body = {
        "v": 1,
        "readings": [{"meter": "m", "ts": 1393603200, "values": {"1.8.0": 1, "16.7.0": None}}],
    }
    part = message("a", 2, 2, payload=json.dumps(body).encode())
    properties = (("ts", "2014-03-01T00:00:00+08:00"),)
    for m in (whole, part):
        intake.take(replace(m, user_properties=properties))
    (record,) = intake.outgoing()
    assert [m.user_properties for m in codec.decode_readings(record.value).messages] == [(), properties]


def test_a_message_that_swells_beyond_bounds_is_rejected_whole_and_its_outbox_told() -> None:
    intake, _ = fresh()
    intake.take(message("a", 1, 1))
    intake.take(message("a", 7, 2, payload=swollen(45_000)))
    records = {r.topic: r.value for r in intake.outgoing()}
    reject = codec.decode_reject(records["p.meter.rejects"])
    assert (reject.reason, reject.outbox, reject.seq, reject.items) == (RejectReason.TOO_LARGE, "o", 7, ())
    assert [m.seq for m in codec.decode_readings(records["p.meter.readings"]).messages] == [1]


def test_a_large_message_does_not_share_a_record_with_its_neighbours() -> None:
    intake, _ = fresh()
    for seq, payload in ((1, None), (7, swollen(3_000)), (3, None)):
        intake.take(message("a", seq, seq, payload=payload))
    batches = [codec.decode_readings(r.value) for r in intake.outgoing()]
    assert [[m.seq for m in b.messages] for b in batches] == [[1], [7], [3]]
    assert [len(m.rejected) for b in batches for m in b.messages] == [0, 3_000, 0]


def test_a_fault_of_a_decoder_costs_its_message_only(monkeypatch) -> None:
    """No input stops the bridge: the message goes to the dead letters whole, its neighbours go on."""

    def faulty(gateway, payload, user_properties, received_us):
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(routes.DECODERS, "faulty", faulty)
    window = InFlight()
    intake = Intake(Routes({"vendor/{gateway}/x": "faulty"}), window, "p.")
    intake.take(replace(message("a", 1, 1), topic="vendor/a/x"))
    intake.take(message("a", 2, 2))
    records = {r.topic: r for r in intake.outgoing()}
    reject = codec.decode_reject(records["p.meter.rejects"].value)
    assert reject.reason == "decoder_fault"
    assert reject.payload == message("a", 1, 1).payload
    assert len(codec.decode_readings(records["p.meter.readings"].value)) == 1
