"""The made-up meters of a replay, and the registry that describes them as CSV files.

A folder of consumption may hold replay.csv, which gives buildings their site, meter, gateway and register; a
building that it does not name gets a default of its own, so that any folder of the same shape can be
replayed.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from zoneinfo import ZoneInfo

from metering.errors import InputFileError
from simulators.consumption import Consumption
from simulators.registers import RegisterFace, wall_to_utc_us
from simulators.registry_rows import (
    ContactRow,
    InstallationRow,
    PointRow,
    QuotaRow,
    RegistryRows,
    SiteRow,
)

PLAN_FILE = "replay.csv"
_COLUMNS = (
    "building,site_code,name,kind,sector,building_type,district_code,meter,gateway,digits,decimals,ratio,"
    "start_value"
)
#: Beijing's rule for 2014 and 2015: use of the base year less so many per cent.
BASE_YEAR = 2011
REDUCTION_PERCENT = {2014: 6, 2015: 12}
QUOTA_SOURCE = (
    "北京市公共建筑电耗限额 2014-2015：2011年用电量降低6%、12%（演示） · Beijing's quotas, a demonstration"
)


@dataclass(frozen=True, slots=True)
class ReplayMeter:
    """One building's electricity meter in the replay, with what the registry says of it."""

    building: str
    site_code: str
    name: str
    kind: str
    sector: str
    building_type: str
    district_code: str
    meter: str
    gateway: str
    face: RegisterFace

    @property
    def point_code(self) -> str:
        """The site's one metering point: its total electricity."""
        return f"{self.site_code}-01"


def plan_meters(folder: Path, buildings: Sequence[Consumption]) -> list[ReplayMeter]:
    """A meter for each of `buildings`. Raises InputFileError for a replay.csv that cannot be used."""
    named = _read_plan(folder / PLAN_FILE) if (folder / PLAN_FILE).exists() else {}
    meters = [named.get(b.building) or _default_meter(b.building) for b in buildings]
    for what in ("site_code", "meter", "gateway"):
        values = [getattr(m, what) for m in meters]
        if twice := {v for v in values if values.count(v) > 1}:
            raise InputFileError(
                [f"{folder / PLAN_FILE}: {what} {v} given to two buildings" for v in sorted(twice)]
            )
    return meters


def _default_meter(building: str) -> ReplayMeter:
    number = int(re.sub(r"\D", "", building) or "0") % 1000
    return ReplayMeter(
        building=building,
        site_code=f"110108D{number:03d}",
        name=f"剑桥匿名楼宇 {building} · Anonymised Cambridge building {building}",
        kind="building",
        sector="buildings",
        building_type="D",
        district_code="110108",
        meter=f"110108{number:06d}",
        gateway=f"gw-{building}",
        face=RegisterFace(digits=8, decimals=2, ratio=Decimal(1), start_value=Decimal(0)),
    )


def _read_plan(path: Path) -> dict[str, ReplayMeter]:
    with path.open(encoding="utf-8", newline="") as f:
        reader = csv.DictReader(f)
        if reader.fieldnames != _COLUMNS.split(","):
            raise InputFileError([f"{path}:1: header must be {_COLUMNS}"])
        plan = {}
        for row in reader:
            try:
                plan[row["building"]] = _meter_of(row)
            except (ValueError, TypeError, InvalidOperation, InputFileError) as e:
                raise InputFileError([f"{path}:{reader.line_num}: {e}"]) from e
    return plan


def _meter_of(row: dict[str, str]) -> ReplayMeter:
    face = RegisterFace(
        int(row["digits"]), int(row["decimals"]), Decimal(row["ratio"]), Decimal(row["start_value"])
    )
    texts = {k: row[k] for k in _COLUMNS.split(",")[:9]}
    if empty := [k for k, v in texts.items() if not v]:
        raise ValueError(f"{', '.join(empty)} must not be empty")
    return ReplayMeter(**texts, face=face)


def registry_rows(
    meters: Sequence[ReplayMeter], buildings: Sequence[Consumption], timezone: str
) -> RegistryRows:
    """The registry that describes `meters`.

    Each meter is installed from the first hour of its building on. start_value stays empty: the first
    reading says it, and a replay of a part of the years then starts at that part.
    """
    pairs = list(zip(meters, buildings, strict=True))
    return RegistryRows(
        [_site(m, b) for m, b in pairs],
        [PointRow(m.point_code, m.site_code, "01", "总电表 · Electricity, total") for m in meters],
        [_installation(m, b, timezone) for m, b in pairs],
        [quota for m, b in pairs for quota in _quotas(m, b)],
        [_contact(m) for m in meters],
    )


def _site(meter: ReplayMeter, building: Consumption) -> SiteRow:
    return SiteRow(
        meter.site_code,
        meter.name,
        meter.kind,
        meter.sector,
        meter.building_type,
        meter.district_code,
        building.gia_m2,
    )


def _installation(meter: ReplayMeter, building: Consumption, timezone: str) -> InstallationRow:
    return InstallationRow(
        meter=meter.meter,
        point_code=meter.point_code,
        register="1.8.0",
        gateway=meter.gateway,
        protocol="json",
        unit="kWh",
        digits=meter.face.digits,
        decimals=meter.face.decimals,
        ratio=meter.face.ratio,
        installed_at=_first_instant(building, timezone),
    )


def _quotas(meter: ReplayMeter, building: Consumption) -> list[QuotaRow]:
    years = building.years()
    return [
        QuotaRow(
            meter.site_code,
            "01",
            year,
            None,
            "base_year",
            str(BASE_YEAR),
            percent,
            QUOTA_SOURCE,
            date(year, 1, 1),
        )
        for year, percent in REDUCTION_PERCENT.items()
        if BASE_YEAR in years and year in years
    ]


def _contact(meter: ReplayMeter) -> ContactRow:
    address = f"{meter.building}@example.org"
    return ContactRow(meter.site_code, "能源管理员 · Energy manager", "zh", "email", address, "warning")


def _first_instant(building: Consumption, timezone: str) -> datetime:
    us = int(wall_to_utc_us(building.hour[:1], timezone)[0])
    return datetime.fromtimestamp(us / 1e6, UTC).astimezone(ZoneInfo(timezone))
