"""However data and registry edits arrive, what is derived is what deriving everything at the end gives, row by row."""

from __future__ import annotations

import csv
import random
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from metering.errors import InputFileError
from storage.derivation import DeriveOptions, Deriver
from storage.registry import import_registry
from tests.integration.energy_support import Town, derive_anew, derived, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2013, 12, 29, tzinfo=CST)
HOURS = 6 * 24

SITES = [{"site_code": code, "name": code, "kind": "building", "sector": "buildings"} for code in ("A", "B")]
POINTS = {
    "total": ("A", "01", ""),
    "hvac": ("A", "01B", "total"),
    "plant": ("A", "01B1", "hvac"),
    "light": ("A", "01A", "total"),
    "other": ("B", "01", ""),
}
REGISTERS = {
    "total": ["1.8.0"],
    "hvac": ["1.8.1", "1.8.2"],
    "plant": ["1.8.0"],
    "light": ["1.8.0"],
    "other": ["1.8.0"],
}


@dataclass
class Plan:
    """The registry as CSV rows, and the edits that are tried on it."""

    chance: random.Random
    points: dict[str, dict[str, str]] = field(default_factory=dict)
    installations: list[dict[str, str]] = field(default_factory=list)

    @classmethod
    def begin(cls, chance: random.Random) -> Plan:
        plan = cls(chance)
        for code, (site, item, parent) in POINTS.items():
            plan.points[code] = {
                "point_code": code,
                "site_code": site,
                "item_code": item,
                "name": code,
                "parent_point_code": parent,
                "rated_per_hour": "",
            }
            for register in REGISTERS[code]:
                plan.installations.append(plan.row(f"m-{code}", code, register, T0))
        return plan

    def row(self, meter: str, point: str, register: str, installed: datetime) -> dict[str, str]:
        return {
            "meter": meter,
            "point_code": point,
            "register": register,
            "gateway": "gw1",
            "protocol": "json",
            "unit": "kWh",
            "digits": "4",
            "decimals": "1",
            "ratio": self.chance.choice(["1", "20"]),
            "installed_at": installed.isoformat(),
            "removed_at": "",
            "start_value": self.chance.choice(["", "", "500"]),
            "end_value": "",
            "interval_s": "3600",
        }

    def moment(self) -> datetime:
        return T0 + timedelta(minutes=self.chance.choice([0, 0, 30]), hours=self.chance.randrange(HOURS))

    def edit(self) -> None:
        """Change something; the import may refuse it."""
        row = self.chance.choice(self.installations)
        kind = self.chance.choice(
            ["remove", "reopen", "replace", "ratio", "start", "end", "void", "parent", "rated", "total"]
        )
        point = self.points[self.chance.choice(list(self.points))]
        if kind == "remove":
            row["removed_at"] = self.moment().isoformat()
        elif kind == "reopen":
            row["removed_at"] = row["end_value"] = ""
        elif kind == "replace":
            at = self.moment()
            row["removed_at"] = at.isoformat()
            self.installations.append(
                self.row(self.chance.choice([row["meter"], "new"]), row["point_code"], row["register"], at)
            )
        elif kind == "ratio":
            row["ratio"] = self.chance.choice(["1", "40"])
        elif kind == "start":
            row["start_value"] = self.chance.choice(["", "10", "9000"])
        elif kind == "end" and row["removed_at"]:
            row["end_value"] = self.chance.choice(["", "1234.5"])
        elif kind == "void":
            row["removed_at"], row["end_value"] = row["installed_at"], ""
        elif kind == "parent":
            point["parent_point_code"] = self.chance.choice(["", *POINTS])
        elif kind == "rated":
            point["rated_per_hour"] = self.chance.choice(["", "5", "3000"])
        elif kind == "total":
            self.installations.append(self.row("m-hvac", "hvac", "1.8.0", self.moment()))

    def save(self) -> tuple[dict, list]:
        return {k: dict(v) for k, v in self.points.items()}, [dict(r) for r in self.installations]

    def restore(self, saved: tuple[dict, list]) -> None:
        self.points, self.installations = saved

    def take_in(self, connection: psycopg.Connection) -> None:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            _write(
                folder / "sites.csv",
                [
                    {**s, "building_type": "", "district_code": "110108", "floor_area_m2": "5000"}
                    for s in SITES
                ],
            )
            _write(folder / "points.csv", list(self.points.values()))
            _write(folder / "installations.csv", self.installations)
            import_registry(connection, folder, "test")


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def shown(meter: str, register: str, minute: int, seed: int) -> float:
    """What a meter shows: it rises unevenly and rolls over at 10^4 every day or two; now and then it falls."""
    base = random.Random(f"{meter} {register} {seed}").uniform(0, 9000)
    rise = 0.0
    for hour in range(minute // 60 + 1):
        part = min(60, minute - hour * 60) / 60
        rise += part * random.Random(f"{meter} {register} {hour} {seed}").choice([0, 40, 120, 300])
    return round((base + rise) % 10_000, 1)


@settings(
    deadline=None,
    max_examples=10,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**32))
