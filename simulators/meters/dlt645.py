"""Simulated DL/T 645-2007 meters on a bus: requests in, answers out, with what real meters do wrong.

FE x 1-4, 68, A0..A5 (BCD, low byte first), 68, C, L, data (each byte + 33), CS, 16. Data ids are a table
(dlt645.csv); date, time, address and meter number are here. A meter is silent to a wrong checksum, to another
address and to the broadcast address.

Source: DL/T 645-2007, clauses 5.2 (frame; AA in the high bytes of an address is any), 7.1 and 7.2 (reading, following
frames), 7.4 (address), 7.6 (broadcast time), annex A (data ids), annex C (error byte).
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files

from simulators.meters.counts import MeterClock
from simulators.meters.frames import bcd, bcd_number, next_frame
from simulators.meters.trouble import collide

_DATE, _TIME, _ADDRESS, _NUMBER = 0x04000101, 0x04000102, 0x04000401, 0x04000402
_SET_TIME, _READ, _READ_NEXT, _READ_ADDRESS, _WRITE = 0x08, 0x11, 0x12, 0x13, 0x14
_FROM_METER, _REFUSED, _MORE = 0x80, 0x40, 0x20
_OTHER_ERROR, _NO_SUCH_DATA, _NOT_ALLOWED = 0x01, 0x02, 0x04
_BROADCAST = b"\x99" * 6

#: L of an answer is 200 at most (5.2.5): id, 192 bytes of whole values, number of the frame.
_MOST_DATA = 192
_MOST_TARIFFS = 63
#: A broadcast sets a clock that is wrong by no more than this (7.6, from memory).
_MOST_SET = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class Item:
    """What a data id holds: quantities, each of `size` BCD bytes with `decimals`."""

    quantities: tuple[str, ...]
    size: int
    decimals: int
    signed: bool

    def data(self, values: Mapping[str, float]) -> bytes | None:
        """Its bytes, low byte first; None where a meter has none of it. A value that it has not is FF, and is left
        out at the end.
        """
        found = [q in values for q in self.quantities]
        if not any(found):
            return None
        there = self.quantities[: len(found) - found[::-1].index(True)]
        return b"".join(
            bcd_number(values[q], self.size, self.decimals, self.signed)
            if q in values
            else b"\xff" * self.size
            for q in there
        )


@cache
def items() -> dict[int, Item]:
    """The table of data ids. K in it is every tariff."""
    found: dict[int, Item] = {}
    with files("simulators.meters").joinpath("dlt645.csv").open(encoding="utf-8") as f:
        for row in csv.DictReader(f):
            how = int(row["bytes"]), int(row["decimals"]), row["signed"] == "true"
            names = row["quantities"].split()
            tariffs = range(1, _MOST_TARIFFS + 1)
            if "KK" in row["id"]:
                for k in tariffs:
                    own = tuple(n.replace("K", str(k)) for n in names)
                    found[int(row["id"].replace("KK", f"{k:02X}"), 16)] = Item(own, *how)
            else:
                spread = [n.replace("K", str(k)) for n in names for k in (tariffs if "K" in n else [0])]
                found[int(row["id"], 16)] = Item(tuple(spread), *how)
    return found


@dataclass(slots=True)
class Dlt645Meter:
    """A meter. address: 12 digits; values: all quantities now, by OBIS code; clock: its own; silent: it answers
    nothing; refuses: data ids that it answers with an error; wake_up: FE bytes before its answers; asked: how
    often it was.
    """

    address: str
    values: Callable[[], Mapping[str, float]]
    clock: MeterClock | None = None
    silent: bool = False
    refuses: set[int] = field(default_factory=set)
    wake_up: int = 4
    asked: int = 0
    _following: tuple[bytes, list[bytes]] = (b"", [])

    def answer(self, control: int, data: bytes) -> bytes:
        """The answer to a request for this meter; empty: none. data: without the 33."""
        self.asked += 1
        if self.silent:
            return b""
        if control == _READ:
            return self._read(data)
        if control == _READ_NEXT:
            return self._read_next(data)
        if control == _READ_ADDRESS and not data:
            return self._frame(_READ_ADDRESS | _FROM_METER, bcd(self.address))
        return self._refuse(control, _NOT_ALLOWED if control == _WRITE else _OTHER_ERROR)

    def set_time(self, data: bytes) -> None:
        """A broadcast: ss mm hh DD MM YY, BCD. Nothing is answered, and a wrong time changes nothing."""
        if self.clock is None or self.silent:
            return
        shows = self.clock.shows()
        try:
            told = datetime.strptime(data[::-1].hex(), "%y%m%d%H%M%S").replace(tzinfo=shows.tzinfo)
        except ValueError:
            return
        if abs(told - shows) <= _MOST_SET:
            self.clock.set(told)

    def _read(self, data: bytes) -> bytes:
        if len(data) < 4:
            return self._refuse(_READ, _OTHER_ERROR)
        data_id = int.from_bytes(data[:4], "little")
        value = None if data_id in self.refuses or len(data) > 4 else self._value(data_id)
        if value is None:
            return self._refuse(_READ, _NO_SUCH_DATA)
        first, *rest = [value[i : i + _MOST_DATA] for i in range(0, len(value), _MOST_DATA)]
        self._following = (data, rest)
        return self._frame(_READ | _FROM_METER | (_MORE if rest else 0), data + first)

    def _read_next(self, data: bytes) -> bytes:
        data_id, parts = self._following
        number = data[4] if len(data) == 5 else 0
        if not 1 <= number <= len(parts) or data[:4] != data_id:
            return self._refuse(_READ_NEXT, _NO_SUCH_DATA)
        more = _MORE if number < len(parts) else 0
        return self._frame(_READ_NEXT | _FROM_METER | more, data_id + parts[number - 1] + bytes([number]))

    def _value(self, data_id: int) -> bytes | None:
        if data_id in (_ADDRESS, _NUMBER):
            return bcd(self.address)
        if data_id in (_DATE, _TIME) and self.clock is not None:
            shown = self.clock.shows()
            weekday = f"{shown.isoweekday() % 7:02}"
            return bcd(f"{shown:%y%m%d}{weekday}") if data_id == _DATE else bcd(f"{shown:%H%M%S}")
        item = items().get(data_id)
        return None if item is None else item.data(self.values())

    def _refuse(self, control: int, error: int) -> bytes:
        return self._frame(control | _FROM_METER | _REFUSED, bytes([error]))

    def _frame(self, control: int, data: bytes) -> bytes:
        body = b"\x68" + bcd(self.address) + b"\x68" + bytes([control, len(data)])
        body += bytes((n + 0x33) % 256 for n in data)
        return b"\xfe" * self.wake_up + body + bytes([sum(body) % 256, 0x16])


class Dlt645Bus:
    """All meters of a bus: finds requests in what comes and lets the meters that are meant answer."""

    def __init__(self, meters: Sequence[Dlt645Meter]) -> None:
        self.meters = meters
        self._by_address: dict[bytes, list[Dlt645Meter]] = {}
        for meter in meters:
            self._by_address.setdefault(bcd(meter.address), []).append(meter)

    def __call__(self, received: bytes) -> tuple[bytes, bytes]:
        """See simulators.meters.lines.Answerer."""
        frame, rest = next_frame(received, b"\x68", _length, _good)
        return (b"" if frame is None else self._answer(frame)), rest

    def _answer(self, frame: bytes) -> bytes:
        address, control = frame[1:7], frame[8]
        data = bytes((n - 0x33) % 256 for n in frame[10:-2])
        if control & _FROM_METER:
            return b""
        if address == _BROADCAST:
            if control == _SET_TIME:
                for meter in self.meters:
                    meter.set_time(data)
            return b""
        return collide([a for m in self._meant(address) if (a := m.answer(control, data))])

    def _meant(self, address: bytes) -> Sequence[Dlt645Meter]:
        if address[-1] != 0xAA:
            return self._by_address.get(address, [])
        low = address.rstrip(b"\xaa")
        return [m for m in self.meters if bcd(m.address).startswith(low)]


def _length(begun: bytes) -> int | None:
    if len(begun) < 10:
        return 0 if len(begun) > 7 and begun[7] != 0x68 else None
    return 12 + begun[9] if begun[7] == 0x68 else 0


def _good(frame: bytes) -> bool:
    return frame[-1] == 0x16 and sum(frame[:-2]) % 256 == frame[-2]
