"""The table of registers: OBIS C.D.E codes (IEC 62056-61; medium in front where it is not electricity).

The table is data (registers.csv beside this file): a new register is a new line.
Codes of heat meters are those of EN 13757-1 (C: 1 energy, 8 power, 9 flow rate, 10 flow and 11 return temperature),
from memory, medium confidence. Their volume (C: 2) is left out: a cumulative register that is no energy has no role.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib.resources import files


class Role(StrEnum):
    """What a register counts for when registers become energy."""

    TOTAL = "total"
    TARIFF = "tariff"
    EXPORT = "export"
    INSTANT = "instant"


@dataclass(frozen=True, slots=True)
class RegisterType:
    """A kind of register: its code, medium, unit, and whether it is cumulative."""

    code: str
    medium: str
    quantity: str
    unit: str
    cumulative: bool
    role: Role
    name_en: str
    name_zh: str


@cache
def register_table() -> dict[str, RegisterType]:
    """All known registers by code."""
    with files("metering").joinpath("registers.csv").open(encoding="utf-8") as f:
        return {
            row["register"]: RegisterType(
                code=row["register"],
                medium=row["medium"],
                quantity=row["quantity"],
                unit=row["unit"],
                cumulative=row["cumulative"] == "true",
                role=Role(row["role"]),
                name_en=row["name_en"],
                name_zh=row["name_zh"],
            )
            for row in csv.DictReader(f)
        }


@cache
def energy_registers() -> tuple[str, ...]:
    """Codes of the registers that a point's consumption is taken from."""
    return tuple(r.code for r in register_table().values() if r.role in (Role.TOTAL, Role.TARIFF))
