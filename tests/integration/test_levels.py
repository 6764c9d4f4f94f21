"""Lasting changes of level become findings where hours changed, once, and are withdrawn when their ground is gone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import numpy as np
import psycopg
import pytest

from metering.findings import finding_kinds
from storage.derivation import Deriver
from storage.levels import watch_levels
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
#: The begin of a block of the rule, a Monday.
T0 = datetime(2014, 3, 10, tzinfo=CST)
HOUR = timedelta(hours=1)
DAYS = 40
ONSET = 15 * 24 + 9


@pytest.fixture
def town(database) -> Iterator[Town]:
    with (
        empty_database(database.superuser_url, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        made = Town(connection, database.worker_url, database.superuser_url)
        with made.superuser() as superuser:
            superuser.execute("truncate nengliu.level_due, nengliu.finding")
        yield made


def site(town: Town) -> dict[str, int]:
    """A total with two sub-meters, read by the hour."""
    total = town.point("total", town.site("S"))
    points = {"total": total}
    for name, item in (("light", "01A"), ("power", "01C")):
        points[name] = town.point(name, town.site("S"), item, parent=total)
    for name, point in points.items():
        town.install(f"m-{name}", point, T0, start_value=0.0)
    town.place()
    return points


def loads(days: int = DAYS) -> dict[str, np.ndarray]:
    """True energy of the hours by point."""
    hour, rng = np.arange(days * 24), np.random.default_rng(1)
    light = 20 + 30 * (hour % 24 > 8) * rng.uniform(0.8, 1.2, len(hour))
    power = 10 + 15 * (hour % 24 < 18) * rng.uniform(0.8, 1.2, len(hour))
    return {"light": light, "power": power, "total": (light + power) * 1.02}


def read(town: Town, energy: dict[str, np.ndarray], order: int = 1) -> None:
    """Registers that count these energies, in chunks of some days, in order of time or backwards."""
    for name, hours in energy.items():
        value = np.concatenate([[0.0], np.cumsum(hours)]).round(2)
        rows = [(T0 + n * HOUR, float(v)) for n, v in enumerate(value)]
        for begin in range(0, len(rows), 240)[::order]:
            town.read(f"m-{name}", rows[begin : begin + 240])


def look(town: Town) -> int:
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    with psycopg.connect(town.url) as worker:
        return watch_levels(worker)


def findings(town: Town) -> list[tuple]:
    """Kind, point, first and last hour after T0, severity, state, of what names a meter."""
    rows = town.rows(
        """select kind, point_code, starts, ends, severity, state from api.finding where kind <> 'imbalance'
           order by starts, kind, state"""
    )
    return [(k, p, _hours(a), _hours(b), severity, state) for k, p, a, b, severity, state in rows]


def _hours(moment: datetime | None) -> float | None:
    return None if moment is None else round((moment - T0) / HOUR)


def halved(energy: dict[str, np.ndarray], name: str = "light", scale: float = 0.5) -> dict[str, np.ndarray]:
    hours = energy[name].copy()
    hours[ONSET:] *= scale
    return energy | {name: hours}


def test_a_sub_meter_that_measures_half_of_it_is_one_finding_with_its_evidence(town):
    site(town)
    read(town, halved(loads()))
    assert look(town) == 1
    assert findings(town) == [("ct_changed", "light", ONSET, None, "major", "open")]
    [(meter, detail)] = town.rows("select meter, detail from api.finding")
    assert meter == "m-light"
    assert (detail["suspected"], detail["factor"], detail["evidence"]) == (True, "1/2", "balance")
    assert detail["confidence"] > 0.9
    assert detail["text_zh"]
    assert detail["text_en"]
    assert look(town) == 0, "nothing is due"
    assert len(findings(town)) == 1


def test_a_real_change_of_load_is_none(town):
    site(town)
    energy = {
        name: hours * np.where(np.arange(len(hours)) < ONSET, 1, 0.5) for name, hours in loads().items()
    }
    read(town, energy)
    assert look(town) == 1
    assert findings(town) == []


def test_the_order_of_arrival_changes_nothing(town):
    site(town)
    energy = halved(loads(), "power", 0.8)
    for part in (20, 30, DAYS):
        read(town, {name: hours[: part * 24] for name, hours in energy.items()})
        look(town)
    in_order = findings(town), town.rows("select detail from api.finding where state = 'open'")
    with town.superuser() as superuser:
        superuser.execute(
            "truncate nengliu.finding, nengliu.reading, nengliu.point_hour, nengliu.point_period"
        )
    read(town, energy, order=-1)
    look(town)
    assert (findings(town), town.rows("select detail from api.finding where state = 'open'")) == in_order
    assert in_order[0] == [("ct_changed", "power", ONSET, None, "major", "open")]


def test_later_data_withdraws_it_and_brings_it_back(town):
    site(town)
    read(town, halved(loads()))
    look(town)
    read(town, loads())
    assert look(town) == 1
    assert findings(town) == [("ct_changed", "light", ONSET, None, "major", "withdrawn")]
    read(town, halved(loads()))
    look(town)
    assert findings(town) == [("ct_changed", "light", ONSET, None, "major", "open")]


@pytest.mark.parametrize("state", ["accepted", "refused"])
def test_what_a_person_judged_stays(town, state):
    site(town)
    read(town, halved(loads()))
    look(town)
    town.rows("update nengliu.finding set state = %s returning 1", state)
    read(town, loads())
    look(town)
    read(town, halved(loads()))
    look(town)
    assert findings(town) == [("ct_changed", "light", ONSET, None, "major", state)]


def test_a_third_that_is_missing_for_a_time_is_a_phase(town):
    site(town)
    energy = loads()
    energy["power"][ONSET : ONSET + 50] *= 0.66
    read(town, energy)
    look(town)
    assert findings(town) == [("phase_lost", "power", ONSET, ONSET + 50, "major", "open")]


def test_a_meters_own_voltages_tell_a_phase_where_there_is_no_balance(town):
    point = town.point("alone", town.site("S"))
    registers = ["1.8.0", "16.7.0", "32.7.0", "52.7.0", "72.7.0", "31.7.0", "51.7.0", "71.7.0"]
    for register in registers:
        town.install("m-alone", point, T0, register=register, ratio=20)
    town.place()
    hours = loads()["light"]
    lost = slice(ONSET, ONSET + 200)
    measured = hours.copy()
    measured[lost] *= 0.66
    read(town, {"alone": measured / 20})
    times = [T0 + (n + 1) * HOUR for n in range(len(hours))]
    for register in registers[1:]:
        values = (
            measured / 20
            if register == "16.7.0"
            else np.full(len(hours), 230.0 if register in registers[2:5] else 5.0)
        )
        if register in ("52.7.0", "51.7.0"):
            values[lost] = 0
        town.read("m-alone", zip(times, values.tolist(), strict=True), register)
    assert look(town) == 1
    assert findings(town) == [("phase_lost", "alone", ONSET, ONSET + 200, "major", "open")]
    [(detail,)] = town.rows("select detail from api.finding")
    assert (detail["phase"], detail["missing"]) == ("B", ["voltage", "current"])


def test_energy_that_does_not_fit_the_power_of_the_same_meter_is_a_wrong_ratio(town):
    point = town.point("alone", town.site("S"))
    town.install("m-alone", point, T0, ratio=20)
    town.install("m-alone", point, T0, register="16.7.0", ratio=40)
    town.place()
    hours = loads()["light"]
    read(town, {"alone": hours / 20})
    times = [T0 + (n + 1) * HOUR for n in range(len(hours))]
    town.read("m-alone", zip(times, (hours / 20).tolist(), strict=True), "16.7.0")
    look(town)
    [(kind, code, _, ends, _, state)] = findings(town)
    assert (kind, code, ends, state) == ("ct_changed", "alone", None, "open")
    [(detail,)] = town.rows("select detail from api.finding")
    assert (detail["evidence"], detail["factor"]) == ("power", "1/2")


def test_a_reversed_transformer_is_told_by_volts_and_amperes_whatever_power_says(town):
    point = town.point("alone", town.site("S"))
    registers = ["1.8.0", "16.7.0", "32.7.0", "52.7.0", "72.7.0", "31.7.0", "51.7.0", "71.7.0"]
    for register in registers:
        town.install("m-alone", point, T0, register=register, ratio=20)
    town.place()
    hours = loads(20)["light"]
    measured = hours / 3  # one of three phases counts backwards
    shown = np.cumsum(measured / 20).round(4)
    amps = hours / 0.9 / 3 / 230 * 1000 / 20
    for n, register in enumerate(registers):
        values = (shown, measured / 20, *[np.full(len(hours), 230.0)] * 3, *[amps] * 3)[n]
        town.read("m-alone", [(T0 + (h + 1) * HOUR, float(v)) for h, v in enumerate(values)], register)
    look(town)
    assert findings(town) == [("ct_changed", "alone", 0, None, "warning", "open")]
    [(detail,)] = town.rows("select detail from api.finding")
    assert (detail["evidence"], round(detail["scale"], 2)) == ("apparent", 0.3)


def test_a_state_that_lasts_longer_than_a_look_reaches_is_one_finding_from_begin_to_end(town):
    point = town.point("alone", town.site("S"))
    town.install("m-alone", point, T0, ratio=20)
    town.install("m-alone", point, T0, register="16.7.0", ratio=20)
    town.place()
    hours = loads(100)["light"]
    off = hours.copy()
    off[360 : 90 * 24] *= 0.5
    shown, power = np.cumsum(off / 20).round(4), hours / 20
    for begin in range(0, len(hours), 10 * 24):
        part = range(begin, begin + 10 * 24)
        town.read("m-alone", [(T0 + (n + 1) * HOUR, float(shown[n])) for n in part])
        town.read("m-alone", [(T0 + (n + 1) * HOUR, float(power[n])) for n in part], "16.7.0")
        look(town)
        assert len(findings(town)) == (begin >= 240), "one, whenever it is looked at"
    assert findings(town) == [("ct_changed", "alone", 360, 90 * 24, "major", "open")]


def test_a_ratio_that_was_entered_late_is_told_and_the_suspicion_of_it_withdrawn(town):
    points = site(town)
    energy = halved(loads())
    read(town, energy)
    look(town)
    enter_ratio(town, points["light"], T0 + ONSET * HOUR, 2.0, float(energy["light"][:ONSET].sum().round(2)))
    look(town)
    last = DAYS * 24
    assert findings(town) == [
        ("ct_changed", "light", ONSET, last, "warning", "open"),
        ("ct_changed", "light", ONSET, None, "major", "withdrawn"),
    ]
    [(detail,)] = town.rows("select detail from api.finding where state = 'open'")
    assert (detail["evidence"], detail["scale"], detail["suspected"]) == ("entered", 0.5, False)


def test_a_meter_that_was_entered_late_under_the_number_of_the_old_one_is_told(town):
    point = town.point("alone", town.site("S"))
    town.install("m-light", point, T0, start_value=0.0)
    town.place()
    hours = loads()["light"]
    shown = np.cumsum(hours).round(2)
    shown[ONSET:] += 7000 - shown[ONSET - 1]
    town.read("m-light", [(T0 + (n + 1) * HOUR, float(v)) for n, v in enumerate(shown)])
    look(town)
    enter_ratio(town, point, T0 + ONSET * HOUR, 1.0, float(shown[ONSET - 1]), 7000.0)
    look(town)
    assert findings(town)[0] == ("meter_replaced", "alone", ONSET, DAYS * 24, "warning", "open")
    assert [f[-1] for f in findings(town)[1:]] == ["withdrawn"]
    [(detail,)] = town.rows("select detail from api.finding where state = 'open'")
    assert (detail["evidence"], detail["after"], detail["suspected"]) == ("entered", 7000.0, False)


def enter_ratio(
    town: Town, point: int, at: datetime, ratio: float, value: float, start: float | None = None
) -> None:
    """As an import of the registry enters new transformers, or another meter, at a moment that has passed."""
    with town.superuser() as superuser:
        superuser.execute(
            "update nengliu.installation set removed_at = %s, end_value = %s where point_id = %s",
            (at, value, point),
        )
        [version] = superuser.execute(
            "insert into nengliu.registry_version (actor) values ('test') returning version"
        ).fetchone()
        after = {"meter": "m-light", "register": "1.8.0", "installed_at": at.isoformat()}
        superuser.execute(
            "insert into nengliu.registry_change (version, kind, key, after) values (%s, 'installation', 'k', %s)",
            (version, json.dumps(after)),
        )
    town.install("m-light", point, at, ratio=ratio, start_value=value if start is None else start)
    town.place([point])


def test_a_day_that_goes_on_is_noted_once_and_a_late_change_of_another_day_again(town):
    site(town)
    energy = {name: hours[: 3 * 24] for name, hours in loads().items()}
    read(town, energy)
    look(town)
    value = float(energy["light"].sum().round(2))
    due = "select count(*) from nengliu.level_due"
    seen = []
    for n in range(1, 6):
        town.read("m-light", [(T0 + (72 + n) * HOUR, value + n)])
        deriver = Deriver(lambda: psycopg.connect(town.url))
        deriver.run_all()
        deriver.close()
        seen.append(town.rows(due)[0][0])
    assert seen == [1] * 5
    look(town)
    town.read("m-light", [(T0 + 48 * HOUR, float(energy["light"][:48].sum().round(2)) - 1)])
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    assert town.rows(due)[0][0] == 1


def test_both_kinds_say_that_this_rule_finds_them():
    assert {finding_kinds()[k].found_by for k in ("ct_changed", "phase_lost")} == {"levels"}


# ---------------------------------------------------------------- exchanges

EXCHANGED = 16 * 24


def exchanged(town: Town, ratio: float, loads: np.ndarray, order: int = 1) -> int:
    """A lone meter with ratio 10, followed by another one of the same transformers, entered with `ratio`; its point."""
    point = town.point("total", town.site("S"))
    at = T0 + EXCHANGED * HOUR
    ends = float(loads[:EXCHANGED].sum().round(2)) / 10
    town.install("old", point, T0, removed_at=at, start_value=0.0, end_value=ends, ratio=10.0)
    town.install("new", point, at, start_value=0.0, ratio=ratio)
    town.place()
    for meter, begin, hours in (("old", T0, loads[:EXCHANGED]), ("new", at, loads[EXCHANGED:])):
        value = (np.concatenate([[0.0], np.cumsum(hours)]) / 10).round(3)
        rows = [(begin + n * HOUR, float(v)) for n, v in enumerate(value)]
        for first in range(0, len(rows), 240)[::order]:
            town.read(meter, rows[first : first + 240])
    return point


@pytest.mark.parametrize("order", [1, -1])
def test_a_ratio_entered_wrong_with_a_new_meter_is_told_and_put_right_it_is_withdrawn(town, order):
    point = exchanged(town, 20.0, loads()["total"], order)
    look(town)
    assert findings(town) == [("ct_changed", "total", EXCHANGED, None, "warning", "open")]
    [(meter, detail)] = town.rows("select meter, detail from api.finding")
    assert meter == "new"
    assert (detail["evidence"], detail["factor"], detail["ratio"], detail["old_ratio"]) == (
        "exchange",
        "2",
        20,
        10,
    )
    assert detail["scale"] == pytest.approx(2.0, rel=0.05)
    assert detail["text_zh"]
    town.connection.execute("update nengliu.installation set ratio = 10 where meter = 'new'")
    town.place([point])
    look(town)
    assert [f[-1] for f in findings(town)] == ["withdrawn"]


def test_a_row_that_was_taken_back_keeps_no_point_out_of_the_balance(town):
    points = site(town)
    void = {"interval_s": 86_400, "removed_at": T0 - HOUR}
    town.install("void", points["light"], T0 - HOUR, **void)
    read(town, halved(loads()))
    look(town)
    assert findings(town) == [("ct_changed", "light", ONSET, None, "major", "open")]


def test_a_meter_exchanged_with_its_right_ratio_is_no_finding(town):
    exchanged(town, 10.0, loads()["total"])
    look(town)
    assert findings(town) == []
