"""Raw response frames of DL/T 645-2007: topic nl/v1/{gateway}/dlt645, one or more in a payload.

FE x 0-4, 68, A0..A5 (BCD, low byte first), 68, C, L, data (each byte + 33), CS, 16. The data of an answer are
the data id (4 bytes, low byte first) and one value or a block of them. The meter is named by its 12 address
digits, high byte first. Which id is which register, and its format, is data: dlt645.csv beside this file.

Source: DL/T 645-2007, clauses 5.2 (frame), 7.1 (reading), annex A (data ids).
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from collectors.decoders.base import Decoded, UserProperties
from collectors.decoders.frames import BCD, Answer, Shape, UnusableError, decode_frames, digits
from metering.errors import RejectReason

SHAPE = Shape(
    header=10,
    start=re.compile(rb"\x68(?=.{6}\x68)", re.DOTALL),
    cut=re.compile(rb"\x68(?:.{6}\x68|" + BCD + rb"{0,6}\Z)", re.DOTALL),
    second=7,
)

#: Control codes: answer to a read, the same with more frames to follow, and the bits of a control code.
_ANSWER, _ANSWER_MORE, _FROM_METER, _ERROR = 0x91, 0xB1, 0x80, 0x40

#: Takes the 33 from every byte.
_PLAIN = bytes((n - 0x33) & 0xFF for n in range(256))


@dataclass(frozen=True, slots=True)
class Item:
    """What a data id holds: a value for each of `registers`, in order; each `size` BCD bytes, low byte first,
    with `decimals` decimals; `signed`: the highest bit is the sign.
    """

    registers: tuple[str, ...]
    size: int
    decimals: int
    signed: bool


@cache
def items() -> dict[str, Item]:
    """The table of data ids, by eight hexadecimal digits, high byte first."""
    with files("collectors.decoders").joinpath("dlt645.csv").open(encoding="utf-8") as f:
        return {
            row["id"]: Item(
                registers=tuple(row["registers"].split()),
                size=int(row["bytes"]),
                decimals=int(row["decimals"]),
                signed=row["signed"] == "true",
            )
            for row in csv.DictReader(f)
        }


def decode(gateway: str, payload: bytes, user_properties: UserProperties, received_us: int) -> Decoded:  # noqa: ARG001
    """Decode a payload of frames; see collectors.decoders.base.Decoder."""
    return decode_frames(payload, user_properties, received_us, SHAPE, read_frame)


def read_frame(frame: bytes) -> Answer:
    """What a whole frame with a right checksum says. Raises UnusableError."""
    meter = digits(frame[1:7])
    _check_control(frame[8])
    if meter is None:
        raise UnusableError(RejectReason.BAD_BCD, f"address {frame[6:0:-1].hex()} is not of decimal digits")
    data = frame[10:-2]
    if len(data) < 4:
        raise UnusableError(RejectReason.MALFORMED, "an answer without a data id")
    data_id = data[:4].translate(_PLAIN)[::-1].hex().upper()
    item = items().get(data_id)
    if item is None:
        raise UnusableError(
            RejectReason.UNKNOWN_REGISTER, f"data id {data_id} of meter {meter} is not in the table"
        )
    count, rest = divmod(len(data) - 4, item.size)
    if rest or not count or (count > 1 and len(item.registers) == 1):
        raise UnusableError(
            RejectReason.MALFORMED,
            f"data id {data_id} of meter {meter} comes with {len(data) - 4} bytes of data",
        )
    return _values(meter, data_id, item, data[4:])


def _check_control(control: int) -> None:
    """Refuse what is no answer to a read. The frames that follow a B1 (92, B2) say only by their place after it
    what they hold: they are refused, too; what B1 itself holds is read.
    """
    if control in (_ANSWER, _ANSWER_MORE):
        return
    if control & _FROM_METER and control & _ERROR:
        raise UnusableError(
            RejectReason.ERROR_ANSWER, f"the meter answers with an error, control {control:02X}"
        )
    raise UnusableError(RejectReason.NOT_AN_ANSWER, f"control {control:02X} is no answer to a read")


def _values(meter: str, data_id: str, item: Item, data: bytes) -> Answer:
    """Each value of the data, or why it is none. Raises UnusableError with the first reason if all are none."""
    answer = Answer(meter, [], [])
    extra = data[len(item.registers) * item.size :]
    bad: list[tuple[str, bytes]] = []
    for register, at in zip(item.registers, range(0, len(data), item.size), strict=False):
        own = data[at : at + item.size]
        value = _number(own.translate(_PLAIN), item)
        if value is None:
            bad.append((register, own))
            continue
        answer.values.append((register, value))
        _refuse(answer, bad)
    _refuse(answer, bad)
    if extra:
        detail = f"data id {data_id} of meter {meter} has more values than the table has registers"
        answer.refused.append((RejectReason.UNKNOWN_REGISTER, detail, extra))
    if not answer.values:
        raise UnusableError(*answer.refused[0][:2])
    return answer


def _refuse(answer: Answer, bad: list[tuple[str, bytes]]) -> None:
    """Values that lie side by side and are none: one stretch, one reject."""
    if bad:
        shown = ", ".join(f"{register} is {own.translate(_PLAIN)[::-1].hex()}" for register, own in bad)
        detail = f"meter {answer.meter}: {shown}, not decimal digits"
        answer.refused.append((RejectReason.BAD_BCD, detail, b"".join(own for _, own in bad)))
        bad.clear()


def _number(data: bytes, item: Item) -> float | None:
    """A value of BCD bytes, low byte first; None if they are not."""
    negative = item.signed and data[-1] & 0x80
    text = digits(data[:-1] + bytes([data[-1] & 0x7F]) if negative else data)
    if text is None:
        return None
    number: float = int(text) / 10**item.decimals
    return -number if negative and number else number
