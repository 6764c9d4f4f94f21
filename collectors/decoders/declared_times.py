"""Times as a vendor's format declares them; what is ambiguous there is no time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from collectors.decoders import timestamps

_EPOCHS = {"epoch_s": 1_000_000, "epoch_ms": 1_000}
_FIELDS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2}
_REQUIRED = frozenset("YmdHM")


@dataclass(frozen=True, slots=True)
class TimeFormat:
    """How a time is written: rfc3339, epoch_s, epoch_ms, or a pattern of %Y %m %d %H %M %S %f (a fraction of a
    second, 1 to 6 digits) and other characters, which is a local time of `zone`.
    """

    name: str
    zone: ZoneInfo | None = None
    pattern: re.Pattern[str] | None = None

    def parse(self, value: object) -> int | None:
        """Microseconds since 1970 UTC; None if `value` is no such time, or a local time that the clocks show
        twice or skip.
        """
        if self.name in _EPOCHS:
            return _epoch(value, _EPOCHS[self.name])
        if not isinstance(value, str) or len(value) > 64:
            return None
        if self.pattern is None:
            return timestamps.parse_text(value)
        match = self.pattern.match(value)
        return None if match is None else self._local(match.groupdict())

    def _local(self, fields: dict[str, str]) -> int | None:
        y, mo, d, h, mi = (int(fields[f]) for f in "YmdHM")
        fraction = fields.get("f", "").ljust(6, "0")
        try:
            naive = datetime(y, mo, d, h, mi, int(fields.get("S", 0)), int(fraction))  # noqa: DTZ001
        except ValueError:
            return None
        assert self.zone is not None
        us = timestamps.from_local(naive, self.zone)
        return None if isinstance(us, str) else us


def _epoch(value: object, us: int) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return timestamps.from_epoch(value, us)


def time_format(name: str, zone: str | None) -> TimeFormat:
    """A format as declared. Raises ValueError saying what is wrong with it."""
    if name in _EPOCHS or name == "rfc3339":
        if zone is not None:
            raise ValueError(f"time format {name} needs no zone")
        return TimeFormat(name)
    if zone is None:
        raise ValueError(f"time format {name!r} is a local time: give its zone, such as Asia/Shanghai")
    parts = re.split(r"%(.)", name, flags=re.DOTALL)
    used = parts[1::2]
    if unknown := sorted(set(used) - set(_FIELDS) - {"f"}):
        raise ValueError(f"time format {name!r}: %{unknown[0]} is none of %Y %m %d %H %M %S %f")
    if not set(used) >= _REQUIRED or len(set(used)) < len(used) or ("f" in used and "S" not in used):
        raise ValueError(f"time format {name!r} needs each of %Y %m %d %H %M once, and %S before %f")
    text = "".join(re.escape(p) if n % 2 == 0 else _group(p) for n, p in enumerate(parts))
    try:
        return TimeFormat(name, ZoneInfo(zone), re.compile(text + r"\Z", re.ASCII))
    except (KeyError, OSError, ValueError) as e:
        raise ValueError(f"time zone {zone!r} is not known") from e


def _group(field: str) -> str:
    return rf"(?P<{field}>\d{{{'1,6' if field == 'f' else _FIELDS[field]}}})"