def test_incremental_is_from_scratch(database, seed):
    """Readings in any order, corrected, late, in any batches; installations edited years back; workers of any size."""
    chance = random.Random(seed)
    with (
        empty_database(database.superuser_url, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
        psycopg.connect(database.owner_url) as owner,
        ExitStack() as stack,
    ):
        town = Town(connection, database.worker_url, database.superuser_url)
        plan = Plan.begin(chance)
        plan.take_in(owner)
        options = DeriveOptions(sites=chance.choice([1, 5]), readings=chance.choice([20, 10_000]))
        deriver = stack.enter_context(closing(Deriver(lambda: psycopg.connect(database.worker_url), options)))
        for _ in range(chance.randrange(4, 25)):
            if chance.random() < 0.3:
                saved = plan.save()
                plan.edit()
                try:
                    plan.take_in(owner)
                except InputFileError:
                    plan.restore(saved)
            else:
                send(town, plan, chance, seed)
            if chance.random() < 0.6:
                deriver.run_once()
        deriver.run_all()
        grown = derived(connection)
        want = derive_anew(connection, database)
        assert want["point_hour"] or not grown["point_hour"]
        for table, rows in want.items():
            assert grown[table] == rows, f"{table} of seed {seed}"


def garbled(chance: random.Random, value: float) -> float:
    """Now and then what a meter shows that has a bad moment: nothing, far too much, beyond its range."""
    return chance.choice([value] * 40 + [0.0, value + 700, 12_345.6, round(value / 10, 1)])


def send(town: Town, plan: Plan, chance: random.Random, seed: int) -> None:
    """Some readings of some register of a meter: a run of hours, or a few here and there, or corrections."""
    row = chance.choice(plan.installations)
    meter, register = row["meter"], row["register"]
    begin = chance.randrange(HOURS)
    if chance.random() < 0.6:
        minutes = [
            60 * h + chance.choice([0, 0, 0, 7])
            for h in range(begin, min(HOURS, begin + chance.randrange(1, 60)))
        ]
    else:
        minutes = sorted(chance.sample(range(HOURS * 60), chance.randrange(1, 6)))
    off = chance.choice([0.0, 0.0, 0.0, 0.1, 60.0])
    readings = [
        (T0 + timedelta(minutes=m), garbled(chance, (shown(meter, register, m, seed) + off) % 10_000))
        for m in minutes
    ]
    chance.shuffle(readings)
    town.read(meter, readings, register)


#: Long enough for what is learnt from weeks before: typical hours of a gap, and that a load never stood still.
LONG_HOURS = 75 * 24


@settings(
    deadline=None,
    max_examples=6,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**32))
def test_what_is_learnt_from_weeks_before_is_learnt_again_when_these_change(database, seed):
    """Gaps, registers that stand still and unread ends: their hours hang on readings far away, whenever those come."""
    chance = random.Random(seed)
    with (
        empty_database(database.superuser_url, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
        psycopg.connect(database.owner_url) as owner,
        ExitStack() as stack,
    ):
        town = Town(connection, database.worker_url, database.superuser_url)
        plan = Plan.begin(chance)
        for row in plan.installations:
            row["digits"], row["start_value"] = "6", ""
        if chance.random() < 0.5:
            plan.installations[0]["removed_at"] = (T0 + timedelta(days=70)).isoformat()
        plan.take_in(owner)
        options = DeriveOptions(readings=chance.choice([500, 10_000]))
        deriver = stack.enter_context(closing(Deriver(lambda: psycopg.connect(database.worker_url), options)))
        pieces = [
            (row["meter"], row["register"], begin, begin + chance.choice([1, 5, 5, 5]))
            for row in plan.installations[:3]
            for begin in range(0, 75, 5)
        ]
        chance.shuffle(pieces)
        for meter, register, begin, end in pieces:
            readings = [
                (T0 + timedelta(hours=h), steady(chance, meter, h, seed))
                for h in range(begin * 24, min(end * 24, LONG_HOURS))
                if chance.random() > 0.01
            ]
            town.read(meter, readings, register)
            if chance.random() < 0.5:
                deriver.run_once()
        deriver.run_all()
        grown = derived(connection)
        want = derive_anew(connection, database)
        assert any(row[6] for row in want["point_hour"]), "some hours are estimated"
        for table, rows in want.items():
            assert grown[table] == rows, f"{table} of seed {seed}"


def steady(chance: random.Random, meter: str, hour: int, seed: int) -> float:
    """A register that never stands still, but for half a day now and then, and rises more by day."""
    stands = hour % 700 in range(600, 612) and (hour + seed) % 3 == 0
    at = hour // 700 * 700 + 600 if hour % 700 in range(600, 612) and seed % 2 else hour
    value = 1000.0 + sum(30.0 if 8 <= h % 24 < 20 else 7.0 for h in range(at)) + (0.0 if stands else 0.1)
    return 0.0 if chance.random() < 0.002 else round(value + len(meter), 1)
