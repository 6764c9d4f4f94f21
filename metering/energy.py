"""Registers become hourly energy: steps apportioned to the hours of metering points. Pure, vectorised.

Many points are worked on at once: arrays are flat, and `owner` is the index of the point (or of one window of
a point) that a row belongs to. Instants are integer microseconds since 1970-01-01T00:00Z; energy is in item
units.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from metering.calendar import LocalCalendar
from metering.children import ChildHours
from metering.dependencies import Dependencies
from metering.estimation import Pieces, estimate, hours_of, ranks
from metering.readings import InstalledRegister, RegisterReadings
from metering.registers import Role
from metering.spans import HOUR_US, Span, subtract, union
from metering.steps import Judged, register_steps
from metering.totals import Fills, Totals, by_children, silences

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Windows:
    """What is asked for: of owner n the hours in [from_us[n], to_us[n]), on whole hours; shape (owners,)."""

    from_us: Ints
    to_us: Ints


@dataclass(frozen=True, slots=True)
class HourEnergy:
    """Energy of hours as columns of equal length, in order of (owner, hour); an hour without a step has no
    row.

    hour_us: start of the hour; consumption >= estimated >= 0 in item units;
    installed_s >= covered_s >= 0: seconds of the hour inside an installation, and between good readings
    without a gap; method: rank of metering/methods.csv, the highest of the hour's parts.
    """

    owner: Ints
    hour_us: Ints
    consumption: Floats
    estimated: Floats
    covered_s: Floats
    installed_s: Floats
    method: Ints


@dataclass(frozen=True, slots=True)
class OpenEnergy:
    """What steps still open at the end of a local day put before it, as columns, in order of (owner, day).

    day_ix: the day by its index in the calendar; consumption, covered_s: the part of such steps from their
    start (or the start of the day's local year, if later) to the day's end. Only rows with something in them.
    """

    owner: Ints
    day_ix: Ints
    consumption: Floats
    covered_s: Floats


@dataclass(frozen=True, slots=True)
class Spans:
    """Spans of time [from_us, to_us) of things by index."""

    ix: Ints
    from_us: Ints
    to_us: Ints


@dataclass(frozen=True, slots=True)
class _Parts:
    """Parts of steps that count: [from_us, to_us) of a step that takes length_us and ends at closing_us.

    At the ends of days after known_us and before closing_us it is open. energy is the whole step's, so that a part
    comes to the same, bit for bit, however it was cut.
    """

    owner: Ints
    from_us: Ints
    to_us: Ints
    known_us: Ints
    closing_us: Ints
    length_us: Ints
    energy: Floats
    estimated: Bools
    method: Ints

    def __len__(self) -> int:
        return len(self.owner)

    def joined(self, other: _Parts) -> _Parts:
        """These and the other ones."""
        if not len(other):
            return self
        return _Parts(*(np.concatenate([getattr(self, f), getattr(other, f)]) for f in self.__slots__))


@dataclass(frozen=True, slots=True)
class Derived:
    """What readings come to: hours, days' open ends, and how they were judged and estimated."""

    hours: HourEnergy
    opens: OpenEnergy
    judged: Judged
    hangs: Dependencies


def hourly_energy(
    registers: Sequence[InstalledRegister],
    owner: Sequence[int],
    readings: RegisterReadings,
    windows: Windows,
    calendar: LocalCalendar,
    now_us: int,
    judged: Judged | None = None,
    children: ChildHours | None = None,
) -> Derived:
    """Hours, and days' open ends, of the owners' installed registers.

    owner[i]: whose register i is. The readings must reach, for every register, from the last one at or before
    its owner's window to the first one at or after it, and further where a verdict or an estimate hangs on more
    (metering/reach.py). judged: `register_steps` of the readings, where it is known. A point's consumption is its
    total registers', and its tariff registers' sum only while no total is installed. children: what those of an owner
    measured, where they are to tell of times that its total registers did not.
    """
    judged = register_steps(registers, readings, now_us) if judged is None else judged
    owners = np.asarray(owner, dtype=np.int64)
    within = windows.from_us[owners], windows.to_us[owners]
    pieces, hangs = estimate(registers, readings, judged, within, calendar, now_us)
    fills = Fills.joined([])
    if children is not None:
        silent = silences(registers, readings, judged, within, now_us)
        told = by_children(pieces, silent, registers, judged, Totals(owners, children))
        pieces, fills, hangs = told.pieces, told.fills, hangs.joined(told.hangs)
    counted = counted_spans(registers, owner)
    whole = _counted_parts(pieces, owners, counted, len(registers))
    parts = _clip(whole, windows)
    covered = _covered(parts, owners, counted, windows)
    hours = _sum_hours(parts, covered)
    spans = union_spans(Spans(owners[counted.ix], counted.from_us, counted.to_us))
    hours = replace(hours, installed_s=_overlap_s(hours.owner, hours.hour_us, spans))
    whole = whole.joined(_taken_back(fills, owners))
    opens = _open_ends(whole, windows, calendar, _concurrent_owners(owners, counted))
    return Derived(hours, opens, judged, hangs)


def counted_spans(registers: Sequence[InstalledRegister], owner: Sequence[int]) -> Spans:
    """When each register counts: a total while installed, a tariff register while its owner has no total."""
    by_owner: dict[int, list[int]] = defaultdict(list)
    for ix, r in enumerate(registers):
        if r.role in (Role.TOTAL, Role.TARIFF) and r.until_us > r.installed_us:
            by_owner[owner[ix]].append(ix)
    rows: list[tuple[int, int, int]] = []
    for members in by_owner.values():
        totals = union(_span(registers[m]) for m in members if registers[m].role is Role.TOTAL)
        for m in members:
            own = [_span(registers[m])]
            spans = own if registers[m].role is Role.TOTAL else subtract(own, totals)
            rows.extend((m, begin, end) for begin, end in spans)
    rows.sort()
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return Spans(table[:, 0].copy(), table[:, 1].copy(), table[:, 2].copy())


def _span(register: InstalledRegister) -> Span:
    return register.installed_us, register.until_us


def union_spans(spans: Spans) -> Spans:
    """Spans of the same thing joined where they touch or overlap; in order of (ix, from_us)."""
    if len(spans.ix) == 0:
        return spans
    depth, at, ix = _sweep(spans)
    begins = (depth > 0) & np.concatenate([[True], depth[:-1] == 0])
    ends = depth == 0
    return Spans(ix[begins], at[begins], at[ends])


def _sweep(spans: Spans) -> tuple[Ints, Ints, Ints]:
    """After each distinct (ix, moment): how many spans of ix run from there on; (depth, moment, ix)."""
    n = len(spans.ix)
    ix = np.concatenate([spans.ix, spans.ix])
    at = np.concatenate([spans.from_us, spans.to_us])
    weight = np.concatenate([np.ones(n, dtype=np.int64), -np.ones(n, dtype=np.int64)])
    order = np.lexsort((at, ix))
    ix, at, depth = ix[order], at[order], np.cumsum(weight[order])
    last = np.concatenate([(ix[1:] != ix[:-1]) | (at[1:] != at[:-1]), [True]])
    return depth[last], at[last], ix[last]


def _counted_parts(steps: Pieces, owners: Ints, counted: Spans, registers: int) -> _Parts:
    """Steps cut to the spans in which their register counts."""
    spans_of = np.bincount(counted.ix, minlength=registers)
    first_span = np.concatenate([[0], np.cumsum(spans_of)])[:-1].astype(np.int64)
    n = spans_of[steps.register_ix]
    step = np.repeat(np.arange(len(n)), n)
    span = first_span[steps.register_ix][step] + ranks(n)
    begin = np.maximum(steps.start_us[step], counted.from_us[span])
    end = np.minimum(steps.end_us[step], counted.to_us[span])
    keep = end > begin
    step, begin, end = step[keep], begin[keep], end[keep]
    return _Parts(
        owners[steps.register_ix[step]],
        begin,
        end,
        begin,
        steps.closing_us[step],
        steps.end_us[step] - steps.start_us[step],
        steps.energy[step],
        steps.estimated[step],
        steps.method[step],
    )


def _taken_back(fills: Fills, owners: Ints) -> _Parts:
    """What was taken for true until a silence ended: at the ends of days until then it counts against the silence."""
    return _Parts(
        owners[fills.register_ix],
        fills.start_us,
        fills.end_us,
        fills.known_us - 1,
        fills.closing_us,
        fills.end_us - fills.start_us,
        -fills.energy,
        np.ones(len(fills.energy), dtype=np.bool_),
        np.zeros(len(fills.energy), dtype=np.int64),
    )


def _clip(parts: _Parts, windows: Windows) -> _Parts:
    """Parts cut to their owner's window."""
    begin = np.maximum(parts.from_us, windows.from_us[parts.owner])
    end = np.minimum(parts.to_us, windows.to_us[parts.owner])
    keep = end > begin
    return _Parts(
        parts.owner[keep],
        begin[keep],
        end[keep],
        parts.known_us[keep],
        parts.closing_us[keep],
        parts.length_us[keep],
        parts.energy[keep],
        parts.estimated[keep],
        parts.method[keep],
    )


def _concurrent_owners(owners: Ints, counted: Spans) -> Bools:
    """Owners of which several registers count at the same time; shape (largest owner + 1,)."""
    of = owners[counted.ix]
    flags = np.zeros(int(owners.max(initial=-1)) + 1, dtype=np.bool_)
    if len(of):
        depth, _, ix = _sweep(Spans(of, counted.from_us, counted.to_us))
        flags[ix[depth > 1]] = True
    return flags


def _covered(parts: _Parts, owners: Ints, counted: Spans, windows: Windows) -> Spans:
    """When owners are covered: every register that counts lies between good readings without a gap."""
    good = ~parts.estimated
    concurrent = _concurrent_owners(owners, counted)
    many = concurrent[parts.owner] if len(parts) else np.zeros(0, dtype=np.bool_)
    one = good & ~many
    spans = Spans(parts.owner[one], parts.from_us[one], parts.to_us[one])
    if not many.any():
        return spans
    several = good & many
    of = owners[counted.ix]
    wanted = concurrent[of]
    begin = np.maximum(counted.from_us[wanted], windows.from_us[of[wanted]])
    end = np.minimum(counted.to_us[wanted], windows.to_us[of[wanted]])
    real = end > begin
    both = _all_covered(
        Spans(parts.owner[several], parts.from_us[several], parts.to_us[several]),
        Spans(of[wanted][real], begin[real], end[real]),
    )
    return Spans(*(np.concatenate([getattr(spans, f), getattr(both, f)]) for f in ("ix", "from_us", "to_us")))


def _all_covered(covered: Spans, counting: Spans) -> Spans:
    """The spans in which as many registers are covered as count."""
    scale = (
        1 << 20
    )  # depth of both in one number: counting * scale - covered * (scale - 1) == counting where equal
    n, m = len(covered.ix), len(counting.ix)
    ix = np.concatenate([counting.ix, counting.ix, covered.ix, covered.ix])
    at = np.concatenate([counting.from_us, counting.to_us, covered.from_us, covered.to_us])
    ones, more = np.ones(m, dtype=np.int64), np.ones(n, dtype=np.int64)
    weight = np.concatenate([ones * scale, -ones * scale, more, -more])
    order = np.lexsort((at, ix))
    ix, at, depth = ix[order], at[order], np.cumsum(weight[order])
    counting_n, covered_n = depth >> 20, depth & (scale - 1)
    run = np.flatnonzero((counting_n > 0) & (counting_n == covered_n))
    return Spans(ix[run], at[run], at[run + 1])


def _sum_hours(parts: _Parts, covered: Spans) -> HourEnergy:
    """Parts and covered time by (owner, hour); installed_s still zero."""
    piece, hour, length = hours_of(parts.from_us, parts.to_us)
    energy = parts.energy[piece] * (length / parts.length_us[piece])
    cover, cover_hour, cover_length = hours_of(covered.from_us, covered.to_us)
    all_owner = np.concatenate([parts.owner[piece], covered.ix[cover]])
    all_hour = np.concatenate([hour, cover_hour])
    base = int(all_hour.min(initial=0))
    width = int(all_hour.max(initial=0)) - base + 1
    keys, inverse = np.unique(all_owner * width + (all_hour - base), return_inverse=True)
    n, k = len(keys), len(piece)
    return HourEnergy(
        owner=keys // width,
        hour_us=(keys % width + base) * HOUR_US,
        consumption=_sums(inverse[:k], energy, n),
        estimated=_sums(inverse[:k], np.where(parts.estimated[piece], energy, 0.0), n),
        covered_s=_sums(inverse[k:], cover_length, n) / 1e6,
        installed_s=np.zeros(n),
        method=_highest(inverse[:k], parts.method[piece], n),
    )


def _highest(group: Ints, rank: Ints, groups: int) -> Ints:
    """The highest rank of each group."""
    highest = np.zeros(groups, dtype=np.int64)
    some = np.flatnonzero(rank)
    np.maximum.at(highest, group[some], rank[some])
    return highest


def _sums(group: Ints, amount: npt.NDArray[Any], groups: int) -> Floats:
    """The sum of the amounts of each group, added in their order."""
    return np.bincount(group, amount, minlength=groups).astype(np.float64)


def _overlap_s(owner: Ints, hour_us: Ints, spans: Spans) -> Floats:
    """Seconds of each hour that lie in its owner's spans, which are disjoint, in order of (ix, from_us)."""
    seconds = np.zeros(len(owner))
    if len(spans.ix) == 0:
        return seconds
    n = np.bincount(spans.ix, minlength=int(owner.max(initial=0)) + 1)
    first = np.concatenate([[0], np.cumsum(n)])
    for rank in range(int(n.max(initial=0))):
        rows = np.flatnonzero(n[owner] > rank)
        span = first[owner[rows]] + rank
        begin = np.maximum(hour_us[rows], spans.from_us[span])
        end = np.minimum(hour_us[rows] + HOUR_US, spans.to_us[span])
        seconds[rows] += np.maximum(end - begin, 0) / 1e6
    return seconds


def _open_ends(parts: _Parts, windows: Windows, calendar: LocalCalendar, concurrent: Bools) -> OpenEnergy:
    """For each part, and each day end in its window while it is open: what lies before."""
    ends = calendar.day_start_us
    after = np.maximum(parts.known_us, windows.from_us[parts.owner])
    before = np.minimum(parts.closing_us, windows.to_us[parts.owner])
    first = np.searchsorted(ends, after, "right")
    n = np.maximum(np.searchsorted(ends, before, "left") - first, 0)
    piece = np.repeat(np.arange(len(n)), n)
    end_ix = first[piece] + ranks(n)
    begin = np.maximum(parts.from_us[piece], calendar.year_start_us[end_ix - 1])
    length = np.minimum(parts.to_us[piece], ends[end_ix]) - begin
    keep = length > 0
    piece, end_ix, length = piece[keep], end_ix[keep], length[keep]
    energy = parts.energy[piece] * (length / parts.length_us[piece])
    seconds = np.where(parts.estimated[piece], 0, length) / 1e6
    width = len(ends)
    keys, inverse = np.unique(parts.owner[piece] * width + (end_ix - 1), return_inverse=True)
    covered = _sums(inverse, seconds, len(keys))
    together = concurrent[keys // width] if len(keys) else np.zeros(0, dtype=np.bool_)
    if together.any():  # registers that count together cover the same time
        longest = np.zeros(len(keys))
        np.maximum.at(longest, inverse, seconds)
        covered = np.where(together, longest, covered)
    consumption = _sums(inverse, energy, len(keys))
    some = (consumption != 0) | (covered > 0)
    return OpenEnergy((keys // width)[some], (keys % width)[some], consumption[some], covered[some])
