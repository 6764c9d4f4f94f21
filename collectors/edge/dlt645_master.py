"""Reading DL/T 645-2007 meters: requests, and the answers that belong to them.

FE x 0-4, 68, A0..A5 (BCD, low byte first), 68, C, L, data (each byte + 33), CS, 16. Asked with 11, answered with
91, or with B1 where more frames follow, which are asked for with 12 and the number of the frame; D1 refuses.

An answer counts only if checksum, address and data id are those of the request. Which id is which register is the
decoders' table. The clock is read (ids 04000101, 04000102) and never written.

Source: DL/T 645-2007, clauses 5.2 (frame), 7.1 (reading, following frames), annex A (data ids).
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from functools import cache, partial

from collectors.decoders.dlt645 import SHAPE, items, read_frame
from collectors.decoders.frames import UnusableError, digits, stretches
from collectors.edge.talk import AnswerError, Ask, Kind, Said, Step, Talk

_READ, _READ_NEXT = 0x11, 0x12
_FROM_METER, _MORE, _REFUSED = 0x80, 0x20, 0x40
_DATE, _TIME = "04000101", "04000102"
_ADDED = bytes((n + 0x33) & 0xFF for n in range(256))
_PLAIN = bytes((n - 0x33) & 0xFF for n in range(256))

#: Following frames are numbered with a byte.
_MOST_FRAMES = 255


@dataclass(frozen=True, slots=True)
class Dlt645Meter:
    """A meter on a bus. address: 12 digits, high first; registers and extras: OBIS codes; blocks: ids that hold
    several registers may be asked; wake_up: how many FE go before a request; utc_offset: of the meter's clock.
    """

    address: str
    registers: tuple[str, ...] = ("1.8.0",)
    extras: tuple[str, ...] = ()
    blocks: bool = False
    wake_up: int = 4
    utc_offset: timedelta = timedelta(hours=8)

    def steps(self) -> list[Step]:
        """What there is to ask, totals first."""
        totals, extras = (ids_of(names, self.blocks) for names in (self.registers, self.extras))
        return [
            *(Step(Kind.TOTAL, partial(self._item, i)) for i in totals),
            *(Step(Kind.EXTRA, partial(self._item, i)) for i in extras),
            Step(Kind.CLOCK, self._clock),
        ]

    def _item(self, data_id: str) -> Talk:
        data = yield from self._data(data_id)
        wanted = {*self.registers, *self.extras}
        try:
            answer = read_frame(_frame(self.address, _READ | _FROM_METER, _id_bytes(data_id) + data))
        except UnusableError as e:
            raise AnswerError(str(e)) from e
        return Said({register: value for register, value in answer.values if register in wanted})

    def _clock(self) -> Talk:
        day = yield from self._data(_DATE)
        time = (yield from self._data(_TIME)).translate(_PLAIN)
        if time[1:] == b"\x00\x00":  # midnight may have come between
            day = yield from self._data(_DATE)
        return Said({}, meter_time(day.translate(_PLAIN), time, self.utc_offset))

    def _data(self, data_id: str) -> Generator[Ask, bytes, bytes]:
        """All data of an id, without the id, as they come (+ 33), from one frame or several."""
        frame = yield self._ask(_READ, data_id, b"")
        data = _data_of(frame)[4:]
        number = 1
        while frame[8] & _MORE and number <= _MOST_FRAMES:
            frame = yield self._ask(_READ_NEXT, data_id, bytes([number]).translate(_ADDED))
            data += _data_of(frame)[4:-1]
            number += 1
        return data

    def _ask(self, control: int, data_id: str, more: bytes) -> Ask:
        head = _id_bytes(data_id)
        request = b"\xfe" * self.wake_up + _frame(self.address, control, head + more)
        return Ask(request, lambda received: find_answer(received, self.address, control, head, more))


def find_answer(received: bytes, address: str, control: int, data_id: bytes, number: bytes) -> bytes | None:
    """The whole frame that answers a request, or refuses it: of this meter, for this id (its four bytes as they
    go over the line), and with this frame number, if one was asked for. None if there is none.
    """
    for stretch in stretches(received, SHAPE):
        frame = received[stretch.at : stretch.end]
        if stretch.reason is not None or digits(frame[1:7]) != address:
            continue
        if frame[8] == control | _FROM_METER | _REFUSED:
            return frame
        data = frame[10:-2]
        if (
            frame[8] & ~_MORE == control | _FROM_METER
            and data.startswith(data_id)
            and len(data) >= 4 + len(number)
            and data.endswith(number)
        ):
            return frame
    return None


def _data_of(frame: bytes) -> bytes:
    """Raises AnswerError where the meter refuses."""
    if frame[8] & _REFUSED:
        code = frame[10:-2].translate(_PLAIN).hex().upper() or "none"
        raise AnswerError(f"the meter refuses: control {frame[8]:02X}, error {code}")
    return frame[10:-2]


def _frame(address: str, control: int, data: bytes) -> bytes:
    """A frame. data: as they go over the line; of an answer put together from several frames L is only its low byte."""
    own = bytes.fromhex(address)[::-1]
    body = b"\x68" + own + b"\x68" + bytes([control, len(data) & 0xFF]) + data
    return body + bytes([sum(body) & 0xFF, 0x16])


def _id_bytes(data_id: str) -> bytes:
    return bytes.fromhex(data_id)[::-1].translate(_ADDED)


@cache
def _ids() -> dict[str, tuple[str, ...]]:
    return {data_id: item.registers for data_id, item in items().items()}


def known_registers() -> frozenset[str]:
    """The registers that can be read."""
    return frozenset(r for registers in _ids().values() for r in registers)


def ids_of(registers: Sequence[str], blocks: bool) -> list[str]:
    """The data ids to ask for registers, each once, in their order. blocks: an id of several registers is asked
    where at least two of them are wanted and no other id was found for them before.
    """
    ids: list[str] = []
    left = list(registers)
    if blocks:
        for data_id, held in _ids().items():
            if len(held) > 1 and len([r for r in left if r in held]) > 1:
                ids.append(data_id)
                left = [r for r in left if r not in held]
    single = {held[0]: data_id for data_id, held in _ids().items() if len(held) == 1}
    return ids + [single[r] for r in left]


def meter_time(day: bytes, time: bytes, utc_offset: timedelta) -> datetime:
    """What the meter's clock shows. day: WW DD MM YY; time: ss mm hh, BCD. Raises AnswerError."""
    date_text, time_text = digits(day), digits(time)
    if date_text is None or time_text is None or len(date_text) != 8 or len(time_text) != 6:
        raise AnswerError(f"the clock shows {day[::-1].hex()} {time[::-1].hex()}, no date and time")
    try:
        return datetime.strptime(date_text[:6] + time_text, "%y%m%d%H%M%S").replace(
            tzinfo=timezone(utc_offset)
        )
    except ValueError as e:
        raise AnswerError(f"the clock shows {date_text[:6]} {time_text}, no date and time") from e
