"""The registry of a load's meters: each gateway a site, each meter a point."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_SITES = ["site_code", "name", "kind", "sector", "building_type", "district_code", "floor_area_m2"]
_POINTS = ["point_code", "site_code", "item_code", "name", "parent_point_code", "rated_per_hour"]
_INSTALLATIONS = [
    *("meter", "point_code", "register", "gateway", "protocol", "unit", "digits", "decimals", "ratio"),
    *("installed_at", "removed_at", "start_value", "end_value", "interval_s"),
]


@dataclass(frozen=True, slots=True)
class Installed:
    """A meter that a gateway reads; since: its installed_at, start_value: its display then, empty: not known;
    removed: its removed_at, empty: it is there, the same as since: it never was.
    """

    meter: str
    gateway: str
    register: str
    protocol: str
    item: str = "01A"
    unit: str = "kWh"
    since: str = "2010-01-01T00:00:00+08:00"
    start_value: str = "0"
    removed: str = ""


def write_registry(folder: Path, installations: Sequence[Installed]) -> None:
    """Put the registry's CSV files into `folder`."""
    sites = {
        i.gateway: [i.gateway, i.gateway, "building", "buildings", "A", "110108", 1000] for i in installations
    }
    points = [[i.meter, i.gateway, i.item, i.meter, "", ""] for i in installations]
    rows = [
        [
            i.meter,
            i.meter,
            i.register,
            i.gateway,
            i.protocol,
            i.unit,
            9,
            2,
            1,
            i.since,
            i.removed,
            i.start_value,
            "",
            900,
        ]
        for i in installations
    ]
    for name, header, lines in (
        ("sites.csv", _SITES, list(sites.values())),
        ("points.csv", _POINTS, points),
        ("installations.csv", _INSTALLATIONS, rows),
    ):
        with (folder / name).open("w", newline="", encoding="utf-8") as f:
            csv.writer(f).writerows([header, *lines])
