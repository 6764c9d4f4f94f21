"""Local days, months and years of a zone whose offsets are whole hours, through daylight saving time.

A period is labelled by its START; a day starts at local midnight, or at the first moment after it where the
clock skips midnight. Instants are integer microseconds since 1970-01-01T00:00Z (`_us`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from metering.errors import SettingError
from metering.instants import to_us
from metering.spans import HOUR_US

Ints = npt.NDArray[np.int64]

_FIRST_YEAR, _LAST_YEAR = 1999, 2101


@dataclass(frozen=True, slots=True)
class LocalCalendar:
    """Local days from 1999 to 2100.

    day_start_us: start of each local day, ascending (n,); its last one only closes the day before it.
    year_start_us: start of the local year that each day is in (n,); first_day: date of day 0.
    """

    zone: str
    first_day: date
    day_start_us: Ints
    year_start_us: Ints

    def day_of(self, moment_us: int) -> date:
        """The local day that a moment is in."""
        return self.first_day + timedelta(
            days=int(np.searchsorted(self.day_start_us, moment_us, "right")) - 1
        )

    def start_of(self, day: date) -> int:
        """The first moment of a local day."""
        return int(self.day_start_us[(day - self.first_day).days])

    def date_at(self, day_ix: int) -> date:
        """The date of a day by its index in `day_start_us`."""
        return self.first_day + timedelta(days=int(day_ix))


@cache
def local_calendar(zone: str) -> LocalCalendar:
    """The calendar of an IANA zone; raises SettingError where its days do not start on whole hours of UTC."""
    tz = ZoneInfo(zone)
    first = date(_FIRST_YEAR, 1, 1)
    days = [first + timedelta(days=n) for n in range((date(_LAST_YEAR, 1, 1) - first).days + 1)]
    starts = np.array([to_us(datetime(d.year, d.month, d.day, tzinfo=tz)) for d in days], dtype=np.int64)
    if (starts % HOUR_US).any():
        raise SettingError(
            f"NENGLIU_TIMEZONE: {zone} has offsets that are no whole hours; choose another zone"
        )
    january = np.array([(date(d.year, 1, 1) - first).days for d in days])
    return LocalCalendar(zone, first, starts, starts[january])
