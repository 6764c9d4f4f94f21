"""Rows of a file of readings, one value a row: meter, register, ts, value and, optionally, correction.

The rules for meters, registers and values are those of the native format; times may also be local times of one zone,
where whoever imports the file names it. Pure; no row of any content makes it raise.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import NamedTuple
from zoneinfo import ZoneInfo

from collectors.decoders import timestamps
from collectors.decoders.base import Decoded, name_problem, printable
from collectors.decoders.json_text import OddNumber, number_in
from collectors.decoders.native_json import value_problem
from metering.errors import RejectReason

#: What a row holds, in this order.
FIELDS = ("meter", "register", "ts", "value", "correction")

#: A field: text as in a CSV file, or what a typed file has.
Cell = str | int | float | bool | Decimal | datetime | None

_TIME = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2})(:\d{2}(?:\.\d+)?)?([Zz]|[+-]\d{2}:\d{2})?\Z", re.ASCII
)
_EPOCH = re.compile(r"\d{1,16}(?:\.\d+)?\Z", re.ASCII)
_CORRECTIONS = {"": False, "false": False, "0": False, "true": True, "1": True}
_LONGEST = 64


class Row(NamedTuple):
    """A row: its line, its cells in the order of FIELDS, then any that it has too many; what is wrong with its form.

    Whole numbers among the cells are of 64 bits, decimals are finite.
    """

    line: int
    cells: Sequence[Cell]
    problem: str | None = None


class TimeKind(StrEnum):
    """How a time says which moment it is, beside a time with an offset, which is of the kind of its offset."""

    EPOCH = "epoch"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be used: its index among the rows that were handed in, and why."""

    index: int
    reason: str
    detail: str


@dataclass(slots=True)
class DecodedRows:
    """What rows hold. rows: index of the row that each entry of the columns is of."""

    columns: Decoded = field(default_factory=Decoded)
    rows: list[int] = field(default_factory=list)
    rejected: list[RejectedRow] = field(default_factory=list)


def kind_of_time(ts: Cell) -> str | None:
    """epoch, local, or the offset as text ("+08:00"; UTC is "+00:00"); None where it is no time at all."""
    if isinstance(ts, datetime):
        offset = ts.utcoffset()
        return TimeKind.LOCAL if offset is None else _offset_text(ts)
    if isinstance(ts, str):
        match = _TIME.match(ts) if len(ts) <= _LONGEST else None
        if match is None:
            return TimeKind.EPOCH if len(ts) <= _LONGEST and _EPOCH.match(ts) else None
        zone = match.group(4)
        return TimeKind.LOCAL if zone is None else "+00:00" if zone in ("Z", "z", "-00:00") else zone
    return None if ts is None or isinstance(ts, bool) else TimeKind.EPOCH


def _offset_text(ts: datetime) -> str:
    text = ts.strftime("%z")
    return f"{text[:3]}:{text[3:5]}"


def decode_rows(rows: Sequence[Row], zone: ZoneInfo | None, received_us: int) -> DecodedRows:
    """Decode rows; local times are those of `zone`, and no times without one.

    received_us: now; a time over an hour ahead of it is out of range.
    """
    out = DecodedRows()
    reader = _Reader(zone, received_us)
    columns = out.columns
    for index, (_, cells, wrong) in enumerate(rows):
        meter, register, ts, value, correction = cells[:5]
        number = number_in(value) if isinstance(value, str) else _number(value)
        ts_us, bad_time = reader.time(ts)
        problem = (
            (wrong and (RejectReason.MALFORMED, wrong))
            or reader.name_problem(meter)
            or _correction_problem(correction)
            or bad_time
            or value_problem(register if isinstance(register, str) else "", number)
        )
        if problem:
            out.rejected.append(RejectedRow(index, str(problem[0]), printable(problem[1])))
            continue
        columns.meters.append(meter)  # type: ignore[arg-type]  # it has no problem: a string
        columns.registers.append(register)  # type: ignore[arg-type]
        columns.ts_us.append(ts_us)
        columns.values.append(float(number))  # type: ignore[arg-type]
        columns.corrections.append(_is_correction(correction) is True)
        out.rows.append(index)
    return out


