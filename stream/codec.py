"""Versioned records: what the house writes into Kafka and reads back.

A record is a msgpack map with "v": 1. Columns are little-endian bytes. A large record is a map {"v": 1,
"z": …} that holds the zlib-compressed map. See docs/decisions/kafka-codec.md.

Decoding takes any bytes and returns the record or raises CodecError; nothing else.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import msgpack
import numpy as np
import numpy.typing as npt

from metering.records import (
    AckRecord,
    Delivery,
    MessageHeader,
    ReadingBatch,
    RejectedValue,
    RejectRecord,
    StatusRecord,
)
from stream.errors import CodecError, UnknownVersionError

VERSION = 1

#: Records from this size on are compressed: rejected values repeat their surroundings.
COMPRESS_FROM = 256 * 1024
#: No record of ours expands beyond this; a larger one is refused rather than unpacked.
MAX_EXPANDED = 128 * 1024 * 1024

#: 1900 to the end of 9998, in microseconds: times that every calendar and database on the way can hold.
FIRST_US, LAST_US = -2_208_988_800_000_000, 253_370_764_799_999_999

T = TypeVar("T")

_I4 = np.dtype("<i4")
_I8 = np.dtype("<i8")
_F8 = np.dtype("<f8")


# ---------------------------------------------------------------- envelope


def _pack(body: dict[str, Any]) -> bytes:
    raw: bytes = msgpack.packb({"v": VERSION, **body})
    if len(raw) < COMPRESS_FROM:
        return raw
    packed: bytes = msgpack.packb({"v": VERSION, "z": zlib.compress(raw, 1)})
    return packed


def _unpack_map(data: bytes) -> dict[str, Any]:
    try:
        body = msgpack.unpackb(data)
    except (ValueError, TypeError, RecursionError, msgpack.exceptions.UnpackException) as e:
        raise CodecError(f"not msgpack: {type(e).__name__}") from e
    if not isinstance(body, dict):
        raise CodecError("not a msgpack map")
    version = body.get("v")
    if version != VERSION or isinstance(version, bool):
        raise UnknownVersionError(f"record version {version!r}; this program reads {VERSION}")
    return body


def _expand(data: bytes) -> bytes:
    try:
        d = zlib.decompressobj()
        raw = d.decompress(data, MAX_EXPANDED)
    except zlib.error as e:
        raise CodecError(f"not zlib: {e}") from e
    if not d.eof:
        raise CodecError("compressed record is cut short or too large")
    return raw


def _unpack(data: bytes) -> dict[str, Any]:
    body = _unpack_map(data)
    packed = body.get("z")
    if packed is None:
        return body
    if not isinstance(packed, bytes):
        raise CodecError("compressed part is not bytes")
    return _unpack_map(_expand(packed))


def _guarded(make: Callable[[dict[str, Any]], T], data: bytes) -> T:
    """Decode, and let every way in which a body can be misshapen come out as CodecError."""
    body = _unpack(data)
    try:
        return make(body)
    except (KeyError, IndexError, TypeError, ValueError, OverflowError) as e:
        raise CodecError(f"misshapen record: {type(e).__name__}: {e}") from e


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text expected, got {type(value).__name__}")
    return value


def _whole(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**63) <= value < 2**63:
        raise TypeError("64-bit integer expected")
    return value


def _instant(value: Any) -> int:
    us = _whole(value)
    if not FIRST_US <= us <= LAST_US:
        raise ValueError("a time that no calendar has")
    return us


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes expected, got {type(value).__name__}")
    return value


def _maybe(read: Callable[[Any], T], value: Any) -> T | None:
    return None if value is None else read(value)


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("list expected")
    return tuple(_text(v) for v in value)


def _column(
    body: dict[str, Any], key: str, dtype: np.dtype[Any], native: type, length: int | None
) -> npt.NDArray[Any]:
    """A column as an array of the machine's own byte order; `length`: how many values it must have."""
    values = np.frombuffer(_bytes(body[key]), dtype=dtype)
    if length is not None and len(values) != length:
        raise ValueError(f"column {key} has {len(values)} values, {length} wanted")
    return values.astype(native, copy=False)


