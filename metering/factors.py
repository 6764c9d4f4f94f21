"""Conversion factors of energy items to standard coal and CO2: versioned data, each with its source.

The shipped table (factors.csv beside this file) is a beginning; what a node takes in is laid over it. A timeline is
the factors of one item and quantity: at most one is in force on any day. See docs/decisions/factors.md.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from importlib.resources import files
from itertools import pairwise

from metering.items import item_table
from metering.meters import at_least_zero, refuse

#: tce: by equivalent value (等价); tce_calorific: by calorific value (当量); tco2: carbon dioxide.
QUANTITIES = ("tce", "tce_calorific", "tco2")

Days = tuple[date, date]
Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Factor:
    """Tonnes of `quantity` per unit of a two-character energy item, for periods within [valid_from, valid_to).

    valid_to None: until further notice. confidence: how far the source can be trusted. shipped: from the table that
    comes with the software, not taken in by a person. Raises ImpossibleError.
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
    shipped: bool = False

    def __post_init__(self) -> None:
        refuse(
            [
                None
                if self.item_code in item_table() and len(self.item_code) == 2
                else f"item_code {self.item_code!r} is no energy carrier; known are {', '.join(_carriers())}",
                None
                if self.quantity in QUANTITIES
                else f"quantity {self.quantity!r} is not one of {', '.join(QUANTITIES)}",
                at_least_zero("value", self.value),
                self._unit_problem(),
                f"valid_to {self.valid_to} is not after valid_from {self.valid_from}"
                if self.valid_to is not None and self.valid_to <= self.valid_from
                else None,
            ]
        )

    def _unit_problem(self) -> str | None:
        if self.item_code not in item_table() or self.quantity not in QUANTITIES:
            return None
        tonnes = "tCO2" if self.quantity == "tco2" else "tce"
        wanted = f"{tonnes}/{item_table()[self.item_code].unit}"
        if self.unit == wanted:
            return None
        return f"unit {self.unit!r} must be {wanted} for {self.quantity} of item {self.item_code}"

    @property
    def key(self) -> Key:
        """Whose timeline it belongs to: (item, quantity)."""
        return self.item_code, self.quantity

    @property
    def days(self) -> Days:
        """The first day, and the first one after; date.max: until further notice."""
        return self.valid_from, self.valid_to or date.max


def _carriers() -> list[str]:
    return [code for code in item_table() if len(code) == 2]


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
            shipped=True,
        )
        for row in csv.DictReader(text.splitlines())
    )


def timelines(factors: Iterable[Factor]) -> dict[Key, list[Factor]]:
    """The factors of each item and quantity, by their first day."""
    found: dict[Key, list[Factor]] = defaultdict(list)
    for factor in sorted(factors, key=lambda f: (f.key, f.valid_from)):
        found[factor.key].append(factor)
    return dict(found)


def misfits(timeline: Sequence[Factor]) -> Iterator[tuple[Factor, Factor, str]]:
    """Neighbours of a timeline that leave days between them or hold days twice, with what is wrong."""
    for earlier, later in pairwise(timeline):
        end = earlier.days[1]
        if end < later.valid_from:
            yield earlier, later, f"no factor covers {end} to {later.valid_from}"
        if end > later.valid_from:
            until = min(end, later.days[1])
            shown = "further notice" if until == date.max else until
            yield earlier, later, f"two factors cover {later.valid_from} to {shown}"


def laid_over(stored: Iterable[Factor], new: Sequence[Factor]) -> list[Factor]:
    """`stored` with `new` in force in their days instead; what stays of a stored factor is cut to its own days."""
    over = timelines(new)
    left = [piece for factor in stored for piece in _cut(factor, over.get(factor.key, []))]
    return sorted([*left, *new], key=lambda f: (f.key, f.valid_from))


def _cut(factor: Factor, away: Sequence[Factor]) -> Iterator[Factor]:
    start, end = factor.days
    for begin, until in (f.days for f in away):
        if until <= start or begin >= end:
            continue
        if begin > start:
            yield replace(factor, valid_from=start, valid_to=begin)
        start = until
        if start >= end:
            return
    if start < end:
        yield replace(factor, valid_from=start)


def in_force(factors: Iterable[Factor], key: Key, day: date) -> Factor | None:
    """The factor of (item, quantity) on a day; None where none covers it."""
    return next((f for f in factors if f.key == key and f.days[0] <= day < f.days[1]), None)


def changed_days(before: Iterable[Factor], after: Iterable[Factor]) -> dict[Key, list[Days]]:
    """Days whose value differs between two lots of timelines: key -> [first, first after), sorted and disjoint."""
    old, new = timelines(before), timelines(after)
    found = {key: _differing(old.get(key, []), new.get(key, [])) for key in {**old, **new}}
    return {key: days for key, days in found.items() if days}


def _differing(old: Sequence[Factor], new: Sequence[Factor]) -> list[Days]:
    edges = sorted({day for f in [*old, *new] for day in f.days})
    found: list[Days] = []
    for start, end in pairwise(edges):
        if _value_on(old, start) == _value_on(new, start):
            continue
        joins = bool(found) and found[-1][1] == start
        found[-1:] = [(found[-1][0], end)] if joins else [*found[-1:], (start, end)]
    return found


def _value_on(timeline: Sequence[Factor], day: date) -> float | None:
    return next((f.value for f in timeline if f.days[0] <= day < f.days[1]), None)
