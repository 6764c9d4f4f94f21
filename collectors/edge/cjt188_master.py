"""Reading CJ/T 188-2004 meters (water, heat, cooling, gas): the request, and the answer that belongs to it.

FE x 0-4, 68, T, A0..A6 (BCD, low byte first), C, L, data, CS, 16. Asked with 01, data id and SER; answered with
81 and the same SER, C1 refuses. One answer holds the register, and the meter's clock.

An answer counts only if checksum, type, address, data id and SER are those of the request; SER counts up from
request to request. Where the clock stands is data: cjt188_clock.csv beside this file.

Source: CJ/T 188-2004, chapters 6 and 7, annex A.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from functools import cache
from importlib.resources import files
from itertools import count

from collectors.decoders.cjt188 import SHAPE, items, read_frame
from collectors.decoders.frames import UnusableError, digits, stretches
from collectors.edge.talk import AnswerError, Ask, Kind, Said, Step, Talk

_READ, _FROM_METER, _REFUSED = 0x01, 0x80, 0x40
_CLOCK_BYTES = 7


@dataclass(frozen=True, slots=True)
class Cjt188Meter:
    """A meter on a bus. address: 14 digits, high first; kind: its type T; data_id: as it goes over the line;
    wake_up: how many FE go before a request; utc_offset: of the meter's clock.
    """

    address: str
    kind: int
    data_id: str = "1F90"
    wake_up: int = 4
    utc_offset: timedelta = timedelta(hours=8)
    serials: Iterator[int] = field(default_factory=lambda: count(1), compare=False)

    def steps(self) -> list[Step]:
        """What there is to ask: one answer holds everything."""
        return [Step(Kind.TOTAL, self._read)]

    def _read(self) -> Talk:
        data = bytes.fromhex(self.data_id) + bytes([next(self.serials) & 0xFF])
        request = b"\xfe" * self.wake_up + _frame(self.kind, self.address, _READ, data)
        frame = yield Ask(request, lambda received: find_answer(received, self.kind, self.address, data))
        if frame[9] & _REFUSED:
            raise AnswerError(f"the meter refuses: control {frame[9]:02X}, data {frame[11:-2].hex().upper()}")
        try:
            answer = read_frame(frame)
        except UnusableError as e:
            raise AnswerError(str(e)) from e
        return Said(dict(answer.values), clock_of(frame, self.utc_offset))


def register_of(kind: int, data_id: str) -> str | None:
    """The register that a type of meter gives; None if the table has none."""
    item = items().get((kind, data_id))
    return None if item is None else item.register


def find_answer(received: bytes, kind: int, address: str, data: bytes) -> bytes | None:
    """The whole frame that answers a request with `data` (data id and SER), or refuses it; None if there is none."""
    for stretch in stretches(received, SHAPE):
        frame = received[stretch.at : stretch.end]
        if stretch.reason is not None or frame[1] != kind or digits(frame[2:9]) != address:
            continue
        control = frame[9]
        if control == _READ | _FROM_METER | _REFUSED:
            return frame
        if control == _READ | _FROM_METER and frame[11:-2].startswith(data):
            return frame
    return None


def _frame(kind: int, address: str, control: int, data: bytes) -> bytes:
    body = bytes([0x68, kind]) + bytes.fromhex(address)[::-1] + bytes([control, len(data)]) + data
    return body + bytes([sum(body) & 0xFF, 0x16])


@cache
def _clock_places() -> dict[tuple[int, int], int]:
    """Where the clock begins in the data of an answer, by type of meter and length of the data."""
    with files("collectors.edge").joinpath("cjt188_clock.csv").open(encoding="utf-8") as f:
        return {
            (int(kind, 16), int(row["length"])): int(row["at"])
            for row in csv.DictReader(f)
            for kind in row["types"].split()
        }


def clock_of(frame: bytes, utc_offset: timedelta) -> datetime | None:
    """What the clock in an answer shows (ss mm hh DD MM and the year's four digits, BCD, low byte first); None where
    the answer has none that can be read: the reading is good without it.
    """
    data = frame[11:-2]
    at = _clock_places().get((frame[1], len(data)))
    text = None if at is None else digits(data[at : at + _CLOCK_BYTES])
    if text is None:
        return None
    try:
        return datetime.strptime(text, "%Y%m%d%H%M%S").replace(tzinfo=timezone(utc_offset))
    except ValueError:
        return None
