"""Writes derived hours and rolls them up, set by set: point -> days, months, years -> site and item -> the
same.

Every statement writes the rows that differ and no others, and takes away those that are no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.calendar import LocalCalendar
from metering.spans import END, HOUR_US, START, Span
from storage.copying import Columns, arrays, copy_in, unpack
from storage.point_hours import PointHours
from storage.slices import bound
from storage.sql import query

#: PostgreSQL counts dates in days from here.
_PG_DAY = date(2000, 1, 1)
#: Local days begin and end within this of UTC days: plain bounds are widened by it.
_DAY_US = 36 * 3_600_000_000

_WORK_TABLES = ("derive_window", "derive_open", "derive_touch")


def make_work_tables(connection: psycopg.Connection[Any]) -> None:
    """The temporary tables of this session."""
    with connection.transaction():
        connection.execute("set local client_min_messages = warning")
        connection.execute(query("derive_temp"))


def write_points(cursor: psycopg.Cursor[Any], derived: PointHours, calendar: LocalCalendar) -> int:
    """Put the derived windows of points in place, with their days, months and years; the number of hours changed."""
    _empty(cursor, _WORK_TABLES)
    _windows_in(cursor, "derive_window", "point_id", [(job.point_id, job.window) for job in derived.jobs])
    changed = _write_hours(cursor, derived)
    _fill_open(cursor, derived, calendar)
    _roll_points(cursor, derived, calendar)
    return changed


def _write_hours(cursor: psycopg.Cursor[Any], derived: PointHours) -> int:
    """The hours of the windows: what is new by COPY, what differs, and what is no more; how many these are."""
    bounds = plain_bounds([job.window for job in derived.jobs])
    hours = _hour_columns(derived)
    row = cursor.execute(query("derive_stored"), bounds, binary=True).fetchone()
    stored = unpack(row[0] if row else None, tuple(kind for kind, _ in hours.values()))
    known, key = _keys(stored[0], stored[1]), _keys(hours["point_id"][1], hours["hour"][1])
    order = np.argsort(known)
    at = np.searchsorted(known, key, sorter=order)
    at = order[np.minimum(at, len(order) - 1)] if len(order) else at
    old = known[at] == key if len(order) else np.zeros(len(key), dtype=np.bool_)
    differs = old.copy()
    differs[old] = np.any(
        [v[old] != was[at[old]] for (_, v), was in zip(hours.values(), stored, strict=True)], 0
    )
    gone = np.ones(len(known), dtype=np.bool_)
    gone[at[old]] = False
    if not old.all():
        copy_in(cursor, "nengliu.point_hour", _take(hours, ~old))
    if differs.any():
        cursor.execute(query("derive_point_hour"), arrays(_take(hours, differs)))
    if gone.any():
        away = arrays({"point_id": ("int4", stored[0][gone]), "hour": ("timestamptz", stored[1][gone])})
        cursor.execute(query("derive_point_gone"), {**away, **bounds})
    return int(np.count_nonzero(~old) + np.count_nonzero(differs) + np.count_nonzero(gone))


def _hour_columns(derived: PointHours) -> Columns:
    point = np.array([job.point_id for job in derived.jobs], dtype=np.int64)
    hours = derived.derived.hours
    return {
        "point_id": ("int4", point[hours.owner]),
        "hour": ("timestamptz", hours.hour_us),
        "consumption": ("float8", hours.consumption),
        "estimated": ("float8", hours.estimated),
        "covered_s": ("float8", hours.covered_s),
        "installed_s": ("float8", hours.installed_s),
        "method": ("int2", hours.method),
    }


def _take(columns: Columns, chosen: npt.NDArray[np.bool_]) -> Columns:
    return {name: (kind, values[chosen]) for name, (kind, values) in columns.items()}


def _keys(point: npt.NDArray[Any], hour_us: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Point and hour as one number; hours since 1970 fit into 32 bits for long."""
    keys: npt.NDArray[np.int64] = (point.astype(np.int64) << 32) | (hour_us // HOUR_US)
    return keys


def _roll_points(cursor: psycopg.Cursor[Any], derived: PointHours, calendar: LocalCalendar) -> None:
    """Days, months, years and open day ends of the windows of points, from their hours."""
    windows = [job.window for job in derived.jobs]
    zone = {"zone": calendar.zone}
    cursor.execute(query("derive_touch_points"), zone)
    cursor.execute(query("derive_point_day"), zone | _widened(windows))
    for grain, finer in (("month", "day"), ("year", "month")):
        cursor.execute(query("derive_point_period"), zone | {"grain": grain, "finer": finer})
    cursor.execute(query("derive_point_open"), zone)


def write_sites(
    cursor: psycopg.Cursor[Any], sites: Mapping[int, Sequence[Span]], calendar: LocalCalendar
) -> None:
    """Roll the points' hours in the windows of sites up into sites and items."""
    if not any(sites.values()):
        return
    spans = _put_windows(cursor, sites)
    cursor.execute(query("derive_site_hour"), plain_bounds(spans))
    _roll_sites(cursor, spans, calendar)


@dataclass(frozen=True, slots=True)
class SiteHours:
    """Hours of sites and one item, as columns of equal length, as they come of their points' (derive_site_hour.sql)."""

    item_code: str
    site_id: npt.NDArray[np.int64]
    hour_us: npt.NDArray[np.int64]
    consumption: npt.NDArray[np.float64]
    estimated: npt.NDArray[np.float64]
    covered_s: npt.NDArray[np.float64]
    installed_s: npt.NDArray[np.float64]


def insert_sites(
    cursor: psycopg.Cursor[Any],
    items: Sequence[SiteHours],
    sites: Mapping[int, Sequence[Span]],
    calendar: LocalCalendar,
) -> None:
    """The same as `write_sites` where none of the sites has an hour yet and their hours are known: by COPY."""
    spans = _put_windows(cursor, sites)
    for found in items:
        copy_in(
            cursor,
            "nengliu.site_hour",
            {
                "site_id": ("int4", found.site_id),
                "item_code": ("text", np.full(len(found.site_id), found.item_code.encode())),
                "hour": ("timestamptz", found.hour_us),
                "consumption": ("float8", found.consumption),
                "estimated": ("float8", found.estimated),
                "covered_s": ("float8", found.covered_s),
                "installed_s": ("float8", found.installed_s),
            },
        )
    _roll_sites(cursor, spans, calendar)


def _put_windows(cursor: psycopg.Cursor[Any], sites: Mapping[int, Sequence[Span]]) -> list[Span]:
    """Fill the work tables of sites: their windows, and when which of their points count."""
    windows = [(site, span) for site, spans in sites.items() for span in spans]
    _empty(cursor, ("derive_touch", "derive_site_window", "derive_root", "derive_root_level", "derive_item"))
    _windows_in(cursor, "derive_site_window", "site_id", windows)
    cursor.execute(query("derive_roots"), {"sites": list(sites)})
    return [span for _, span in windows]


def _roll_sites(cursor: psycopg.Cursor[Any], spans: Sequence[Span], calendar: LocalCalendar) -> None:
    """Days, months, years and open day ends of the windows of sites, from their hours."""
    zone = {"zone": calendar.zone}
    cursor.execute(query("derive_touch_sites"), zone)
    cursor.execute(query("derive_site_day"), zone | _widened(spans))
    for grain, finer in (("month", "day"), ("year", "month")):
        cursor.execute(query("derive_site_period"), zone | {"grain": grain, "finer": finer})
    cursor.execute(query("derive_site_open"), zone)


def _empty(cursor: psycopg.Cursor[Any], tables: Sequence[str]) -> None:
    cursor.execute(f"truncate {', '.join(tables)}")


def _fill_open(cursor: psycopg.Cursor[Any], derived: PointHours, calendar: LocalCalendar) -> None:
    opens = derived.derived.opens
    if not len(opens.owner):
        return
    point = np.array([job.point_id for job in derived.jobs], dtype=np.int64)
    first_day = (calendar.first_day - _PG_DAY).days
    copy_in(
        cursor,
        "derive_open",
        {
            "point_id": ("int4", point[opens.owner]),
            "day": ("int4", opens.day_ix + first_day),  # a date is an int4 on the wire
            "consumption": ("float8", opens.consumption),
            "covered_s": ("float8", opens.covered_s),
        },
    )


def put_point_windows(cursor: psycopg.Cursor[Any], points: Mapping[int, Sequence[Span]]) -> None:
    """Fill the work table of windows of points."""
    _empty(cursor, ("derive_window",))
    _windows_in(
        cursor, "derive_window", "point_id", [(p, span) for p, spans in points.items() for span in spans]
    )


def _windows_in(cursor: psycopg.Cursor[Any], table: str, key: str, windows: list[tuple[int, Span]]) -> None:
    columns = np.array([(owner, *span) for owner, span in windows], dtype=np.int64).reshape(-1, 3).T
    copy_in(
        cursor,
        table,
        {
            key: ("int4", columns[0]),
            "from_ts": ("timestamptz", columns[1]),
            "to_ts": ("timestamptz", columns[2]),
        },
    )


def plain_bounds(windows: Sequence[Span]) -> dict[str, Any]:
    """What all windows lie in, as parameters."""
    return {
        "from_ts": bound(min((w[0] for w in windows), default=START)),
        "to_ts": bound(max((w[1] for w in windows), default=END)),
    }


def _widened(windows: Sequence[Span]) -> dict[str, Any]:
    """What the local days of all windows lie in, as parameters."""
    return {
        "from_ts": bound(min((w[0] for w in windows), default=START) - _DAY_US),
        "to_ts": bound(max((w[1] for w in windows), default=END) + _DAY_US),
    }
