"""Register maps of Modbus meters: which OBIS register stands at which address, in which type. Data, not code.

    source = "where this was read"
    confidence = "how far it can be trusted"
    most_words = 100                 # in one request, 125 at most
    merge_gap = 8                    # words between two values that are read along rather than asked twice for

    [registers."1.8.0"]
    address = 0x0048                 # as it goes over the line: counted from 0
    type = "float32"                 # int16 uint16 int32 uint32 int64 uint64 float32 float64
    function = "holding"             # holding (03, the default) or input (04)
    word_order = "big"               # big: high word first (the default), little: low word first
    byte_order = "big"               # of the bytes in a word: big (the default), little
    scale = 0.01                     # 1 by default
    unit = "kWh"                     # of value x scale, as the registry names it: nothing is converted here
    extra = false                    # true: read only while extras are; by default what does not count up

A map that is shipped is named by its file's name in maps/, without .toml; a user's own by its path.
"""

from __future__ import annotations

import math
import struct
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import msgspec
from pymodbus.client.mixin import ModbusClientMixin

from metering.errors import SettingError
from metering.items import UNIT_FACTORS
from metering.registers import register_table

DATATYPE = ModbusClientMixin.DATATYPE

_LAST_ADDRESS = 0xFFFF
_MOST_WORDS = 125  # Modbus Application Protocol V1.1b3, 6.3: quantity of registers

TypeName = Literal["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]
Order = Literal["big", "little"]
FUNCTIONS = {"holding": 0x03, "input": 0x04}


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    address: int
    type: TypeName
    unit: str
    function: Literal["holding", "input"] = "holding"
    word_order: Order = "big"
    byte_order: Order = "big"
    scale: Any = 1
    extra: bool | None = None


class _File(msgspec.Struct, forbid_unknown_fields=True):
    source: str
    confidence: str
    registers: dict[str, dict[str, Any]]
    most_words: int = 100
    merge_gap: int = 8


@dataclass(frozen=True, slots=True)
class Value:
    """Where a register stands, and how it is read. address: of its first word; scale: display value of 1."""

    register: str
    function: int
    address: int
    datatype: Any
    word_order: Order
    swapped: bool
    scale: Decimal
    extra: bool

    @property
    def words(self) -> int:
        """How many words of two bytes it fills."""
        count: int = self.datatype.value[1]
        return count

    def read(self, words: Sequence[int]) -> float | None:
        """The display value of its words; None where they hold no number (NaN, infinite)."""
        own = [struct.unpack("<H", struct.pack(">H", w))[0] for w in words] if self.swapped else list(words)
        raw = ModbusClientMixin.convert_from_registers(own, self.datatype, self.word_order)
        if not isinstance(raw, int | float) or not math.isfinite(raw):
            return None
        value = float((_short(raw) if self.datatype is DATATYPE.FLOAT32 else Decimal(raw)) * self.scale)
        return value if math.isfinite(value) else None


@dataclass(frozen=True, slots=True)
class Block:
    """Words that are read in one request. address: of the first; count: of words."""

    function: int
    address: int
    count: int
    values: tuple[Value, ...]

    def read(self, words: Sequence[int]) -> dict[str, float]:
        """Register -> display value, of those that hold a number. words: `count` of them."""
        found = {v.register: v.read(words[v.address - self.address :][: v.words]) for v in self.values}
        return {register: value for register, value in found.items() if value is not None}


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """A model's registers. most_words and merge_gap: see the head of this module."""

    name: str
    values: dict[str, Value]
    most_words: int
    merge_gap: int

    def blocks(self, registers: Iterable[str]) -> list[Block]:
        """The fewest requests that read `registers`, each once: neighbours of a function are read together."""
        wanted = sorted(
            {self.values[r] for r in registers}, key=lambda v: (v.function, v.address, v.register)
        )
        groups: list[list[Value]] = []
        for value in wanted:
            if not groups or not self._fits(groups[-1], value):
                groups.append([])
            groups[-1].append(value)
        return [_block(group) for group in groups]

    def _fits(self, group: list[Value], value: Value) -> bool:
        end = max(v.address + v.words for v in group)
        return (
            value.function == group[0].function
            and value.address - end <= self.merge_gap
            and max(end, value.address + value.words) - group[0].address <= self.most_words
        )


def _block(group: list[Value]) -> Block:
    first = group[0].address
    end = max(v.address + v.words for v in group)
    return Block(group[0].function, first, end - first, tuple(group))


def _short(value: float) -> Decimal:
    """The shortest decimal number that is this float32: 83.1, not 83.0999984741211."""
    packed = struct.pack(">f", value)
    for figures in (6, 7, 8):
        text = f"{value:.{figures}g}"
        if struct.pack(">f", float(text)) == packed:
            return Decimal(text)
    return Decimal(f"{value:.9g}")


def load_map(name: str, beside: Path) -> RegisterMap:
    """A map by name, or by its path (with / or .toml), taken from the folder `beside` where it is relative.
    Raises SettingError naming the map and all that is wrong with it.
    """
    try:
        if "/" in name or name.endswith(".toml"):
            text = (beside / name).read_text(encoding="utf-8")
        else:
            text = files("collectors.edge").joinpath("maps", f"{name}.toml").read_text(encoding="utf-8")
    except FileNotFoundError as e:
        raise SettingError(
            f"register map {name!r} does not exist; shipped are {', '.join(shipped())}, your own is named by its path"
        ) from e
    except (OSError, UnicodeDecodeError) as e:
        raise SettingError(f"register map {name!r} cannot be read: {e}") from e
    try:
        read = msgspec.convert(tomllib.loads(text, parse_float=Decimal), _File)
    except (ValueError, msgspec.ValidationError) as e:
        raise SettingError(f"register map {name!r}: {e}") from e
    return _map(name, read)


def shipped() -> list[str]:
    """Names of the maps that come with this."""
    folder = files("collectors.edge").joinpath("maps")
    return sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if f.name.endswith(".toml"))


