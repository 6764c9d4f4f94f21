"""The native JSON format, version 1: topic nl/v1/{gateway}/readings.

{"v":1, "outbox":"k3f9", "seq":42, "sent_at":"2014-03-01T00:15:02+08:00",
"readings":[{"meter":"110108000123", "ts":"2014-03-01T00:15:00+08:00",
"values":{"1.8.0":12345.67,"16.7.0":83.1}, "correction":true}]}

Two ways through: a fast one for messages that are good throughout, and an exact one that tells every bad
value from its good neighbours. The fast way answers only where the exact way would answer the same
(property test).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import msgspec

from collectors.decoders import timestamps
from collectors.decoders.base import (
    MAX_PAYLOAD_BYTES,
    MAX_REJECTED_BYTES,
    Decoded,
    UserProperties,
    failed,
    name_problem,
)
from collectors.decoders.json_text import NotJsonError, OddNumber, Pairs, dumps, loads
from collectors.decoders.rejected import rejected_reading
from metering.errors import RejectReason
from metering.registers import register_table

_MAX_SEQ = 2**63 - 1
_CUMULATIVE = {code: kind.cumulative for code, kind in register_table().items()}
_KNOWN = frozenset(_CUMULATIVE)


def decode(gateway: str, payload: bytes, user_properties: UserProperties, received_us: int) -> Decoded:  # noqa: ARG001
    """Decode a native message; see collectors.decoders.base.Decoder. User properties mean nothing here."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        detail = f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are taken"
        return failed(RejectReason.TOO_LARGE, detail, *_sender(payload))
    return decode_fast(payload, received_us) or decode_exact(payload, received_us)


class _Sender(msgspec.Struct, gc=False):
    outbox: str | None = None
    seq: int | None = None


_read_sender = msgspec.json.Decoder(_Sender).decode


