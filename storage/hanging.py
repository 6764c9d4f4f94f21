"""Derives hours, and then those that hang on them: four passes, none of which can set off the one before."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from metering.dependencies import ON_CHILDREN, ON_LOADS, ON_READINGS, ON_VERDICTS
from metering.spans import END, Span, intersect, subtract, union
from storage.judgements import write_judgements
from storage.point_hours import PointHours, Source, derive_points, derive_totals, plan_jobs
from storage.rollup import plain_bounds, put_point_windows, write_points
from storage.sql import query
from storage.touched import whole_hours

Points = dict[int, list[Span]]


@dataclass(slots=True)
class Done:
    """Hours of points that were derived, as normal lists; readings that were read; hours that came out differently."""

    points: Points = field(default_factory=dict)
    readings: int = 0
    hours: int = 0


def derive_hanging(source: Source, points: Mapping[int, Sequence[Span]]) -> Done:
    """Derive the hours that changes touch, with what hangs on them (metering/dependencies.py).

    First what verdicts on readings reach, then verdicts that are learnt from hours before, then estimates, and last of
    all what children tell of totals: both learn from measured hours, so that what is estimated sets nothing off.
    """
    done = Done()
    _derive(source, _joined(points, dependents(source, points, ON_READINGS)), done)
    for level in (ON_VERDICTS, ON_LOADS):
        hanging = dependents(source, done.points, level)
        _derive(source, _without(hanging, done.points), done)
    _derive_totals(source, done)
    return done


def dependents(source: Source, points: Mapping[int, Sequence[Span]], level: int) -> Points:
    """Whole hours of points that hang, on that level, on what is in the given hours of them; normal lists. None before
    the floor of retention: their readings are gone.
    """
    return _found(source, points, "derive_dependents", {"level": level})


def _found(
    source: Source, points: Mapping[int, Sequence[Span]], name: str, asked: dict[str, object]
) -> Points:
    if not points:
        return {}
    put_point_windows(source.cursor, points)
    bounds = plain_bounds([span for spans in points.values() for span in spans])
    found: dict[int, list[Span]] = defaultdict(list)
    for point, begin, end in source.cursor.execute(query(name), {**asked, **bounds}).fetchall():
        found[point].append(whole_hours(begin, end))
    kept = [(source.floor_us, END)]
    return {point: intersect(union(spans), kept) for point, spans in found.items()}


def _joined(one: Mapping[int, Sequence[Span]], other: Mapping[int, Sequence[Span]]) -> Points:
    return {point: union([*one.get(point, ()), *other.get(point, ())]) for point in one.keys() | other.keys()}


def _without(points: Points, away: Points) -> Points:
    """Windows that are not wholly in what is away already."""
    left = {
        point: [span for span in spans if subtract([span], away.get(point, []))]
        for point, spans in points.items()
    }
    return {point: spans for point, spans in left.items() if spans}


def _derive(source: Source, points: Points, done: Done) -> None:
    for jobs in plan_jobs(points, source.registers, source.now_us, source.most_readings):
        for found in derive_points(source, jobs):
            _write(source, found, done, ON_LOADS)


def _derive_totals(source: Source, done: Done) -> None:
    """Again what totals did not measure and their children may tell, whichever of both was derived."""
    told = _found(source, done.points, "derive_totals", {"level": ON_CHILDREN})
    points = {point: spans for point, spans in told.items() if point in source.points}
    for jobs in plan_jobs(points, source.registers, source.now_us, source.most_readings):
        for found in derive_totals(source, jobs):
            _write(source, found, done, ON_CHILDREN)


def _write(source: Source, found: PointHours, done: Done, up_to: int) -> None:
    done.hours += write_points(source.cursor, found, source.calendar)
    write_judgements(source.cursor, found, up_to)
    done.readings += found.readings
    for job in found.jobs:
        done.points[job.point_id] = union([*done.points.get(job.point_id, ()), job.window])
