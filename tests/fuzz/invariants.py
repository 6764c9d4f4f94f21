"""What holds of whatever a decoder makes of any bytes. Each rule has a name, by which a breach of it is told.

columns      the columns are of equal length; `corrections` is empty or as long
whole        a failure comes alone; without one there is a reading or a rejected value: never nothing
readings     meters are names, registers are in the table, times are from 2000 to an hour ahead, values are finite,
             and not negative where the register is cumulative
sender       outbox is a name, seq is from 0 to 2^63-1
rejects      reasons are of the list and a decoder's to give; details are short printable text; bytes are kept
sum          rejected_bytes is the sum of the bytes kept
again        the same bytes give the same
requeue      what is kept of a reject can be decoded again, and then is no reading of another meaning
frames       what a decoder of frames keeps is a stretch of what came; its readings are of the message's time
fast         the fast way through native JSON answers what the exact way answers
codec        what goes to Kafka comes back the same
settled      an intake with state acknowledges every message in the end, and holds nothing then
"""

from __future__ import annotations

import math

from collectors.decoders import native_json, timestamps
from collectors.decoders.base import MAX_PAYLOAD_BYTES, Decoded, Decoder, name_problem
from metering.errors import RejectReason
from metering.registers import register_table

from .inputs import RECEIVED_US, Message

#: Reasons that others give: the registry's checks, the throttle, and the bridge where a decoder raises.
_OTHERS = {
    RejectReason.UNKNOWN_METER,
    RejectReason.UNAUTHORIZED,
    RejectReason.RATE_LIMITED,
    RejectReason.DECODER_FAULT,
}
_REASONS = frozenset(str(r) for r in RejectReason) - {str(r) for r in _OTHERS}
_CUMULATIVE = {code: kind.cumulative for code, kind in register_table().items()}
_LATEST_US = RECEIVED_US + timestamps.AHEAD_US
#: Reasons for which a part of a frame is refused beside good ones.
_PARTS = (RejectReason.BAD_BCD, RejectReason.UNKNOWN_REGISTER)
#: Of many rejects of a message the first and last few are decoded again.
_LOOKED_AT = 2


class BreachError(Exception):
    """A rule does not hold. rule: its name."""

    def __init__(self, rule: str, detail: str) -> None:
        super().__init__(f"{rule}: {detail}")
        self.rule = rule


def must(holds: object, rule: str, detail: object = "") -> None:
    """Raises BreachError where something does not hold."""
    if not holds:
        raise BreachError(rule, str(detail)[:500])


def check(out: Decoded) -> None:
    """What holds for every decoder, by itself. Raises BreachError."""
    n = len(out.ts_us)
    columns = (len(out.meters), len(out.registers), len(out.values), len(out.corrections) or n)
    must(columns == (n, n, n, n), "columns", columns)
    if out.failure is not None:
        must(not n and not out.rejected, "whole", "a failure beside readings or rejects")
        _reason(*out.failure)
    else:
        must(n or out.rejected, "whole", "neither reading nor reject nor failure")
    if n:
        _readings(out)
    must(out.outbox is None or name_problem(out.outbox, "outbox") is None, "sender", out.outbox)
    must(out.seq is None or (type(out.seq) is int and 0 <= out.seq < 2**63), "sender", out.seq)
    if out.rejected:
        for r in out.rejected:
            _reason(r.reason, r.detail)
            must(r.payload, "rejects", "no bytes are kept")
        must(out.rejected_bytes == sum(len(r.payload) for r in out.rejected), "sum")


def _readings(out: Decoded) -> None:
    for meter in set(out.meters):
        must(name_problem(meter, "meter") is None, "readings", repr(meter))
    must(_CUMULATIVE.keys() >= set(out.registers), "readings", out.registers)
    in_time = min(out.ts_us) >= timestamps.EARLIEST_US and max(out.ts_us) <= _LATEST_US
    must(in_time, "readings", out.ts_us)
    for register, value in zip(out.registers, out.values, strict=True):
        good = type(value) is float and math.isfinite(value) and (value >= 0 or not _CUMULATIVE[register])
        must(good, "readings", f"{register} is {value!r}")


def _reason(reason: str, detail: str) -> None:
    must(str(reason) in _REASONS, "rejects", f"reason {reason!r}")
    must(detail and len(detail) <= 1600 and "\x00" not in detail, "rejects", repr(detail))
    try:
        detail.encode()
    except UnicodeEncodeError:
        must(False, "rejects", repr(detail))


def _some(out: Decoded) -> list[tuple[str, bytes]]:
    rejected = out.rejected
    if len(rejected) > 2 * _LOOKED_AT:
        rejected = rejected[:_LOOKED_AT] + rejected[-_LOOKED_AT:]
    return [(r.reason, r.payload) for r in rejected]


def check_native(message: Message, out: Decoded) -> None:
    """Both ways agree; a rejected value put in again is rejected for the same reason. Raises BreachError."""
    if len(message.payload) < 100_000 and not out.rejected and out.failure is None:
        exact = native_json.decode_exact(message.payload, RECEIVED_US)
        must(_plain(out) == _plain(exact), "fast", exact)
    for reason, payload in _some(out):
        if len(payload) > MAX_PAYLOAD_BYTES:
            continue
        again = native_json.decode("g", payload, (), RECEIVED_US)
        same = not len(again) and [r.reason for r in again.rejected] == [reason]
        must(same and again.outbox is again.seq is None, "requeue", f"{reason}: {again}")


def _plain(out: Decoded) -> tuple[object, ...]:
    pieces = list(native_json.pieces(out))
    return pieces, out.rejected, out.outbox, out.seq, out.sent_us, out.failure


def check_translated(out: Decoded) -> None:
    """Rejects of formats that are not ours are native messages of one reading, which is refused again; but for what
    has the wrong form, or a time in a form of ours, which then says what it says. What was near the longest message is
    over it as one of ours, and is too_large then. Raises BreachError.
    """
    for reason, payload in _some(out):
        if len(payload) > MAX_PAYLOAD_BYTES:
            continue
        again = native_json.decode("g", payload, (), RECEIVED_US)
        fits = again.failure is None and (not len(again) or reason in ("malformed", "bad_timestamp"))
        must(fits and again.outbox is again.seq is None, "requeue", f"{reason}: {again}")


def check_frames(message: Message, out: Decoded, decode: Decoder) -> None:
    """Rejects are stretches of the payload that give no reading by themselves, and every reading is of one time. Raises
    BreachError.

    Data of a frame that are refused in part may hold frames in turn; put in again, these are what they say.
    """
    for reason, payload in _some(out):
        must(payload in message.payload, "frames", payload.hex())
        must(native_json.decode("g", payload, (), RECEIVED_US).failure, "requeue", payload.hex())
        again = decode("g", payload, message.properties, RECEIVED_US)
        must(not len(again) or reason in _PARTS, "requeue", payload.hex())
    must(len(set(out.ts_us)) <= 1, "frames", out.ts_us)