# ---------------------------------------------------------------- readings


def _rejected_out(values: Sequence[RejectedValue]) -> list[list[Any]]:
    return [[r.reason, r.detail, r.payload] for r in values]


def _rejected_in(value: Any) -> tuple[RejectedValue, ...]:
    return tuple(RejectedValue(_text(r), _text(d), _bytes(p)) for r, d, p in value)


def _header_out(m: MessageHeader) -> list[Any]:
    rejected = _rejected_out(m.rejected) if m.rejected else ()
    header = [m.gateway, m.topic, m.received_us, m.count, m.outbox, m.seq, m.sent_us, rejected]
    if m.user_properties:
        header.append([list(p) for p in m.user_properties])
    return header


def _header_in(value: Any) -> MessageHeader:
    gateway, topic, received_us, count, outbox, seq, sent_us, rejected, *more = value
    (properties,) = more or ([],)
    if _whole(count) < 0:
        raise ValueError("negative count")
    return MessageHeader(
        gateway=_text(gateway),
        topic=_text(topic),
        received_us=_instant(received_us),
        count=count,
        outbox=_maybe(_text, outbox),
        seq=_maybe(_whole, seq),
        sent_us=_maybe(_instant, sent_us),
        rejected=_rejected_in(rejected),
        user_properties=tuple((_text(k), _text(v)) for k, v in properties),
    )


def _delivery_out(d: Delivery) -> list[Any]:
    return [d.session, d.mid, d.digest, d.dup]


def _delivery_in(value: Any) -> Delivery:
    session, mid, digest, dup = value
    if not 1 <= mid <= 65_535 or not 0 <= digest < 2**64 or not isinstance(dup, bool):
        raise ValueError("no delivery of a broker")
    return Delivery(_text(session), _whole(mid), int(digest), dup)


def _deliveries_in(value: Any, messages: int) -> tuple[tuple[int, Delivery], ...]:
    found = tuple((_whole(i), _delivery_in(more)) for i, *more in value)
    indexes = [i for i, _ in found]
    if indexes != sorted(set(indexes)) or (indexes and not 0 <= indexes[0] <= indexes[-1] < messages):
        raise ValueError("deliveries of messages that are not there")
    return found


def encode_readings(batch: ReadingBatch) -> bytes:
    """Record of meter.readings: whole messages with their readings as columns."""
    body: dict[str, Any] = {
        "m": [_header_out(m) for m in batch.messages],
        "meters": batch.meters,
        "registers": batch.registers,
        "mi": batch.meter_ix.astype(_I4, copy=False).tobytes(),
        "ri": batch.register_ix.astype(_I4, copy=False).tobytes(),
        "ts": batch.ts_us.astype(_I8, copy=False).tobytes(),
        "val": batch.value.astype(_F8, copy=False).tobytes(),
    }
    if batch.correction.any():
        body["corr"] = batch.correction.tobytes()
    if batch.deliveries:
        body["d"] = [[i, *_delivery_out(d)] for i, d in batch.deliveries]
    return _pack(body)


def _in_range(ix: npt.NDArray[np.int32], size: int, key: str) -> None:
    if len(ix) and (int(ix.min()) < 0 or int(ix.max()) >= size):
        raise ValueError(f"column {key} points outside its table")


def _readings_in(body: dict[str, Any]) -> ReadingBatch:
    messages = tuple(_header_in(m) for m in body["m"])
    n = sum(m.count for m in messages)
    meters, registers = _texts(body["meters"]), _texts(body["registers"])
    meter_ix = _column(body, "mi", _I4, np.int32, n)
    register_ix = _column(body, "ri", _I4, np.int32, n)
    _in_range(meter_ix, len(meters), "mi")
    _in_range(register_ix, len(registers), "ri")
    value = _column(body, "val", _F8, np.float64, n)
    if not np.isfinite(value).all():
        raise ValueError("a value is not finite")
    ts_us = _column(body, "ts", _I8, np.int64, n)
    if n and (int(ts_us.min()) < FIRST_US or int(ts_us.max()) > LAST_US):
        raise ValueError("a time that no calendar has")
    corrections = np.frombuffer(_bytes(body["corr"]), np.uint8) if "corr" in body else np.zeros(n, np.uint8)
    if len(corrections) != n:
        raise ValueError("column corr has another length")
    return ReadingBatch(
        messages=messages,
        meters=meters,
        registers=registers,
        meter_ix=meter_ix,
        register_ix=register_ix,
        ts_us=ts_us,
        value=value,
        correction=corrections != 0,
        deliveries=_deliveries_in(body["d"], len(messages)) if "d" in body else (),
    )


