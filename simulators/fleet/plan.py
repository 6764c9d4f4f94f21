"""Who there is in a fleet: sites, metering points, and the meter of each point. Pure; see simulators/fleet/planning.py.

Energy of a point is counted in whole units of 1e-9 of its item's unit (kWh, m3, GJ), so that sums are exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

from metering.errors import SettingError
from simulators.registers import RegisterFace

#: What calendars and time zones are known of.
_FIRST_YEAR, _LAST_YEAR, _MOST_DAYS = 1990, 2090, 3660


@dataclass(frozen=True, slots=True)
class FleetOptions:
    """What a fleet is made from: the same options give the same sites, loads and bytes.

    start: first local day; days: how many; interval_s: from reading to reading, a divisor of 3600.
    Raises SettingError naming the option.
    """

    seed: int = 1
    sites: int = 10
    start: date = date(2014, 1, 1)
    days: int = 30
    interval_s: int = 900
    timezone: str = "Asia/Shanghai"

    def __post_init__(self) -> None:
        if self.sites < 1 or self.days < 1:
            raise SettingError(f"--sites {self.sites}, --days {self.days}: want at least 1 of each")
        if not _FIRST_YEAR <= self.start.year <= _LAST_YEAR or self.days > _MOST_DAYS:
            raise SettingError(
                f"--start {self.start}, --days {self.days}: want a day from {_FIRST_YEAR} to {_LAST_YEAR}, "
                f"and at most {_MOST_DAYS} days"
            )
        if self.interval_s < 60 or 3600 % self.interval_s:
            raise SettingError(f"--interval {self.interval_s}: want seconds that divide an hour, at least 60")


@dataclass(frozen=True, slots=True)
class FleetSite:
    """A site as sites.csv has it, and the gateway that its meters hang on. site_kind: a row of data/site_kinds.csv."""

    site_code: str
    name: str
    kind: str
    sector: str
    building_type: str
    district_code: str
    floor_area_m2: float
    gateway: str
    site_kind: str


@dataclass(frozen=True, slots=True)
class FleetPoint:
    """A metering point and its meter. site, parent: index into the plan's sites, points (None: a total of its site).

    register: the cumulative register; ts of its readings is on the grid. face: how it shows; unit: of the display,
    which is the item's own. instants: registers that it also sends (16.7.0 …), in the order of Loads.instants.
    use: what the energy is used for, a row of data/uses.csv; empty: it is the sum of its children and a loss.
    """

    point_code: str
    site: int
    item_code: str
    name: str
    parent: int | None
    rated_per_hour: float
    meter: str
    register: str
    unit: str
    face: RegisterFace
    instants: tuple[str, ...] = ()
    use: str = ""


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """All of a fleet. points: grouped by site, a parent before its children."""

    options: FleetOptions
    sites: Sequence[FleetSite]
    points: Sequence[FleetPoint]

    def only(self, sites: Sequence[int]) -> FleetPlan:
        """The part of the plan that these sites (indices, ascending) make up: their loads are the same in it."""
        new_site = {old: new for new, old in enumerate(sites)}
        kept = [i for i, p in enumerate(self.points) if p.site in new_site]
        new_point: dict[int | None, int | None] = {None: None, **{old: new for new, old in enumerate(kept)}}
        points = [
            replace(p, site=new_site[p.site], parent=new_point[p.parent])
            for p in map(self.points.__getitem__, kept)
        ]
        return replace(self, sites=[self.sites[n] for n in sites], points=points)
