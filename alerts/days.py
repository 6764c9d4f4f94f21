"""A run of local days: their edges on the clock, their years, and whether they are workdays."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from metering.days import is_day_off

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: The longest year.
YEAR_DAYS = 366
#: So many days off on end are a holiday of its own kind.
LONG_HOLIDAY_DAYS = 5
_EPOCH = date(1970, 1, 1)


def end_of_day(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which local `day` ends (not included in it)."""
    return datetime.combine(day + timedelta(days=1), time(), zone)


@dataclass(frozen=True)
class DayGrid:
    """`size` consecutive local days from `first`, in `zone`. Index 0 is `first`."""

    first: date
    size: int
    zone: ZoneInfo

    @classmethod
    def spanning(cls, first: date, last: date, zone: ZoneInfo) -> DayGrid:
        """The days from `first` to `last`, both included."""
        return cls(first, (last - first).days + 1, zone)

    def index(self, day: date) -> int:
        """Index of `day`; may lie outside 0..size-1."""
        return (day - self.first).days

    def day(self, index: int) -> date:
        """The local date at `index`."""
        return self.first + timedelta(days=int(index))

    @cached_property
    def dates(self) -> npt.NDArray[np.datetime64]:
        """Local dates, datetime64[D], length size."""
        return np.datetime64(self.first, "D") + np.arange(self.size)

    @cached_property
    def edges_s(self) -> Floats:
        """Start of each day and the end of the last, seconds since 1970-01-01T00:00Z, length size + 1."""
        starts = [datetime.combine(self.day(i), time(), self.zone).timestamp() for i in range(self.size + 1)]
        return np.array(starts, dtype=np.float64)

    @cached_property
    def seconds(self) -> Floats:
        """Length of each day in seconds (not 86400 where clocks are put forward or back)."""
        return np.diff(self.edges_s)

    @cached_property
    def years(self) -> Ints:
        """Local year of each day."""
        return self.dates.astype("datetime64[Y]").astype(np.int64) + 1970

    @cached_property
    def day_off(self) -> Bools:
        """Whether each day is a day off."""
        return np.array([is_day_off(self.day(i)) for i in range(self.size)], dtype=np.bool_)

    @cached_property
    def long_holiday(self) -> Bools:
        """Whether each day lies in a run of days off longer than a weekend (春节, 国庆), beyond the grid's ends too."""
        around = np.arange(-LONG_HOLIDAY_DAYS, self.size + LONG_HOLIDAY_DAYS)
        off = np.array([is_day_off(self.day(int(i))) for i in around], dtype=np.bool_)
        runs = np.lib.stride_tricks.sliding_window_view(off, LONG_HOLIDAY_DAYS).all(axis=1)
        within = np.asarray(np.lib.stride_tricks.sliding_window_view(runs, LONG_HOLIDAY_DAYS).any(axis=1))
        return within[1 : self.size + 1]

    @cached_property
    def year_start(self) -> Ints:
        """For each day the index of 1 January of its year (negative where that lies before the grid)."""
        new_years = self.dates.astype("datetime64[Y]").astype("datetime64[D]")
        return np.asarray((new_years - self.dates[0]).astype(np.int64))


def same_day_years_before(dates: npt.NDArray[np.datetime64], years: int) -> npt.NDArray[np.datetime64]:
    """The same month and day `years` earlier; 29 February becomes 28 February where there is none."""
    months = dates.astype("datetime64[M]")
    target = months - np.timedelta64(12 * years, "M")
    day_of_month = (dates - months.astype("datetime64[D]")).astype(np.int64)
    following = (target + np.timedelta64(1, "M")).astype("datetime64[D]")
    length = (following - target.astype("datetime64[D]")).astype(np.int64)
    into = np.minimum(day_of_month, length - 1).astype("timedelta64[D]")
    return np.asarray(target.astype("datetime64[D]") + into)


def as_date(value: np.datetime64) -> date:
    """A numpy date as a Python one."""
    return _EPOCH + timedelta(days=int(value.astype("datetime64[D]").astype(np.int64)))
