"""The lists of codes that a registry may use: shipped ones, and those that settings add."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@cache
def _rows() -> tuple[dict[str, str], ...]:
    text = files("metering").joinpath("registry_codes.csv").read_text(encoding="utf-8")
    return tuple(csv.DictReader(text.splitlines()))


@cache
def _shipped() -> dict[str, tuple[str, ...]]:
    lists: dict[str, list[str]] = {}
    for row in _rows():
        lists.setdefault(row["list"], []).append(row["code"])
    return {name: tuple(codes) for name, codes in lists.items()}


def code_names(name: str) -> dict[str, tuple[str, str]]:
    """Names of the shipped codes of a list, in English and Chinese."""
    return {row["code"]: (row["name_en"], row["name_zh"]) for row in _rows() if row["list"] == name}


@dataclass(frozen=True, slots=True)
class RegistryCodes:
    """Codes by list (kind, sector, protocol, method, language, building_type); `more` adds to the shipped ones."""

    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[str, ...]:
        """The codes of the list `name`."""
        return _shipped()[name] + self.more.get(name, ())

    def problem(self, name: str, column: str, code: str) -> str | None:
        """Why `code` cannot stand in `column`; None where it can."""
        allowed = self.of(name)
        return None if code in allowed else f"{column} {code!r} is not one of {', '.join(allowed)}"
