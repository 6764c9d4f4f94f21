"""Incremental is from scratch for families of totals: silences at every level, resets, new meters, edits in between.

A few seeds; NENGLIU_HARSH_SEEDS=1000:1040 tries those instead.
"""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from datetime import timedelta

import pytest

from storage.derivation import DeriveOptions
from tests.integration.energy_support import Town, derive_anew, derived
from tests.integration.test_derivation_totals import DAY, T0, derive, register, town_of

pytestmark = pytest.mark.integration

DAYS = 30
HOURS = DAYS * DAY
FIRST = ("m-above", "m-total", "m-light", "m-hvac", "m-lift")


def seeds() -> range:
    first, last = os.environ.get("NENGLIU_HARSH_SEEDS", "7000:7003").split(":")
    return range(int(first), int(last))


@dataclass
class Meter:
    """What one meter does: when it is silent, when it is reset, how far after the hour it is read, what it shows."""

    name: str
    like: str
    silent: list[range]
    reset: int
    late: timedelta
    scale: int

    @classmethod
    def drawn(cls, chance: random.Random, name: str) -> Meter:
        code = name.partition("-")[2]
        begins = chance.sample(range(HOURS), chance.choice([0, 1, 3]))
        return cls(
            name,
            {"lift": "hvac", "above": "total"}.get(code, code),
            [range(begin, begin + chance.choice([1, 2, 5, 30, 100])) for begin in begins],
            chance.choice([HOURS, HOURS, chance.randrange(HOURS)]),
            timedelta(minutes=chance.choice([0, 0, 20])),
            chance.choice([1, 1, 3]),
        )

    def shows(self, hour: int) -> float:
        since = register(self.like, self.reset) if hour > self.reset else 0.0
        return round(self.scale * (register(self.like, hour) - since), 3)

    def send(self, town: Town, hours: range) -> None:
        heard = [h for h in hours if not any(h in silent for silent in self.silent)]
        if heard:
            town.read(self.name, [(T0 + timedelta(hours=h) + self.late, self.shows(h)) for h in heard])


def grow(town: Town, chance: random.Random) -> list[Meter]:
    """A total above the total, a sub-meter that comes later, and new meters at some points."""
    site, total = town.rows("select site_id, point_id from nengliu.point where point_code = 'total'")[0]
    above = town.point("above", site)
    points = dict(town.rows("select point_code, point_id from nengliu.point"))
    town.connection.execute(
        "update nengliu.point set parent_point_id = %s where point_id = %s", (above, total)
    )
    town.install("m-above", above, T0)
    begins = T0 + timedelta(hours=chance.randrange(HOURS))
    town.install("m-lift", town.point("lift", site, "01C", total), begins, start_value=1000.0)
    names = list(FIRST)
    for name in chance.sample(FIRST[:4], 2):
        code, at = name.partition("-")[2], T0 + timedelta(minutes=chance.randrange(60 * HOURS))
        town.connection.execute(
            "update nengliu.installation set removed_at = %s where meter = %s", (at, name)
        )
        more = {
            "start_value": chance.choice([None, 0.0]),
            "interval_s": chance.choice([900, 3600, 86400]),
        }
        town.install(f"n-{code}", points[code], at, **more)
        names.append(f"n-{code}")
    town.place()
    return [Meter.drawn(chance, name) for name in names]


def edit(town: Town, chance: random.Random, meters: list[Meter]) -> None:
    """One edit of the registry, marked as an import marks it or more widely."""
    points = dict(town.rows("select point_code, point_id from nengliu.point"))
    kind = chance.choice(["parent", "item", "end", "interval"])
    meter = chance.choice(meters).name
    if kind == "parent":
        below = chance.choice([points["above"], points["total"], None])
        town.connection.execute(
            "update nengliu.point set parent_point_id = %s where point_code = %s",
            (below, chance.choice(["hvac", "light", "lift"])),
        )
        town.place([points["total"], points["above"]])
    elif kind == "item":
        town.connection.execute(
            "update nengliu.point set item_code = %s where point_code = 'total'",
            (chance.choice(["01", "01B"]),),
        )
        town.place([points["total"], points["above"]])
    elif kind == "end":
        town.connection.execute(
            "update nengliu.installation set end_value = %s where meter = %s and removed_at is not null",
            (chance.choice([None, 30_000.0]), meter),
        )
        mark(town, meter)
    else:
        town.connection.execute(
            "update nengliu.installation set interval_s = %s where meter = %s",
            (chance.choice([3600, 86400]), meter),
        )
        mark(town, meter)


def mark(town: Town, meter: str) -> None:
    town.connection.execute(
        """insert into nengliu.change (site_id, point_id, from_ts, to_ts)
           select p.site_id, p.point_id, i.installed_at, coalesce(i.removed_at, 'infinity')
           from nengliu.installation i join nengliu.point p using (point_id) where i.meter = %s""",
        (meter,),
    )


@pytest.mark.parametrize("seed", seeds())
def test_families_of_totals_are_as_from_scratch(database, seed):
    chance = random.Random(seed)
    with town_of(database) as town:
        meters = grow(town, chance)
        pieces = [(meter, day) for meter in meters for day in range(0, DAYS, 5)]
        chance.shuffle(pieces)
        options = DeriveOptions(readings=chance.choice([3_000, 20_000]))
        for meter, day in pieces:
            meter.send(town, range(day * DAY, (day + chance.choice([1, 5, 5, 5])) * DAY))
            if chance.random() < 0.12:
                edit(town, chance, meters)
            if chance.random() < 0.3:
                derive(town, options)
        derive(town, options)
        grown = derived(town.connection)
        for table, rows in derive_anew(town.connection, database).items():
            assert grown[table] == rows, f"{table} of seed {seed}"
