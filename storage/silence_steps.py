"""The steps that are too long in some windows of gateways, from the readings in them and their neighbours.

Each series of a window is read once, for its meter and for its gateway.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import psycopg

from metering.findings import SilenceRule
from metering.silent_steps import Ints, LongSteps, Looks, long_steps, patience_at
from metering.spans import END, START, Span
from storage.heard import Asked, newest_readings, step_patiences
from storage.silence_readings import first_after, last_before, times_between, to_last
from storage.silence_subjects import Connection, Watched, Who, series_of
from storage.slices import Slices

Cursor = psycopg.Cursor[Any]


class Window(NamedTuple):
    """A time of a gateway in which something changed, µs, both ends included."""

    gateway: str
    begin: int
    end: int


class Looked(NamedTuple):
    """A subject and the time of it that was looked through: what begins there are the steps found, no others."""

    who: Who
    begin: int
    end: int


class FoundStep(NamedTuple):
    """A step that is too long, µs; initial: it begins with the installation."""

    who: Who
    begin: int
    end: int
    initial: bool


@dataclass(frozen=True, slots=True)
class _Rows:
    """Series in windows, as columns: the window, whom it is of (indexes of subjects: a meter in one of its spans, its
    gateway in the one around), the series, and when it is read for them, both ends included.
    """

    window: Ints
    meter: Ints
    gateway: Ints
    series_id: Ints
    begin: Ints
    end: Ints

    def slices(self, begin: Ints | int, end: Ints | int) -> Slices:
        """The series from `begin` to `end`, both included, as far as they are read."""
        return Slices(self.series_id, np.maximum(self.begin, begin), np.minimum(self.end, end))

    def take(self, chosen: Ints) -> _Rows:
        """The rows of an index."""
        columns = (self.window, self.meter, self.gateway, self.series_id, self.begin, self.end)
        return _Rows(*(c[chosen] for c in columns))


@dataclass(slots=True)
class _Subjects:
    """Spans of meters and gateways, and which of them each gateway has."""

    spans: list[tuple[Watched, Span]]
    of: dict[str, list[int]]


def find_steps(
    connection: Connection,
    rule: SilenceRule,
    watched: Mapping[Who, Watched],
    windows: Sequence[Window],
    most: int,
) -> tuple[list[Looked], list[FoundStep]]:
    """What was looked through of the gateways in their windows, and the steps that are too long.

    Raises TooManyReadingsError where that is more than `most` readings.
    """
    if not windows:
        return [], []
    subjects = _subjects(watched, {w.gateway for w in windows})
    rows = _rows(connection, watched, windows, subjects)
    begin, end = (np.array(column, dtype=np.int64) for column in list(zip(*windows, strict=True))[1:])
    beyond = np.array([watched[w.gateway, ""].mixed_us for w in windows], dtype=np.int64)
    with connection.cursor() as cursor:
        before = last_before(cursor, rows.slices(START, begin[rows.window] - 1), START)
        reach = _reach(rows, before, begin) - beyond
        mixed = beyond > 0
        begin, end = np.where(mixed, reach, begin), end + beyond
        again = np.flatnonzero(mixed[rows.window])
        some = rows.take(again)
        before[again] = last_before(cursor, some.slices(START, begin[some.window] - 1), START)
        after = first_after(cursor, rows.slices(end[rows.window] + 1, END), END)
        ix, ts_us = times_between(cursor, rows.slices(begin[rows.window], end[rows.window]), most)
    looked = [
        (window, n)
        for window, (gateway, _, _) in enumerate(windows)
        for n in subjects.of[gateway]
        if subjects.spans[n][1][0] <= end[window] and subjects.spans[n][1][1] >= reach[window]
    ]
    of_meter, of_gateway = _looks_of(rows, looked, len(subjects.spans))
    looks = _looks(subjects, looked, (of_meter, of_gateway), before, after)
    which = np.concatenate([of_meter[ix], of_gateway[ix]])
    known = which >= 0
    steps = long_steps(looks, which[known], np.concatenate([ts_us, ts_us])[known])
    chosen = [subjects.spans[n] for _, n in looked]
    found = _too_long(connection, rule, watched, chosen, steps, most)
    return [
        Looked(w.who, a, b)
        for (w, _), a, b in zip(chosen, looks.first.tolist(), looks.last.tolist(), strict=True)
    ], found


def _subjects(watched: Mapping[Who, Watched], gateways: set[str]) -> _Subjects:
    found = _Subjects([], {gateway: [] for gateway in gateways})
    for (gateway, _), w in watched.items():
        if gateway in gateways:
            for span in w.spans:
                found.of[gateway].append(len(found.spans))
                found.spans.append((w, span))
    return found


def _rows(
    connection: Connection,
    watched: Mapping[Who, Watched],
    windows: Sequence[Window],
    subjects: _Subjects,
) -> _Rows:
    series = series_of(connection, {w.who[1] for w, _ in subjects.spans if w.who[1]})
    number = {(w.who, span): n for n, (w, span) in enumerate(subjects.spans)}
    rows: list[tuple[int, int, int, int, int, int]] = []
    for window, (gateway, _, _) in enumerate(windows):
        above = watched[gateway, ""]
        for n in subjects.of[gateway]:
            w, span = subjects.spans[n]
            if w is not above and w.who[1] in series:
                over = number[above.who, above.span_at(span[0])]
                rows += [(window, n, over, s, span[0], to_last(span[1])) for s in series[w.who[1]].values()]
    return _Rows(*np.array(rows, dtype=np.int64).reshape(-1, 6).T)


def _reach(rows: _Rows, before: Ints, begin: Ints) -> Ints:
    """A window reaches back to its gateway's last reading before, so that a span which ended since then is looked at,
    too; and what a reading says of a gateway of several intervals reaches as far as its longest patience but one.
    """
    last = np.full(len(begin), START)
    np.maximum.at(last, rows.window, before)
    return np.where(last == START, begin, np.minimum(last, begin))


def _looks_of(rows: _Rows, looked: Sequence[tuple[int, int]], subjects: int) -> tuple[Ints, Ints]:
    """The look of each row's meter and of its gateway, -1 where that is not looked at."""
    keys = np.array([window * subjects + n for window, n in looked], dtype=np.int64)
    order = np.argsort(keys)
    found = []
    for subject in (rows.meter, rows.gateway):
        wanted = rows.window * subjects + subject
        at = np.minimum(np.searchsorted(keys[order], wanted), max(len(keys) - 1, 0))
        found.append(np.where(keys[order][at] == wanted, order[at], -1) if len(keys) else wanted * 0 - 1)
    return found[0], found[1]


