"""Simulated CJ/T 188-2004 meters on a bus: water (10-13), heat and cooling (20, 21), gas (30).

FE x 0-4, 68, T, A0..A6 (BCD, low byte first), C, L, DI, SER, data, CS, 16; nothing is added to the data. What an
answer to data id 901F holds, and the codes of units, are tables (cjt188.csv, cjt188_units.csv). A meter is silent
to a wrong checksum, another address, another type.

Source: CJ/T 188-2004, chapters 6 (frame), 7 (reading data 01, address 03), annex A. Meters differ in the order in
which the two bytes of the data id go over the line: 1F 90 is the standard's, 90 1F occurs as often.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from simulators.meters.counts import MeterClock
from simulators.meters.frames import bcd, bcd_number, next_frame
from simulators.meters.trouble import collide

_READ, _READ_ADDRESS = 0x01, 0x03
_FROM_METER, _REFUSED = 0x80, 0x40
_ANY_TYPE, _ANY_ADDRESS = 0xAA, b"\xaa" * 7
_DATA_ID, _ADDRESS_ID = b"\x1f\x90", b"\x0a\x81"

#: Valve open, battery good; the maker's byte.
_GOOD_STATUS = b"\x00\x00"


@dataclass(frozen=True, slots=True)
class _Part:
    value: str
    size: int
    decimals: int
    unit: str


def _rows(name: str) -> list[dict[str, str]]:
    with files("simulators.meters").joinpath(name).open(encoding="utf-8") as f:
        return list(csv.DictReader(f))


@cache
def layout(kind: int) -> tuple[_Part, ...]:
    """What an answer of a type T of meter holds behind DI and SER, in order; empty: there is no such type here."""
    return tuple(
        _Part(row["value"], int(row["bytes"]), int(row["decimals"] or 0), row["unit"])
        for row in _rows("cjt188.csv")
        if f"{kind:02X}" in row["types"].split()
    )


@cache
def unit_codes() -> dict[str, int]:
    """The byte that stands for a unit."""
    return {row["unit"]: int(row["code"], 16) for row in _rows("cjt188_units.csv")}


@cache
def energy_units() -> dict[str, float]:
    """Units that heat can be shown in, as what a kWh is in them."""
    return {row["unit"]: float(row["per_kwh"]) for row in _rows("cjt188_units.csv") if row["per_kwh"]}


@dataclass(slots=True)
class Cjt188Meter:
    """A meter. address: 14 digits, high first; kind: its type T; values: by the names of the layout; energy_unit: of
    heat; high_first: it wants the data id's high byte first, and refuses the other order; status: two bytes;
    wake_up: FE bytes before its answers; asked: how often it was.
    """

    address: str
    kind: int
    values: Callable[[], Mapping[str, float]]
    clock: MeterClock
    energy_unit: str = "GJ"
    high_first: bool = False
    status: bytes = _GOOD_STATUS
    wake_up: int = 4
    asked: int = 0

    def answer(self, control: int, data: bytes) -> bytes:
        """The answer to a request for this meter. data: DI, SER and what follows."""
        self.asked += 1
        if len(data) < 3:
            return b""
        order = -1 if self.high_first else 1
        if control == _READ and data[:2] == _DATA_ID[::order]:
            return self._frame(_READ | _FROM_METER, data[:3] + self._measured())
        if control == _READ_ADDRESS and data[:2] in (_ADDRESS_ID, _ADDRESS_ID[::-1]):
            return self._frame(_READ_ADDRESS | _FROM_METER, data[:3])
        return self._frame(control | _FROM_METER | _REFUSED, data[2:3] + self.status)

    def _measured(self) -> bytes:
        values = self.values()
        return b"".join(self._part(part, values) for part in layout(self.kind))

    def _part(self, part: _Part, values: Mapping[str, float]) -> bytes:
        if part.value == "clock":
            return bcd(f"{self.clock.shows():%Y%m%d%H%M%S}")
        if part.value == "status":
            return self.status
        unit = self.energy_unit if part.unit == "energy" else part.unit
        code = bytes([unit_codes()[unit]]) if unit else b""
        return bcd_number(values[part.value], part.size, part.decimals) + code

    def _frame(self, control: int, data: bytes) -> bytes:
        body = bytes([0x68, self.kind]) + bcd(self.address) + bytes([control, len(data)]) + data
        return b"\xfe" * self.wake_up + body + bytes([sum(body) % 256, 0x16])


class Cjt188Bus:
    """All meters of a bus: finds requests in what comes and lets the meters that are meant answer."""

    def __init__(self, meters: Sequence[Cjt188Meter]) -> None:
        self.meters = meters
        self._by_address: dict[bytes, list[Cjt188Meter]] = {}
        for meter in meters:
            self._by_address.setdefault(bcd(meter.address), []).append(meter)

    def __call__(self, received: bytes) -> tuple[bytes, bytes]:
        """See simulators.meters.lines.Answerer."""
        frame, rest = next_frame(received, b"\x68", _length, _good)
        return (b"" if frame is None else self._answer(frame)), rest

    def _answer(self, frame: bytes) -> bytes:
        kind, address, control = frame[1], frame[2:9], frame[9]
        if control & _FROM_METER:
            return b""
        meant = self.meters if address == _ANY_ADDRESS else self._by_address.get(address, [])
        answers = [m.answer(control, frame[11:-2]) for m in meant if kind in (_ANY_TYPE, m.kind)]
        return collide([a for a in answers if a])


def _length(begun: bytes) -> int | None:
    return None if len(begun) < 11 else 13 + begun[10]


def _good(frame: bytes) -> bool:
    return frame[-1] == 0x16 and sum(frame[:-2]) % 256 == frame[-2]
