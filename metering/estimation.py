"""Energy that no good reading bounds within the hour: gaps and unread ends laid over their hours. Pure.

A gap's energy is known: it is what the register rose by. Only how it lies in the gap's hours is estimated, by the
register's own typical hours: the medians, by kind of day and hour of day, of its measured hours in the eight weeks
before. What a total's sub-meters tell instead: metering/totals.py. See docs/decisions/estimation.md.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from metering.calendar import LocalCalendar
from metering.days import is_day_off
from metering.dependencies import ON_LOADS, Dependencies
from metering.readings import InstalledRegister, RegisterReadings
from metering.spans import HOUR_US
from metering.steps import Judged, Steps

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DAY_US = 24 * HOUR_US
#: Typical hours are learnt from so long before a gap, and where that says too little, from so long after it too.
BEFORE_US, AFTER_US = 56 * DAY_US, 28 * DAY_US
#: Gaps of at most an hour lie in it evenly; so do ones that are longer than a quarter, where seasons count.
SHORTEST_US, LONGEST_US = HOUR_US, 92 * DAY_US
#: A kind of day and hour of day is known from so many measured hours on.
FEWEST_HOURS = 2

(
    MEASURED,
    INTERPOLATED,
    PROFILE,
    PROFILE_AFTER,
    FLAT,
    END_PROFILE,
    END_RATE,
    CHILDREN,
    CHILDREN_USUAL,
) = range(9)


@cache
def method_codes() -> tuple[str, ...]:
    """The codes of metering/methods.csv, by rank: an hour has the highest of its parts."""
    with files("metering").joinpath("methods.csv").open(encoding="utf-8") as f:
        rows = sorted(csv.DictReader(f), key=lambda row: int(row["rank"]))
    return tuple(row["method"] for row in rows)


@dataclass(frozen=True, slots=True)
class Pieces:
    """Steps, or hours of estimated ones, as columns of equal length, in order of (register, time).

    energy lies evenly in [start_us, end_us); closing_us: the end of the step that the piece is of; method: its rank.
    """

    register_ix: Ints
    start_us: Ints
    end_us: Ints
    closing_us: Ints
    energy: Floats
    estimated: Bools
    method: Ints


def estimate(
    registers: Sequence[InstalledRegister],
    readings: RegisterReadings,
    judged: Judged,
    within: tuple[Ints, Ints],
    calendar: LocalCalendar,
    now_us: int,
) -> tuple[Pieces, Dependencies]:
    """The steps, the long gaps among them cut at full hours, and the unread ends; and what those hang on.

    within: from_us and to_us (registers,): only there hours are asked for.
    """
    steps = judged.steps
    length = steps.end_us - steps.start_us
    shaped = shaped_steps(steps, within)
    method = np.where(steps.estimated, np.where(length > LONGEST_US, FLAT, INTERPOLATED), MEASURED)
    plain = Pieces(
        steps.register_ix,
        steps.start_us,
        steps.end_us,
        steps.end_us,
        steps.energy,
        steps.estimated,
        method,
    )
    found: list[Pieces] = []
    rows: list[tuple[int, ...]] = []
    for n in np.flatnonzero(shaped).tolist():
        ix, start, end = int(steps.register_ix[n]), int(steps.start_us[n]), int(steps.end_us[n])
        load = _typical(steps, ix, start, end, calendar)
        found.append(_shape(ix, start, end, float(steps.energy[n]), load))
        until = start if load.method == PROFILE else end + AFTER_US
        rows.append((ix, ON_LOADS, start, end, start, end, start - BEFORE_US, until))
    for ix in unread_ends(registers, readings, now_us):
        last, until = judged.raw.last_of(ix), registers[ix].until_us
        if last < 0 or judged.raw.ts_us[last] >= until:
            continue
        start = int(judged.raw.ts_us[last])
        rows.append((ix, ON_LOADS, start, until, start, until, start - BEFORE_US, until))
        unread = _unread_end((start, until), ix, judged.steps, calendar)
        if unread is not None:
            found.append(unread)
    return merged(plain, ~shaped, found), Dependencies.of(rows)


def shaped_steps(steps: Steps, within: tuple[Ints, Ints]) -> Bools:
    """The gaps that are laid over typical hours, of those that reach into from_us, to_us (registers,)."""
    length = steps.end_us - steps.start_us
    long = steps.estimated & (length > SHORTEST_US) & (length <= LONGEST_US)
    return long & reach_into(steps.start_us, steps.end_us, steps.register_ix, within)


def reach_into(from_us: Ints, to_us: Ints, register_ix: Ints, within: tuple[Ints, Ints]) -> Bools:
    """Which spans of registers reach into these registers' windows: from_us, to_us (registers,)."""
    found: Bools = (from_us < within[1][register_ix]) & (to_us > within[0][register_ix])
    return found


