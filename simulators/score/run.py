"""Scores a run: the truth file beside the platform's `api` views, some points at a time."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np

from metering.errors import InputFileError
from metering.records import Floats
from simulators.score.faults import Places, hours_of
from simulators.score.findings import Findings
from simulators.score.hours import (
    Bools,
    JudgedHours,
    PlatformHours,
    Tally,
    Tolerance,
    UnitTallies,
    judge_hours,
    within,
)
from simulators.score.platform import Platform, hour_instant
from simulators.score.result import Group, PointScore, Score, Strip, badness, names
from simulators.truth import TruePoint, TruthFile

#: Points a query: a year of them is about 5 MB.
_AT_ONCE = 20
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How to score. strips: of so many of the worst points the hours are kept, to be drawn."""

    tolerance: Tolerance = field(default_factory=Tolerance)
    strips: int = 0


@dataclass(frozen=True, slots=True)
class _Point:
    no: int
    point: TruePoint
    truth: Floats
    known: PlatformHours
    outside: tuple[int, float]


def score_run(
    platform: Platform,
    truth: TruthFile,
    options: ScoreOptions | None = None,
    progress: Progress | None = None,
) -> Score:
    """Compare everything. progress is told points done and points in all."""
    options = options or ScoreOptions()
    score, points = _begin(truth, options), truth.points()
    judge = _Judge(score, points, options.strips)
    for done, point in enumerate(_read(platform, truth, points, score), 1):
        judge.take(point)
        if progress is not None:
            progress(done, len(points))
    judge.finish()
    score.judge_findings(
        Findings(
            (score.starts, score.ends),
            judge.places,
            score.faults,
            platform.findings(),
            platform.rejects(score.starts),
        )
    )
    return score


def _begin(truth: TruthFile, options: ScoreOptions) -> Score:
    facts = truth.run()
    first, end = _bounds(truth, facts)
    hours = end - first
    faults = list(truth.faults())
    places = Places(truth.points(), faults)
    touched = [places.touched_by(f) for f in faults]
    score = Score(
        facts,
        first,
        hours,
        hour_instant(first),
        hour_instant(first + hours),
        options.tolerance,
        faults=touched,
    )
    score.fault_windows = [UnitTallies() for _ in touched]
    for n, t in enumerate(touched):
        score.kinds.setdefault(t.fault.kind, Group(t.fault.kind)).faults[n] = t
        score.labels.setdefault(t.fault.label, Group(t.fault.label)).faults[n] = t
    return score


def _bounds(truth: TruthFile, facts: Mapping[str, str]) -> tuple[int, int]:
    """First hour of the run, and that after the last: those of which the truth is known, and said to be published."""
    known = truth.hour_bounds()
    if known is None:
        raise InputFileError(
            ["the truth file holds no hours yet: the run that writes it has not got that far"]
        )
    first = max(known[0], int(facts.get("from_hour", known[0])))
    end = min(known[1] + 1, int(facts.get("to_hour", known[1] + 1)))
    if first >= end:
        raise InputFileError([f"the truth file holds no hours between from_hour {first} and to_hour {end}"])
    return first, end


def _read(
    platform: Platform, truth: TruthFile, points: Sequence[TruePoint], score: Score
) -> Iterator[_Point]:
    first, hours = score.first_hour, score.hours
    for begin in range(0, len(points), _AT_ONCE):
        codes = [p.point_code for p in points[begin : begin + _AT_ONCE]]
        known = platform.hours(codes, first, hours)
        outside = platform.outside(codes, first, hours)
        for no, code in enumerate(codes, begin):
            yield _Point(
                no,
                points[no],
                _aligned(truth, no, first, hours),
                known.get(code) or PlatformHours.empty(hours),
                outside.get(code, (0, 0.0)),
            )


def _aligned(truth: TruthFile, no: int, first_hour: int, hours: int) -> Floats:
    hour, energy = truth.hours(no)
    inside = (hour >= first_hour) & (hour < first_hour + hours)
    aligned = np.zeros(hours)
    aligned[hour[inside] - first_hour] = energy[inside]
    return aligned


