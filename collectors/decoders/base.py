"""What every decoder takes and gives: the bytes of one MQTT message in, readings and rejects out.

A decoder is a function without state and without I/O. No input of any bytes makes it raise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from metering.records import RejectedValue

#: A message over this many bytes is rejected as too_large.
MAX_PAYLOAD_BYTES = 512 * 1024

#: A message whose rejected values fill more than this, each with its surroundings, is rejected whole.
MAX_REJECTED_BYTES = 8 * 1024 * 1024

#: Longest meter number, outbox or gateway name, in characters. They are keys of indexes.
MAX_NAME = 128

UserProperties = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Decoded:
    """What a message holds. The five columns are of equal length, one entry a value (meter, register, ts).

    ts_us: microseconds since 1970 UTC; value: in the meter's display unit.
    `failure` (reason, detail): nothing could be decoded; then there are no readings and no `rejected`.
    rejected_bytes: sum of the payloads in `rejected`.
    """

    meters: list[str] = field(default_factory=list)
    registers: list[str] = field(default_factory=list)
    ts_us: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)
    corrections: list[bool] = field(default_factory=list)
    rejected: list[RejectedValue] = field(default_factory=list)
    rejected_bytes: int = 0
    outbox: str | None = None
    seq: int | None = None
    sent_us: int | None = None
    failure: tuple[str, str] | None = None

    def __len__(self) -> int:
        return len(self.ts_us)

    def reject(self, value: RejectedValue) -> None:
        """Add a rejected value."""
        self.rejected.append(value)
        self.rejected_bytes += len(value.payload)


class Decoder(Protocol):
    """Decodes one message of the gateway that its topic names, received at `received_us` (wall clock)."""

    def __call__(
        self, gateway: str, payload: bytes, user_properties: UserProperties, received_us: int
    ) -> Decoded: ...


def failed(reason: str, detail: str, outbox: str | None = None, seq: int | None = None) -> Decoded:
    """A message of which nothing could be decoded."""
    return Decoded(failure=(reason, printable(detail)), outbox=outbox, seq=seq)


def printable(text: str, longest: int = 200) -> str:
    """`text` as it may be stored and shown: bounded, without NUL and without half surrogates."""
    cleaned = text[:longest].encode("utf-8", "backslashreplace").decode("utf-8")
    return cleaned.replace("\x00", "\\x00")


def name_problem(value: object, what: str) -> str | None:
    """Why `value` cannot be a meter number or an outbox name; None if it can."""
    if not isinstance(value, str):
        return f"{what} is not a string"
    if not value:
        return f"{what} is empty"
    if len(value) > MAX_NAME:
        return f"{what} is longer than {MAX_NAME} characters"
    if "\x00" in value:
        return f"{what} holds a NUL character"
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            return f"{what} holds half a surrogate pair"
    return None
