"""The registry of a fleet as rows that a scenario may change, and as CSV files."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from metering.records import Floats
from metering.registers import register_table
from simulators.fleet.noise import keys, uniform
from simulators.fleet.plan import FleetPlan, FleetPoint
from simulators.fleet.simulated_loads import SimulatedLoads
from simulators.registry_rows import (
    ContactRow,
    InstallationRow,
    PointRow,
    QuotaRow,
    RegistryRows,
    SiteRow,
    write_rows,
)

#: Limits as a share of what a site really uses in a year: some sites stay under theirs, some do not.
_LIMIT_SHARE = (0.85, 1.25)
#: Days from one sampled day to the next, when the year's use is estimated: all days of the week, all seasons.
_SAMPLE_DAYS = 17
_SOURCE = "模拟：约为年用量的85%至125% · Simulated: about 85 to 125% of the year's use"


def write_registry(folder: Path, plan: FleetPlan, installed_at: datetime | None = None) -> None:
    """Write sites.csv, points.csv, installations.csv, quotas.csv and contacts.csv of `plan` into `folder`."""
    write_rows(folder, registry_rows(plan, installed_at))


def registry_rows(
    plan: FleetPlan, installed_at: datetime | None = None, *, with_quotas: bool = True
) -> RegistryRows:
    """The registry of `plan`. installed_at: of every meter, by default the start of the first local day;
    with_quotas: limits near each site's use in a year, which wants all of its points."""
    options = plan.options
    since = installed_at or datetime.combine(options.start, time(), ZoneInfo(options.timezone))
    return RegistryRows(
        sites=[
            SiteRow(s.site_code, s.name, s.kind, s.sector, s.building_type, s.district_code, s.floor_area_m2)
            for s in plan.sites
        ],
        points=[_point(plan, p) for p in plan.points],
        installations=[row for p in plan.points for row in installations(plan, p, since)],
        quotas=_quotas(plan) if with_quotas else [],
        contacts=_contacts(plan),
    )


def installations(plan: FleetPlan, point: FleetPoint, since: datetime) -> list[InstallationRow]:
    """A row for each register that the point's meter sends; an instant register is installed like the total's."""
    total = InstallationRow(
        meter=point.meter,
        point_code=point.point_code,
        register=point.register,
        gateway=plan.sites[point.site].gateway,
        protocol="json",
        unit=point.unit,
        digits=point.face.digits,
        decimals=point.face.decimals,
        ratio=point.face.ratio,
        installed_at=since,
        start_value=point.face.start_value,
        interval_s=plan.options.interval_s,
    )
    table = register_table()
    return [
        total,
        *(replace(total, register=r, unit=table[r].unit, start_value=None) for r in point.instants),
    ]


def _point(plan: FleetPlan, point: FleetPoint) -> PointRow:
    site = plan.sites[point.site].site_code
    parent = None if point.parent is None else plan.points[point.parent].point_code
    return PointRow(point.point_code, site, point.item_code, point.name, parent, point.rated_per_hour)


def yearly_use(plan: FleetPlan, year: int) -> Floats:
    """float64[points]: about what each point uses in `year`, in its unit, from a day in every seventeen."""
    loads = SimulatedLoads(replace(plan, options=replace(plan.options, interval_s=3600)))
    first, last = date(year, 1, 1), date(year, 12, 31)
    days = [first + timedelta(days=n) for n in range(8, (last - first).days + 1, _SAMPLE_DAYS)]
    total = np.zeros(len(plan.points))
    for day in days:
        total += loads.energy(day).sum(axis=1) / 1e9
    return total * ((last - first).days + 1) / len(days)


def _quotas(plan: FleetPlan) -> list[QuotaRow]:
    """A limit of electricity for each site and year of the run."""
    start = plan.options.start
    last = start + timedelta(days=plan.options.days - 1)
    rows = []
    own = keys(plan.options.seed, "limit", [s.site_code for s in plan.sites])
    drawn = uniform(own, np.arange(start.year, last.year + 1))
    for n, year in enumerate(range(start.year, last.year + 1)):
        used = [0.0] * len(plan.sites)
        for point, use in zip(plan.points, yearly_use(plan, year).tolist(), strict=True):
            if point.parent is None and point.item_code.startswith("01"):
                used[point.site] += use
        for site, use, share in zip(plan.sites, used, drawn[:, n].tolist(), strict=True):
            limit = float(f"{use * (_LIMIT_SHARE[0] + (_LIMIT_SHARE[1] - _LIMIT_SHARE[0]) * share):.3g}")
            rows.append(
                QuotaRow(site.site_code, "01", year, limit, "manual", "", None, _SOURCE, date(year, 1, 1))
            )
    return rows


def _contacts(plan: FleetPlan) -> list[ContactRow]:
    sites = [
        ContactRow(
            s.site_code, "能源管理员 · Energy manager", "zh", "email", f"{s.site_code}@example.org", "warning"
        )
        for s in plan.sites
    ]
    city = ContactRow("city", "监测中心 · Monitoring centre", "zh", "email", "centre@example.org", "warning")
    return [*sites, city]
