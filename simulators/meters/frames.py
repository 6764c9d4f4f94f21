"""What the framings of simulated meters share: finding a request in what comes, and BCD."""

from __future__ import annotations

from collections.abc import Callable

#: No frame of these protocols is longer: CJ/T 188 has 13 bytes about up to 255 of data.
_LONGEST = 268


def bcd(digits: str) -> bytes:
    """Digits as BCD bytes, low byte first."""
    return bytes.fromhex(digits)[::-1]


def bcd_number(value: float, size: int, decimals: int, signed: bool = False) -> bytes:
    """A number as `size` BCD bytes, low byte first. It rolls over at its highest digit; signed: the highest bit is
    the sign, and the highest digit goes to 7.
    """
    whole = round(abs(value) * 10**decimals) % 10 ** (2 * size)
    data = bytearray(bcd(f"{whole:0{2 * size}}"))
    if signed:
        data[-1] = data[-1] & 0x7F | (0x80 if value < 0 and whole else 0)
    return bytes(data)


def next_frame(
    received: bytes, start: bytes, length_of: Callable[[bytes], int | None], good: Callable[[bytes], bool]
) -> tuple[bytes | None, bytes]:
    """The first whole, good frame in what came, and what is left behind it. None where there is none: then what is
    left may yet become one.

    start: how a frame begins; length_of: of the frame that bytes (a frame's at most) begin with, 0 if they begin none,
    None if more of it must come to say; good: whether a frame of that length is one (its checksum).
    """
    waiting: int | None = None
    at = received.find(start)
    while 0 <= at < len(received):
        length = length_of(received[at : at + _LONGEST])
        if length is None or at + length > len(received):
            waiting = at if waiting is None else waiting
        elif length and good(frame := received[at : at + length]):
            return frame, received[at + length :]
        at = received.find(start, at + 1)
    return None, b"" if waiting is None else received[waiting:]
