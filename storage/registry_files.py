"""The registry's CSV files: each row becomes a frozen type of metering/meters.py, or a problem by file and
line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from metering.factors import Factor
from metering.instants import parse_instant
from metering.meters import Contact, ImpossibleError, Installation, Point, Quota, Site
from metering.rules import RuleSetting
from storage.csv_rows import CsvRow, read_rows
from storage.registry_codes import RegistryCodes

T = TypeVar("T")
Parse = Callable[[str], Any]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?\Z", re.ASCII)
_WHOLE = re.compile(r"[+-]?\d{1,18}\Z", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}\Z", re.ASCII)


def _text(cell: str) -> str:
    if "\x00" in cell:
        raise ValueError("holds a NUL character")
    return cell


def _number(cell: str) -> float:
    if not _NUMBER.match(cell):
        raise ValueError(f"{cell!r} is no number such as 1234.5")
    return float(cell)


def _whole(cell: str) -> int:
    if not _WHOLE.match(cell):
        raise ValueError(f"{cell!r} is no whole number")
    return int(cell)


def _date(cell: str) -> date:
    if not _DATE.match(cell):
        raise ValueError(f"{cell!r} is no date such as 2014-01-01")
    try:
        return date.fromisoformat(cell)
    except ValueError as e:
        raise ValueError(f"{cell!r} is no date that exists: {e}") from e


def _years(cell: str) -> tuple[int, ...]:
    return tuple(_whole(part.strip()) for part in cell.split(";")) if cell else ()


def _numbers(cell: str) -> tuple[float, ...]:
    return tuple(_number(part.strip()) for part in cell.split(";"))


@dataclass(frozen=True, slots=True)
class Column:
    """A column: how a cell is read; needed: it may not be empty; absent: what an empty or missing one
    means.
    """

    parse: Parse = _text
    needed: bool = True
    absent: Any = None


_MAYBE_TEXT = Column(needed=False)
_MAYBE_NUMBER = Column(_number, needed=False)


@dataclass(frozen=True, slots=True)
class Layout(Generic[T]):
    """A file of the registry: its columns, the type of its rows, what makes a row unique, which codes it
    uses.
    """

    name: str
    make: Callable[..., T]
    columns: Mapping[str, Column]
    key: Callable[[T], tuple[Any, ...]]
    codes: Mapping[str, str] = field(default_factory=dict)
    optional: tuple[str, ...] = ()


SITES: Layout[Site] = Layout(
    "sites.csv",
    Site,
    {
        "site_code": Column(),
        "name": Column(),
        "kind": Column(),
        "sector": Column(),
        "building_type": _MAYBE_TEXT,
        "district_code": _MAYBE_TEXT,
        "floor_area_m2": _MAYBE_NUMBER,
    },
    lambda s: (s.site_code,),
    {"kind": "kind", "sector": "sector"},
)
POINTS: Layout[Point] = Layout(
    "points.csv",
    Point,
    {
        "point_code": Column(),
        "site_code": Column(),
        "item_code": Column(),
        "name": Column(),
        "parent_point_code": _MAYBE_TEXT,
        "rated_per_hour": _MAYBE_NUMBER,
    },
    lambda p: (p.point_code,),
)
INSTALLATIONS: Layout[Installation] = Layout(
    "installations.csv",
    Installation,
    {
        "meter": Column(),
        "point_code": Column(),
        "register": Column(),
        "gateway": Column(),
        "protocol": Column(),
        "unit": Column(),
        "digits": Column(_whole),
        "decimals": Column(_whole),
        "ratio": Column(_number),
        "installed_at": Column(parse_instant),
        "removed_at": Column(parse_instant, needed=False),
        "start_value": _MAYBE_NUMBER,
        "end_value": _MAYBE_NUMBER,
        "interval_s": Column(_whole, needed=False, absent=Installation.DEFAULT_INTERVAL_S),
        "model": _MAYBE_TEXT,
    },
    lambda i: (i.meter, i.register, i.installed_at),
    {"protocol": "protocol"},
    optional=("interval_s", "model"),
)
RULES: Layout[RuleSetting] = Layout(
    "rules.csv",
    RuleSetting,
    {
        "scope": Column(),
        "key": Column(),
        "rule": Column(),
        "value": _MAYBE_NUMBER,
        "note": _MAYBE_TEXT,
    },
    lambda r: (r.scope, r.key, r.rule),
)
QUOTAS: Layout[Quota] = Layout(
    "quotas.csv",
    Quota,
    {
        "site_code": Column(),
        "item_code": Column(),
        "year": Column(_whole),
        "limit_value": _MAYBE_NUMBER,
        "method": Column(),
        "base_years": Column(_years, needed=False, absent=()),
        "reduction_percent": _MAYBE_NUMBER,
        "source": Column(needed=False, absent=""),
        "effective_from": Column(_date),
        "approved_by": _MAYBE_TEXT,
        "note": _MAYBE_TEXT,
        "monthly_plan": Column(_numbers, needed=False, absent=()),
        "norm": _MAYBE_TEXT,
    },
    lambda q: (q.site_code, q.item_code, q.year, q.effective_from),
    {"method": "method"},
    optional=("approved_by", "note", "monthly_plan", "norm"),
)
CONTACTS: Layout[Contact] = Layout(
    "contacts.csv",
    Contact,
    {
        "site_code": Column(),
        "name": Column(),
        "language": Column(),
        "channel": Column(),
        "address": Column(),
        "severity_from": Column(),
    },
    lambda c: (c.site_code, c.name, c.channel, c.address),
    {"language": "language", "channel": "channel", "severity_from": "severity"},
)
#: No file of the registry's folder, but read and refused as those are.
FACTORS: Layout[Factor] = Layout(
    "factors.csv",
    Factor,
    {
        "item_code": Column(),
        "quantity": Column(),
        "value": Column(_number),
        "unit": Column(),
        "valid_from": Column(_date),
        "valid_to": Column(_date, needed=False),
        "source": Column(),
        "confidence": Column(),
        "approved_by": _MAYBE_TEXT,
    },
    lambda f: (f.item_code, f.quantity, f.valid_from),
)


@dataclass(frozen=True, slots=True)
class Placed(Generic[T]):
    """A row with the place it was read from: "file:line"."""

    value: T
    place: str


@dataclass(slots=True)
class RegistryFiles:
    """What a folder of CSV files says, by key; `problems` is empty where every row can be.

    refused: first cells of rows that cannot be, by file; rows that point at them are not blamed for it.
    """

    sites: dict[tuple[Any, ...], Placed[Site]] = field(default_factory=dict)
    points: dict[tuple[Any, ...], Placed[Point]] = field(default_factory=dict)
    installations: dict[tuple[Any, ...], Placed[Installation]] = field(default_factory=dict)
    quotas: dict[tuple[Any, ...], Placed[Quota]] = field(default_factory=dict)
    contacts: dict[tuple[Any, ...], Placed[Contact]] = field(default_factory=dict)
    rules: dict[tuple[Any, ...], Placed[RuleSetting]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    refused: set[tuple[str, str]] = field(default_factory=set)


def read_folder(folder: Path, codes: RegistryCodes) -> RegistryFiles:
    """Read those of the five files that are in `folder`; at least one must be."""
    files = RegistryFiles()
    if not folder.is_dir():
        files.problems.append(f"{folder}: is no folder")
        return files
    found = False
    for layout, rows in _layouts(files):
        path = folder / layout.name
        if path.exists():
            found = True
            rows.update(read_file(path, layout, codes, files))
    if not found:
        names = ", ".join(layout.name for layout, _ in _layouts(files))
        files.problems.append(f"{folder}: holds none of {names}")
    return files


def _layouts(files: RegistryFiles) -> list[tuple[Layout[Any], dict[tuple[Any, ...], Placed[Any]]]]:
    return [
        (SITES, files.sites),
        (POINTS, files.points),
        (INSTALLATIONS, files.installations),
        (RULES, files.rules),
        (QUOTAS, files.quotas),
        (CONTACTS, files.contacts),
    ]


def read_file(
    path: Path, layout: Layout[T], codes: RegistryCodes, files: RegistryFiles
) -> dict[tuple[Any, ...], Placed[T]]:
    """The rows of one file by key; what is wrong is added to the problems of `files`."""
    required = [name for name in layout.columns if name not in layout.optional]
    content = read_rows(path, required, layout.optional)
    files.problems += content.problems
    found: dict[tuple[Any, ...], Placed[T]] = {}
    for row in content.rows:
        place = f"{path.name}:{row.line}"
        wrong: list[str] = []
        value = _made(layout, row, codes, wrong)
        files.problems += [f"{place}: {problem}" for problem in wrong]
        if value is None:
            files.refused.add((layout.name, row.cells[next(iter(layout.columns))]))
            continue
        key = layout.key(value)
        if key in found:
            files.problems.append(f"{place}: {_shown(key)} is there already, see {found[key].place}")
        else:
            found[key] = Placed(value, place)
    return found


def _made(layout: Layout[T], row: CsvRow, codes: RegistryCodes, wrong: list[str]) -> T | None:
    """The row's value, or None with what is wrong with it."""
    cells = {}
    for name, column in layout.columns.items():
        cell = row.cells.get(name, "")
        if cell == "":
            cells[name] = column.absent
            if column.needed:
                wrong.append(f"{name} is empty")
            continue
        try:
            cells[name] = column.parse(cell)
        except ValueError as e:
            wrong.append(f"{name}: {e}")
    for name, list_name in layout.codes.items():
        problem = codes.problem(list_name, name, row.cells[name]) if row.cells[name] else None
        if problem is not None:
            wrong.append(problem)
    if wrong:
        return None
    try:
        return layout.make(**cells)
    except ImpossibleError as e:
        wrong += e.problems
        return None


def _shown(key: tuple[Any, ...]) -> str:
    return ", ".join(part.isoformat() if isinstance(part, date | datetime) else str(part) for part in key)
