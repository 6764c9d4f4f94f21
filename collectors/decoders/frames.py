"""Frames of meter buses in a stretch of bytes: found, told from what is broken, and read one by one.

DL/T 645 and CJ/T 188 share their outside: wake-up bytes FE, start 68, a header whose last byte is the length L
of the data, the data, a checksum (sum of all bytes from the first 68, mod 256) and the end 16.

The payload is cut into stretches that lie end to end: whole frames, and what lies between them. Every stretch
that yields no reading is one reject; wake-up bytes before a frame belong to its stretch.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from collectors.decoders.base import Decoded, UserProperties, printable
from collectors.decoders.envelope import read_envelope
from metering.errors import RejectReason
from metering.records import RejectedValue

START, END, WAKE_UP = 0x68, 0x16, 0xFE

#: A byte of two BCD digits, in a regular expression for bytes.
BCD = rb"[\x00-\x09\x10-\x19\x20-\x29\x30-\x39\x40-\x49\x50-\x59\x60-\x69\x70-\x79\x80-\x89\x90-\x99]"


@dataclass(frozen=True, slots=True)
class Shape:
    """How a protocol's frames look. `header`: bytes up to and with L, which is the last of them.

    start: matches where a frame may begin, whole or broken; cut: matches where one begins of which the rest is
    missing (searched in what lies between whole frames, so it may ask for the end of the bytes). second: where the
    header has a second start byte, which begins no frame of its own; 0: it has none.
    """

    header: int
    start: re.Pattern[bytes]
    cut: re.Pattern[bytes]
    second: int = 0


class Stretch(NamedTuple):
    """Bytes [start, end) of a payload: a whole frame that begins at `at`, or what `reason` says."""

    start: int
    at: int
    end: int
    reason: RejectReason | None


@dataclass(slots=True)
class Answer:
    """What a whole frame says. refused: (reason, detail, its own bytes) of single values beside good ones."""

    meter: str
    values: list[tuple[str, float]]
    refused: list[tuple[RejectReason, str, bytes]]


class UnusableError(Exception):
    """A whole frame without a reading."""

    def __init__(self, reason: RejectReason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


#: Reads a whole frame, from its start byte to its end byte. Raises UnusableError.
Reader = Callable[[bytes], Answer]

_DETAILS = {
    RejectReason.BAD_CHECKSUM: "the frame's checksum is not the sum of its bytes",
    RejectReason.TRUNCATED_FRAME: "the frame does not end where its length says",
    RejectReason.JUNK: "no frame begins here",
}


def decode_frames(
    payload: bytes, properties: UserProperties, received_us: int, shape: Shape, read: Reader
) -> Decoded:
    """Decode a payload of one or more frames; see collectors.decoders.base.Decoder."""
    envelope = read_envelope(payload, properties, received_us)
    if isinstance(envelope, Decoded):
        return envelope
    if not payload:
        return envelope.failed(RejectReason.JUNK, "the payload is empty")
    out = Decoded(outbox=envelope.outbox, seq=envelope.seq)
    ts_us = received_us if envelope.ts_us is None else envelope.ts_us
    for stretch in stretches(payload, shape):
        _take(payload, stretch, ts_us, read, out)
    return out


def _take(payload: bytes, stretch: Stretch, ts_us: int, read: Reader, out: Decoded) -> None:
    if stretch.reason is not None:
        _reject(out, stretch.reason, _DETAILS[stretch.reason], payload[stretch.start : stretch.end])
        return
    try:
        answer = read(payload[stretch.at : stretch.end])
    except UnusableError as e:
        _reject(out, e.reason, str(e), payload[stretch.start : stretch.end])
        return
    for register, value in answer.values:
        out.meters.append(answer.meter)
        out.registers.append(register)
        out.ts_us.append(ts_us)
        out.values.append(value)
    for reason, detail, own in answer.refused:
        _reject(out, reason, detail, own)


def _reject(out: Decoded, reason: RejectReason, detail: str, payload: bytes) -> None:
    out.reject(RejectedValue(str(reason), printable(detail), payload))


def digits(data: bytes) -> str | None:
    """BCD bytes that come low byte first, as digits; None if one is no decimal digit."""
    text = data[::-1].hex()
    return text if text.isdecimal() else None


# ---------------------------------------------------------------- cutting


def stretches(data: bytes, shape: Shape) -> Iterator[Stretch]:
    """The stretches of `data`, end to end, none empty. Time grows with len(data) only."""
    sums = list(accumulate(data, initial=0))
    done = 0
    begin = shape.start.search(data)
    while begin is not None:
        at = begin.start()
        end = _end_of_frame(data, at, len(data), shape)
        if end is not None and (sums[end - 2] - sums[at]) & 0xFF == data[end - 2]:
            first = _wake_up_before(data, at, done)
            yield from _between(data, done, first, shape)
            yield Stretch(first, at, end, None)
            at, done = end - 1, end
        begin = shape.start.search(data, at + 1)
    yield from _between(data, done, len(data), shape)


def _end_of_frame(data: bytes, at: int, limit: int, shape: Shape) -> int | None:
    """Where a frame that begins at `at` ends, if its length leads to an end byte below `limit`."""
    if at + shape.header > limit:
        return None
    end = at + shape.header + data[at + shape.header - 1] + 2
    return end if end <= limit and data[end - 1] == END else None


def _wake_up_before(data: bytes, at: int, lowest: int) -> int:
    """Where the wake-up bytes before `at` begin."""
    while at > lowest and data[at - 1] == WAKE_UP:
        at -= 1
    return at


def _between(data: bytes, start: int, end: int, shape: Shape) -> Iterator[Stretch]:
    """Stretches of bytes that hold no whole frame with a right checksum."""
    found = _broken_from(data, start, end, shape)
    while found is not None:
        at, broken_end = found
        first = _wake_up_before(data, at, start)
        if first > start:
            yield Stretch(start, start, first, RejectReason.JUNK)
        if broken_end is not None:
            found = _broken_from(data, broken_end, end, shape)
            yield Stretch(first, at, broken_end, RejectReason.BAD_CHECKSUM)
            start = broken_end
            continue
        found = _after_cut(data, at, end, shape)
        start = end if found is None else _wake_up_before(data, found[0], at + 1)
        yield Stretch(first, at, start, RejectReason.TRUNCATED_FRAME)
    if start < end:
        yield Stretch(start, start, end, RejectReason.JUNK)


def _after_cut(data: bytes, at: int, end: int, shape: Shape) -> tuple[int, int | None] | None:
    """The next frame that is broken after the one at `at`, of which the end is missing.

    A byte of that frame may be 68, too: its second start byte is, and as far as its length says it goes, what is no
    more than the beginning of a header is not taken for another frame.
    """
    length_at = at + shape.header - 1
    own_end = length_at + 1 + (data[length_at] + 2 if length_at < end else 0)
    whole = shape.second + 1 if shape.second else shape.header
    found = _broken_from(data, at + 1, end, shape)
    while found is not None and found[1] is None:
        second = shape.second and found[0] == at + shape.second
        if not second and not (found[0] < own_end and found[0] + whole > end):
            break
        found = _broken_from(data, found[0] + 1, end, shape)
    return found


def _broken_from(data: bytes, start: int, end: int, shape: Shape) -> tuple[int, int | None] | None:
    """The next frame that is broken: where it begins, and its end if it has one."""
    at = data.find(START, start, end)
    while at >= 0:
        if shape.start.match(data, at, end):
            broken_end = _end_of_frame(data, at, end, shape)
            if broken_end is not None:
                return at, broken_end
        if shape.cut.match(data, at, end):
            return at, None
        at = data.find(START, at + 1, end)
    return None
