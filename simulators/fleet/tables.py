"""What sites are like, as data: the CSV files in simulators/fleet/data.

Sources: districts are GB/T 2260; items are those of metering/energy_items.csv; shapes, shares, intensities and
weights are estimates of ours, tuned so that generated weeks look like metered ones (`nengliu bench shapes`).
"""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np

from metering.records import Floats

#: Kinds of days, in the order of the tables of `Profile`.
WORKDAY, SATURDAY, SUNDAY, HOLIDAY, VACATION = range(5)
DAY_KINDS = ("workday", "saturday", "sunday", "holiday", "vacation")


@dataclass(frozen=True, slots=True)
class District:
    """A district of Beijing. weight: its share of sites; warmer_c: its air against the plain's, in °C."""

    code: str
    name_zh: str
    name_en: str
    weight: float
    warmer_c: float


@dataclass(frozen=True, slots=True)
class SiteKind:
    """A kind of site. profile: its activity; area in m2; w_m2: electric peak in W a m2.

    always_on: where between the lows of its uses it lies; day_off: its activity on days off against the profile's; each
    drawn between the two.
    """

    site_kind: str
    building_type: str
    kind: str
    sector: str
    weight: float
    profile: str
    area: tuple[float, float]
    w_m2: tuple[float, float]
    always_on: tuple[float, float]
    day_off: tuple[float, float]
    name_zh: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Use:
    """What energy is used for, and what moves it.

    profile: of its activity, empty: the site's own. low: share of the usual peak that is always on, drawn between
    the two. Of the rest, `constant` follows the activity alone, `cool` and `heat` the weather too; `daylight` is the
    share that daylight saves. steps, step_share: equipment that is switched in so many steps, as a share of the load.
    swing, jitter: relative standard deviation of slow (hours) and fast noise.
    """

    use: str
    item_code: str
    name_zh: str
    name_en: str
    profile: str
    low: tuple[float, float]
    constant: float
    daylight: float
    cool: float
    heat: float
    steps: int
    step_share: float
    swing: float
    jitter: float


@dataclass(frozen=True, slots=True)
class MixPart:
    """A use in a kind of site. share: of the site's electric peak; of other items, peak an hour for 1,000 m2.

    chance: of sites of the kind that have it; copies: meters of it in the largest.
    """

    use: str
    share: float
    chance: float
    copies: int


@dataclass(frozen=True, slots=True)
class MeterRatio:
    """Transformers of an electricity meter: ratio = ct x pt, for a load of up to most_kw, and its display."""

    ratio: Decimal
    ct: int
    pt: int
    most_kw: float
    digits: int
    decimals: int


@dataclass(frozen=True, slots=True)
class Season:
    """A part of the year from a day to another, both included; each (month, day)."""

    first: tuple[int, int]
    last: tuple[int, int]

    def __contains__(self, day: tuple[int, int]) -> bool:
        if self.first <= self.last:
            return self.first <= day <= self.last
        return day >= self.first or day <= self.last


@cache
def districts() -> tuple[District, ...]:
    """Beijing's districts."""
    return tuple(
        District(r["code"], r["name_zh"], r["name_en"], float(r["weight"]), float(r["warmer_c"]))
        for r in _rows("districts.csv")
    )


@cache
def site_kinds() -> tuple[SiteKind, ...]:
    """All kinds of sites."""
    return tuple(
        SiteKind(
            site_kind=r["site_kind"],
            building_type=r["building_type"],
            kind=r["kind"],
            sector=r["sector"],
            weight=float(r["weight"]),
            profile=r["profile"],
            area=(float(r["area_min"]), float(r["area_max"])),
            w_m2=(float(r["w_m2_min"]), float(r["w_m2_max"])),
            always_on=(float(r["always_on_min"]), float(r["always_on_max"])),
            day_off=(float(r["day_off_min"]), float(r["day_off_max"])),
            name_zh=r["name_zh"],
            name_en=r["name_en"],
        )
        for r in _rows("site_kinds.csv")
    )


@cache
def uses() -> dict[str, Use]:
    """All uses by name."""
    return {
        r["use"]: Use(
            use=r["use"],
            item_code=r["item_code"],
            name_zh=r["name_zh"],
            name_en=r["name_en"],
            profile=r["profile"],
            low=(float(r["low_min"]), float(r["low_max"])),
            constant=float(r["constant"]),
            daylight=float(r["daylight"]),
            cool=float(r["cool"]),
            heat=float(r["heat"]),
            steps=int(r["steps"]),
            step_share=float(r["step_share"]),
            swing=float(r["swing"]),
            jitter=float(r["jitter"]),
        )
        for r in _rows("uses.csv")
    }


@cache
def mixes() -> dict[str, tuple[MixPart, ...]]:
    """What sites use energy for, by kind of site."""
    found: dict[str, list[MixPart]] = {}
    for r in _rows("mixes.csv"):
        part = MixPart(r["use"], float(r["share"]), float(r["chance"]), int(r["copies"]))
        found.setdefault(r["site_kind"], []).append(part)
    return {kind: tuple(parts) for kind, parts in found.items()}


@cache
def meter_ratios() -> tuple[MeterRatio, ...]:
    """Transformers of electricity meters, smallest first."""
    return tuple(
        MeterRatio(
            Decimal(r["ratio"]),
            int(r["ct"]),
            int(r["pt"]),
            float(r["most_kw"]),
            int(r["digits"]),
            int(r["decimals"]),
        )
        for r in _rows("meter_ratios.csv")
    )


@cache
def profile_names() -> tuple[str, ...]:
    """Names of the activity profiles, in the order of `profile_table`."""
    return tuple(dict.fromkeys(r["profile"] for r in _rows("profiles.csv")))


@cache
def profile_table() -> Floats:
    """float64[profiles, day kinds, 24]: activity by hour, of 1; NaN where a profile has no such kind of day."""
    table = np.full((len(profile_names()), len(DAY_KINDS), 24), np.nan)
    for r in _rows("profiles.csv"):
        kinds = slice(None) if r["day_kind"] == "every" else DAY_KINDS.index(r["day_kind"])
        table[profile_names().index(r["profile"]), kinds] = [float(r[f"h{h:02d}"]) / 100 for h in range(24)]
    return table


@cache
def heating_season() -> Season:
    """When buildings are heated."""
    return _season(_calendar()["heating"])


@cache
def vacations() -> tuple[Season, ...]:
    """When schools and universities have none."""
    return tuple(_season(pair) for pair in _calendar()["vacations"])


def _season(pair: list[str]) -> Season:
    first, last = (tuple(int(x) for x in text.split("-")) for text in pair)
    return Season((first[0], first[1]), (last[0], last[1]))


@cache
def _calendar() -> dict[str, Any]:
    return tomllib.loads(_text("calendar.toml"))


def _rows(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(_text(name).splitlines()))


def _text(name: str) -> str:
    return files("simulators.fleet").joinpath("data", name).read_text(encoding="utf-8")
