"""What a gateway says about a message that is not native JSON: MQTT user properties seq, outbox and ts."""

from __future__ import annotations

import re
from dataclasses import dataclass

from collectors.decoders import timestamps
from collectors.decoders.base import MAX_PAYLOAD_BYTES, Decoded, UserProperties, failed, name_problem
from metering.errors import RejectReason

_SEQ = re.compile(r"[0-9]{1,19}\Z")
_MAX_SEQ = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """Whose message it is, and its time. ts_us: the property's, else None; microseconds since 1970 UTC."""

    outbox: str | None = None
    seq: int | None = None
    ts_us: int | None = None

    def failed(self, reason: RejectReason, detail: str) -> Decoded:
        """The message cannot be used; its outbox can be told."""
        return failed(reason, detail, self.outbox, self.seq)


def read_envelope(payload: bytes, properties: UserProperties, received_us: int) -> Envelope | Decoded:
    """The envelope of a message; a Decoded with its failure where the message cannot be used for its sake.

    `ts` is text, as every user property, so it is RFC 3339 with an offset; an epoch as text is no time.
    """
    given = {name: [v for n, v in properties if n == name] for name in ("outbox", "seq", "ts")}
    envelope, problem = _sender(given["outbox"], given["seq"])
    if problem:
        return failed(RejectReason.MALFORMED, problem)
    if len(payload) > MAX_PAYLOAD_BYTES:
        detail = f"{len(payload)} bytes; at most {MAX_PAYLOAD_BYTES} are taken"
        return envelope.failed(RejectReason.TOO_LARGE, detail)
    return _timed(envelope, given["ts"], received_us)


def _sender(outboxes: list[str], seqs: list[str]) -> tuple[Envelope, str | None]:
    if len(outboxes) > 1 or len(seqs) > 1:
        return Envelope(), "outbox or seq is given twice"
    outbox = outboxes[0] if outboxes else None
    problem = None if outbox is None else name_problem(outbox, "outbox")
    seq = None
    if seqs:
        seq = int(seqs[0]) if _SEQ.match(seqs[0]) else -1
        if not 0 <= seq <= _MAX_SEQ:
            problem = problem or "seq is not a whole number from 0 to 2^63-1"
    return (Envelope(), problem) if problem else (Envelope(outbox, seq), None)


def _timed(envelope: Envelope, times: list[str], received_us: int) -> Envelope | Decoded:
    if not times:
        return envelope
    if len(times) > 1:
        return envelope.failed(RejectReason.BAD_TIMESTAMP, "ts is given twice")
    ts_us = timestamps.parse_text(times[0])
    shown = f"ts {times[0][:60]!r}"
    if ts_us is None:
        return envelope.failed(RejectReason.BAD_TIMESTAMP, f"{shown} is not RFC 3339 with an offset")
    if not timestamps.in_range(ts_us, received_us):
        where = "before 2000" if ts_us < timestamps.EARLIEST_US else "over 1 h ahead of its receipt"
        return envelope.failed(RejectReason.TIMESTAMP_OUT_OF_RANGE, f"{shown} is {where}")
    return Envelope(envelope.outbox, envelope.seq, ts_us)
