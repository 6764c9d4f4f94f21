"""A city of public buildings for benches and dashboards: who they are and what is metered in them.

Every building has the same pattern of points, so that a city of hundreds of thousands of meters is a few arrays. What
the meters show is in simulators/city_load.py. Pure: neither database nor clock; all of it follows from the options.
Shares, areas and loads are the CSV files in simulators/data/city, each row with its source.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass, replace
from datetime import date
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from metering.calendar import LocalCalendar, local_calendar

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

DIGITS, DECIMALS = 9, 2
#: Readings of a block of sites at most, as far as whole sites allow: what is in memory, and committed, at a time.
_BLOCK_READINGS = 750_000


@dataclass(frozen=True, slots=True)
class CityOptions:
    """What city: sites, points of each, local days from `start`, seconds between readings, the node's time zone."""

    start: date
    days: int = 1
    sites: int = 11_258
    points: int = 30
    seed: int = 1
    interval_s: int = 900
    timezone: str = "Asia/Shanghai"


@dataclass(frozen=True, slots=True)
class CitySite:
    """A building. code: 6 digits of the district, the type, a serial number (MOHURD guidelines 2008)."""

    site_code: str
    name: str
    kind: str
    sector: str
    building_type: str
    district_code: str
    floor_area_m2: float


@dataclass(frozen=True, slots=True)
class PointPattern:
    """A point as every building has it. number, parent: from 1; share: of what its carrier takes, if it is a leaf."""

    number: int
    item_code: str
    parent: int | None
    name: str
    share: float
    profile: str
    register: str
    unit: str


@cache
def city_table(name: str) -> tuple[dict[str, str], ...]:
    """The rows of simulators/data/city/NAME.csv."""
    with (files("simulators") / "data" / "city" / f"{name}.csv").open(encoding="utf-8") as f:
        return tuple(csv.DictReader(f))


