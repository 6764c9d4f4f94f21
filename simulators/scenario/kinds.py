"""The kinds of faults and real changes that a scenario can hold: kinds.csv, and defaults.toml beside this file."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

#: How a reject is told from a finding, before its reason.
REJECT = "reject:"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind. fault: False for a real change; scope: what it may strike (gateway, meter, site), the usual one first;
    found_by, may_find: kinds of findings that should name it, and that are no false alarm (metering/finding_kinds.csv),
    or REJECT and a reason, for a dead letter.
    """

    kind: str
    fault: bool
    scope: tuple[str, ...]
    found_by: tuple[str, ...]
    may_find: tuple[str, ...]
    name_en: str
    name_zh: str
    meaning: str


@cache
def fault_kinds() -> dict[str, FaultKind]:
    """All kinds by code."""
    with files("simulators").joinpath("scenario/kinds.csv").open(encoding="utf-8") as f:
        return {row["kind"]: _kind(row) for row in csv.DictReader(f)}


def _kind(row: dict[str, str]) -> FaultKind:
    return FaultKind(
        row["kind"],
        row["fault"] == "true",
        tuple(row["scope"].split()),
        tuple(row["found_by"].split()),
        tuple(row["may_find"].split()),
        row["name_en"],
        row["name_zh"],
        row["meaning"],
    )


@cache
def kind_defaults() -> dict[str, dict[str, Any]]:
    """Of each kind, its parameters with the values and ranges they are drawn from where a scenario says nothing."""
    text = files("simulators").joinpath("scenario/defaults.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)
