"""Raw answer frames of CJ/T 188-2004 (water, heat, gas): topic nl/v1/{gateway}/cjt188, one or more in a payload.

FE x 0-4, 68, T, A0..A6 (BCD, low byte first), C, L, data, CS, 16; nothing is added to the data. The data of an
answer are the data id (2 bytes), SER, and the values. The meter is named by its 14 address digits, high byte
first. Which type T and id is which register, and where it stands, is data: cjt188.csv beside this file.

A register is taken as the meter shows it, in the unit of its display: the registry names that unit and the
energy is converted after, because a register rolls over in its own unit. The unit byte must be one that the
register can have (cjt188_units.csv), else the reading is refused as bad_unit.

Source: CJ/T 188-2004, chapters 6 and 7, annex A.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from collectors.decoders.base import Decoded, UserProperties
from collectors.decoders.frames import BCD, Answer, Shape, UnusableError, decode_frames, digits
from metering.errors import RejectReason

#: Types of meters are 10-49. A broken frame without an end is told from junk by an address of digits and a
#: control code that there is.
SHAPE = Shape(
    header=11,
    start=re.compile(rb"\x68(?=[\x10-\x49])"),
    cut=re.compile(
        rb"\x68(?:\Z|[\x10-\x49](?:"
        + BCD
        + rb"{0,6}\Z|"
        + BCD
        + rb"{7}(?:\Z|[\x00-\x1f\x80-\x9f\xc0-\xdf])))"
    ),
)

_ANSWER, _FROM_METER, _ERROR = 0x81, 0x80, 0x40


@dataclass(frozen=True, slots=True)
class Item:
    """Where a register stands in the data of an answer: `size` BCD bytes at `at`, low byte first, with `decimals`
    decimals, and the code of its unit after them. length: of all the data; None: any that is long enough.
    """

    register: str
    at: int
    size: int
    decimals: int
    length: int | None


def _rows(name: str) -> Iterator[dict[str, str]]:
    with files("collectors.decoders").joinpath(name).open(encoding="utf-8") as f:
        yield from csv.DictReader(f)


@cache
def items() -> dict[tuple[int, str], Item]:
    """The table of registers, by type of meter and data id (hexadecimal, as it comes)."""
    return {
        (int(kind, 16), row["id"]): Item(
            register=row["register"],
            at=int(row["at"]),
            size=int(row["bytes"]),
            decimals=int(row["decimals"]),
            length=int(row["length"]) if row["length"] else None,
        )
        for row in _rows("cjt188.csv")
        for kind in row["types"].split()
    }


@cache
def units() -> dict[int, frozenset[str]]:
    """The registers that may come with a code of a unit."""
    return {int(row["code"], 16): frozenset(row["registers"].split()) for row in _rows("cjt188_units.csv")}


def decode(gateway: str, payload: bytes, user_properties: UserProperties, received_us: int) -> Decoded:  # noqa: ARG001
    """Decode a payload of frames; see collectors.decoders.base.Decoder."""
    return decode_frames(payload, user_properties, received_us, SHAPE, read_frame)


def read_frame(frame: bytes) -> Answer:
    """What a whole frame with a right checksum says. Raises UnusableError."""
    _check_control(frame[9])
    meter = digits(frame[2:9])
    if meter is None:
        raise UnusableError(RejectReason.BAD_BCD, f"address {frame[8:1:-1].hex()} is not of decimal digits")
    kind, data = frame[1], frame[11:-2]
    if len(data) < 3:
        raise UnusableError(RejectReason.MALFORMED, f"an answer of meter {meter} without data id and serial")
    data_id = data[:2].hex().upper()
    item = items().get((kind, data_id))
    if item is None:
        raise UnusableError(
            RejectReason.UNKNOWN_REGISTER,
            f"data id {data_id} of a meter of type {kind:02X}, {meter}, is not in the table",
        )
    return Answer(meter, [(item.register, _value(meter, item, data))], [])


def _check_control(control: int) -> None:
    if control == _ANSWER:
        return
    if control & _FROM_METER and control & _ERROR:
        raise UnusableError(
            RejectReason.ERROR_ANSWER, f"the meter answers with an error, control {control:02X}"
        )
    raise UnusableError(RejectReason.NOT_AN_ANSWER, f"control {control:02X} is no answer to a read")


def _value(meter: str, item: Item, data: bytes) -> float:
    """The register's value as the meter shows it. Raises UnusableError."""
    end = item.at + item.size
    if len(data) <= end or (item.length is not None and len(data) != item.length):
        raise UnusableError(
            RejectReason.MALFORMED, f"{item.register} of meter {meter} comes in {len(data)} bytes of data"
        )
    own, unit = data[item.at : end], data[end]
    if item.register not in units().get(unit, frozenset()):
        raise UnusableError(
            RejectReason.BAD_UNIT, f"{item.register} of meter {meter} cannot have the unit of code {unit:02X}"
        )
    text = digits(own)
    if text is None:
        raise UnusableError(
            RejectReason.BAD_BCD, f"{item.register} of meter {meter} is {own[::-1].hex()}, not decimal digits"
        )
    value: float = int(text) / 10**item.decimals
    return value
