"""What is thrown at a decoder: one message, or for formats with state a sequence of them."""

from __future__ import annotations

from typing import NamedTuple

Properties = tuple[tuple[str, str], ...]

#: When every input is received: 2014-03-01T00:20:00+08:00, as in the golden cases.
RECEIVED_AT = "2014-03-01T00:20:00+08:00"
RECEIVED_US = 1_393_604_400_000_000


class Message(NamedTuple):
    """A PUBLISH of a gateway. topic: where the format needs it, else empty."""

    payload: bytes
    properties: Properties = ()
    topic: str = ""


#: One message, or a sequence.
Input = tuple[Message, ...]


def size_of(given: Input) -> int:
    """Bytes of its payloads."""
    return sum(len(m.payload) for m in given)
