"""What a local day is: its intervals on the clock, its kind in the Chinese calendar, its season."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import chinese_calendar
import numpy as np

from metering.records import Floats, Ints
from simulators.fleet.tables import HOLIDAY, SATURDAY, SUNDAY, VACATION, WORKDAY, heating_season, vacations


@cache
def day_kind(day: date) -> int:
    """WORKDAY, SATURDAY, SUNDAY or HOLIDAY. A make-up day (调休) is a workday.

    Source: the package chinesecalendar (announcements of the State Council, from 2004); outside the years that it
    knows only weekends are days off.
    """
    try:
        off, holiday = chinese_calendar.get_holiday_detail(day)
    except NotImplementedError:
        off, holiday = day.weekday() >= 5, None
    if not off:
        return WORKDAY
    if holiday is not None:
        return HOLIDAY
    return SATURDAY if day.weekday() == 5 else SUNDAY


def campus_day_kind(day: date) -> int:
    """The same for schools and universities: VACATION on workdays that have no teaching."""
    kind = day_kind(day)
    off = kind == WORKDAY and any((day.month, day.day) in season for season in vacations())
    return VACATION if off else kind


def is_heated(day: date) -> bool:
    """Whether `day` is in the heating season."""
    return (day.month, day.day) in heating_season()


@dataclass(frozen=True, slots=True)
class DayTimes:
    """The intervals of a local day. utc_s int64[n]: their starts, seconds since 1970; minute int64[n]: of the local
    clock at their middle.
    """

    day: date
    interval_s: int
    utc_s: Ints
    minute: Ints

    def __len__(self) -> int:
        return len(self.utc_s)

    @property
    def hour(self) -> Floats:
        """float64[n]: local hours since midnight at the middle of the intervals."""
        return self.minute / 60


def day_times(day: date, interval_s: int, zone: ZoneInfo) -> DayTimes:
    """The intervals from local midnight to local midnight; a day that clocks change on has more or fewer."""
    start, end = (int(datetime.combine(d, time(), zone).timestamp()) for d in (day, day + timedelta(days=1)))
    utc_s = np.arange(start, end, interval_s)
    middle = [datetime.fromtimestamp(int(s) + interval_s // 2, zone) for s in utc_s]
    return DayTimes(day, interval_s, utc_s, np.array([m.hour * 60 + m.minute for m in middle]))
