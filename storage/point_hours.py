"""Hours of points out of stored readings: fetches what the windows need, bounded in memory, and computes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.calendar import LocalCalendar
from metering.energy import HourEnergy, OpenEnergy, Windows, hourly_energy
from metering.spans import END, Span
from metering.steps import HISTORY_STEPS, RegisterReadings, needs_history
from storage.slices import (
    NEAR_US,
    Found,
    Slices,
    reading_before,
    readings_after,
    readings_before,
    readings_between,
)
from storage.touched import PlacedRegister

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Job:
    """A window of whole hours of a point, with the registers that reach into it (by index)."""

    point_id: int
    window: Span
    registers: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class PointHours:
    """What jobs came to; `owner` of hours and opens is the index of the job."""

    jobs: Sequence[Job]
    hours: HourEnergy
    opens: OpenEnergy
    readings: int


def plan_jobs(
    points: Mapping[int, Sequence[Span]], registers: Sequence[PlacedRegister], now_us: int, most_readings: int
) -> Iterator[list[Job]]:
    """Jobs in groups of about `most_readings` readings each, in order of point and time."""
    by_point: dict[int, list[int]] = defaultdict(list)
    for ix, placed in enumerate(registers):
        by_point[placed.point_id].append(ix)
    group: list[Job] = []
    expected = 0.0
    for point in sorted(points):
        for window in points[point]:
            job = Job(point, window, tuple(ix for ix in by_point[point] if _reaches(registers[ix], window)))
            size = sum(_expected_readings(registers[ix], window, now_us) for ix in job.registers)
            if group and expected + size > most_readings:
                yield group
                group, expected = [], 0.0
            group.append(job)
            expected += size
    if group:
        yield group


def _reaches(placed: PlacedRegister, window: Span) -> bool:
    return placed.register.installed_us < window[1] and placed.register.until_us > window[0]


def _expected_readings(placed: PlacedRegister, window: Span, now_us: int) -> float:
    r = placed.register
    length = min(window[1], r.until_us, now_us) - max(window[0], r.installed_us)
    return max(length, 0) / 1e6 / r.interval_s + 3


def derive_points(
    cursor: psycopg.Cursor[Any],
    jobs: Sequence[Job],
    registers: Sequence[PlacedRegister],
    known_last: Mapping[int, int],
    calendar: LocalCalendar,
    now_us: int,
) -> PointHours:
    """The hours and open day ends of the jobs' windows. known_last: register -> no reading is later."""
    owner = [n for n, job in enumerate(jobs) for _ in job.registers]
    chosen = [ix for job in jobs for ix in job.registers]
    windows = Windows(
        np.array([job.window[0] for job in jobs], dtype=np.int64),
        np.array([job.window[1] for job in jobs], dtype=np.int64),
    )
    placed = [registers[ix] for ix in chosen]
    last = np.array([known_last.get(ix, END) for ix in chosen], dtype=np.int64)
    readings = _fetch(cursor, placed, windows, np.array(owner, dtype=np.int64), last, now_us)
    hours, opens = hourly_energy([p.register for p in placed], owner, readings, windows, calendar, now_us)
    return PointHours(jobs, hours, opens, len(readings.ts_us))


def _fetch(
    cursor: psycopg.Cursor[Any],
    placed: Sequence[PlacedRegister],
    windows: Windows,
    owner: Ints,
    last: Ints,
    now_us: int,
) -> RegisterReadings:
    """The readings that the windows need of each register: out to the nearest ones at or beyond both ends."""
    series = np.array([p.series_id or 0 for p in placed], dtype=np.int64)
    installed = np.array([p.register.installed_us for p in placed], dtype=np.int64)
    until = np.array([p.register.until_us for p in placed], dtype=np.int64)
    near = np.array([4e6 * p.register.interval_s for p in placed]).astype(np.int64) + NEAR_US
    read = series > 0
    begin, end = windows.from_us[owner], windows.to_us[owner]
    from_first, to_last = (begin <= installed) | ~read, (end >= np.minimum(until, last)) | ~read
    begin, end = np.maximum(begin, installed), np.minimum(end, until)

    ask = np.flatnonzero(~from_first)
    found = reading_before(cursor, Slices(series[ask], installed[ask], begin[ask]), near[ask])
    from_first[ask] = True
    from_first[ask[found.slice_ix]] = False
    begin[ask[found.slice_ix]] = found.ts_us

    ask = np.flatnonzero(~to_last)
    found = readings_after(cursor, Slices(series[ask], end[ask], until[ask] - 1), 1)
    to_last[ask] = True
    to_last[ask[found.slice_ix]] = False
    end[ask[found.slice_ix]] = found.ts_us

    ask = np.flatnonzero(read)
    found = readings_between(cursor, Slices(series[ask], begin[ask], end[ask]))
    readings = RegisterReadings(ask[found.slice_ix], found.ts_us, found.value, from_first, to_last)
    return _with_history(cursor, placed, series, begin, readings, now_us)


def _with_history(
    cursor: psycopg.Cursor[Any],
    placed: Sequence[PlacedRegister],
    series: Ints,
    begin: Ints,
    readings: RegisterReadings,
    now_us: int,
) -> RegisterReadings:
    """The readings, and earlier ones of the registers whose steps learn from them."""
    registers = [p.register for p in placed]
    wanting = np.array(needs_history(registers, readings, now_us), dtype=np.int64)
    if len(wanting) == 0:
        return readings
    installed = np.array([registers[ix].installed_us for ix in wanting.tolist()], dtype=np.int64)
    earlier: Found = readings_before(
        cursor, Slices(series[wanting], installed, begin[wanting] - 1), HISTORY_STEPS
    )
    from_first = readings.from_first.copy()
    from_first[wanting] = np.bincount(earlier.slice_ix, minlength=len(wanting)) < HISTORY_STEPS
    return RegisterReadings(
        np.concatenate([readings.register_ix, wanting[earlier.slice_ix]]),
        np.concatenate([readings.ts_us, earlier.ts_us]),
        np.concatenate([readings.value, earlier.value]),
        from_first,
        readings.to_last,
    )