_Problem = tuple[str, str]


class _Reader:
    """Reads names and times, each different one once."""

    def __init__(self, zone: ZoneInfo | None, received_us: int) -> None:
        self._zone = zone
        self._received_us = received_us
        self._times: dict[Cell, tuple[int, _Problem | None]] = {}
        self._good: set[Cell] = set()

    def name_problem(self, meter: Cell) -> _Problem | None:
        """Why it is no name of a meter."""
        if meter in self._good:
            return None
        problem = name_problem(meter, "meter")
        if problem is None:
            self._good.add(meter)
            return None
        return RejectReason.MALFORMED, problem

    def time(self, ts: Cell) -> tuple[int, _Problem | None]:
        """Microseconds since 1970 UTC, and why the row cannot be used for its time's sake."""
        found = self._times.get(ts)
        if found is None:
            found = self._times[ts] = self._time(ts)
        return found

    def _time(self, ts: Cell) -> tuple[int, _Problem | None]:
        us = _local(ts, self._zone) if kind_of_time(ts) == TimeKind.LOCAL else _instant(ts)
        if isinstance(us, str):
            return 0, (RejectReason.BAD_TIMESTAMP, f"ts {str(ts)[:60]!r} {us}")
        if us < timestamps.EARLIEST_US:
            return 0, (RejectReason.TIMESTAMP_OUT_OF_RANGE, f"ts {str(ts)[:60]!r} is before 2000")
        if not timestamps.in_range(us, self._received_us):
            return 0, (RejectReason.TIMESTAMP_OUT_OF_RANGE, f"ts {str(ts)[:60]!r} is over 1 h ahead of now")
        return us, None


_NO_TIME = (
    "is no time with an offset, such as 2014-03-01T00:15:00+08:00, nor an epoch in seconds or milliseconds"
)


def _instant(ts: Cell) -> int | str:
    """Microseconds of a time that says itself which moment it is; else what is wrong."""
    if isinstance(ts, datetime):
        us: int | None = timestamps.parse_text(ts.isoformat())
    elif isinstance(ts, str) and (match := _TIME.match(ts) if len(ts) <= _LONGEST else None):
        day, minute, second, offset = match.groups()
        us = timestamps.parse_text(f"{day}T{minute}{second or ':00'}{offset or ''}")
    elif isinstance(ts, str):
        us = timestamps.parse_number(float(ts)) if len(ts) <= _LONGEST and _EPOCH.match(ts) else None
    elif isinstance(ts, int | float | Decimal) and not isinstance(ts, bool):
        us = timestamps.parse_number(float(ts) if isinstance(ts, Decimal) else ts)
    else:
        us = None
    return _NO_TIME if us is None else us


def _local(ts: Cell, zone: ZoneInfo | None) -> int | str:
    """Microseconds of a local time; else what is wrong with it."""
    if zone is None:
        return "has no offset, and no --zone says which zone's time it is"
    if isinstance(ts, datetime):
        naive = ts
    else:
        match = _TIME.match(str(ts))
        assert match is not None
        day, minute, second, _ = match.groups()
        try:
            naive = datetime.combine(date.fromisoformat(day), _clock(minute, second))
        except ValueError:
            return "is no time that exists"
    return timestamps.from_local(naive, zone)


def _clock(minute: str, second: str | None) -> time:
    whole, _, fraction = (second or ":00")[1:].partition(".")
    return time(int(minute[:2]), int(minute[3:]), int(whole), int(fraction[:6].ljust(6, "0") or 0))


def _number(value: Cell) -> object:
    """A typed value as the rules for values take it."""
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        return OddNumber(str(value))
    return value if isinstance(value, int | float) else None


def _is_correction(cell: Cell) -> bool | None:
    if cell is None or isinstance(cell, bool):
        return bool(cell)
    return _CORRECTIONS.get(str(cell).lower())


def _correction_problem(cell: Cell) -> _Problem | None:
    if _is_correction(cell) is None:
        return RejectReason.MALFORMED, f"correction {str(cell)[:60]!r} is neither true nor false"
    return None
