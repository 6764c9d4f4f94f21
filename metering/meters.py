"""What the registry knows: sites, points, meters at points for a time, quotas, contacts; and a reading.

Frozen types that refuse naive datetimes and impossible values: each names everything that is wrong with it at
once. Lists of codes that a node may extend (kinds, sectors, protocols, methods) are checked where a registry
is read (storage/registry_files.py), not here.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import ClassVar

from metering.errors import NengliuError
from metering.instants import to_us
from metering.items import UNIT_FACTORS, is_item_code, item_unit
from metering.monthly_plans import plan_problem
from metering.norms import NORM_ITEM, parse_norm_terms
from metering.registers import RegisterType, Role, register_table
from metering.spans import END, Span

_GATEWAY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@-]{0,63}\Z")
_NAME = re.compile(r"[^\s\x00-\x1f\x7f](?:[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?\Z")
_DISTRICT = re.compile(r"\d{6}\Z", re.ASCII)
_SCOPES = ("city", "district:", "sector:")

#: Longest code, meter or gateway name that the registry takes, in characters.
NAME_LENGTH = 64

#: Years that meters may be installed and removed in: what every calendar behind the registry can hold.
INSTALLED_YEARS = (1970, 2100)

#: Items that are sums over all energy of a site; quotas may be set for them.
TOTAL_ITEMS = ("tce", "tco2")

#: Volumes of different media share their unit: medium of a register -> carriers that it may measure.
_VOLUME_CARRIERS = {"water": ("02",), "gas": ("03", "09")}

#: Display units of registers that are no energy: unit -> units it may be shown in.
_INSTANT_UNITS = {"kW": ("W", "kW", "MW"), "V": ("V", "kV"), "A": ("A", "kA")}


class ImpossibleError(NengliuError, ValueError):
    """A value of the registry that cannot be. `problems`: all of them, each saying what is expected."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


def gateway_name_problem(name: str) -> str | None:
    """Why `name` cannot be a gateway's: it is a user name, a level of MQTT topics, a Kafka key. None where it
    can.
    """
    if _GATEWAY.match(name):
        return None
    return f"gateway {name[:80]!r}: use 1 to 64 letters, digits and . _ : @ -, a letter or digit first"


def refuse(problems: list[str | None]) -> None:
    """Raise ImpossibleError naming the problems that are there."""
    found = [p for p in problems if p is not None]
    if found:
        raise ImpossibleError(found)


def named(what: str, value: str) -> str | None:
    """Why `value` cannot be a code or a name that others point at; None where it can."""
    if len(value) > NAME_LENGTH:
        return f"{what} {value[:20]!r}… is longer than {NAME_LENGTH} characters"
    return None if _NAME.match(value) else f"{what} {value!r} is empty, padded with spaces or not printable"


def at_least_zero(what: str, value: float | None) -> str | None:
    """Why a finite number of zero or more is not `value`; None where it is, or where there is none."""
    if value is None or (math.isfinite(value) and value >= 0):
        return None
    return f"{what} {value} must be a number of zero or more"


def above_zero(what: str, value: float | None) -> str | None:
    """Why a finite number above zero is not `value`; None where it is, or where there is none."""
    if value is None or (math.isfinite(value) and value > 0):
        return None
    return f"{what} {value} must be a number above zero"


def _between(what: str, value: int, low: int, high: int) -> str | None:
    return None if low <= value <= high else f"{what} {value} must be between {low} and {high}"


def _aware(what: str, moment: datetime | None) -> str | None:
    if moment is None or moment.utcoffset() is not None:
        return None
    return f"{what} {moment} has no offset"


@dataclass(frozen=True)
class Site:
    """A building, enterprise or other unit that uses energy. floor_area_m2 in square metres."""

    site_code: str
    name: str
    kind: str
    sector: str
    building_type: str | None = None
    district_code: str | None = None
    floor_area_m2: float | None = None

    def __post_init__(self) -> None:
        refuse(
            [
                named("site_code", self.site_code),
                f"site_code {self.site_code!r} is the name of a group of sites"
                if self.site_code == _SCOPES[0] or self.site_code.startswith(_SCOPES[1:])
                else None,
                None if self.name.strip() else "name is empty",
                None
                if self.district_code is None or _DISTRICT.match(self.district_code)
                else f"district_code {self.district_code!r} must have six digits, such as 110108",
                above_zero("floor_area_m2", self.floor_area_m2),
            ]
        )


