"""The lists of codes that a registry may use: shipped ones, and those that settings add."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files


@cache
def _shipped() -> dict[str, tuple[str, ...]]:
    text = files("metering").joinpath("registry_codes.csv").read_text(encoding="utf-8")
    lists: dict[str, list[str]] = {}
    for row in csv.DictReader(text.splitlines()):
        lists.setdefault(row["list"], []).append(row["code"])
    return {name: tuple(codes) for name, codes in lists.items()}


@dataclass(frozen=True, slots=True)
class RegistryCodes:
    """Codes by list (kind, sector, protocol, method, language); `more` adds to those that are shipped."""

    more: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, name: str) -> tuple[str, ...]:
        """The codes of the list `name`."""
        return _shipped()[name] + self.more.get(name, ())

    def problem(self, name: str, column: str, code: str) -> str | None:
        """Why `code` cannot stand in `column`; None where it can."""
        allowed = self.of(name)
        return None if code in allowed else f"{column} {code!r} is not one of {', '.join(allowed)}"
