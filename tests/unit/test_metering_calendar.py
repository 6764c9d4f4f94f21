"""Local days: their starts, lengths and years, through daylight saving time."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import numpy as np
import pytest

from metering.calendar import local_calendar
from metering.errors import SettingError
from metering.instants import to_us
from metering.spans import HOUR_US


def hours_on(zone: str, day: date) -> int:
    calendar = local_calendar(zone)
    return (calendar.start_of(day + timedelta(days=1)) - calendar.start_of(day)) // HOUR_US


def test_days_start_at_local_midnight():
    midnight = datetime(2014, 3, 1, tzinfo=timezone(timedelta(hours=8)))
    calendar = local_calendar("Asia/Shanghai")
    assert calendar.start_of(date(2014, 3, 1)) == to_us(midnight)
    assert calendar.day_of(to_us(midnight) - 1) == date(2014, 2, 28)
    assert calendar.day_of(to_us(midnight)) == date(2014, 3, 1)


@pytest.mark.parametrize(
    ("zone", "day", "hours"),
    [
        ("Europe/Berlin", date(2014, 3, 30), 23),
        ("Europe/Berlin", date(2014, 10, 26), 25),
        ("America/Sao_Paulo", date(2014, 10, 19), 23),  # the clock skips midnight itself
        ("Asia/Shanghai", date(2014, 3, 30), 24),
    ],
)
def test_days_have_the_hours_that_the_clock_gives_them(zone, day, hours):
    assert hours_on(zone, day) == hours


def test_each_day_knows_the_start_of_its_local_year():
    calendar = local_calendar("Asia/Shanghai")
    day = (date(2014, 12, 31) - calendar.first_day).days
    assert calendar.date_at(day) == date(2014, 12, 31)
    assert calendar.year_start_us[day] == calendar.start_of(date(2014, 1, 1))
    assert calendar.year_start_us[day + 1] == calendar.start_of(date(2015, 1, 1))


def test_days_ascend_and_lie_on_whole_hours():
    starts = local_calendar("Europe/Berlin").day_start_us
    assert (np.diff(starts) > 0).all()
    assert (starts % HOUR_US == 0).all()


def test_a_zone_with_half_hours_is_refused_by_name():
    with pytest.raises(SettingError, match="Asia/Kolkata"):
        local_calendar("Asia/Kolkata")