@dataclass(frozen=True)
class Point:
    """A metering point: for which item, under which point. rated_per_hour in the item's unit."""

    point_code: str
    site_code: str
    item_code: str
    name: str
    parent_point_code: str | None = None
    rated_per_hour: float | None = None

    def __post_init__(self) -> None:
        refuse(
            [
                named("point_code", self.point_code),
                named("site_code", self.site_code),
                None
                if is_item_code(self.item_code)
                else f"item_code {self.item_code!r} is no energy item, such as 01, 01A or 01B1A",
                None if self.name.strip() else "name is empty",
                f"parent_point_code {self.parent_point_code!r} is the point itself"
                if self.parent_point_code == self.point_code
                else None,
                above_zero("rated_per_hour", self.rated_per_hour),
            ]
        )


@dataclass(frozen=True)
class Installation:
    """A register of a meter at a point for a time: from installed_at up to, not including, removed_at.

    unit: what the display shows; digits: whole digits, the register rolls over at 10^digits; ratio: CT x PT;
    start_value, end_value: the register at the two ends, in the display's unit; interval_s: seconds between
    readings; model: the meter's, which rules may be set for. removed_at == installed_at: the row is void.
    """

    DEFAULT_INTERVAL_S: ClassVar[int] = 3600

    meter: str
    point_code: str
    register: str
    gateway: str
    protocol: str
    unit: str
    digits: int
    decimals: int
    ratio: float
    installed_at: datetime
    removed_at: datetime | None = None
    start_value: float | None = None
    end_value: float | None = None
    interval_s: int = DEFAULT_INTERVAL_S
    model: str | None = None

    def __post_init__(self) -> None:
        refuse(
            [
                named("meter", self.meter),
                named("point_code", self.point_code),
                None if self.register in register_table() else _unknown_register(self.register),
                gateway_name_problem(self.gateway),
                _between("digits", self.digits, 1, 15),
                _between("decimals", self.decimals, 0, 9),
                above_zero("ratio", self.ratio),
                _between("interval_s", self.interval_s, 1, 31 * 86400),
                None if self.model is None else named("model", self.model),
                *self._time_problems(),
                self._value_problem("start_value", self.start_value),
                self._value_problem("end_value", self.end_value),
            ]
        )

    def _time_problems(self) -> list[str | None]:
        naive = [_aware("installed_at", self.installed_at), _aware("removed_at", self.removed_at)]
        if any(naive):
            return naive
        years = [_between("year of installed_at", self.installed_at.year, *INSTALLED_YEARS)]
        if self.removed_at is None:
            return [*years, "end_value needs a removed_at" if self.end_value is not None else None]
        early = self.removed_at < self.installed_at
        return [
            *years,
            _between("year of removed_at", self.removed_at.year, *INSTALLED_YEARS),
            f"removed_at {self.removed_at} is before installed_at {self.installed_at}" if early else None,
        ]

    def _value_problem(self, what: str, value: float | None) -> str | None:
        if value is None or (math.isfinite(value) and 0 <= value < 10.0**self.digits):
            return None
        return f"{what} {value} must be from 0 to below 10^digits = {10.0**self.digits:.0f}"

    @property
    def kind(self) -> RegisterType:
        """The register's line in the table of registers."""
        return register_table()[self.register]

    @property
    def is_void(self) -> bool:
        """Whether the row was taken back."""
        return self.removed_at is not None and self.removed_at == self.installed_at

    @cached_property
    def span(self) -> Span:
        """When it was installed, in microseconds; empty if void."""
        return to_us(self.installed_at), END if self.removed_at is None else to_us(self.removed_at)

    def unit_problem(self, item_code: str) -> str | None:
        """Why the display's unit, or its volume, cannot be used at a point of `item_code`; None where it can."""
        if self.kind.role is Role.INSTANT:
            allowed = sorted(_INSTANT_UNITS.get(self.kind.unit, (self.kind.unit,)))
        else:
            target = item_unit(item_code)
            allowed = sorted(shown for shown, to in UNIT_FACTORS if to == target)
        if self.unit in allowed:
            return self._volume_problem(item_code)
        return f"unit {self.unit!r} of register {self.register} cannot be used for item {item_code}; " + (
            f"use one of {', '.join(allowed)}" if allowed else "the item has no unit"
        )

    def _volume_problem(self, item_code: str) -> str | None:
        carriers = _VOLUME_CARRIERS.get(self.kind.medium)
        if carriers is None or item_code[:2] in carriers:
            return None
        return f"register {self.register} measures {self.kind.medium} and cannot be used for item {item_code}"


