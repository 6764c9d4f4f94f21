"""Simulated DL/T 645-2007 meters on a bus: requests in, answers out, with what real meters do wrong.

Written from the standard, on its own: a reader is not tested by its own mirror. Source: DL/T 645-2007, clauses
5.2 (frame), 7.1 (reading), annex A (data ids).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

#: Data ids whose values a meter has as numbers: bytes, decimals.
_NUMBERS = {
    0x00010000: (4, 2),
    0x00010100: (4, 2),
    0x00010200: (4, 2),
    0x00010300: (4, 2),
    0x00010400: (4, 2),
    0x00020000: (4, 2),
    0x02010100: (2, 1),
    0x02020100: (3, 3),
    0x02030000: (3, 4),
}
_DATE, _TIME = 0x04000101, 0x04000102
_NO_SUCH_DATA = 0x02


def bcd(digits: str) -> bytes:
    """Digits as BCD bytes, low byte first."""
    return bytes(int(digits[i : i + 2], 16) for i in range(len(digits) - 2, -1, -2))


@dataclass(slots=True)
class Dlt645Meter:
    """A meter. address: 12 digits; values: data id -> display value; clock: what its clock shows, local; silent: it
    answers nothing; refuses: data ids that it answers with an error; wake_up: FE bytes before its answers.
    """

    address: str
    values: dict[int, float] = field(default_factory=dict)
    clock: Callable[[], datetime] | None = None
    silent: bool = False
    refuses: set[int] = field(default_factory=set)
    wake_up: int = 4
    asked: int = 0

    def answer(self, control: int, data: bytes) -> bytes:
        """The answer to a request for this meter; empty: none. data: without the 33."""
        self.asked += 1
        if self.silent or control != 0x11 or len(data) < 4:
            return b""
        data_id = int.from_bytes(data[:4], "little")
        value = None if data_id in self.refuses else self._value(data_id)
        if value is None:
            return self._frame(0xD1, bytes([_NO_SUCH_DATA]))
        return self._frame(0x91, data[:4] + value)

    def _value(self, data_id: int) -> bytes | None:
        if data_id in (_DATE, _TIME) and self.clock is not None:
            now = self.clock()
            weekday = f"{now.isoweekday() % 7:02}"
            return bcd(f"{now:%y%m%d}{weekday}") if data_id == _DATE else bcd(f"{now:%H%M%S}")
        if data_id not in self.values or data_id not in _NUMBERS:
            return None
        size, decimals = _NUMBERS[data_id]
        value = self.values[data_id]
        text = f"{round(abs(value) * 10**decimals) % 10 ** (2 * size):0{2 * size}}"
        if value < 0:
            text = f"{int(text[0]) + 8}{text[1:]}"
        return bcd(text)

    def _frame(self, control: int, data: bytes) -> bytes:
        body = b"\x68" + bcd(self.address) + b"\x68" + bytes([control, len(data)])
        body += bytes((n + 0x33) % 256 for n in data)
        return b"\xfe" * self.wake_up + body + bytes([sum(body) % 256, 0x16])


class Dlt645Bus:
    """All meters of a bus: finds requests in what comes and lets the meter that is meant answer."""

    def __init__(self, meters: list[Dlt645Meter]) -> None:
        self.meters = {bcd(m.address): m for m in meters}

    def __call__(self, received: bytes) -> tuple[bytes, bytes]:
        """See simulators.bus_lines.Answerer."""
        at = received.find(0x68)
        while at >= 0:
            head = received[at : at + 10]
            if len(head) < 10:
                return b"", received[at:]
            end = at + 12 + head[9]
            if head[7] == 0x68:
                if len(received) < end:
                    return b"", received[at:]
                if received[end - 1] == 0x16 and sum(received[at : end - 2]) % 256 == received[end - 2]:
                    return self._answer(received[at:end]), received[end:]
            at = received.find(0x68, at + 1)
        return b"", b""

    def _answer(self, frame: bytes) -> bytes:
        meter = self.meters.get(frame[1:7])
        if meter is None:
            return b""
        return meter.answer(frame[8], bytes((n - 0x33) % 256 for n in frame[10:-2]))


def clock_with_offset(now: Callable[[], datetime], offset: timedelta) -> Callable[[], datetime]:
    """A meter's clock that is wrong by `offset`."""
    return lambda: now() + offset
