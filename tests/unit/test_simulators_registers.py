"""Registers of the replay: when they are read, where the clock folds, what they show."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest

from metering.errors import InputFileError
from simulators.consumption import UNITS_PER_KWH, Consumption
from simulators.registers import RegisterFace, read_register

PLAIN = RegisterFace(digits=8, decimals=2, ratio=Decimal(1), start_value=Decimal(0))


def consumption(start: str, kwh: list[float], hours: list[int] | None = None) -> Consumption:
    first = int(np.datetime64(start, "h").astype(np.int64))
    hour = np.array([first + h for h in (hours or range(len(kwh)))], np.int64)
    return Consumption("b1", None, hour, np.array([round(v * UNITS_PER_KWH) for v in kwh], np.int64))


def times(series) -> list[str]:
    return [datetime.fromtimestamp(us / 1e6, UTC).strftime("%dT%H:%M") for us in series.ts_us.tolist()]


def test_an_hour_is_read_at_its_end_and_the_first_also_at_its_start():
    series = read_register(consumption("2014-03-01T00", [1.5, 0, 2]), PLAIN, "Asia/Shanghai")
    assert times(series) == ["28T16:00", "28T17:00", "28T18:00", "28T19:00"]
    assert series.value.tolist() == [0, 1.5, 1.5, 3.5]


def test_after_missing_rows_the_register_is_read_before_it_goes_on():
    series = read_register(consumption("2014-03-01T00", [1, 2, 4], hours=[0, 1, 5]), PLAIN, "UTC")
    assert times(series) == ["01T00:00", "01T01:00", "01T02:00", "01T05:00", "01T06:00"]
    assert series.value.tolist() == [0, 1, 3, 3, 7]


def test_where_clocks_go_forward_the_hour_that_does_not_exist_counts_in_the_next():
    series = read_register(consumption("2014-03-30T00", [1, 2, 4]), PLAIN, "Europe/London")
    assert times(series) == ["30T00:00", "30T01:00", "30T02:00"]
    assert series.value.tolist() == [0, 1, 7]


def test_an_hour_that_does_not_exist_at_the_end_of_the_data_is_not_lost():
    series = read_register(consumption("2014-03-30T00", [1, 2]), PLAIN, "Europe/London")
    assert times(series) == ["30T00:00", "30T01:00"]
    assert series.value.tolist() == [0, 3]


def test_where_clocks_go_back_the_hour_that_exists_twice_is_spread_over_both():
    series = read_register(consumption("2014-10-26T00", [1, 2, 4]), PLAIN, "Europe/London")
    assert times(series) == ["25T23:00", "26T00:00", "26T01:00", "26T02:00", "26T03:00"]
    assert series.value.tolist() == [0, 1, 2, 3, 7]


def test_a_csv_that_skips_the_hour_itself_has_no_gap():
    series = read_register(consumption("2014-03-30T00", [1, 4], hours=[0, 2]), PLAIN, "Europe/London")
    assert times(series) == ["30T00:00", "30T01:00", "30T02:00"]
    assert series.value.tolist() == [0, 1, 5]


def test_a_register_rolls_over_at_its_digits():
    face = RegisterFace(digits=2, decimals=1, ratio=Decimal(10), start_value=Decimal("99.5"))
    series = read_register(consumption("2014-03-01T00", [4, 4, 4]), face, "UTC")
    assert series.value.tolist() == [99.5, 99.9, 0.3, 0.7]


def test_the_register_does_not_depend_on_the_part_that_is_replayed():
    whole = read_register(consumption("2014-03-01T00", [1.0, 2.0, 3.0, 4.0]), PLAIN, "UTC")
    part = whole.between(int(whole.ts_us[2]), None)
    assert part.value.tolist() == [3, 6, 10]


@pytest.mark.parametrize(
    "bad",
    [
        {"digits": 0},
        {"decimals": 7},
        {"digits": 12, "decimals": 4},
        {"ratio": Decimal(0)},
        {"start_value": Decimal("0.001")},
        {"start_value": Decimal(10**8)},
        {"start_value": Decimal(-1)},
    ],
)
def test_a_register_that_cannot_be_is_refused(bad):
    good = {"digits": 8, "decimals": 2, "ratio": Decimal(1), "start_value": Decimal(0)}
    with pytest.raises(InputFileError):
        RegisterFace(**(good | bad))
