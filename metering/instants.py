"""Points in time at the boundary: RFC 3339 with an offset in; inside UTC, or microseconds in columns."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHAPE = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2})\Z", re.ASCII
)


def parse_instant(text: str) -> datetime:
    """An aware datetime from RFC 3339 extended form (2014-03-01T00:15:00+08:00), cut to microseconds.

    Raises ValueError with what is expected: no offset, no such day, any other form.
    """
    match = _SHAPE.match(text)
    if match is None:
        raise ValueError(f"{text!r} is no time with offset, such as 2014-03-01T00:15:00+08:00")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, offset = match.group(7), match.group(8)
    zone = "+00:00" if offset in "Zz" else offset
    micro = (fraction or ".0")[1:7].ljust(6, "0")
    try:
        return datetime.fromisoformat(
            f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micro}{zone}"
        )
    except ValueError as e:
        raise ValueError(f"{text!r} is no time that exists: {e}") from e


def to_us(moment: datetime) -> int:
    """Microseconds since 1970-01-01T00:00Z of an aware datetime. Raises ValueError for a naive one."""
    if moment.utcoffset() is None:
        raise ValueError(f"{moment} has no offset")
    return (moment - _EPOCH) // _MICROSECOND


def from_us(us: int) -> datetime:
    """The UTC datetime of microseconds since 1970. Raises OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=us)
