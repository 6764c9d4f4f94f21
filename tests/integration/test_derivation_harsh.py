"""Incremental is from scratch, harsher: other zones, intervals and digits, moved meters, verdicts of persons.

A few seeds; NENGLIU_HARSH_SEEDS=1000:1040 tries those instead.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta

import psycopg
import pytest

from metering.errors import InputFileError, NengliuError
from storage.derivation import DeriveOptions, Deriver
from storage.reviews import Person, find_series, judge
from tests.integration import test_derivation_incremental as base
from tests.integration.energy_support import Town, derive_anew, derived, empty_database

pytestmark = pytest.mark.integration

ZONES = ("Asia/Shanghai", "Europe/London", "America/New_York")
#: Around a year's end, and around changes to and from daylight saving time.
BEGINS = [datetime(y, m, d, tzinfo=base.CST) for y, m, d in ((2013, 12, 29), (2014, 3, 27), (2014, 10, 23))]
STEP_MINUTES = {"900": 15, "1800": 30}


def seeds() -> range:
    first, last = os.environ.get("NENGLIU_HARSH_SEEDS", "5000:5004").split(":")
    return range(int(first), int(last))


@dataclass
class Trial:
    """One run: a town with its registry, and what is done to it at random."""

    town: Town
    plan: base.Plan
    chance: random.Random
    owner: psycopg.Connection
    rough: bool
    seed: int

    def edit(self) -> None:
        saved = self.plan.save()
        row = self.chance.choice(self.plan.installations)
        kind = self.chance.choice(["plan"] * 6 + ["move", "digits", "interval", "item"])
        if kind == "plan":
            self.plan.edit()
        elif kind == "move":
            row["point_code"] = self.chance.choice(list(base.POINTS))
        elif kind == "digits":
            row["digits"] = self.chance.choice(["4", "5", "6"])
        elif kind == "interval":
            row["interval_s"] = self.chance.choice(["3600", "900", "7200", "86400"])
        else:
            point = self.plan.points[self.chance.choice(list(self.plan.points))]
            point["item_code"] = self.chance.choice(["01", "01A", "01B1"])
        try:
            self.plan.take_in(self.owner)
        except InputFileError:
            self.plan.restore(saved)

    def review(self) -> None:
        """A verdict on some reading, more often on one in doubt."""
        table = self.chance.choice(["reading", "reading", "reading_doubt"])
        found = self.town.rows(
            f"select meter, register, ts from nengliu.{table} join nengliu.series using (series_id) "
            "order by md5(series_id::text || ts::text || %s) limit 1",
            str(self.chance.random()),
        )
        for meter, register, ts in found:
            last = None if self.chance.random() < 0.7 else ts + timedelta(hours=self.chance.randrange(1, 30))
            verdict = self.chance.choice(["accepted", "refused", "open", "refused"])
            [series] = find_series(self.town.connection, meter, register)
            with suppress(NengliuError):  # nothing to judge there
                judge(self.town.connection, series, (ts, last), verdict, Person("li", "seen"))

    def send(self) -> None:
        if self.rough:
            base.send(self.town, self.plan, self.chance, self.seed)
            return
        row = self.chance.choice(self.plan.installations)
        begin = self.chance.randrange(base.HOURS)
        end = min(base.HOURS, begin + self.chance.choice([3, 30, 24 * 7, 24 * 20]))
        minutes = range(begin * 60, end * 60, STEP_MINUTES.get(row["interval_s"], 60))
        readings = [
            (base.T0 + timedelta(minutes=m), base.steady(self.chance, row["meter"], m // 60, self.seed))
            for m in minutes
            if self.chance.random() > 0.02
        ]
        if readings:
            self.town.read(row["meter"], readings, row["register"])


@contextmanager
def begun(monkeypatch: pytest.MonkeyPatch, database, seed: int) -> Iterator[Trial]:
    chance = random.Random(seed)
    zone, rough = chance.choice(ZONES), chance.random() < 0.5
    monkeypatch.setattr(base, "T0", chance.choice(BEGINS))
    monkeypatch.setattr(base, "HOURS", chance.choice([6, 6, 20, 45]) * 24)
    with (
        empty_database(database.superuser_url, zone=zone, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
        psycopg.connect(database.owner_url) as owner,
    ):
        plan = base.Plan.begin(chance)
        for row in plan.installations:
            row["interval_s"] = chance.choice(["3600", "900", "1800", "7200", "86400"])
            row["digits"] = chance.choice(["4", "5", "6"]) if rough else "6"
            row["installed_at"] = (base.T0 + timedelta(minutes=chance.choice([0, 0, 17, 30]))).isoformat()
        plan.take_in(owner)
        town = Town(connection, database.worker_url, database.superuser_url)
        yield Trial(town, plan, chance, owner, rough, seed)


@pytest.mark.parametrize("seed", seeds())
def test_incremental_is_from_scratch_in_harsher_circumstances(monkeypatch, database, seed):
    with begun(monkeypatch, database, seed) as trial:
        chance = trial.chance
        options = DeriveOptions(sites=chance.choice([1, 5]), readings=chance.choice([20, 300, 10_000]))
        with closing(Deriver(lambda: psycopg.connect(database.worker_url), options)) as deriver:
            for _ in range(chance.randrange(4, 40)):
                act = chance.choices([trial.edit, trial.review, trial.send], [30, 12, 58])[0]
                act()
                if chance.random() < 0.6:
                    deriver.run_once()
            deriver.run_all()
        grown = derived(trial.town.connection)
        judged = {
            key
            for (key,) in trial.town.rows(
                "select rule_key from nengliu.finding where state not in ('open', 'withdrawn')"
            )
        }
        want = derive_anew(trial.town.connection, database)
        for table, rows in want.items():
            found, wanted = set(grown[table]), set(rows)
            if (
                table == "finding"
            ):  # a person's verdict is on the row that was there, not on the one made anew
                found, wanted = {row[0] for row in found}, {row[0] for row in wanted} - judged
            assert found == wanted, f"{table} of seed {seed}"
