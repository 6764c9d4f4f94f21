"""Hours of points out of stored readings: fetches what the windows need, bounded in memory, and computes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Generator, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.calendar import LocalCalendar
from metering.children import ChildHours
from metering.energy import Derived, Windows, hourly_energy
from metering.estimation import BEFORE_US
from metering.reach import (
    CALM_AFTER,
    CALM_BEFORE,
    Within,
    context,
    nights,
    restless,
    wanted,
    widened,
    widened_to_silences,
)
from metering.readings import RegisterReadings
from metering.spans import END, START, Span, to_whole_hours
from metering.steps import Judged, register_steps
from metering.totals import Silences, silences
from storage.child_hours import child_hours
from storage.slices import NEAR_US, Slices, last_readings, readings_after, readings_between
from storage.sql import query
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
    """What jobs came to; `owner` of hours and opens is the index of the job, registers of judgements are `placed`."""

    jobs: Sequence[Job]
    placed: Sequence[PlacedRegister]
    owner: Ints
    derived: Derived
    readings: int


def plan_jobs(
    points: Mapping[int, Sequence[Span]], registers: Sequence[PlacedRegister], now_us: int, most_readings: int
) -> Iterator[list[Job]]:
    """Jobs in groups of about `most_readings` readings each, in order of point and time."""
    return _grouped(_jobs(points, registers), registers, now_us, most_readings, 0.0)


def _jobs(points: Mapping[int, Sequence[Span]], registers: Sequence[PlacedRegister]) -> Iterator[Job]:
    """A job for each window, in order of point and time."""
    of_point: dict[int, list[int]] = defaultdict(list)
    for ix, placed in enumerate(registers):
        of_point[placed.point_id].append(ix)
    for point in sorted(points):
        for window in points[point]:
            yield Job(point, window, tuple(ix for ix in of_point[point] if _reaches(registers[ix], window)))


def _grouped(
    jobs: Iterator[Job],
    registers: Sequence[PlacedRegister],
    now_us: int,
    most_readings: int,
    context_s: float,
) -> Iterator[list[Job]]:
    """In groups of about most_readings; context_s: of readings besides those of the window."""
    group: list[Job] = []
    expected = 0.0
    for job in jobs:
        size = sum(_expected_readings(registers[ix], job.window, now_us, context_s) for ix in job.registers)
        if group and expected + size > most_readings:
            yield group
            group, expected = [], 0.0
        group.append(job)
        expected += size
    if group:
        yield group


def _reaches(placed: PlacedRegister, window: Span) -> bool:
    return placed.register.installed_us < window[1] and placed.register.until_us > window[0]


def _expected_readings(placed: PlacedRegister, window: Span, now_us: int, context_s: float) -> float:
    r = placed.register
    length = min(window[1], r.until_us, now_us) - max(window[0], r.installed_us)
    return (max(length, 0) / 1e6 + context_s) / r.interval_s + 4


@dataclass(frozen=True, slots=True)
class Source:
    """What hours are derived from: stored readings, installed registers, the calendar, now.

    points: those that may be derived: an import that commits meanwhile may name others, and marks them. known_last:
    register -> no reading is later. most_readings: in memory at a time, about. floor_us: no hour before it
    is derived, as readings were dropped (storage/retention.py).
    """

    cursor: psycopg.Cursor[Any]
    points: Set[int]
    registers: Sequence[PlacedRegister]
    known_last: Mapping[int, int]
    calendar: LocalCalendar
    now_us: int
    most_readings: int
    floor_us: int = START


#: Around a window in which a point stands still, and around one that is not calm, this much time is expected to be
#: looked at.
_NIGHTS_S, _CONTEXT_S = 5 * 86_400.0, 12 * 7 * 86_400.0


def derive_points(source: Source, jobs: Sequence[Job]) -> Iterator[PointHours]:
    """The hours and open day ends of the jobs' windows, the calm ones first.

    Whether a window is calm the readings beside it tell, or else those of some days. One that is not is widened to
    where its verdicts change hours.
    """
    rest = yield from _derive_calm(source, jobs, CALM_BEFORE, CALM_AFTER)
    for some in _grouped(iter(rest), source.registers, source.now_us, source.most_readings, _NIGHTS_S):
        registers = [source.registers[ix].register for job in some for ix in job.registers]
        restless_jobs = yield from _derive_calm(source, some, *nights(registers))
        for group in _grouped(
            iter(restless_jobs), source.registers, source.now_us, source.most_readings, _CONTEXT_S
        ):
            yield _derive_restless(source, group)


def _derive_calm(
    source: Source, jobs: Sequence[Job], before: int, after: int
) -> Generator[PointHours, None, list[Job]]:
    """The hours of the windows that are calm by so many readings before and after; the jobs that are not."""
    ask = _Ask.of(source, jobs)
    readings = ask.readings(source, before, after)
    judged = register_steps(ask.registers, readings, source.now_us)
    flags = restless(ask.registers, readings, judged, ask.within(), source.now_us)
    anxious = np.zeros(len(jobs), dtype=np.bool_)
    anxious[ask.owner[flags]] = True
    if not anxious.any():
        yield ask.hours(source, readings, judged)
    elif not anxious.all():
        ask, readings = ask.only(~anxious, readings)
        yield ask.hours(source, readings, register_steps(ask.registers, readings, source.now_us))
    return list(compress(jobs, anxious))


def derive_totals(source: Source, jobs: Sequence[Job]) -> Iterator[PointHours]:
    """The same of points whose children tell of what they did not measure; the children's hours are those stored."""
    for group in _grouped(iter(jobs), source.registers, source.now_us, source.most_readings, _CONTEXT_S):
        yield _derive_restless(source, group, children=True)


