"""The register map of a simulated Modbus meter: quantities to words. A TOML file, which describes a model:

    [registers."1.8.0"]              # OBIS code
    address = 0x0048                 # as it goes over the line: counted from 0
    type = "float32"                 # int16 uint16 int32 uint32 int64 uint64 float32 float64
    function = "holding"             # holding (03, the default) or input (04)
    word_order = "big"               # big: high word first (the default), little: low word first
    byte_order = "big"               # of the bytes in a word: big (the default), little
    scale = 0.01                     # the value is raw x scale; 1 by default
    unit = "kWh"

Other keys are of no concern here. Words between those of the map read as 0; outside of it there is nothing.
"""

from __future__ import annotations

import struct
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from metering.errors import SettingError

HOLDING, INPUT = 0x03, 0x04
_FUNCTIONS = {"holding": HOLDING, "input": INPUT}
_CODES = {
    "int16": "h", "uint16": "H", "int32": "i", "uint32": "I",
    "int64": "q", "uint64": "Q", "float32": "f", "float64": "d",
}  # fmt: skip
_ORDERS = ("big", "little")

#: Units that a map may give, as what a meter counts in (kWh, kW, V, A; m3; GJ) is in them.
_UNITS = {
    "electricity": {
        "kWh": 1.0, "Wh": 1000.0, "MWh": 0.001, "GWh": 1e-6, "kW": 1.0, "W": 1000.0, "MW": 0.001,
        "V": 1.0, "kV": 0.001, "A": 1.0, "mA": 1000.0, "Hz": 1.0, "1": 1.0,
    },
    "volume": {"m3": 1.0, "L": 1000.0},
    "heat": {"GJ": 1.0, "MJ": 1000.0, "kWh": 1 / 0.0036, "MWh": 1 / 3.6},
}  # fmt: skip
_FAMILIES = {"8": "volume", "7": "volume", "6": "heat", "5": "heat"}


@dataclass(frozen=True, slots=True)
class _Place:
    register: str
    function: int
    address: int
    code: str
    low_word_first: bool
    low_byte_first: bool
    scale: Decimal
    unit: str
    factor: float

    @property
    def count(self) -> int:
        return struct.calcsize(f">{self.code}") // 2

    def words(self, value: float) -> tuple[int, ...]:
        packed = struct.pack(f">{self.code}", self._raw(value))
        words = struct.unpack(f"{'<' if self.low_byte_first else '>'}{self.count}H", packed)
        return words[::-1] if self.low_word_first else words

    def _raw(self, value: float) -> int | float:
        """value / scale: whole numbers roll over where they have no sign, and stop at their end where they have."""
        raw = Decimal(str(value)) * Decimal(str(self.factor)) / self.scale
        if self.code in "fd":
            return float(raw)
        bits = 16 * self.count
        if self.code.isupper():
            return round(raw) % (1 << bits)
        return max(-(1 << bits - 1), min(round(raw), (1 << bits - 1) - 1))


@dataclass(frozen=True, slots=True)
class RegisterMap:
    """A model's registers."""

    places: tuple[_Place, ...]

    @property
    def units(self) -> dict[str, str]:
        """The OBIS codes that it gives, with the units that it gives them in."""
        return {p.register: p.unit for p in self.places}

    def words(self, function: int, address: int, count: int, values: Mapping[str, float]) -> list[int] | None:
        """`count` words from `address`; None where some are outside the map."""
        own = [p for p in self.places if p.function == function]
        first = min((p.address for p in own), default=0)
        end = max((p.address + p.count for p in own), default=0)
        if address < first or address + count > end:
            return None
        found = [0] * count
        for place in own:
            if place.address + place.count > address and place.address < address + count:
                for n, word in enumerate(place.words(values[place.register])):
                    if 0 <= place.address + n - address < count:
                        found[place.address + n - address] = word
        return found


def read_map(path: Path) -> RegisterMap:
    """A map from its file. Raises SettingError naming what is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except (OSError, ValueError) as e:
        raise SettingError(f"register map {path} cannot be read: {e}") from e
    registers = data.get("registers")
    if not isinstance(registers, dict) or not registers:
        raise SettingError(f'register map {path}: it needs tables [registers."1.8.0"]')
    try:
        return RegisterMap(tuple(_place(register, entry) for register, entry in registers.items()))
    except (KeyError, ValueError, TypeError, AttributeError) as e:
        raise SettingError(f"register map {path}: {e}") from e


def _place(register: str, entry: dict[str, Any]) -> _Place:
    """Raises KeyError or ValueError naming the register."""
    units = _UNITS[
        _FAMILIES.get(register.partition(":")[0], "electricity") if ":" in register else "electricity"
    ]
    chosen: dict[str, tuple[Any, Collection[str]]] = {
        "unit": (entry.get("unit"), units),
        "type": (entry.get("type"), _CODES),
        "function": (entry.get("function", "holding"), _FUNCTIONS),
        "word_order": (entry.get("word_order", "big"), _ORDERS),
        "byte_order": (entry.get("byte_order", "big"), _ORDERS),
    }
    for key, (value, allowed) in chosen.items():
        if value not in allowed:
            raise ValueError(f"{register}: {key}: {value!r} is not one of {', '.join(allowed)}")
    address, scale = entry.get("address"), Decimal(entry.get("scale", 1))
    if not isinstance(address, int) or not 0 <= address <= 0xFFFF or not scale:
        raise ValueError(f"{register}: it needs an address from 0 to 65535, and a scale that is not 0")
    return _Place(
        register,
        _FUNCTIONS[entry.get("function", "holding")],
        address,
        _CODES[entry["type"]],
        entry.get("word_order") == "little",
        entry.get("byte_order") == "little",
        scale,
        entry["unit"],
        units[entry["unit"]],
    )
