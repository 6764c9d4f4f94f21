"""Records keep what was put into them, and no bytes make the reader raise anything but its own error."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.records import (
    AckRecord,
    Delivery,
    MessageHeader,
    ReadingBatch,
    RejectedValue,
    RejectRecord,
    StatusRecord,
)
from stream import codec
from stream.errors import CodecError, UnknownVersionError

int64 = st.integers(-(2**63), 2**63 - 1)
instant = st.integers(codec.FIRST_US, codec.LAST_US)
text = st.text(st.characters(codec="utf-8"), max_size=8)
maybe_seq = st.one_of(st.none(), st.integers(0, 2**63 - 1))
deliveries = st.builds(Delivery, text, st.integers(1, 65_535), st.integers(0, 2**64 - 1), st.booleans())
rejected_values = st.builds(RejectedValue, text, text, st.binary(max_size=20))


@st.composite
def batches(draw: st.DrawFn) -> ReadingBatch:
    counts = draw(st.lists(st.integers(0, 4), max_size=4))
    n = sum(counts)
    messages = tuple(
        MessageHeader(
            gateway=draw(text),
            topic=draw(text),
            received_us=draw(instant),
            count=count,
            outbox=draw(st.one_of(st.none(), text)),
            seq=draw(maybe_seq),
            sent_us=draw(st.one_of(st.none(), instant)),
            rejected=tuple(draw(st.lists(rejected_values, max_size=2))),
            user_properties=tuple(draw(st.lists(st.tuples(text, text), max_size=2))),
        )
        for count in counts
    )
    meters = tuple(draw(st.lists(text, min_size=1, max_size=3)))
    registers = tuple(draw(st.lists(text, min_size=1, max_size=3)))
    column = lambda values: draw(st.lists(values, min_size=n, max_size=n))  # noqa: E731
    return ReadingBatch(
        messages=messages,
        meters=meters,
        registers=registers,
        meter_ix=np.array(column(st.integers(0, len(meters) - 1)), np.int32),
        register_ix=np.array(column(st.integers(0, len(registers) - 1)), np.int32),
        ts_us=np.array(column(instant), np.int64),
        value=np.array(column(st.floats(allow_nan=False, allow_infinity=False)), np.float64),
        correction=np.array(column(st.booleans()), np.bool_),
        deliveries=tuple((i, draw(deliveries)) for i in range(len(messages)) if draw(st.booleans())),
    )


@given(batches())
@settings(max_examples=150, deadline=None)
def test_readings_come_back_as_they_went(batch: ReadingBatch) -> None:
    back = codec.decode_readings(codec.encode_readings(batch))
    assert (back.messages, back.meters, back.registers) == (batch.messages, batch.meters, batch.registers)
    assert back.deliveries == batch.deliveries
    for column in ("meter_ix", "register_ix", "ts_us", "value", "correction"):
        there, here = getattr(batch, column), getattr(back, column)
        assert here.dtype == there.dtype
        assert here.tobytes() == there.tobytes()


rejects = st.builds(
    RejectRecord,
    reason=text,
    detail=text,
    gateway=text,
    topic=text,
    received_us=instant,
    payload=st.binary(max_size=50),
    outbox=st.one_of(st.none(), text),
    seq=maybe_seq,
    user_properties=st.lists(st.tuples(text, text), max_size=3).map(tuple),
    items=st.lists(rejected_values, max_size=3).map(tuple),
    delivery=st.none() | deliveries,
)
acks = st.builds(
    AckRecord,
    gateway=text,
    outbox=st.one_of(st.none(), text),
    stored=st.lists(st.integers(0, 2**63 - 1), max_size=5).map(tuple),
    rejected=st.lists(st.tuples(st.integers(0, 2**63 - 1), text), max_size=5).map(tuple),
)
statuses = st.builds(
    StatusRecord,
    gateway=text,
    received_us=instant,
    state=st.sampled_from(["online", "offline"]),
    clock_offset_s=st.one_of(st.none(), st.floats(allow_nan=False)),
    outbox_depth=st.one_of(st.none(), int64),
    outbox_oldest_us=st.one_of(st.none(), instant),
    meters=st.one_of(st.none(), st.dictionaries(text, st.integers(0, 9), max_size=2)),
    final=st.booleans(),
)


@given(rejects)
def test_rejects_come_back_as_they_went(record: RejectRecord) -> None:
    assert codec.decode_reject(codec.encode_reject(record)) == record


@given(acks)
def test_acks_come_back_as_they_went(record: AckRecord) -> None:
    assert codec.decode_ack(codec.encode_ack(record)) == record


@given(statuses)
def test_statuses_come_back_as_they_went(record: StatusRecord) -> None:
    assert codec.decode_status(codec.encode_status(record)) == record


@given(
    st.one_of(st.binary(max_size=80), batches().map(codec.encode_readings), rejects.map(codec.encode_reject)),
    st.data(),
)
@settings(max_examples=300, deadline=None)
def test_mutated_records_raise_codec_error_or_nothing(record: bytes, data: st.DataObject) -> None:
    if record:
        at = data.draw(st.integers(0, len(record) - 1))
        record = record[:at] + data.draw(st.binary(max_size=2)) + record[at + data.draw(st.integers(0, 3)) :]
    for decode in (codec.decode_readings, codec.decode_reject, codec.decode_ack, codec.decode_status):
        try:
            decode(record)
        except CodecError:
            continue


def test_a_record_of_a_newer_version_is_named_as_such() -> None:
    with pytest.raises(UnknownVersionError):
        codec.decode_ack(msgpack.packb({"v": 2}))


def test_a_large_record_is_compressed_and_comes_back() -> None:
    record = RejectRecord("r", "d", "g", "t", 1, b"x" * (2 * codec.COMPRESS_FROM))
    encoded = codec.encode_reject(record)
    assert len(encoded) < codec.COMPRESS_FROM
    assert codec.decode_reject(encoded) == record