def _map(name: str, read: _File) -> RegisterMap:
    problems: list[str] = []
    if not 1 <= read.most_words <= _MOST_WORDS:
        problems.append(f"most_words is {read.most_words}: 1 to {_MOST_WORDS}")
    if not 0 <= read.merge_gap < _MOST_WORDS:
        problems.append(f"merge_gap is {read.merge_gap}: 0 to {_MOST_WORDS - 1}")
    if not read.registers:
        problems.append("there are no registers")
    values: dict[str, Value] = {}
    for register, fields in read.registers.items():
        try:
            values[register] = value = _value(register, msgspec.convert(fields, _Entry))
        except (ValueError, msgspec.ValidationError) as e:
            problems.append(f"register {register}: {e}")
            continue
        if value.words > read.most_words:
            problems.append(f"register {register}: {value.words} words are more than most_words")
    if problems:
        raise SettingError("\n".join(f"register map {name!r}: {p}" for p in problems))
    return RegisterMap(name, values, read.most_words, read.merge_gap)


def _value(register: str, entry: _Entry) -> Value:
    """Raises ValueError."""
    known = register_table().get(register)
    if known is None:
        raise ValueError("is not in the table of registers")
    units = {known.unit, *(shown for shown, kept in UNIT_FACTORS if kept == known.unit)}
    if entry.unit not in units:
        raise ValueError(f"unit {entry.unit!r} cannot be; expected one of {', '.join(sorted(units))}")
    datatype = getattr(DATATYPE, entry.type.upper())
    if not 0 <= entry.address <= _LAST_ADDRESS + 1 - datatype.value[1]:
        raise ValueError(f"address {entry.address} is not between 0 and {_LAST_ADDRESS}")
    return Value(
        register=register,
        function=FUNCTIONS[entry.function],
        address=entry.address,
        datatype=datatype,
        word_order=entry.word_order,
        swapped=entry.byte_order == "little",
        scale=_scale(entry.scale),
        extra=not known.cumulative if entry.extra is None else entry.extra,
    )


def _scale(scale: Any) -> Decimal:
    if isinstance(scale, bool) or not isinstance(scale, int | Decimal):
        raise ValueError(f"scale {scale!r} is not a number")
    number = Decimal(scale)
    if not number.is_finite() or not Decimal("1e-12") <= abs(number) <= Decimal("1e12"):
        raise ValueError(f"scale {scale} is not between 1e-12 and 1e12")
    return number