def _derive_restless(source: Source, jobs: Sequence[Job], *, children: bool = False) -> PointHours:
    """The hours of windows that are not calm, with all that verdicts and estimates in them hang on."""
    ask = _Ask.of(source, jobs)
    beyond = context(ask.registers)
    readings = ask.readings(source, beyond, beyond)
    judged = register_steps(ask.registers, readings, source.now_us)
    wide = _widened_jobs(ask, readings, judged, source, children)
    again = wide != ask.jobs
    ask = _Ask.of(source, wide)
    while True:
        if again:
            readings = ask.readings(source, beyond, beyond)
            judged = register_steps(ask.registers, readings, source.now_us)
        want = wanted(ask.registers, readings, judged, ask.within(), source.now_us)
        more = ask.reaching(want.from_us, want.to_us)
        if (more.from_us >= ask.from_us).all() and (more.to_us <= ask.to_us).all():
            told = ask.children(source, readings, judged) if children else None
            return ask.hours(source, readings, judged, told)
        ask, again = more, True


def _widened_jobs(
    ask: _Ask, readings: RegisterReadings, judged: Judged, source: Source, children: bool
) -> list[Job]:
    begin, end = widened(judged, ask.within())
    if children:
        silent = ask.silences(source, readings, judged)
        begin, end = widened_to_silences(ask.registers, silent, (begin, end))
    begin = np.minimum(ask.within()[0], np.maximum(begin, source.floor_us))
    spans: dict[int, list[Span]] = defaultdict(list)
    for job in ask.jobs:
        spans[job.point_id].append(job.window)
    for n, a, b in zip(ask.owner.tolist(), begin.tolist(), end.tolist(), strict=True):
        spans[ask.jobs[n].point_id].append((a, b))
    return list(_jobs({point: to_whole_hours(found) for point, found in spans.items()}, source.registers))


