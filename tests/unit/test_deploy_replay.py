"""What is asked of a replay on the command line is checked before anything is sent."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from deploy.demo_check import csv_months
from deploy.replay import (
    check_timezone,
    load_plan,
    parse_day,
    parse_speed,
    prepare_replay,
    read_credentials,
    shipped_data,
)
from deploy.simulation import finish_truth, write_beside
from metering.errors import InputFileError, SettingError
from simulators.consumption import UNITS_PER_KWH, Consumption
from simulators.scenario.files import parse_scenario
from simulators.truth import TruthFile


@pytest.mark.parametrize("text", ["0", "-1", "fast", "nan", "inf", ""])
def test_a_speed_that_is_none_is_refused(text):
    with pytest.raises(SettingError, match="--speed"):
        parse_speed(text)


def test_speeds_that_are():
    assert parse_speed("max") is None
    assert parse_speed("3600") == 3600.0


def test_a_day_or_zone_that_is_none_is_refused_by_its_option():
    with pytest.raises(SettingError, match="--from"):
        parse_day("1 March", "--from")
    with pytest.raises(SettingError, match="--csv-timezone"):
        check_timezone("Mars/Olympus")
    assert parse_day(None, "--to") is None


def test_a_part_of_the_years_has_the_readings_at_both_its_ends():
    plan = load_plan(shipped_data(), "Asia/Shanghai", date(2014, 3, 1), date(2014, 3, 3))
    assert [len(s) for s in plan.series] == [49] * 4
    assert plan.readings == 4 * 49


def test_a_part_with_nothing_in_it_is_refused():
    with pytest.raises(InputFileError, match="no hour from"):
        load_plan(shipped_data(), "Asia/Shanghai", date(2030, 1, 1))


def test_credentials_are_read_as_gateway_add_prints_them(tmp_path: Path):
    path = tmp_path / "passwords.json"
    path.write_text(json.dumps([{"gateway": "g1", "password": "p"}, {"gateway": "g2", "password": "q"}]))
    assert read_credentials(path, ["g2"]) == {"g2": "q"}
    with pytest.raises(InputFileError, match="no password of g3"):
        read_credentials(path, ["g1", "g3"])
    path.write_text("{")
    with pytest.raises(InputFileError, match="gateway add --json"):
        read_credentials(path, ["g1"])


def test_months_of_the_csv_sum_its_hours():
    hours = np.arange(np.datetime64("2014-01-31T22", "h"), np.datetime64("2014-02-01T03", "h")).astype(
        np.int64
    )
    building = Consumption("b1", None, hours, np.array([1, 2, 4, 8, 16], np.int64) * UNITS_PER_KWH)
    assert csv_months(building) == [(date(2014, 1, 1), 3.0), (date(2014, 2, 1), 28.0)]


def test_readings_that_never_were_are_neither_wrong_nor_missing(tmp_path: Path):
    for building, days in (("1", (1, 20)), ("2", (11, 20))):
        folder = tmp_path / "data" / f"UCam_Building_{building}" / "electricity"
        folder.mkdir(parents=True)
        rows = [f"2014-03-{d:02d} {h:02d}:00:00,{d + h}.5" for d in range(*days) for h in range(24)]
        (folder / "2014.csv").write_text("datetime,kWh\n" + "\n".join(rows) + "\n", encoding="utf-8")
    (tmp_path / "data" / "building_floor_roof_areas.csv").write_text(
        "Building ID,GIA (m2)\n", encoding="utf-8"
    )
    faults = "".join(
        f'[[fault]]\nkind = "spike"\nnth = {nth}\nat = 2014-03-{day}T12:00:00\n'
        for nth, day in ((1, "05"), (2, "05"), (1, "15"), (2, "15"))
    )
    plan = load_plan(tmp_path / "data", "Asia/Shanghai")
    simulation = prepare_replay(plan, "Asia/Shanghai", parse_scenario(faults, "f"))
    write_beside(simulation, tmp_path)
    assert sum(1 for _ in simulation.run.emissions())
    finish_truth(simulation)
    told = [(f.meter[-1], f.starts.day) for f in TruthFile(tmp_path).faults()]
    assert sorted(told) == [("1", 5), ("1", 15), ("2", 15)]
