"""Rows of the registry's CSV files as simulators write them (see `nengliu registry import`)."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SiteRow:
    """A row of sites.csv."""

    site_code: str
    name: str
    kind: str
    sector: str
    building_type: str
    district_code: str
    floor_area_m2: float | None


@dataclass(frozen=True, slots=True)
class PointRow:
    """A row of points.csv."""

    point_code: str
    site_code: str
    item_code: str
    name: str
    parent_point_code: str | None = None
    rated_per_hour: float | None = None


@dataclass(frozen=True, slots=True)
class InstallationRow:
    """A row of installations.csv: a register of a meter at a point from installed_at up to removed_at."""

    meter: str
    point_code: str
    register: str
    gateway: str
    protocol: str
    unit: str
    digits: int
    decimals: int
    ratio: Decimal
    installed_at: datetime
    removed_at: datetime | None = None
    start_value: Decimal | None = None
    end_value: Decimal | None = None
    interval_s: int = 3600


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """A row of quotas.csv. limit_value None: computed by `method`."""

    site_code: str
    item_code: str
    year: int
    limit_value: float | None
    method: str
    base_years: str
    reduction_percent: float | None
    source: str
    effective_from: date


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A row of contacts.csv."""

    site_code: str
    name: str
    language: str
    channel: str
    address: str
    severity_from: str


Row = SiteRow | PointRow | InstallationRow | QuotaRow | ContactRow


@dataclass(slots=True)
class RegistryRows:
    """A registry as rows, to be changed and written."""

    sites: list[SiteRow] = field(default_factory=list)
    points: list[PointRow] = field(default_factory=list)
    installations: list[InstallationRow] = field(default_factory=list)
    quotas: list[QuotaRow] = field(default_factory=list)
    contacts: list[ContactRow] = field(default_factory=list)


def write_rows(folder: Path, rows: RegistryRows) -> None:
    """Write sites.csv, points.csv, installations.csv, quotas.csv and contacts.csv into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "sites.csv", SiteRow, rows.sites)
    _write(folder / "points.csv", PointRow, rows.points)
    _write(folder / "installations.csv", InstallationRow, rows.installations)
    _write(folder / "quotas.csv", QuotaRow, rows.quotas)
    _write(folder / "contacts.csv", ContactRow, rows.contacts)


def _write(path: Path, kind: type[Row], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as f:
        writer = csv.writer(f, lineterminator="\n")
        writer.writerow([column.name for column in fields(kind)])
        writer.writerows([_cell(value) for value in astuple(row)] for row in rows)


def _cell(value: object) -> object:
    match value:
        case None:
            return ""
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case _:
            return value