@dataclass(frozen=True, slots=True)
class _Ask:
    """Registers of jobs, and the times that they are read for; from_us, to_us: shape (registers,)."""

    jobs: Sequence[Job]
    owner: Ints
    chosen: Sequence[int]
    placed: Sequence[PlacedRegister]
    from_us: Ints
    to_us: Ints

    @classmethod
    def of(cls, source: Source, jobs: Sequence[Job]) -> _Ask:
        owner = np.array([n for n, job in enumerate(jobs) for _ in job.registers], dtype=np.int64)
        chosen = [ix for job in jobs for ix in job.registers]
        windows = [jobs[n].window for n in owner.tolist()]
        return cls(
            jobs,
            owner,
            chosen,
            [source.registers[ix] for ix in chosen],
            np.array([w[0] for w in windows], dtype=np.int64),
            np.array([w[1] for w in windows], dtype=np.int64),
        )

    @property
    def registers(self) -> list[Any]:
        return [p.register for p in self.placed]

    def only(self, chosen: Bools, readings: RegisterReadings) -> tuple[_Ask, RegisterReadings]:
        """The chosen jobs alone, and what of the readings is theirs; chosen: shape (jobs,)."""
        kept = chosen[self.owner]
        own = kept[readings.register_ix]
        ask = _Ask(
            list(compress(self.jobs, chosen)),
            (np.cumsum(chosen) - 1)[self.owner[kept]],
            list(compress(self.chosen, kept)),
            list(compress(self.placed, kept)),
            self.from_us[kept],
            self.to_us[kept],
        )
        verdict = None if readings.verdict is None else readings.verdict[own]
        return ask, RegisterReadings(
            (np.cumsum(kept) - 1)[readings.register_ix[own]],
            readings.ts_us[own],
            readings.value[own],
            readings.from_first[kept],
            readings.to_last[kept],
            verdict,
        )

    def windows(self) -> Windows:
        return Windows(
            np.array([job.window[0] for job in self.jobs], dtype=np.int64),
            np.array([job.window[1] for job in self.jobs], dtype=np.int64),
        )

    def within(self) -> Within:
        windows = self.windows()
        return windows.from_us[self.owner], windows.to_us[self.owner]

    def reaching(self, from_us: Ints, to_us: Ints) -> _Ask:
        return replace(
            self,
            from_us=np.minimum(self.from_us, from_us),
            to_us=np.maximum(self.to_us, to_us),
        )

    def silences(self, source: Source, readings: RegisterReadings, judged: Judged) -> Silences:
        return silences(self.registers, readings, judged, self.within(), source.now_us)

    def children(self, source: Source, readings: RegisterReadings, judged: Judged) -> ChildHours:
        """The children's hours that silences hang on, by job."""
        silent = self.silences(source, readings, judged)
        owner = self.owner[silent.register_ix].tolist()
        spans = zip((silent.start_us - BEFORE_US).tolist(), silent.end_us.tolist(), strict=True)
        asked = [(n, self.jobs[n].point_id, span) for n, span in zip(owner, spans, strict=True)]
        return child_hours(source.cursor, asked, source.calendar.zone)

    def hours(
        self,
        source: Source,
        readings: RegisterReadings,
        judged: Judged,
        children: ChildHours | None = None,
    ) -> PointHours:
        derived = hourly_energy(
            self.registers,
            self.owner.tolist(),
            readings,
            self.windows(),
            source.calendar,
            source.now_us,
            judged,
            children,
        )
        return PointHours(self.jobs, self.placed, self.owner, derived, len(readings.ts_us))

    def readings(self, source: Source, before: int, after: int) -> RegisterReadings:
        """The readings of the times asked for, and as many as that before and after."""
        placed = self.placed
        series = np.array([p.series_id or 0 for p in placed], dtype=np.int64)
        installed = np.array([p.register.installed_us for p in placed], dtype=np.int64)
        until = np.array([p.register.until_us for p in placed], dtype=np.int64)
        near = (
            np.array([(before + 3) * 1e6 * p.register.interval_s for p in placed]).astype(np.int64) + NEAR_US
        )
        last = np.array([source.known_last.get(ix, END) for ix in self.chosen], dtype=np.int64)
        read = series > 0
        from_first, to_last = (
            (self.from_us <= installed) | ~read,
            (self.to_us >= np.minimum(until, last)) | ~read,
        )
        begin, end = np.maximum(self.from_us, installed), np.minimum(self.to_us, until)

        ask = np.flatnonzero(~from_first)
        found = last_readings(
            source.cursor, Slices(series[ask], installed[ask], begin[ask]), near[ask], before
        )
        from_first[ask] = np.bincount(found.slice_ix, minlength=len(ask)) < before
        begin[ask] = np.where(from_first[ask], installed[ask], begin[ask])
        np.minimum.at(begin, ask[found.slice_ix], found.ts_us)

        ask = np.flatnonzero(~to_last)
        found = readings_after(source.cursor, Slices(series[ask], end[ask], until[ask] - 1), after)
        to_last[ask] = np.bincount(found.slice_ix, minlength=len(ask)) < after
        np.maximum.at(end, ask[found.slice_ix], found.ts_us)

        ask = np.flatnonzero(read)
        found = readings_between(source.cursor, Slices(series[ask], begin[ask], end[ask]))
        ix = ask[found.slice_ix]
        verdict = _verdicts(source.cursor, series, ix, found.ts_us, found.value)
        return RegisterReadings(ix, found.ts_us, found.value, from_first, to_last, verdict)


def _verdicts(
    cursor: psycopg.Cursor[Any], series: Ints, ix: Ints, ts_us: Ints, value: npt.NDArray[np.float64]
) -> npt.NDArray[np.int8] | None:
    """What persons judged of the readings, as they are now; None where nobody judged any."""
    rows = cursor.execute(query("derive_verdicts"), {"series": np.unique(series).tolist()}).fetchall()
    if not rows:
        return None
    judged = {(s, ts, v): verdict for s, ts, v, verdict in rows}
    verdicts = np.zeros(len(ix), dtype=np.int8)
    for n in np.flatnonzero(np.isin(series[ix], [s for s, *_ in rows])).tolist():
        verdicts[n] = judged.get((int(series[ix[n]]), int(ts_us[n]), float(value[n])), 0)
    return verdicts