def _looks(
    subjects: _Subjects,
    looked: Sequence[tuple[int, int]],
    looks_of: tuple[Ints, Ints],
    before: Ints,
    after: Ints,
) -> Looks:
    """From the last reading before a window (the span's begin) to the first after it (the span's end)."""
    first, last = np.full(len(looked), START), np.full(len(looked), END)
    for look in looks_of:
        known = look >= 0
        np.maximum.at(first, look[known], before[known])
        np.minimum.at(last, look[known], after[known])
    chosen = [subjects.spans[n] for _, n in looked]
    begin = np.array([span[0] for _, span in chosen], dtype=np.int64)
    over = np.array([span[1] if w.ended(span) else END for w, span in chosen], dtype=np.int64)
    shortest = np.array([w.shortest_us for w, _ in chosen], dtype=np.int64)
    initial = first == START
    return Looks(np.where(initial, begin, first), initial, np.where(last == END, over, last), shortest)


def _too_long(
    connection: Connection,
    rule: SilenceRule,
    watched: Mapping[Who, Watched],
    chosen: Sequence[tuple[Watched, Span]],
    steps: LongSteps,
    most: int,
) -> list[FoundStep]:
    """Those of the steps, longer than the shortest patience of their subjects, that were too long at their time."""
    asked: list[Asked] = []
    patience = np.full(len(steps.look), END)
    places: list[Ints] = []
    for look in np.unique(steps.look).tolist():
        w, span = chosen[look]
        at = np.flatnonzero(steps.look == look)
        if w.who[1] or not w.mixed_us:
            patience[at] = [patience_at(w.patiences, moment) for moment in steps.begin[at].tolist()]
        else:
            asked.append(Asked(w, span, steps.take(at)))
            places.append(at)
    some = {who: watched[who] for who in watched if who[0] in {a.watched.who[0] for a in asked}}
    last = newest_readings(connection, some)
    for at, found in zip(places, step_patiences(connection, rule, watched, asked, last, most), strict=True):
        patience[at] = found
    long = steps.take(steps.end - steps.begin > patience)
    columns = (long.look.tolist(), long.begin.tolist(), long.end.tolist(), long.initial.tolist())
    return sorted({FoundStep(chosen[k][0].who, *step) for k, *step in zip(*columns, strict=True)})