def decode_readings(data: bytes) -> ReadingBatch:
    """Read a record of meter.readings. Raises CodecError."""
    return _guarded(_readings_in, data)


# ---------------------------------------------------------------- rejects, acknowledgements, status


def encode_reject(r: RejectRecord) -> bytes:
    """Record of meter.rejects: a message of which nothing was usable."""
    delivery = {} if r.delivery is None else {"d": _delivery_out(r.delivery)}
    return _pack(
        {
            "reason": r.reason,
            "detail": r.detail,
            "gateway": r.gateway,
            "topic": r.topic,
            "received_us": r.received_us,
            "payload": r.payload,
            "outbox": r.outbox,
            "seq": r.seq,
            "props": [list(p) for p in r.user_properties],
            "items": _rejected_out(r.items),
            **delivery,
        }
    )


def _reject_in(body: dict[str, Any]) -> RejectRecord:
    return RejectRecord(
        reason=_text(body["reason"]),
        detail=_text(body["detail"]),
        gateway=_text(body["gateway"]),
        topic=_text(body["topic"]),
        received_us=_instant(body["received_us"]),
        payload=_bytes(body["payload"]),
        outbox=_maybe(_text, body["outbox"]),
        seq=_maybe(_whole, body["seq"]),
        user_properties=tuple((_text(k), _text(v)) for k, v in body["props"]),
        items=_rejected_in(body["items"]),
        delivery=_delivery_in(body["d"]) if "d" in body else None,
    )


def decode_reject(data: bytes) -> RejectRecord:
    """Read a record of meter.rejects. Raises CodecError."""
    return _guarded(_reject_in, data)


def encode_ack(a: AckRecord) -> bytes:
    """Record of meter.acks."""
    return _pack(
        {
            "gateway": a.gateway,
            "outbox": a.outbox,
            "stored": a.stored,
            "rejected": [list(r) for r in a.rejected],
        }
    )


def _ack_in(body: dict[str, Any]) -> AckRecord:
    return AckRecord(
        gateway=_text(body["gateway"]),
        outbox=_maybe(_text, body["outbox"]),
        stored=tuple(_whole(s) for s in body["stored"]),
        rejected=tuple((_whole(s), _text(r)) for s, r in body["rejected"]),
    )


def decode_ack(data: bytes) -> AckRecord:
    """Read a record of meter.acks. Raises CodecError."""
    return _guarded(_ack_in, data)


def encode_status(s: StatusRecord) -> bytes:
    """Record of meter.status."""
    return _pack(
        {
            "gateway": s.gateway,
            "received_us": s.received_us,
            "state": s.state,
            "clock_offset_s": s.clock_offset_s,
            "outbox_depth": s.outbox_depth,
            "outbox_oldest_us": s.outbox_oldest_us,
            "meters": s.meters,
            "final": s.final,
        }
    )


def _status_in(body: dict[str, Any]) -> StatusRecord:
    meters, final, offset = body["meters"], body["final"], body["clock_offset_s"]
    if not (meters is None or isinstance(meters, dict)) or not isinstance(final, bool):
        raise TypeError("meters or final has a wrong type")
    return StatusRecord(
        gateway=_text(body["gateway"]),
        received_us=_instant(body["received_us"]),
        state=_text(body["state"]),
        clock_offset_s=None if offset is None else float(offset),
        outbox_depth=_maybe(_whole, body["outbox_depth"]),
        outbox_oldest_us=_maybe(_instant, body["outbox_oldest_us"]),
        meters=meters,
        final=final,
    )


def decode_status(data: bytes) -> StatusRecord:
    """Read a record of meter.status. Raises CodecError."""
    return _guarded(_status_in, data)