def _unknown_register(register: str) -> str:
    return f"register {register!r} is not in the table; known are {', '.join(register_table())}"


@dataclass(frozen=True)
class Quota:
    """A limit of a site's item in a year: limit_value in the item's unit, or to be computed by `method`.

    monthly_plan: empty, or twelve values that sum to limit_value; without one, twelve shares. norm: as
    metering.norms.parse_norm_terms reads it.
    """

    site_code: str
    item_code: str
    year: int
    limit_value: float | None
    method: str
    base_years: tuple[int, ...]
    reduction_percent: float | None
    source: str
    effective_from: date
    approved_by: str | None = None
    note: str | None = None
    monthly_plan: tuple[float, ...] = ()
    norm: str | None = None

    def __post_init__(self) -> None:
        refuse(
            [
                named("site_code", self.site_code),
                None
                if is_item_code(self.item_code) or self.item_code in TOTAL_ITEMS
                else f"item_code {self.item_code!r} is no energy item, tce or tco2",
                _between("year", self.year, 1990, 2200),
                at_least_zero("limit_value", self.limit_value),
                "method manual needs a limit_value" if self._lacks_limit else None,
                f"method {self.method} needs base_years, such as 2011 or 2009;2010;2011"
                if self._lacks_years
                else None,
                "method base_year takes one base year"
                if self.method == "base_year" and len(self.base_years) > 1
                else None,
                *(_between("base year", y, 1990, self.year - 1) for y in self.base_years),
                "a base year is named twice" if len(set(self.base_years)) < len(self.base_years) else None,
                self._reduction_problem,
                plan_problem(self.monthly_plan, self.limit_value),
                self._norm_problem,
            ]
        )

    @property
    def _lacks_limit(self) -> bool:
        return self.method == "manual" and self.limit_value is None

    @property
    def _lacks_years(self) -> bool:
        return self.method in ("base_year", "mean_years") and self.limit_value is None and not self.base_years

    @property
    def _reduction_problem(self) -> str | None:
        r = self.reduction_percent
        return None if r is None or 0 <= r <= 100 else f"reduction_percent {r} must be from 0 to 100"

    @property
    def _norm_problem(self) -> str | None:
        if self.method != "norm":
            return "norm is for method norm only" if self.norm is not None else None
        if self.limit_value is None and self.item_code != NORM_ITEM:
            return f"method norm is for item {NORM_ITEM} only"
        try:
            parse_norm_terms(self.norm)
        except ValueError as e:
            return f"norm: {e}"
        return None


@dataclass(frozen=True)
class Contact:
    """Whom to tell about a site, a district (district:110108), a sector (sector:buildings) or the city."""

    site_code: str
    name: str
    language: str
    channel: str
    address: str
    severity_from: str

    def __post_init__(self) -> None:
        district = self.site_code.partition("district:")[2]
        refuse(
            [
                None if self.site_code else "site_code is empty",
                f"{self.site_code!r} must name a district by six digits, such as district:110108"
                if self.site_code.startswith("district:") and not _DISTRICT.match(district)
                else None,
                *(
                    None if getattr(self, field).strip() else f"{field} is empty"
                    for field in ("name", "channel", "address", "severity_from")
                ),
            ]
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """What a register showed at a time, in the display's unit; its identity is (meter, register, ts)."""

    meter: str
    register: str
    ts: datetime
    value: float
    correction: bool = False

    def __post_init__(self) -> None:
        cumulative = self.register in register_table() and register_table()[self.register].cumulative
        refuse(
            [
                named("meter", self.meter),
                None if self.register in register_table() else _unknown_register(self.register),
                _aware("ts", self.ts),
                None if math.isfinite(self.value) else f"value {self.value} is no number",
                f"value {self.value} of a cumulative register is negative"
                if cumulative and self.value < 0
                else None,
            ]
        )


@dataclass(frozen=True, slots=True)
class Interval:
    """Energy between two times, in an item's unit; no good reading covers its part `estimated`."""

    start: datetime
    end: datetime
    consumption: float
    estimated: float = 0.0

    def __post_init__(self) -> None:
        naive = [_aware("start", self.start), _aware("end", self.end)]
        refuse(
            [
                *naive,
                "end is not after start" if not any(naive) and self.end <= self.start else None,
                None if math.isfinite(self.consumption) else f"consumption {self.consumption} is no number",
                at_least_zero("estimated", self.estimated),
            ]
        )
