"""Kinds of day."""

from __future__ import annotations

from datetime import date
from functools import cache

import chinese_calendar


@cache
def is_day_off(day: date) -> bool:
    """Whether `day` is no workday: statutory holidays and weekends, less the make-up workdays (调休).

    Source: the package chinesecalendar (announcements of the State Council, from 2004); outside the years that it
    knows, Saturdays and Sundays.
    """
    try:
        return bool(chinese_calendar.is_holiday(day))
    except NotImplementedError:
        return day.weekday() >= 5


def holidays_are_known(year: int) -> bool:
    """Whether the holidays that were announced for a year are known (`is_day_off`)."""
    try:
        chinese_calendar.is_holiday(date(year, 1, 1))
    except NotImplementedError:
        return False
    return True