class City:
    """The buildings and their points, in order; blocks of sites are numbered from 0."""

    def __init__(self, options: CityOptions) -> None:
        self.options = options
        self.patterns = _patterns(options.points)

    @cached_property
    def calendar(self) -> LocalCalendar:
        """The local days."""
        return local_calendar(self.options.timezone)

    @cached_property
    def day_start_us(self) -> Ints:
        """Start of each local day and, last, the end of the last one; shape (days + 1,)."""
        first = (self.options.start - self.calendar.first_day).days
        return self.calendar.day_start_us[first : first + self.options.days + 1]

    @cached_property
    def ts_us(self) -> Ints:
        """When each meter is read: after every interval, the last time at the end of the last day."""
        step = self.options.interval_s * 1_000_000
        return np.arange(self.day_start_us[0] + step, self.day_start_us[-1] + 1, step, dtype=np.int64)

    @property
    def readings(self) -> int:
        """How many there are in all."""
        return self.options.sites * self.options.points * len(self.ts_us)

    @property
    def sites_per_block(self) -> int:
        """Of every block but the last, which has the rest."""
        return max(1, _BLOCK_READINGS // (self.options.points * len(self.ts_us)))

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return -(-self.options.sites // self.sites_per_block)

    def sites_of(self, block: int) -> slice:
        """The sites of a block, as an index."""
        first = block * self.sites_per_block
        return slice(first, min(first + self.sites_per_block, self.options.sites))

    def site_count(self, block: int) -> int:
        """How many sites a block has."""
        return len(range(self.options.sites)[self.sites_of(block)])

    @cached_property
    def floor_area_m2(self) -> Floats:
        """In no order of size; shape (sites,)."""
        return np.round(self._rng("areas").permutation(_areas(self.options.sites)), 0)

    @cached_property
    def type_ix(self) -> Ints:
        """Which row of types.csv each site is; shape (sites,)."""
        return self._drawn("types", self.options.sites)

    @cached_property
    def sites(self) -> list[CitySite]:
        """All buildings."""
        types, districts = city_table("types"), city_table("districts")
        serial: dict[str, int] = defaultdict(int)
        found = []
        rows = zip(self.type_ix.tolist(), self._drawn("districts", self.options.sites).tolist(), strict=True)
        for n, (t, d) in enumerate(rows):
            head = districts[d]["district_code"] + types[t]["building_type"]
            serial[head] += 1
            name = f"模拟{districts[d]['name']}{types[t]['name_zh']}{serial[head]:03d}"
            found.append(
                CitySite(
                    f"{head}{serial[head]:03d}",
                    name,
                    types[t]["kind"],
                    types[t]["sector"],
                    types[t]["building_type"],
                    districts[d]["district_code"],
                    float(self.floor_area_m2[n]),
                )
            )
        return found

    @cached_property
    def start_ticks(self) -> Ints:
        """What each register showed at the begin, in hundredths of its unit; shape (sites, points)."""
        shape = (self.options.sites, self.options.points)
        return self._rng("registers").integers(0, 5_000_000, shape, dtype=np.int64)

    @cached_property
    def thrift(self) -> Floats:
        """What each building takes, against the mean of its type; shape (sites,)."""
        return np.exp(self._rng("thrift").normal(0.0, 0.25, self.options.sites))

    @cached_property
    def year_kwh(self) -> Floats:
        """About what electricity each building takes in a year; shape (sites,)."""
        rate = np.array([float(t["kwh_per_m2"]) for t in city_table("types")])
        return rate[self.type_ix] * self.floor_area_m2 * self.thrift

    @cached_property
    def limit_kwh(self) -> Floats:
        """The quota of electricity for a year: some will be over it; shape (sites,)."""
        return np.round(self.year_kwh * self._rng("quotas").uniform(0.85, 1.25, self.options.sites), 0)

    def _rng(self, *what: str | int) -> np.random.Generator:
        return city_rng(self.options.seed, *what)

    def _drawn(self, table: str, count: int) -> Ints:
        """Rows of a table by their share, as exactly as whole numbers allow, in a drawn order."""
        shares = np.array([float(row["share"]) for row in city_table(table)])
        ends = np.round(np.cumsum(shares) / shares.sum() * count).astype(np.int64)
        return self._rng(table).permutation(np.searchsorted(ends, np.arange(count), "right")).astype(np.int64)


def city_rng(seed: int, *what: str | int) -> np.random.Generator:
    """Random numbers of their own for each thing that is drawn."""
    words = [part if isinstance(part, int) else int.from_bytes(part.encode()) for part in what]
    return np.random.default_rng([seed, *words])


def _patterns(points: int) -> list[PointPattern]:
    """The first rows of points.csv, and beyond them further zones of lighting and sockets."""
    rows = [_pattern(row) for row in city_table("points")[:points]]
    floor = next((p for p in reversed(rows) if p.item_code == "01A1" and p.parent == 9), None)
    for number in range(len(rows) + 1, points + 1):
        assert floor is not None
        rows.append(replace(floor, number=number, name=f"照明与插座 {number - 26} 区", share=0.02))
    return rows


def _pattern(row: dict[str, Any]) -> PointPattern:
    return PointPattern(
        int(row["point"]),
        row["item_code"],
        int(row["parent"]) if row["parent"] else None,
        row["name"],
        float(row["share"]),
        row["profile"],
        row["register"],
        row["unit"],
    )


def _areas(sites: int) -> Floats:
    """Floor areas in m2, by class as in areas.csv, each class with its share of the sites and its mean."""
    rows = city_table("areas")
    buildings = np.array([int(row["buildings"]) for row in rows])
    ends = np.round(np.cumsum(buildings) / buildings.sum() * sites).astype(np.int64)
    counts = np.diff(ends, prepend=0)
    return np.concatenate([_class_areas(row, n) for row, n in zip(rows, counts.tolist(), strict=True)])


def _class_areas(row: dict[str, str], count: int) -> Floats:
    """Quantiles of an exponential distribution cut at the greatest, with the class's mean."""
    least, most = float(row["least_m2"]), float(row["most_m2"])
    mean = float(row["total_m2"]) / int(row["buildings"])
    if not count:
        return np.zeros(0)
    quantile = (np.arange(count) + 0.5) / count
    low, high = 1.0, 10 * (most - least)
    for _ in range(60):  # the scale that gives the mean, by bisection
        scale = (low + high) / 2
        areas: Floats = least - scale * np.log1p(-quantile * -np.expm1(-(most - least) / scale))
        low, high = (scale, high) if areas.mean() < mean else (low, scale)
    return areas
