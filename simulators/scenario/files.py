"""Scenario files: TOML that says what goes wrong. Strict: an unknown key or a wrong value is named with its entry.

name = "a hard month"
[[fault]]
kind = "spike"                # simulators/scenario/kinds.csv
label = "spike_30"            # how the score names it; default: the kind
point = "110108A001-01"       # exactly this one; or sites = "110108*", items = "01*", roots = true, nth = 3
at = 2014-03-12T10:00:00      # local time, or with an offset; left out: drawn from the seed
energy = 30                   # parameters of the kind: defaults.toml
[[fault]]
kind = "outage"
count = 5                     # how many are drawn (1); or per_year = 2.0, of each candidate
lasts = ["2h", "5d"]
[fleet]                       # what a fleet is like where the command line does not say it
days = 30
totals_only = true            # one electricity meter a site,
total = 3000.0                # each with so many kWh over the run
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

from metering.errors import InputFileError
from simulators.scenario.kinds import fault_kinds, kind_defaults

_PLACE = ("label", "point", "gateway", "sites", "items", "roots", "nth", "at", "count", "per_year", "overlap")
_PLACE_TYPES: dict[str, tuple[type, ...]] = {
    "roots": (bool,),
    "nth": (int,),
    "at": (datetime,),
    "count": (int,),
    "per_year": (int, float),
    "overlap": (bool,),
}
_FLEET: dict[str, type] = {
    "sites": int,
    "days": int,
    "start": date,
    "interval_s": int,
    "totals_only": bool,
    "total": float,
}
_ALSO = {"spike": ("energy",), "meter_replaced": ("start_value",)}
_TITLE = re.compile(r"[\w -]{1,60}\Z")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)\Z")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATIONS = ("lasts", "after", "within", "offset", "late_by", "pending", "delay")
#: Least and most of what is a number.
_LIMITS = {
    "share": (0.0, 1.0),
    "energy": (-1e9, 1e9),
    "factor": (0.01, 1000.0),
    "seconds_per_day": (0.0, 86400.0),
    "start_value": (0.0, 1e12),
}
_LONGEST_S = 3660 * 86400
_MOST_FAULTS = 100_000


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """An entry of a scenario: a kind, where and when (None: drawn), and its parameters, defaults filled in.

    nth: the how manieth of the candidates, from 1. Durations are in seconds. A tuple of two numbers is a range, a list
    a choice.
    """

    kind: str
    label: str
    point: str | None = None
    gateway: str | None = None
    sites: str = "*"
    items: str = "*"
    roots: bool = False
    nth: int | None = None
    at: datetime | None = None
    count: int | None = None
    per_year: float | None = None
    overlap: bool = False
    parameters: Mapping[str, Any] | None = None

    def parameter(self, key: str) -> Any:
        """The value, range or choice of a parameter; None: the kind has none of that name."""
        return (self.parameters or {}).get(key)


@dataclass(frozen=True, slots=True)
class Scenario:
    """All entries of a file. text: as it was read; fleet: what a fleet should be like, checked."""

    name: str
    faults: tuple[FaultSpec, ...]
    text: str = ""
    fleet: Mapping[str, Any] = field(default_factory=dict)


NO_SCENARIO = Scenario("none", ())


def shipped_scenarios() -> list[str]:
    """Names of the scenarios that come with the project."""
    folder = files("simulators").joinpath("scenario/shipped")
    return sorted(p.name.removesuffix(".toml") for p in folder.iterdir() if p.name.endswith(".toml"))


def read_scenario(name: str) -> Scenario:
    """A scenario by the path of its file, or the name of a shipped one. Raises InputFileError with every problem."""
    path = Path(name)
    if name in shipped_scenarios():
        text = files("simulators").joinpath(f"scenario/shipped/{name}.toml").read_text(encoding="utf-8")
    elif path.is_file():
        text = _read(path)
    else:
        raise InputFileError([f"{name}: no such file, and none of {', '.join(shipped_scenarios())}"])
    return parse_scenario(text, name)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as e:
        raise InputFileError([f"{path}: cannot be read: {e}"]) from e


def parse_scenario(text: str, name: str) -> Scenario:
    """A scenario from its text; `name` is for messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as e:
        raise InputFileError([f"{name}: is no TOML: {e}"]) from e
    problems: list[str] = [f"{name}: unknown key {k}" for k in data if k not in ("name", "fault", "fleet")]
    entries = data.get("fault", [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputFileError([f"{name}: faults are tables: [[fault]]"])
    specs = []
    for n, entry in enumerate(entries, start=1):
        try:
            specs.append(_spec(entry))
        except ValueError as e:
            problems.append(f"{name}: fault {n} ({entry.get('label') or entry.get('kind')}): {e}")
    fleet = data.get("fleet", {})
    if not isinstance(fleet, dict):
        raise InputFileError([f"{name}: fleet is a table: [fleet]"])
    problems += [
        f"{name}: fleet: {k} = {v!r}: want {', '.join(_FLEET)}, each of its type"
        for k, v in fleet.items()
        if not _is_fleet_value(k, v)
    ]
    title = data.get("name", Path(name).stem)
    if not isinstance(title, str) or not _TITLE.match(title):
        problems.append(f"{name}: name {title!r}: want letters, digits, spaces, - and _")
    if problems:
        raise InputFileError(problems)
    return Scenario(title, tuple(specs), text, fleet)


def _is_fleet_value(key: str, value: Any) -> bool:
    if key == "total":
        return type(value) in (int, float) and 0 < value <= _LIMITS["energy"][1]
    return key in _FLEET and type(value) is _FLEET[key]


def _spec(entry: dict[str, Any]) -> FaultSpec:
    kind = entry.get("kind")
    if not isinstance(kind, str) or kind not in fault_kinds():
        raise ValueError(f"kind {kind!r}: want one of {', '.join(fault_kinds())}")
    defaults = kind_defaults()[kind]
    known = (*_PLACE, *defaults, *_ALSO.get(kind, ()))
    if unknown := [k for k in entry if k != "kind" and k not in known]:
        raise ValueError(f"unknown key {unknown[0]}; {kind} knows {', '.join(known)}")
    given = {k: v for k, v in entry.items() if k not in (*_PLACE, "kind")}
    parameters = {k: _parameter(k, v, defaults.get(k)) for k, v in {**defaults, **given}.items()}
    place = {k: _place(k, v) for k, v in entry.items() if k in _PLACE}
    if "count" in place and "per_year" in place:
        raise ValueError("count and per_year: want one of the two")
    scope = fault_kinds()[kind].scope
    if "on" in given and not set(parameters["on"]) <= set(scope):
        raise ValueError(f"on {given['on']!r}: {kind} strikes {' or '.join(scope)}")
    return FaultSpec(kind=kind, label=place.pop("label", kind), parameters=parameters, **place)


def _place(key: str, value: Any) -> Any:
    wanted = _PLACE_TYPES.get(key, (str,))
    number: Any = value
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise ValueError(f"{key} {value!r}: want {' or '.join(t.__name__ for t in wanted)}")
    if key in ("count", "per_year", "nth") and not (key == "nth") <= number <= _MOST_FAULTS:
        raise ValueError(f"{key} {value!r}: want a number from {int(key == 'nth')} to {_MOST_FAULTS}")
    return value


def _parameter(key: str, value: Any, default: Any) -> Any:
    """A value as seconds or number, (low, high) for a range, or a list of choices."""
    if key in _DURATIONS:
        return _range(key, value, _seconds)
    if key in _LIMITS:
        return _range(key, value, lambda v: _number(key, v, *_LIMITS[key]))
    choices = value if isinstance(value, list) else [value]
    allowed = default if isinstance(default, list) else choices
    wrong = [c for c in choices if c not in allowed or isinstance(c, bool)]
    if not choices:
        raise ValueError(f"{key} []: want one or more of {', '.join(str(a) for a in dict.fromkeys(allowed))}")
    if wrong:
        raise ValueError(f"{key} {wrong[0]!r}: want {', '.join(str(a) for a in dict.fromkeys(allowed))}")
    return choices


def _range(key: str, value: Any, convert: Any) -> Any:
    if not isinstance(value, list):
        return convert(value)
    values = [convert(v) for v in value]
    if not values or (len(values) == 2 and values[0] > values[1]):
        raise ValueError(f"{key} {value!r}: want a value, [least, most], or three and more to choose from")
    return tuple(values) if len(values) == 2 else values


def _seconds(value: Any) -> float:
    match = _DURATION.match(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r}: want a duration like 90s, 15m, 7h or 5d")
    seconds = float(match[1]) * _SECONDS[match[2]]
    if seconds > _LONGEST_S:
        raise ValueError(f"{value!r}: want at most {_LONGEST_S // 86400} days")
    return seconds


def _number(key: str, value: Any, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{key} {value!r}: want a number from {least:g} to {most:g}")
    return float(value)
