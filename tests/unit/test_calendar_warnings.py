"""`status` tells where the holidays of a year are not known, in time to do something."""

from __future__ import annotations

from datetime import date

import chinese_calendar
import pytest

from deploy.stack.status import calendar_warnings
from deploy.stack.steps import Steps

LAST = max(day.year for day in chinese_calendar.constants.holidays)


@pytest.mark.parametrize(
    ("today", "years"),
    [
        (date(LAST, 11, 30), []),
        (date(LAST, 12, 1), [LAST + 1]),
        (date(LAST + 1, 1, 1), [LAST + 1]),
        (date(LAST + 1, 12, 31), [LAST + 1, LAST + 2]),
    ],
)
def test_a_year_whose_holidays_are_not_known_is_named_from_december_before_on(today, years):
    for language, name in (("en", "holidays of {}"), ("zh", "{} 年的法定节假日")):
        told = calendar_warnings(today, Steps(language))
        assert len(told) == len(years)
        assert all(name.format(year) in text for year, text in zip(years, told, strict=True))
