"""Times of readings: RFC 3339 with offset, or epoch seconds or milliseconds. What is ambiguous is refused.

Source: RFC 3339, section 5.6 (date-time): extended form with `T`, seconds and an offset are required; week
dates, 24:00, times without offset and epochs as text are not times. A fraction finer than a microsecond is
cut off.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from stream.codec import FIRST_US, LAST_US

#: A number above this is milliseconds.
MILLISECONDS_FROM = 1e11

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

#: Earliest acceptable time: 2000-01-01T00:00Z.
EARLIEST_US = (datetime(2000, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND

#: How far ahead of its receipt a reading may be.
AHEAD_US = 3600 * 1_000_000

_SHAPE = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt](\d{2}:\d{2}:\d{2})(?:\.(\d+))?(?:[Zz]|([+-])(\d{2}):(\d{2}))\Z", re.ASCII
)
_LONGEST = 64

_CACHE_SIZE = 8192
_cache: dict[str, int | None] = {}


def parse_text(text: str) -> int | None:
    """Microseconds since 1970 of an RFC 3339 date-time; None if it is none. Remembers the last few
    thousand, but nothing long.
    """
    if len(text) > _LONGEST:
        return None
    try:
        return _cache[text]
    except KeyError:
        if len(_cache) >= _CACHE_SIZE:
            _cache.clear()
        result = _cache[text] = _parse_text(text)
        return result


def _parse_text(text: str) -> int | None:
    match = _SHAPE.match(text)
    if match is None:
        return None
    date, time, fraction, sign, hours, minutes = match.groups()
    try:
        local = datetime.fromisoformat(f"{date}T{time}+00:00")
    except ValueError:
        return None
    if time.startswith("24") or int(hours or 0) > 23 or int(minutes or 0) > 59:
        return None
    offset_s = (int(hours) * 3600 + int(minutes) * 60) * (-1 if sign == "-" else 1) if sign else 0
    whole = (local - _EPOCH) // _MICROSECOND - offset_s * 1_000_000
    return whole + (int(fraction[:6].ljust(6, "0")) if fraction else 0)


def from_local(local: datetime, zone: ZoneInfo) -> int | str:
    """Microseconds since 1970 of a naive local time; what is wrong, where the zone's clocks show it twice or never."""
    placed = local.replace(tzinfo=zone, fold=0)
    try:
        before, after = placed.utcoffset(), placed.replace(fold=1).utcoffset()
        assert before is not None
        assert after is not None
        if before != after:
            which = "show it twice" if before > after else "skip it"
            return f"is no one moment: the clocks of {zone.key} {which}"
        return (local.replace(tzinfo=UTC) - _EPOCH - before) // _MICROSECOND
    except OverflowError:
        return "is no time that exists"


def parse_number(number: int | float) -> int | None:
    """Microseconds since 1970 of epoch seconds, or of milliseconds if over 1e11; None if not finite."""
    return from_epoch(number, 1_000 if number > MILLISECONDS_FROM else 1_000_000)


def from_epoch(number: int | float, unit_us: int) -> int | None:
    """Microseconds since 1970 of a count of units of `unit_us` microseconds; None if not finite.

    Kept to 64 bits: anything near the edge is out of range anyway.
    """
    if isinstance(number, float) and not math.isfinite(number):
        return None
    if abs(number) >= 2**62 // unit_us:
        return 2**62 if number > 0 else -(2**62)
    return round(number * unit_us)


def parse(value: object) -> int | None:
    """Microseconds since 1970 of a JSON value; None if it is no time."""
    if isinstance(value, str):
        return parse_text(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return parse_number(value)
    return None


def parse_told(value: object) -> int | None:
    """Like `parse`, of a time that is told beside the readings: None also where records have no room for it (before
    1900, after 9998), for it must not cost the readings.
    """
    us = parse(value)
    return us if us is not None and FIRST_US <= us <= LAST_US else None


def in_range(ts_us: int, received_us: int) -> bool:
    """Whether a reading's time is between 2000 and one hour ahead of its receipt."""
    return EARLIEST_US <= ts_us <= received_us + AHEAD_US