def _sender(payload: bytes) -> tuple[str | None, int | None]:
    """Outbox and seq of a message that is not decoded, so that its outbox can be told."""
    try:
        sender = _read_sender(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None, None
    good = sender.outbox is None or not name_problem(sender.outbox, "outbox")
    return (sender.outbox, sender.seq) if good and _is_seq(sender.seq) else (None, None)


# ---------------------------------------------------------------- the fast way


class _Reading(msgspec.Struct, gc=False):
    """Without `correction`: it is rare, and takes the exact way as any key does that is not named here."""

    meter: str
    ts: str | int | float
    values: dict[str, float]


class _Message(msgspec.Struct, gc=False):
    v: int
    readings: list[_Reading]
    outbox: str | None = None
    seq: int | None = None
    sent_at: str | int | float | None = None


_read_message = msgspec.json.Decoder(_Message).decode


def decode_fast(payload: bytes, received_us: int) -> Decoded | None:
    """Decode a message that is good throughout; None if it is not, or might not be."""
    try:
        message = _read_message(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    outbox, seq, sent_at = message.outbox, message.seq, message.sent_at
    if message.v != 1 or not (seq is None or 0 <= seq <= _MAX_SEQ):
        return None
    if outbox is not None and outbox not in _good and not _good_names((outbox,)):
        return None
    readings = message.readings
    columns = _one_fast(readings[0]) if len(readings) == 1 else _columns_fast(readings)
    if columns is None:
        return None
    meters, registers, ts_us, values, texts = columns
    # Every key was used once: none is doubled, none unknown, for each would bring quotation marks of its own.
    texts += 2 + 4 * len(readings) + len(registers)
    texts += 0 if outbox is None else 2
    texts += seq is not None
    if sent_at is not None:
        texts += 1 + (type(sent_at) is str)
    if payload.count(b'"') != 2 * texts or not _plausible(registers, ts_us, values, received_us):
        return None
    sent_us = None if sent_at is None else timestamps.parse_told(sent_at)
    return Decoded(meters, registers, ts_us, values, [], [], 0, outbox, seq, sent_us)


#: Meters, registers, ts_us, values, and how many of the times are texts.
_Columns = tuple[list[str], list[str], list[int], list[float], int]


def _one_fast(reading: _Reading) -> _Columns | None:
    """The columns of a message's only reading; None if it needs the exact way."""
    meter, ts = reading.meter, reading.ts
    ts_us = timestamps.parse(ts)
    if ts_us is None or not (meter in _good or _good_names((meter,))):
        return None
    registers = list(reading.values)
    n = len(registers)
    return [meter] * n, registers, [ts_us] * n, list(reading.values.values()), type(ts) is str


def _columns_fast(readings: list[_Reading]) -> _Columns | None:
    """The columns; None if a reading needs the exact way. Whole columns at a time: this is a hot loop."""
    meters = [r.meter for r in readings]
    times = [r.ts for r in readings]
    by_register = [r.values for r in readings]
    parsed = {ts: timestamps.parse(ts) for ts in set(times)}
    if None in parsed.values() or not all(by_register) or not _good_names(meters):
        return None
    texts = sum(type(ts) is str for ts in times)
    registers = [register for values in by_register for register in values]
    values = [value for values in by_register for value in values.values()]
    if len(registers) > len(readings):
        meters = [meter for meter, values in zip(meters, by_register, strict=True) for _ in values]
        times = [ts for ts, values in zip(times, by_register, strict=True) for _ in values]
    return meters, registers, [parsed[ts] for ts in times], values, texts  # type: ignore[misc]  # none is None


#: Names of meters and outboxes that can be used.
_good: set[str] = set()


def _good_names(names: Collection[str]) -> bool:
    """Whether these names can be used; remembers those that can."""
    if _good.issuperset(names):
        return True
    if any(name_problem(name, "name") for name in names):
        return False
    if len(_good) >= 100_000:
        _good.clear()
    _good.update(names)
    return True


def _plausible(registers: list[str], ts_us: list[int], values: list[float], received_us: int) -> bool:
    """Whether there are values, all registers are known, all times in range and no cumulative register negative."""
    if not values or not _KNOWN.issuperset(registers):
        return False
    if min(ts_us) < timestamps.EARLIEST_US or max(ts_us) > received_us + timestamps.AHEAD_US:
        return False
    if min(values) >= 0:
        return max(values) < math.inf
    return all(
        math.isfinite(v) and (v >= 0 or not _CUMULATIVE[r]) for v, r in zip(values, registers, strict=True)
    )


# ---------------------------------------------------------------- the exact way


def decode_exact(payload: bytes, received_us: int) -> Decoded:
    """Decode any message, isolating each bad value."""
    try:
        message = loads(payload)
    except NotJsonError as e:
        return failed(RejectReason.MALFORMED, str(e))
    if not isinstance(message, Pairs):
        return failed(RejectReason.MALFORMED, "not a JSON object")
    out = _header_exact(message)
    if out.failure is not None:
        return out
    readings = message.get("readings")[0]
    for reading in readings:
        _read_one(reading, received_us, out)
        if out.rejected_bytes > MAX_REJECTED_BYTES:
            detail = f"its rejected values fill more than {MAX_REJECTED_BYTES} bytes"
            return failed(RejectReason.TOO_LARGE, detail, out.outbox, out.seq)
    if not any(out.corrections):
        out.corrections = []
    return out


def _header_exact(message: Pairs) -> Decoded:
    """The message's own fields, checked; with a failure where the message cannot be used at all."""
    fields, doubled = _fields(message)
    outbox, seq = fields.get("outbox"), fields.get("seq")
    bad_outbox = None if outbox is None else name_problem(outbox, "outbox")
    bad_seq = None if seq is None or _is_seq(seq) else "seq is not a whole number from 0 to 2^63-1"
    if doubled & {"outbox", "seq"}:
        bad_seq = "outbox or seq is given twice"
    who = (None, None) if bad_outbox or bad_seq else (outbox, seq)
    if type(fields.get("v")) is not int or fields["v"] != 1 or "v" in doubled:
        version = dumps(fields.get("v"))
        return failed(RejectReason.UNKNOWN_VERSION, f"v is {version[:50]}; this format is version 1", *who)
    problem = bad_outbox or bad_seq or _readings_problem(fields, doubled)
    if problem:
        return failed(RejectReason.MALFORMED, problem, *who)
    return Decoded(outbox=outbox, seq=seq, sent_us=timestamps.parse_told(fields.get("sent_at")))


def _fields(pairs: Pairs) -> tuple[dict[str, Any], set[str]]:
    """The pairs as a dict, and the keys that came more than once."""
    fields = dict(pairs)
    if len(fields) == len(pairs):
        return fields, set()
    seen: set[str] = set()
    return fields, {k for k, _ in pairs if k in seen or seen.add(k)}  # type: ignore[func-returns-value]


def _is_seq(value: object) -> bool:
    return type(value) is int and 0 <= value <= _MAX_SEQ


def _readings_problem(fields: dict[str, Any], doubled: set[str]) -> str | None:
    if "readings" not in fields:
        return "no readings"
    if "readings" in doubled:
        return "readings are given twice"
    readings = fields["readings"]
    if not isinstance(readings, list) or isinstance(readings, Pairs):
        return "readings is not a list"
    return None if readings else "readings is empty"


def _read_one(reading: Any, received_us: int, out: Decoded) -> None:
    """Take one element of `readings`: each of its values becomes a reading or a rejected value, as long as those
    are bounded.
    """
    problem = _reading_problem(reading)
    if problem:
        out.reject(rejected_reading(RejectReason.MALFORMED, problem, reading))
        return
    fields, _ = _fields(reading)
    meter, ts = fields["meter"], fields["ts"]
    ts_us = timestamps.parse(ts.text if isinstance(ts, OddNumber) else ts)
    time_problem = _time_problem(ts, ts_us, received_us)
    for register, value in fields["values"]:
        problem_of = time_problem or value_problem(register, value)
        if problem_of:
            reason, detail = problem_of
            out.reject(rejected_reading(reason, detail, _narrowed(reading, register, value)))
            if out.rejected_bytes > MAX_REJECTED_BYTES:
                return
            continue
        assert ts_us is not None
        out.meters.append(meter)
        out.registers.append(register)
        out.ts_us.append(ts_us)
        out.values.append(float(value))
        out.corrections.append(fields.get("correction") is True)


def _reading_problem(reading: Any) -> str | None:
    """Why an element of `readings` yields no values at all; None if it does."""
    if not isinstance(reading, Pairs):
        return "a reading is not an object"
    fields, doubled = _fields(reading)
    if used := sorted(doubled & {"meter", "ts", "values", "correction"}):
        return f"a reading gives {', '.join(used)} twice"
    if "meter" not in fields:
        return "a reading without meter"
    if problem := name_problem(fields["meter"], "meter"):
        return problem
    if "ts" not in fields:
        return "a reading without ts"
    values = fields.get("values")
    if not isinstance(values, Pairs):
        return "a reading without values, or values is not an object"
    if not values:
        return "values is empty"
    if not isinstance(fields.get("correction"), bool | None):
        return "correction is neither true nor false"
    return None


def _time_problem(ts: Any, ts_us: int | None, received_us: int) -> tuple[str, str] | None:
    if ts_us is None:
        return (
            RejectReason.BAD_TIMESTAMP,
            f"ts {dumps(ts)[:60]} is not RFC 3339 with an offset, nor an epoch in seconds or milliseconds",
        )
    if ts_us < timestamps.EARLIEST_US:
        return RejectReason.TIMESTAMP_OUT_OF_RANGE, f"ts {dumps(ts)[:60]} is before 2000"
    if not timestamps.in_range(ts_us, received_us):
        return RejectReason.TIMESTAMP_OUT_OF_RANGE, f"ts {dumps(ts)[:60]} is over 1 h ahead of its receipt"
    return None


def value_problem(register: str, value: Any) -> tuple[str, str] | None:
    cumulative = _CUMULATIVE.get(register)
    if cumulative is None:
        return (
            RejectReason.UNKNOWN_REGISTER,
            f"register {dumps(register)[:60]} is not in the table of registers",
        )
    if isinstance(value, bool) or not isinstance(value, int | float):
        return RejectReason.BAD_VALUE, f"{register} is {_shown(value)}, not a finite number"
    if cumulative and value < 0:
        return RejectReason.BAD_VALUE, f"{register} is cumulative and cannot be {dumps(value)[:60]}"
    return None


def _shown(value: Any) -> str:
    if isinstance(value, Pairs):
        return "an object"
    return "a list" if isinstance(value, list) else dumps(value)[:60]


def _narrowed(reading: Pairs, register: str, value: Any) -> Pairs:
    """The reading with just one of its values."""
    kept = ("meter", "ts", "values", "correction")
    one = Pairs([(register, value)])
    return Pairs((k, one if k == "values" else v) for k, v in reading if k in kept)


def pieces(decoded: Decoded) -> Iterator[tuple[str, str, int, float, bool]]:
    """The readings of a message one by one, for tests and people: (meter, register, ts_us, value,
    correction).
    """
    corrections = decoded.corrections or [False] * len(decoded)
    yield from zip(decoded.meters, decoded.registers, decoded.ts_us, decoded.values, corrections, strict=True)
