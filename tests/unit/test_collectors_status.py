"""What a gateway says of itself is kept; what cannot be read is rejected with its reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.status import decode_status
from metering.records import RejectRecord, StatusRecord
from stream.codec import decode_status as from_kafka
from stream.codec import encode_status as into_kafka

TOPIC = "nl/v1/g/status"


def _named(text: str) -> bytes:
    return b'{"v":1,"state":"online","meters":{"a":"' + text.encode() + b'"}}'


def test_everything_a_gateway_may_say_is_kept() -> None:
    payload = (
        b'{"v":1,"state":"offline","clock_offset_s":-1.5,"outbox_depth":7,'
        b'"outbox_oldest":"2014-03-01T00:00:00+08:00","meters":{"a":{"ok":true}},"final":true}'
    )
    assert decode_status("g", TOPIC, payload, 5) == StatusRecord(
        "g", 5, "offline", -1.5, 7, 1_393_603_200_000_000, {"a": {"ok": True}}, True
    )


def test_an_unreadable_field_beside_the_state_does_not_cost_the_state() -> None:
    status = decode_status(
        "g", TOPIC, b'{"v":1,"state":"online","outbox_depth":"many","clock_offset_s":NaN}', 5
    )
    assert status == StatusRecord("g", 5, "online")


@pytest.mark.parametrize("oldest", [b'"0001-01-01T00:00:00Z"', b"1e15", b"-1e15", b"4e18"])
def test_a_time_that_records_have_no_room_for_does_not_cost_the_status(oldest: bytes) -> None:
    status = decode_status("g", TOPIC, b'{"v":1,"state":"online","outbox_oldest":%s}' % oldest, 5)
    assert status == StatusRecord("g", 5, "online")
    assert from_kafka(into_kafka(status)) == status


def test_the_empty_message_that_clears_a_retained_one_says_nothing() -> None:
    assert decode_status("g", TOPIC, b"", 5) is None


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"online", "malformed"),
        (b"[]", "malformed"),
        (b'{"v":1}', "malformed"),
        (b'{"v":1,"state":"asleep"}', "malformed"),
        (b'{"v":1,"state":["online"]}', "malformed"),
        (b'{"v":2,"state":"online"}', "unknown_version"),
        (b'{"state":"online"}', "unknown_version"),
        (b" " * 70_000, "too_large"),
    ],
)
def test_what_is_no_status_is_rejected(payload: bytes, reason: str) -> None:
    record = decode_status("g", TOPIC, payload, 5)
    assert isinstance(record, RejectRecord)
    assert (record.reason, record.payload) == (reason, payload)


@given(
    st.one_of(
        st.binary(max_size=50),
        st.text().map(lambda t: _named(t)),
    )
)
def test_no_bytes_make_it_raise_and_what_comes_out_goes_into_kafka(payload: bytes) -> None:
    record = decode_status("g", TOPIC, payload, 5)
    if isinstance(record, StatusRecord):
        assert from_kafka(into_kafka(record)) == record