def unread_ends(registers: Sequence[InstalledRegister], readings: RegisterReadings, now_us: int) -> list[int]:
    """Registers that were removed without an end_value, where the readings reach that far."""
    return [
        n
        for n, r in enumerate(registers)
        if r.end_value is None
        and readings.to_last[n]
        and r.removed_us is not None
        and r.installed_us < r.removed_us <= now_us
    ]


@dataclass(frozen=True, slots=True)
class _Load:
    """Typical energy of an hour, (2, 24): off days and workdays by local hour; NaN where not known. calendar: of it."""

    per_hour: Floats
    method: int
    calendar: LocalCalendar

    def of(self, hour: Ints) -> Floats:
        """Of hours since the epoch."""
        return self.per_hour[_cells(hour, self.calendar)]


def _cells(hour: Ints, calendar: LocalCalendar) -> tuple[Ints, Ints]:
    """Kind of day (0 off, 1 workday) and local hour of hours since the epoch."""
    moment = hour * HOUR_US
    day = np.searchsorted(calendar.day_start_us, moment, "right") - 1
    days, inverse = np.unique(day, return_inverse=True)
    work = np.array([not is_day_off(calendar.date_at(d)) for d in days.tolist()], dtype=np.int64)
    return work[inverse], np.minimum((moment - calendar.day_start_us[day]) // HOUR_US, 23)


def _typical(steps: Steps, ix: int, start_us: int, end_us: int, calendar: LocalCalendar) -> _Load:
    """Typical hours for [start_us, end_us), from before it, and from after it too where that is too little."""
    cells = _cells(np.arange(start_us // HOUR_US, -(-end_us // HOUR_US)), calendar)
    for until, method in ((start_us, PROFILE), (end_us + AFTER_US, PROFILE_AFTER)):
        load = _medians(steps, ix, (start_us - BEFORE_US, until), calendar)
        wanted = load[cells]
        if not np.isnan(wanted).any() and wanted.sum() > 0:
            return _Load(load, method, calendar)
    return _Load(np.full((2, 24), np.nan), FLAT, calendar)


def measured_hours(steps: Steps, ix: int, span: tuple[int, int]) -> tuple[Ints, Floats]:
    """Hours since the epoch within a span that a register measured in full, ascending, and their energy."""
    own = slice(*(int(np.searchsorted(steps.register_ix, ix, side)) for side in ("left", "right")))
    near = (steps.start_us[own] < span[1]) & (steps.end_us[own] > span[0]) & ~steps.estimated[own]
    start, end, energy = steps.start_us[own][near], steps.end_us[own][near], steps.energy[own][near]
    if len(start) == 0:
        return np.zeros(0, dtype=np.int64), np.zeros(0)
    step, hour, length = hours_of(start, end)
    base = int(hour[0])
    covered = np.bincount(hour - base, length)
    sums = np.bincount(hour - base, energy[step] * (length / (end - start)[step]))
    whole: Ints = np.flatnonzero(covered >= HOUR_US) + base
    whole = whole[(whole * HOUR_US >= span[0]) & ((whole + 1) * HOUR_US <= span[1])]
    return whole, sums[whole - base].astype(np.float64)


def _medians(steps: Steps, ix: int, span: tuple[int, int], calendar: LocalCalendar) -> Floats:
    """Median energy of measured hours of a register within a span, by kind of day and hour; NaN where few are."""
    whole, energy = measured_hours(steps, ix, span)
    medians = np.full((2, 24), np.nan)
    kind, of_day = _cells(whole, calendar) if len(whole) else (whole, whole)
    for cell in np.unique(kind * 24 + of_day).tolist():
        chosen = energy[kind * 24 + of_day == cell]
        if len(chosen) >= FEWEST_HOURS:
            medians[cell // 24, cell % 24] = np.median(chosen)
    return medians


def hours_of(from_us: Ints, to_us: Ints) -> tuple[Ints, Ints, Ints]:
    """Non-empty spans cut at every full hour: (index of the span, hours since the epoch, length in us)."""
    first, last = from_us // HOUR_US, (to_us - 1) // HOUR_US
    n = last - first + 1
    span = np.repeat(np.arange(len(n)), n)
    hour = first[span] + ranks(n)
    length = np.minimum(to_us[span], (hour + 1) * HOUR_US) - np.maximum(from_us[span], hour * HOUR_US)
    return span, hour, length


def ranks(counts: Ints) -> Ints:
    """0, 1, … n-1 for each n of counts, one after the other."""
    total = int(counts.sum())
    return np.arange(total, dtype=np.int64) - np.repeat(np.cumsum(counts) - counts, counts)


def hour_pieces(start_us: int, end_us: int) -> tuple[Ints, Ints, Ints]:
    """Hour, from and to of the parts of a span."""
    _, hour, length = hours_of(np.array([start_us]), np.array([end_us]))
    begin = np.maximum(hour * HOUR_US, start_us)
    return hour, begin, begin + length


def _shape(ix: int, start_us: int, end_us: int, energy: float, load: _Load) -> Pieces:
    """A gap's energy over its hours, in proportion to what is typical of them."""
    hour, begin, end = hour_pieces(start_us, end_us)
    weight = (end - begin) / HOUR_US
    if load.method != FLAT:
        weight = weight * load.of(hour)
    if not weight.sum() > 0:
        weight = (end - begin) / HOUR_US
    return pieces_of(ix, begin, end, energy * (weight / weight.sum()), load.method)


def _unread_end(span: tuple[int, int], ix: int, steps: Steps, calendar: LocalCalendar) -> Pieces | None:
    """From the last reading to the removal; None where no load is known yet."""
    start, until = span
    hour, begin, end = hour_pieces(start, until)
    load = _Load(_medians(steps, ix, (start - BEFORE_US, start), calendar), END_PROFILE, calendar)
    energy = load.of(hour) * (end - begin) / HOUR_US
    if not np.isnan(energy).any():
        return pieces_of(ix, begin, end, energy, END_PROFILE)
    own = slice(*(int(np.searchsorted(steps.register_ix, ix, side)) for side in ("left", "right")))
    chosen = steps.start_us[own] >= start - BEFORE_US
    hours = float((steps.end_us[own] - steps.start_us[own])[chosen].sum()) / HOUR_US
    if not hours:
        return None
    rate = float(steps.energy[own][chosen].sum()) / hours
    return pieces_of(ix, begin, end, rate * (end - begin) / HOUR_US, END_RATE)


def pieces_of(
    ix: int, begin: Ints, end: Ints, energy: Floats, method: int, closing_us: Ints | None = None
) -> Pieces:
    """Estimated pieces of register ix; closing_us: where it is not the end of the last one."""
    n = len(begin)
    return Pieces(
        np.full(n, ix, dtype=np.int64),
        begin,
        end,
        np.full(n, end[-1], dtype=np.int64) if closing_us is None else closing_us,
        energy,
        np.ones(n, dtype=np.bool_),
        np.full(n, method, dtype=np.int64),
    )


def merged(plain: Pieces, kept: Bools, found: list[Pieces]) -> Pieces:
    """Of `plain` the kept ones, with the found ones, in order."""
    if not found and kept.all():
        return plain
    names = Pieces.__slots__
    columns = {
        name: np.concatenate([getattr(plain, name)[kept], *(getattr(p, name) for p in found)])
        for name in names
    }
    order = np.lexsort((columns["start_us"], columns["register_ix"]))
    return Pieces(**{name: column[order] for name, column in columns.items()})
