"""What a total did not measure is told by its sub-meters, whenever which of both arrives."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta, timezone
from functools import cache
from itertools import accumulate

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from storage.derivation import DeriveOptions, Deriver
from tests.integration.energy_support import Town, derive_anew, derived, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 3, tzinfo=CST)
DAY = 24


@contextmanager
def town_of(database) -> Iterator[Town]:
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        town = Town(connection, database.worker_url, database.superuser_url)
        site = town.site("A")
        total = town.point("total", site)
        for code, item in (("light", "01A"), ("hvac", "01B")):
            town.install(f"m-{code}", town.point(code, site, item, total), T0)
        town.install("m-total", total, T0)
        town.place()
        yield town


def load(code: str, hour: int) -> float:
    """kWh of an hour: no two days are alike; the total is 10% more than its children."""
    if code == "total":
        return 1.1 * (load("light", hour) + load("hvac", hour))
    chance = random.Random(f"{code} {hour}")
    return round(chance.uniform(1, 3) + (40 * chance.random() if 8 <= hour % 24 < 20 else 0), 2)


@cache
def counts(code: str) -> list[float]:
    return list(accumulate((load(code, h) for h in range(80 * DAY)), initial=1000.0))


def register(code: str, hour: int) -> float:
    return round(counts(code)[hour], 3)


def send(town: Town, code: str, hours: range | list[int]) -> None:
    town.read(f"m-{code}", [(T0 + timedelta(hours=h), register(code, h)) for h in hours])


def derive(town: Town, options: DeriveOptions | None = None) -> None:
    with closing(Deriver(lambda: psycopg.connect(town.url), options)) as deriver:
        deriver.run_all()


def hours_of(town: Town, code: str) -> dict[int, tuple[float, float, str]]:
    rows = town.rows(
        """select h.hour, h.consumption, h.estimated, m.method
           from nengliu.point_hour h join nengliu.point p using (point_id)
           join nengliu.energy_method m on m.rank = h.method where p.point_code = %s""",
        code,
    )
    return {int((hour - T0) / timedelta(hours=1)): (a, b, method) for hour, a, b, method in rows}


def test_a_gap_keeps_its_energy_and_takes_the_shape_of_its_children(database):
    with town_of(database) as town:
        for code in ("light", "hvac"):
            send(town, code, range(10 * DAY))
        send(town, "total", [h for h in range(10 * DAY) if not 130 < h < 150])
        derive(town)
        found = hours_of(town, "total")
        children = {h: load("light", h) + load("hvac", h) for h in range(130, 150)}
        energy = register("total", 150) - register("total", 130)
        assert sum(found[h][0] for h in children) == pytest.approx(energy, rel=1e-12)
        for h, kwh in children.items():
            assert found[h] == (pytest.approx(energy * kwh / sum(children.values())), found[h][0], "children")
        assert {found[h][2] for h in range(130)} == {"measured"}


def test_a_silent_total_goes_on_from_its_children_and_the_usual_loss(database):
    with town_of(database) as town:
        for code in ("light", "hvac"):
            send(town, code, range(10 * DAY + 1))
        send(town, "total", range(8 * DAY + 1))
        derive(town)
        found = hours_of(town, "total")
        for h in range(8 * DAY, 10 * DAY):
            assert found[h] == (pytest.approx(load("total", h)), found[h][0], "children_usual")
        day = town.rows(
            """select d.consumption, d.estimated, d.completeness from api.site_energy_day d
               where item_code = '01' and period = '2014-03-12'"""
        )[0]
        want = sum(load("total", h) for h in range(9 * DAY, 10 * DAY))
        assert day == (pytest.approx(want), pytest.approx(want), 0.0)


def test_where_only_the_last_reading_is_on_its_way_nothing_is_estimated(database):
    with town_of(database) as town:
        for code in ("light", "hvac"):
            send(town, code, range(5 * DAY + 1))
        send(town, "total", range(5 * DAY))
        derive(town)
        assert max(hours_of(town, "total")) == 5 * DAY - 2


def test_an_hour_that_a_child_did_not_measure_is_not_filled(database):
    with town_of(database) as town:
        send(town, "light", range(10 * DAY))
        send(town, "hvac", [h for h in range(10 * DAY) if not 210 < h < 214])
        send(town, "total", range(8 * DAY + 1))
        derive(town)
        found = hours_of(town, "total")
        assert all(h not in found for h in range(210, 214))
        assert found[209][2] == found[214][2] == "children_usual"


def test_children_that_are_a_small_part_do_not_shape_a_gap_that_is_typical(database):
    with town_of(database) as town:
        send(town, "light", range(20 * DAY))
        send(town, "hvac", range(20 * DAY))
        readings = [h for h in range(20 * DAY) if not 250 < h < 270]
        town.read("m-total", [(T0 + timedelta(hours=h), 1000 + 10 * register("total", h)) for h in readings])
        derive(town)
        assert hours_of(town, "total")[260][2] == "profile"


def test_a_removal_without_an_end_value_is_told_by_children(database):
    with town_of(database) as town:
        town.connection.execute(
            "update nengliu.installation set removed_at = %s where meter = 'm-total'",
            (T0 + timedelta(hours=9 * DAY),),
        )
        town.place()
        for code in ("light", "hvac"):
            send(town, code, range(10 * DAY))
        send(town, "total", range(8 * DAY + 1))
        derive(town)
        found = hours_of(town, "total")
        assert max(found) == 9 * DAY - 1
        for h in range(8 * DAY, 9 * DAY):
            assert found[h] == (pytest.approx(load("total", h)), found[h][0], "children_usual")


def test_a_new_sub_meter_does_not_change_the_usual_loss_of_the_others(database):
    """Losses are learnt from hours with the same children."""
    with town_of(database) as town:
        site, total = town.rows("select site_id, point_id from nengliu.point where point_code = 'total'")[0]
        town.install("m-lift", town.point("lift", site, "01C", total), T0 + timedelta(hours=6 * DAY))
        town.place()
        for code in ("light", "hvac"):
            send(town, code, range(10 * DAY))
        send(town, "lift", range(6 * DAY, 10 * DAY))
        send(town, "total", range(8 * DAY + 1))
        derive(town)
        found = hours_of(town, "total")
        parts = {h: sum(load(c, h) for c in ("light", "hvac", "lift")) for h in range(6 * DAY, 10 * DAY - 1)}
        usual = sum(load("total", h) for h in range(6 * DAY, 8 * DAY)) / sum(
            parts[h] for h in range(6 * DAY, 8 * DAY)
        )
        assert found[9 * DAY][0] == pytest.approx(usual * parts[9 * DAY])


def used(town: Town, code: str, last: datetime) -> float:
    """What is used by the end of a local day, as its readings tell: days up to it, less what was still open."""
    return town.rows(
        """select coalesce((select sum(consumption) from nengliu.point_period d
                            where d.point_id = p.point_id and grain = 'day' and period <= %s::date), 0)
                - coalesce((select consumption from nengliu.point_day_open o
                            where o.point_id = p.point_id and day = %s::date), 0)
           from nengliu.point p where point_code = %s""",
        last.date(),
        last.date(),
        code,
    )[0][0]


@pytest.mark.parametrize("minutes", [0, 20], ids=["readings at midnight", "readings around midnight"])
def test_later_readings_do_not_change_what_was_known_at_the_end_of_a_day(database, minutes):
    """A silence that ends days later was estimated from children on the days before: `used` as of these stays."""
    with town_of(database) as town:

        def moments(code: str, first: int, end: int) -> list[tuple[datetime, float]]:
            late = timedelta(minutes=minutes)
            return [(T0 + timedelta(hours=h) + late, register(code, h)) for h in range(first, end)]

        silent = range(6 * DAY + 10, 9 * DAY + 5)
        known: dict[int, float] = {}
        for day in range(10):
            begin, end = day * DAY, (day + 1) * DAY + (1 if minutes == 0 else 0)
            for code in ("light", "hvac"):
                town.read(f"m-{code}", moments(code, begin, end))
            rows = moments("total", begin, end)
            rows = [
                row
                for row in rows
                if not silent[0] <= (row[0] - T0) / timedelta(hours=1) - minutes / 60 < silent[-1]
            ]
            if rows:
                town.read("m-total", rows)
            derive(town)
            known[day] = used(town, "total", T0 + timedelta(days=day))
        assert known[8] - known[6] > 1.5 * (known[5] - known[4]), "the silence is filled"
        for day, kwh in known.items():
            assert used(town, "total", T0 + timedelta(days=day)) == pytest.approx(kwh, rel=1e-9), day


def test_what_a_silence_was_filled_with_stays_where_a_reset_ends_it(database):
    """The register bounds no energy then: children and the usual loss are all that tells, as they told before."""
    with town_of(database) as town:
        for code in ("light", "hvac"):
            send(town, code, range(10 * DAY + 1))
        send(town, "total", range(6 * DAY + 11))
        derive(town)
        known = [used(town, "total", T0 + timedelta(days=day)) for day in range(9)]
        back = range(9 * DAY + 5, 10 * DAY + 1)
        town.read("m-total", [(T0 + timedelta(hours=h), 5.0 + 20 * (h - back[0])) for h in back])
        derive(town)
        assert town.rows("select kind from nengliu.finding") == [("register_reset",)]
        assert [used(town, "total", T0 + timedelta(days=day)) for day in range(9)] == pytest.approx(known)
        found = hours_of(town, "total")
        assert {found[h][2] for h in range(6 * DAY + 10, 9 * DAY + 5)} == {"children_usual"}
        assert found[9 * DAY + 5] == (20, 0, "measured")


def test_what_a_short_silence_around_midnight_was_filled_with_is_taken_back(database):
    """Read every quarter, the total was silent from 23:05 to 00:04: what it was filled with by midnight stays known."""
    with town_of(database) as town:
        town.connection.execute("update nengliu.installation set interval_s = 900 where meter = 'm-total'")
        town.place()
        for code in ("light", "hvac"):
            send(town, code, range(3 * DAY + 1))
        times = [timedelta(minutes=m) for m in range(5, 3 * DAY * 60 - 54, 15)]
        town.read("m-total", [(T0 + t, 1000 + 3 * t / timedelta(hours=1)) for t in times])
        derive(town)
        known = used(town, "total", T0 + timedelta(days=2))
        assert hours_of(town, "total")[3 * DAY - 1][2] == "children_usual"
        town.read("m-total", [(T0 + timedelta(days=3, minutes=4), 1000 + 3 * (3 * DAY + 4 / 60))])
        derive(town)
        assert hours_of(town, "total")[3 * DAY - 1][2] == "interpolated"
        assert used(town, "total", T0 + timedelta(days=2)) == pytest.approx(known)


def test_children_that_stand_still_tell_nothing_of_a_total_that_never_did(database):
    with town_of(database) as town:
        for code in ("light", "hvac"):
            town.read(f"m-{code}", [(T0 + timedelta(hours=h), 50.0) for h in range(10 * DAY)])
        send(town, "total", range(8 * DAY + 1))
        derive(town)
        assert max(hours_of(town, "total")) == 8 * DAY - 1


def test_a_new_meter_goes_on_with_the_usual_loss_of_the_one_before(database):
    with town_of(database) as town:
        total = town.rows("select point_id from nengliu.point where point_code = 'total'")[0][0]
        town.connection.execute(
            "update nengliu.installation set removed_at = %s, end_value = %s where meter = 'm-total'",
            (T0 + timedelta(hours=8 * DAY), register("total", 8 * DAY)),
        )
        town.install("m-new", total, T0 + timedelta(hours=8 * DAY), start_value=0)
        town.place()
        for code in ("light", "hvac"):
            send(town, code, range(10 * DAY + 1))
        send(town, "total", range(8 * DAY))
        derive(town)
        found = hours_of(town, "total")
        for h in range(8 * DAY, 10 * DAY):
            assert found[h] == (pytest.approx(load("total", h)), found[h][0], "children_usual")


def test_the_usual_loss_is_that_of_the_same_sub_meters(database):
    """A small one gave way to a large one, of which the total shows twice as much."""
    with town_of(database) as town:
        site, total = town.rows("select site_id, point_id from nengliu.point where point_code = 'total'")[0]
        swapped = 7 * DAY
        town.connection.execute(
            "update nengliu.installation set removed_at = %s, end_value = %s where meter = 'm-light'",
            (T0 + timedelta(hours=swapped), register("light", swapped)),
        )
        lift = town.point("lift", site, "01C", total)
        town.install("m-lift", lift, T0 + timedelta(hours=swapped), start_value=0)
        town.place()
        send(town, "light", range(swapped))
        send(town, "hvac", range(10 * DAY + 1))
        town.read(
            "m-lift", [(T0 + timedelta(hours=h), 100.0 * (h - swapped)) for h in range(swapped, 10 * DAY + 1)]
        )
        own = list(accumulate((2 * (load("hvac", h) + 100) for h in range(swapped, 8 * DAY)), initial=0.0))
        send(town, "total", range(swapped))
        last = register("total", swapped)
        town.read("m-total", [(T0 + timedelta(hours=swapped + n), last + kwh) for n, kwh in enumerate(own)])
        derive(town)
        assert hours_of(town, "total")[9 * DAY][0] == pytest.approx(2 * (load("hvac", 9 * DAY) + 100))


def test_a_sub_meter_that_was_read_by_the_day_once_counts_since_it_is_read_by_the_hour(database):
    with town_of(database) as town:
        site, hvac = town.rows("select site_id, point_id from nengliu.point where point_code = 'hvac'")[0]
        before = T0 - timedelta(days=200), T0 - timedelta(days=150)
        town.install("m-old", hvac, before[0], removed_at=before[1], start_value=0, interval_s=86400)
        town.place()
        for code in ("light", "hvac"):
            send(town, code, range(10 * DAY))
        send(town, "total", [h for h in range(10 * DAY) if not 130 < h < 150])
        derive(town)
        energy = register("total", 150) - register("total", 130)
        shares = [load("light", h) + load("hvac", h) for h in range(130, 150)]
        assert hours_of(town, "total")[140][0] == pytest.approx(energy * shares[10] / sum(shares))
        town.connection.execute("update nengliu.installation set interval_s = 3600 where meter = 'm-old'")
        town.connection.execute(
            "insert into nengliu.change (site_id, point_id, from_ts, to_ts) values (%s, %s, %s, %s)",
            (site, hvac, *before),
        )
        derive(town)
        grown = derived(town.connection)
        for table, rows in derive_anew(town.connection, database).items():
            assert grown[table] == rows, table


@settings(
    deadline=None,
    max_examples=3,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(st.integers(0, 2**32))
def test_in_whatever_order_totals_and_children_come(database, seed):
    """Silences, gaps and children with gaps of their own, a removal, another total: as derived from the beginning."""
    chance = random.Random(seed)
    with town_of(database) as town:
        site, total = town.rows("select site_id, point_id from nengliu.point where point_code = 'total'")[0]
        above = town.point("above", site)
        town.connection.execute(
            "update nengliu.point set parent_point_id = %s where point_id = %s", (above, total)
        )
        town.install("m-above", above, T0)
        town.place()
        away = {
            code: [
                (begin, begin + chance.choice([1, 2, 5, 30, 200]))
                for begin in chance.sample(range(75 * DAY), chance.choice([1, 4, 8]))
            ]
            for code in ("light", "hvac", "total", "above")
        }
        away["total"].append((chance.randrange(60, 76) * DAY, 75 * DAY))
        pieces = [(code, day) for code in ("light", "hvac", "total", "above") for day in range(0, 75, 8)]
        chance.shuffle(pieces)
        options = DeriveOptions(readings=chance.choice([3_000, 20_000]))
        for n, (code, day) in enumerate(pieces):
            hours = [
                h
                for h in range(day * DAY, (day + chance.choice([2, 8, 8, 8])) * DAY)
                if not any(a <= h < b for a, b in away[code])
            ]
            rows = [
                (T0 + timedelta(hours=h), register("total" if code == "above" else code, h)) for h in hours
            ]
            if rows:
                town.read(f"m-{code}", rows)
            if n == len(pieces) // 2:
                changed = chance.choice(["hvac", "light"])
                town.connection.execute(
                    "update nengliu.point set parent_point_id = %s where point_code = %s", (above, changed)
                )
                town.place([total, above])
            if chance.random() < 0.3:
                derive(town, options)
        derive(town, options)
        grown = derived(town.connection)
        want = derive_anew(town.connection, database)
        for table, rows in want.items():
            assert grown[table] == rows, f"{table} of seed {seed}"
