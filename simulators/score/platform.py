"""What the platform says of a run, read from its `api` views and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import psycopg

from simulators.score.findings import Finding, Rejected
from simulators.score.hours import PlatformHours

#: How a query packs an hour of a point into bytes.
_PACKED = np.dtype([("hour", ">i4"), ("consumption", ">f8"), ("estimated", ">f8"), ("completeness", ">f8")])
_HOUR_S = 3600


@cache
def query(name: str) -> str:
    """The text of queries/<name>.sql."""
    return files("simulators").joinpath("score", "queries", f"{name}.sql").read_text(encoding="utf-8")


def hour_instant(hour: int) -> datetime:
    """The instant of an hour since 1970."""
    return datetime.fromtimestamp(hour * _HOUR_S, UTC)


class Platform:
    """The platform of a connection; the read-only role is enough."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._connection = connection

    def hours(self, points: Sequence[str], first_hour: int, hours: int) -> dict[str, PlatformHours]:
        """Hours of some points by point_code, aligned to first_hour; points without any are not in it."""
        with self._connection.cursor(binary=True) as cursor:
            rows = cursor.execute(query("hours"), _asked(points, first_hour, hours)).fetchall()
        return {code: _unpacked(packed, first_hour, hours) for code, packed in rows}

    def outside(self, points: Sequence[str], first_hour: int, hours: int) -> dict[str, tuple[int, float]]:
        """Hours and energy of points before and after those hours, by point_code."""
        rows = self._connection.execute(query("outside"), _asked(points, first_hour, hours)).fetchall()
        return {code: (count, energy) for code, count, energy in rows}

    def findings(self) -> list[Finding]:
        """All findings that are not withdrawn."""
        return [Finding(*row) for row in self._connection.execute(query("findings")).fetchall()]

    def rejects(self, since: datetime) -> list[Rejected]:
        """Rejects received since, those alike as one."""
        rows = self._connection.execute(query("rejects"), {"since": since}).fetchall()
        return [Rejected(*row) for row in rows]

    def has_readings(self, meters: Sequence[str]) -> bool:
        """Whether there is a reading of any of the meters."""
        row = self._connection.execute(query("has_readings"), {"meters": list(meters)}).fetchone()
        return bool(row and row[0])


def _asked(points: Sequence[str], first_hour: int, hours: int) -> dict[str, Any]:
    return {
        "points": list(points),
        "from": hour_instant(first_hour),
        "to": hour_instant(first_hour + hours),
    }


def _unpacked(packed: bytes, first_hour: int, hours: int) -> PlatformHours:
    table = np.frombuffer(packed, _PACKED)
    at = table["hour"].astype(np.int64) - first_hour
    known = PlatformHours.empty(hours)
    known.consumption[at] = table["consumption"]
    known.estimated[at] = table["estimated"]
    known.completeness[at] = table["completeness"]
    return known
