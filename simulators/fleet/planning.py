"""Who is in a fleet, drawn from a seed: sites over districts, sectors and kinds. See trees.py for their points.

A site depends on the seed and its number alone: more sites, other days or another interval leave it as it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np

from metering.errors import SettingError
from simulators.chance import generator, key
from simulators.fleet.meters import MeterMaker
from simulators.fleet.plan import FleetOptions, FleetPlan, FleetPoint, FleetSite
from simulators.fleet.tables import District, SiteKind, districts, site_kinds
from simulators.fleet.trees import grow_points

#: Steps that spread a sequence evenly over 0..1, whatever its length.
_KIND_STEP, _DISTRICT_STEP = 0.6180339887498949, 0.4142135623730951

#: Serials of building codes of a district and type; fleets of neighbouring seeds, such as are compared, share none.
_SERIALS, _SERIALS_A_SEED = 1000, 61


class _Weighted(Protocol):
    @property
    def weight(self) -> float: ...


W = TypeVar("W", bound=_Weighted)


@dataclass(slots=True)
class _Counts:
    """How many there are so far, for codes, names and meter numbers that no two share."""

    codes: Counter[tuple[str, str]]
    names: Counter[tuple[str, str]]
    meters: MeterMaker


def plan_fleet(options: FleetOptions) -> FleetPlan:
    """The sites of a fleet with their points and meters."""
    counts = _Counts(Counter(), Counter(), MeterMaker(options.seed))
    sites: list[FleetSite] = []
    points: list[FleetPoint] = []
    for number in range(options.sites):
        kind = _spread(site_kinds(), options.seed, "kind", number, _KIND_STEP)
        district = _spread(districts(), options.seed, "district", number, _DISTRICT_STEP)
        chance = generator(options.seed, "site", number)
        site = _site(kind, district, counts, chance, options.seed)
        sites.append(site)
        points += grow_points(site, kind, number, len(points), counts.meters, chance)
    return FleetPlan(options, tuple(sites), tuple(points))


def _spread(table: Sequence[W], seed: int, what: str, number: int, step: float) -> W:
    """The row of `table` for the site of this number: every few sites together have rows by their weights."""
    at = (key(seed, what) / 2**64 + number * step) % 1
    ends = np.cumsum([row.weight for row in table])
    return table[int(np.searchsorted(ends, at * ends[-1], side="right"))]


def _site(
    kind: SiteKind, district: District, counts: _Counts, chance: np.random.Generator, seed: int
) -> FleetSite:
    counts.codes[district.code, kind.building_type] += 1
    counts.names[district.code, kind.site_kind] += 1
    number = counts.codes[district.code, kind.building_type]
    if number > _SERIALS:
        raise SettingError(
            f"--sites: more than {_SERIALS} of type {kind.building_type} in {district.code}, which codes allow"
        )
    serial = seed * _SERIALS_A_SEED + number
    code = f"{district.code}{kind.building_type}{serial % _SERIALS:03d}"
    number = counts.names[district.code, kind.site_kind]
    low, high = np.log(kind.area)
    return FleetSite(
        site_code=code,
        name=f"{district.name_zh}{kind.name_zh}{number} · {kind.name_en} {number}, {district.name_en}",
        kind=kind.kind,
        sector=kind.sector,
        building_type=kind.building_type,
        district_code=district.code,
        floor_area_m2=float(round(float(np.exp(chance.uniform(low, high))), -1)),
        gateway=f"gw-{code}",
        site_kind=kind.site_kind,
    )