class _Judge:
    """Adds points up, one after another."""

    def __init__(self, score: Score, points: Sequence[TruePoint], strips: int) -> None:
        self.places = Places(points, [t.fault for t in score.faults])
        self._score = score
        self._strips = strips
        self._years = _years(score)
        self._windows = [hours_of(t.fault) for t in score.faults]
        self._numbers: list[list[int]] = [[] for _ in points]
        for n, t in enumerate(score.faults):
            for p in t.points:
                self._numbers[p].append(n)
        self._of_points: dict[str, str] = json.loads(score.facts.get("labels", "{}"))

    def take(self, at: _Point) -> None:
        """Judge a point and count it in everywhere."""
        score, unit = self._score, at.point.unit
        numbers = self._numbers[at.no]
        faults = [n for n in numbers if score.faults[n].fault.is_fault]
        near = self._within(faults)
        hours = judge_hours(at.truth, at.known, score.tolerance.of(at.truth, at.point.display_step), near)
        score.totals.add(unit, hours)
        score.items.setdefault(at.point.item_code, UnitTallies()).add(unit, hours)
        for year, part in self._years:
            score.years.setdefault(year, UnitTallies()).add(unit, hours.part(part))
        (score.elsewhere if faults else score.undisturbed).add(unit, hours.part(~near) if faults else hours)
        self._count_behind(hours, near)
        self._add_to_groups(at, hours, numbers, faults)
        self._keep(at, hours, near, numbers)

    def finish(self) -> None:
        """Put the worst first."""
        self._score.strips.sort(key=lambda s: badness(s.score), reverse=True)

    def _within(self, numbers: Sequence[int]) -> Bools:
        windows = [w for n in numbers for w in self._windows[n]]
        return within(self._score.first_hour, self._score.hours, windows)

    def _count_behind(self, hours: JudgedHours, near: Bools) -> None:
        if not hours.known:
            self._score.unknown_points += 1
        elif hours.missing[-1] and not near[-1]:
            self._score.behind_points += 1

    def _add_to_groups(
        self, at: _Point, hours: JudgedHours, numbers: Sequence[int], faults: Sequence[int]
    ) -> None:
        score, unit = self._score, at.point.unit
        own: dict[tuple[str, str], list[int]] = {}
        for n in numbers:
            score.fault_windows[n].add(unit, hours.part(self._within([n])))
            fault = score.faults[n].fault
            own.setdefault(("kind", fault.kind), []).append(n)
            own.setdefault(("label", fault.label), []).append(n)
        for (what, name), of_group in own.items():
            group = score.kinds[name] if what == "kind" else score.labels[name]
            group.window.add(unit, hours.part(self._within(of_group)))
            if set(faults) <= set(of_group):
                group.whole.add(unit, hours)
        label = self._of_points.get(at.point.point_code)
        if label is not None and ("label", label) not in own:
            score.labels.setdefault(label, Group(label)).whole.add(unit, hours)

    def _keep(self, at: _Point, hours: JudgedHours, near: Bools, numbers: Sequence[int]) -> None:
        tally = Tally()
        tally.add(hours)
        labels = names([self._score.faults[n] for n in numbers])
        made = PointScore(at.no, at.point, tally, labels, *at.outside)
        self._score.points.append(made)
        if tally.wrong or tally.missing:
            self._score.strips.append(Strip(made, hours, near))
        if len(self._score.strips) > self._strips:
            self._score.strips.remove(min(self._score.strips, key=lambda s: badness(s.score)))


def _years(score: Score) -> list[tuple[int, slice]]:
    """The local years of the run, with their hours."""
    zone = ZoneInfo(score.facts.get("timezone", "Asia/Shanghai"))
    found = []
    for year in range(score.starts.astimezone(zone).year, score.ends.astimezone(zone).year + 1):
        begin, end = (
            int(datetime(y, 1, 1, tzinfo=zone).timestamp() // 3600) - score.first_hour
            for y in (year, year + 1)
        )
        part = slice(max(begin, 0), min(end, score.hours))
        if part.start < part.stop:
            found.append((year, part))
    return found
