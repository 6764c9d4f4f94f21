"""What is asked of a replay on the command line is checked before anything is sent."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from deploy.demo_check import csv_months
from deploy.replay import check_timezone, load_plan, parse_day, parse_speed, read_credentials, shipped_data
from metering.errors import InputFileError, SettingError
from simulators.consumption import UNITS_PER_KWH, Consumption


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
