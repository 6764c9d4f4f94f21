"""Meters that move, end values entered late, ratios and digits corrected years back: each is derived again by itself,
only where it touches, and comes out as if the registry had said so from the beginning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import psycopg
import pytest

from metering.errors import InputFileError
from storage.derivation import Deriver
from storage.registry import import_registry
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2011, 1, 1, tzinfo=CST)
HOUR = timedelta(hours=1)
DAYS = 12
#: When the thing that the registry learns of years later happened.
AT = T0 + timedelta(days=5, hours=10)

SITES = (
    "site_code,name,kind,sector,building_type,district_code,floor_area_m2\n"
    "A,Hall A,building,buildings,A,110108,5000\n"
)
POINTS = (
    "point_code,site_code,item_code,name,parent_point_code,rated_per_hour\n"
    "A-T,A,01,Total,,\nA-L,A,01A,Light,A-T,\nA-P,A,01B,Plant,A-T,\n"
)
HEAD = (
    "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
    "start_value,end_value\n"
)


def row(meter: str, point: str, start: datetime = T0, end: datetime | None = None, **more: Any) -> str:
    cells = {"digits": 6, "ratio": 1, "start_value": "", "end_value": "", **more}
    removed = end.isoformat() if end else ""
    return (
        f"{meter},{point},1.8.0,gw1,json,kWh,{cells['digits']},1,{cells['ratio']},{start.isoformat()},{removed},"
        f"{cells['start_value']},{cells['end_value']}\n"
    )


@dataclass
class Place:
    """A database in which a registry is imported, readings come in and energy is derived from them."""

    town: Town
    folder: Path
    readings: list[tuple[str, list[tuple[datetime, float]]]] = field(default_factory=list)

    def take_in(self, *rows: str) -> None:
        for name, text in (("sites", SITES), ("points", POINTS), ("installations", HEAD + "".join(rows))):
            (self.folder / f"{name}.csv").write_text(text, encoding="utf-8")
        import_registry(self.town.connection, self.folder, "test")

    def read(self, meter: str, value: Callable[[int], float], begin: int = 0, stop: int = DAYS * 24) -> None:
        readings = [(T0 + n * HOUR, value(n)) for n in range(begin, stop + 1)]
        self.readings.append((meter, readings))
        self.town.read(meter, readings)

    def derive(self) -> None:
        deriver = Deriver(lambda: psycopg.connect(self.town.url))
        deriver.run_all()
        deriver.close()

    def hours(self) -> dict[tuple[str, datetime], tuple[Any, ...]]:
        rows = self.town.rows(
            "select point_code, period, consumption, estimated, completeness from api.energy_hour"
        )
        return {row[:2]: row[2:] for row in rows}

    def everything(self) -> list[tuple[Any, ...]]:
        """Hours of points, and what they are summed into, by the names that people know."""
        views = ("energy_hour", "energy_day", "energy_year")
        found = [
            (view, *row)
            for view in views
            for row in self.town.rows(
                f"select point_code, period, consumption, estimated, completeness from api.{view}"
            )
        ]
        for view in ("site_energy_hour", "site_energy_day", "site_energy_month"):
            found += [
                (view, *row)
                for row in self.town.rows(
                    f"select item_code, period, consumption, estimated, completeness from api.{view}"
                )
            ]
        return sorted(found, key=str)

    def learns(self, *rows: str) -> set[tuple[str, datetime]]:
        """The registry is edited years later; the hours of points that came out differently, or were written again."""
        before, newest = self.hours(), self._newest()
        self.take_in(*rows)
        self.derive()
        after = self.hours()
        differ = {key for key in {**before, **after} if before.get(key) != after.get(key)}
        return differ | self._written_since(newest)

    def _newest(self) -> int:
        return self.town.rows("select coalesce(max(revision), 0) from nengliu.point_hour")[0][0]

    def _written_since(self, revision: int) -> set[tuple[str, datetime]]:
        return set(
            self.town.rows(
                "select point_code, hour from nengliu.point_hour join nengliu.point using (point_id)"
                " where revision > %s",
                revision,
            )
        )

    def refused(self, *rows: str) -> str:
        with pytest.raises(InputFileError) as caught:
            self.take_in(*rows)
        return str(caught.value)


@pytest.fixture
def place(database, tmp_path) -> Iterator[Place]:
    with (
        empty_database(database.superuser_url, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        yield Place(Town(connection, database.worker_url, database.superuser_url), tmp_path)


def from_scratch(place: Place, database: Any, *rows: str) -> list[tuple[Any, ...]]:
    """The same readings in an empty database whose registry says so from the beginning."""
    with empty_database(database.superuser_url, registry=True):
        place.take_in(*rows)
        for meter, readings in place.readings:
            place.town.read(meter, readings)
        place.derive()
        return place.everything()


def hours_of(point: str, begin: datetime, end: datetime) -> set[tuple[str, datetime]]:
    count = int((end - begin) / HOUR)
    return {(point, begin + n * HOUR) for n in range(count)}


LAST = T0 + timedelta(days=DAYS)


def test_a_meter_that_moved_years_ago_gives_its_energy_to_the_other_point_from_there_on(place, database):
    total = row("t", "A-T")
    place.take_in(total, row("m", "A-L"))
    place.read("t", lambda n: 7.0 * n)
    place.read("m", lambda n: 2.0 * n)
    place.derive()
    moved = (total, row("m", "A-L", end=AT, end_value=260), row("m", "A-P", AT, start_value=260))
    touched = place.learns(*moved)
    assert touched == hours_of("A-L", AT, LAST) | hours_of("A-P", AT, LAST)
    assert place.hours()["A-P", AT] == (2.0, 0.0, 1.0)
    assert place.everything() == from_scratch(place, database, *moved)


def test_an_end_value_entered_late_moves_the_last_step_only(place, database):
    end = AT + timedelta(minutes=20)
    place.take_in(row("m", "A-T", end=end), row("n", "A-T", end, start_value=0))
    place.read("m", lambda n: 2.0 * n, stop=5 * 24 + 8)
    place.read("n", lambda n: 3.0 * n - 390.0, begin=5 * 24 + 11)
    place.derive()
    entered = (row("m", "A-T", end=end, end_value=264), row("n", "A-T", end, start_value=0))
    touched = place.learns(*entered)
    assert touched
    assert touched <= hours_of("A-T", AT - 2 * HOUR, AT + HOUR)
    first = T0 + timedelta(days=5, hours=8)
    closed = [v for (_, hour), v in sorted(place.hours().items()) if first <= hour < AT]
    assert sum(v[0] for v in closed) <= 264 - 256
    assert place.everything() == from_scratch(place, database, *entered)


def test_a_ct_ratio_that_was_changed_years_ago_counts_from_there_on(place, database):
    total = row("t", "A-T")
    place.take_in(total, row("m", "A-L", ratio=20))
    place.read("t", lambda n: 90.0 * n)
    place.read("m", lambda n: 2.0 * n)
    place.derive()
    corrected = (
        total,
        row("m", "A-L", end=AT, end_value=260, ratio=20),
        row("m", "A-L", AT, ratio=40, start_value=260),
    )
    assert place.learns(*corrected) == hours_of("A-L", AT, LAST)
    assert place.hours()["A-L", AT - HOUR][0] == 40.0
    assert place.hours()["A-L", AT][0] == 80.0
    assert place.everything() == from_scratch(place, database, *corrected)


def test_a_ratio_that_was_wrong_from_the_beginning_touches_no_other_point(place, database):
    total = row("t", "A-T")
    place.take_in(total, row("m", "A-L", ratio=20))
    place.read("t", lambda n: 90.0 * n)
    place.read("m", lambda n: 2.0 * n)
    place.derive()
    corrected = (total, row("m", "A-L", ratio=30))
    assert place.learns(*corrected) == hours_of("A-L", T0, LAST)
    assert place.everything() == from_scratch(place, database, *corrected)


def test_corrected_digits_change_the_step_of_the_rollover_only(place, database):
    """9 990 + 2 an hour, with four digits: what looked like a fall at six digits is a rollover."""
    place.take_in(row("t", "A-T"), row("m", "A-L", digits=6))
    place.read("t", lambda n: 7.0 * n)
    over = 5 * 24 + 10
    place.read("m", lambda n: (10_000.0 - 2 * over + 1 + 2.0 * n) % 10_000)
    place.derive()
    corrected = (row("t", "A-T"), row("m", "A-L", digits=4))
    touched = place.learns(*corrected)
    assert touched
    assert {point for point, _ in touched} == {"A-L"}
    assert place.hours()["A-L", AT - HOUR][0] == pytest.approx(2.0)
    assert place.everything() == from_scratch(place, database, *corrected)


def test_digits_that_cannot_show_a_stored_reading_are_refused_and_nothing_changes(place):
    place.take_in(row("m", "A-L"), row("t", "A-T"))
    place.read("m", lambda n: 9_800.0 + 2.0 * n)
    place.derive()
    before = place.everything()
    said = place.refused(row("m", "A-L", digits=4), row("t", "A-T", ratio=5))
    assert (
        "installations.csv:2: digits 4 of register 1.8.0 of meter m are too few: it showed 10000 at" in said
    )
    assert "(189 readings" in said
    place.derive()
    assert place.everything() == before
    ended = T0 + timedelta(hours=50)
    place.take_in(row("m", "A-L", digits=4, end=ended))
    again = place.refused(row("m", "A-L", digits=4))
    assert "installations.csv:2: digits 4" in again
    assert "installations.csv:2: digits 4" in place.refused(row("m", "A-P", digits=4, start=ended))


def test_a_garbled_reading_that_a_person_refused_bars_no_row(place):
    place.take_in(row("m", "A-L"))
    place.read("m", lambda n: 2.0 * n)
    garbled = T0 + timedelta(minutes=30)
    place.town.read("m", [(garbled, 888_888.0)])
    assert "(1 readings" in place.refused(row("m", "A-L", digits=4))
    place.town.connection.execute(
        "insert into nengliu.reading_review (series_id, ts, value, verdict, reviewed_by, note)"
        " select series_id, %s, 888888, 'refused', 'li', 'garbled' from nengliu.series",
        (garbled,),
    )
    place.take_in(row("m", "A-L", digits=4))
