"""Conversion factors of energy items to standard coal and CO2: versioned data, each with its source.

The shipped table (factors.csv beside this file) is a beginning; what a node approves replaces it in the database.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date
from functools import cache
from importlib.resources import files

#: tce: by equivalent value (等价); tce_calorific: by calorific value (当量); tco2: carbon dioxide.
QUANTITIES = ("tce", "tce_calorific", "tco2")


@dataclass(frozen=True, slots=True)
class Factor:
    """Tonnes of `quantity` per unit of a two-character energy item, for periods within [valid_from, valid_to).

    valid_to None: until further notice. confidence: how far the source can be trusted.
    """

    item_code: str
    quantity: str
    value: float
    unit: str
    valid_from: date
    valid_to: date | None
    source: str
    confidence: str
    approved_by: str | None


@cache
def shipped_factors() -> tuple[Factor, ...]:
    """The factors of factors.csv."""
    text = files("metering").joinpath("factors.csv").read_text(encoding="utf-8")
    return tuple(
        Factor(
            item_code=row["item_code"],
            quantity=row["quantity"],
            value=float(row["value"]),
            unit=row["unit"],
            valid_from=date.fromisoformat(row["valid_from"]),
            valid_to=date.fromisoformat(row["valid_to"]) if row["valid_to"] else None,
            source=row["source"],
            confidence=row["confidence"],
            approved_by=row["approved_by"] or None,
        )
        for row in csv.DictReader(text.splitlines())
    )
