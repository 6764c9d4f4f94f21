"""What the sub-meters of a total tell of the times that it did not measure: they shape its gaps and fill its silence.

Pure. A gap between two good registers keeps its energy; a silence that no good register ends is estimated from the
children and the usual loss (metering/children.py). See docs/decisions/estimation.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.children import ChildHours, fill, shape
from metering.dependencies import ON_CHILDREN, Dependencies
from metering.estimation import (
    BEFORE_US,
    CHILDREN,
    CHILDREN_USUAL,
    FLAT,
    SHORTEST_US,
    Pieces,
    hour_pieces,
    merged,
    pieces_of,
    reach_into,
)
from metering.readings import InstalledRegister, RegisterReadings
from metering.registers import Role
from metering.spans import END, HOUR_US, Span
from metering.steps import GAP_INTERVALS, Judged

#: Silences that no good step is of: no reading ends them, or one that bounds no energy (a reset, another meter).
UNENDED, UNBOUND = -1, -2

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Fills:
    """Parts of silences that have ended, as they were estimated before: columns of equal length.

    energy lies evenly in [start_us, end_us); from known_us until closing_us, when the silence ended, it was taken for
    the truth.
    """

    register_ix: Ints
    start_us: Ints
    end_us: Ints
    known_us: Ints
    closing_us: Ints
    energy: Floats

    @classmethod
    def joined(cls, found: Sequence[Fills]) -> Fills:
        """All of these."""
        if not found:
            empty = np.zeros(0, dtype=np.int64)
            return cls(empty, empty, empty, empty, empty, np.zeros(0))
        return cls(*(np.concatenate([getattr(f, name) for f in found]) for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Silences:
    """Times that total registers did not measure, as columns: [start_us, end_us); end_us END where nothing ended it;
    step: the good step that it is, else UNENDED or UNBOUND.
    """

    register_ix: Ints
    start_us: Ints
    end_us: Ints
    step: Ints

    def __len__(self) -> int:
        return len(self.step)


def silences(
    registers: Sequence[InstalledRegister],
    readings: RegisterReadings,
    judged: Judged,
    within: tuple[Ints, Ints],
    now_us: int,
) -> Silences:
    """The gaps, with energy or without, and times after the last reading, of total registers: those that reach into
    from_us, to_us (registers,).
    """
    raw = judged.raw
    total = np.array([r.role is Role.TOTAL for r in registers], dtype=np.bool_)
    rows = [
        (n, int(raw.ts_us[last]), end, UNENDED)
        for n in range(len(registers))
        if total[n]
        and readings.to_last[n]
        and (last := raw.last_of(n)) >= 0
        and (end := _end(registers[n], now_us)) > raw.ts_us[last]
        and within[1][n] > raw.ts_us[last]
        and within[0][n] < end
    ]
    columns = [np.array(rows, dtype=np.int64).reshape(-1, 4).T]
    for steps, is_good in ((judged.steps, True), (judged.unbound, False)):
        near = reach_into(steps.start_us, steps.end_us, steps.register_ix, within)
        gap = np.flatnonzero(steps.estimated & near & total[steps.register_ix])
        step = gap if is_good else np.full(len(gap), UNBOUND)
        columns.append(np.stack([steps.register_ix[gap], steps.start_us[gap], steps.end_us[gap], step]))
    return Silences(*np.concatenate(columns, axis=1))


def _end(register: InstalledRegister, now_us: int) -> int:
    """When a silence without a reading after it ends: with the removal that has come, else not yet."""
    removed = register.removed_us
    return END if removed is None or removed > now_us else removed


def near_us(register: InstalledRegister) -> float:
    """How long after its last reading a register is not yet silent."""
    return GAP_INTERVALS * register.interval_s * 1e6


@dataclass(frozen=True, slots=True)
class Totals:
    """owner (registers,) of each register, and the hours that the children of these owners measured."""

    owner: Ints
    children: ChildHours


@dataclass(frozen=True, slots=True)
class ByChildren:
    """Pieces with what children tell, what was taken for true before, and what hangs on children."""

    pieces: Pieces
    fills: Fills
    hangs: Dependencies


def by_children(
    own: Pieces,
    silent: Silences,
    registers: Sequence[InstalledRegister],
    judged: Judged,
    totals: Totals,
) -> ByChildren:
    """`own` pieces of registers, with those in silences as their children tell, where they do."""
    found: list[Pieces] = []
    fills: list[Fills] = []
    rows: list[tuple[int, ...]] = []
    kept = np.ones(len(own.energy), dtype=np.bool_)
    for n in range(len(silent)):
        ix, span = int(silent.register_ix[n]), (int(silent.start_us[n]), int(silent.end_us[n]))
        children = totals.children.of(int(totals.owner[ix]))
        if not len(children.between(span[0] // HOUR_US, (span[1] - 1) // HOUR_US)):
            continue
        rows.append((ix, ON_CHILDREN, *span, *span, span[0] - BEFORE_US, _hangs_until(registers[ix], span)))
        mine = (own.register_ix == ix) & (own.start_us >= span[0]) & (own.end_us <= span[1])
        told = pieces = _told(ix, span, registers[ix], children)
        if silent.step[n] >= 0:
            typical = bool((mine & own.estimated & (own.method != FLAT)).any())
            pieces = _shaped(ix, span, float(judged.steps.energy[silent.step[n]]), children, typical=typical)
        elif told is not None and silent.step[n] == UNENDED and span[1] != END:
            pieces = _closed(told, span)
        if told is not None and pieces is not told:
            closing = np.full(len(told.energy), span[1], dtype=np.int64)
            fills.append(
                Fills(told.register_ix, told.start_us, told.end_us, told.closing_us, closing, told.energy)
            )
        if pieces is not None:
            kept &= ~mine
            found.append(pieces)
    return ByChildren(merged(own, kept, found), Fills.joined(fills), Dependencies.of(rows))


def _hangs_until(register: InstalledRegister, span: Span) -> int:
    """Up to where hours of children matter for all of a silence: beyond, each hour hangs on its own alone."""
    return span[1] if span[1] != END else span[0] + int(near_us(register)) + HOUR_US


def _told(ix: int, span: Span, register: InstalledRegister, children: ChildHours) -> Pieces | None:
    """What children tell of a silence without looking at its end; each piece closes when it is known."""
    found = fill(children, *span, near_us(register))
    if found is None:
        return None
    return pieces_of(ix, found.begin_us, found.end_us, found.energy, CHILDREN_USUAL, found.known_us)


def _shaped(ix: int, span: Span, energy: float, children: ChildHours, *, typical: bool) -> Pieces | None:
    """A gap's energy as its children lay it over its hours; within an hour's time a straight line will do."""
    shaped = shape(children, *span, energy, typical=typical) if span[1] - span[0] > SHORTEST_US else None
    if shaped is None:
        return None
    _, begin, end = hour_pieces(*span)
    return pieces_of(ix, begin, end, shaped, CHILDREN)


def _closed(told: Pieces, span: Span) -> Pieces | None:
    """What is told of all of a silence that a removal ended; None where some of it is not."""
    if int((told.end_us - told.start_us).sum()) != span[1] - span[0]:
        return None
    return pieces_of(int(told.register_ix[0]), told.start_us, told.end_us, told.energy, CHILDREN_USUAL)
