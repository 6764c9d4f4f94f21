"""What a gateway says of itself: topic nl/v1/{gateway}/status, retained, also its last will."""

from __future__ import annotations

import math
from typing import Any

from collectors.decoders import timestamps
from collectors.decoders.base import printable
from collectors.decoders.json_text import NotJsonError, OddNumber, Pairs, loads
from metering.errors import RejectReason
from metering.records import RejectRecord, StatusRecord

_MAX_BYTES = 64 * 1024
_STATES = ("online", "offline")


def decode_status(
    gateway: str, topic: str, payload: bytes, received_us: int
) -> StatusRecord | RejectRecord | None:
    """Read a status message. None: an empty one, which clears a retained message and says nothing.

    A field beside `state` that cannot be read is left out: what matters is whether the gateway lives.
    """

    def rejected(reason: str, detail: str) -> RejectRecord:
        return RejectRecord(reason, printable(detail), gateway, topic, received_us, payload)

    if not payload:
        return None
    if len(payload) > _MAX_BYTES:
        return rejected(RejectReason.TOO_LARGE, f"{len(payload)} bytes; a status has at most {_MAX_BYTES}")
    try:
        message = loads(payload)
    except NotJsonError as e:
        return rejected(RejectReason.MALFORMED, str(e))
    if not isinstance(message, Pairs):
        return rejected(RejectReason.MALFORMED, "not a JSON object")
    fields = dict(message)
    if type(fields.get("v")) is not int or fields["v"] != 1:
        return rejected(RejectReason.UNKNOWN_VERSION, "v is not 1")
    if fields.get("state") not in _STATES:
        return rejected(RejectReason.MALFORMED, "state is neither online nor offline")
    return StatusRecord(
        gateway=gateway,
        received_us=received_us,
        state=fields["state"],
        clock_offset_s=_number(fields.get("clock_offset_s")),
        outbox_depth=_count(fields.get("outbox_depth")),
        outbox_oldest_us=timestamps.parse_told(fields.get("outbox_oldest")),
        meters=_plain(fields["meters"]) if isinstance(fields.get("meters"), Pairs) else None,
        final=fields.get("final") is True,
    )


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and 0 <= value < 2**63 else None


def _plain(value: Any, depth: int = 8) -> Any:
    """JSON as dicts and lists; what is odd or too deep becomes None."""
    if depth == 0 or isinstance(value, OddNumber):
        return None
    if isinstance(value, Pairs):
        return {printable(k): _plain(v, depth - 1) for k, v in value}
    if isinstance(value, list):
        return [_plain(v, depth - 1) for v in value]
    if isinstance(value, str):
        return printable(value)
    if type(value) is int and not -(2**63) <= value < 2**63:
        return None
    return value
