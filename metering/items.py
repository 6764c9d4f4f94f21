"""Energy items: classification and sub-items of building energy use.

Source: MOHURD guidelines for building energy monitoring (2008/2009) and JGJ/T 285-2014. Codes have up to five
characters: two digits for the energy carrier, then a letter, a digit and a letter for the sub-items.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

_SHAPE = re.compile(r"\d{2}([A-Z](\d([A-Z])?)?)?\Z")

#: Display units that a meter may show, as factor to each item unit: (from, to) -> factor.
UNIT_FACTORS: dict[tuple[str, str], float] = {
    ("kWh", "kWh"): 1.0,
    ("Wh", "kWh"): 0.001,
    ("MWh", "kWh"): 1000.0,
    ("GWh", "kWh"): 1_000_000.0,
    ("m3", "m3"): 1.0,
    ("L", "m3"): 0.001,
    ("GJ", "GJ"): 1.0,
    ("MJ", "GJ"): 0.001,
    ("kWh", "GJ"): 0.0036,
    ("MWh", "GJ"): 3.6,
    ("kg", "kg"): 1.0,
    ("t", "kg"): 1000.0,
}


@dataclass(frozen=True, slots=True)
class EnergyItem:
    """An energy item with the unit its consumption is kept in."""

    code: str
    unit: str
    name_en: str
    name_zh: str


@cache
def item_table() -> dict[str, EnergyItem]:
    """The named items by code; codes that fit the shape but are not named here are allowed too."""
    with files("metering").joinpath("energy_items.csv").open(encoding="utf-8") as f:
        return {
            row["item_code"]: EnergyItem(row["item_code"], row["unit"], row["name_en"], row["name_zh"])
            for row in csv.DictReader(f)
        }


def is_item_code(code: str) -> bool:
    """Whether `code` has the shape of an energy item whose carrier (first two digits) is known."""
    return bool(_SHAPE.fullmatch(code)) and code[:2] in item_table()


def item_unit(code: str) -> str:
    """The unit that consumption of `code` is kept in: that of its carrier (01B1 -> kWh)."""
    return item_table()[code[:2]].unit


def item_prefixes(code: str) -> list[str]:
    """`code` and its prefixes of two or more characters, shortest first: 01B1 -> [01, 01B, 01B1]."""
    return [code[:n] for n in range(2, len(code) + 1)]


def unit_factor(display_unit: str, item_code: str) -> float:
    """Factor from a meter's display unit to the item's own unit. Raises KeyError where none is defined."""
    return UNIT_FACTORS[(display_unit, item_unit(item_code))]
