"""How far readings must reach for the hours of a window, and how far a window must. Pure.

Most windows are calm: their hours hang on the readings in them and the ones beside them. Where a verdict or an
estimate is needed more must be fetched, and a verdict may change hours beside the window.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.dependencies import ON_READINGS
from metering.estimation import AFTER_US, BEFORE_US, reach_into, shaped_steps, unread_ends
from metering.limits import around_of
from metering.readings import InstalledRegister, RegisterReadings
from metering.spans import END, HOUR_US
from metering.steps import REACH, Judged
from metering.stuck import DAY_US, FITS
from metering.totals import Silences, near_us

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Within = tuple[Ints, Ints]

#: Readings before and after a window that show whether it is calm: two steps without a rise, and one that ends them.
CALM_BEFORE, CALM_AFTER = 3, 1
#: So many days of readings before and after show it of points that stand still night by night.
NIGHTS_BEFORE, NIGHTS_AFTER = 3, 2


def context(registers: Sequence[InstalledRegister]) -> int:
    """How many readings either side of a window that is not calm, and of what is learnt from, are looked at."""
    return (3 * REACH + 1) * max((around_of(r) for r in registers), default=0)


def nights(registers: Sequence[InstalledRegister]) -> tuple[int, int]:
    """How many readings before and after a window show that standing still in it is nothing new."""
    around = max((around_of(r) for r in registers), default=0)
    return NIGHTS_BEFORE * around, NIGHTS_AFTER * around


def restless(
    registers: Sequence[InstalledRegister],
    readings: RegisterReadings,
    judged: Judged,
    within: Within,
    now_us: int,
) -> Bools:
    """Which registers are not calm in their windows; shape (registers,).

    A reading that needed a verdict makes its register restless wherever it is seen: more readings may take others back
    for it, in the window too.
    """
    flags = np.zeros(len(registers), dtype=np.bool_)
    spots = judged.dependencies
    flags[spots.register_ix[spots.level == ON_READINGS]] = True
    flags[_unsettled(registers, readings, judged, within)] = True
    flags[judged.steps.register_ix[shaped_steps(judged.steps, within)]] = True
    ends = [n for n in unread_ends(registers, readings, now_us) if within[1][n] > _last_us(judged, n)]
    flags[ends] = True
    return flags


def _unsettled(
    registers: Sequence[InstalledRegister], readings: RegisterReadings, judged: Judged, within: Within
) -> Ints:
    """Registers that stand still in their windows, where more readings may say something else of it.

    They cannot where a run has a witness and has ended, or goes on to the last reading there is, and the readings,
    none of which needed a verdict (`restless`), reach as far as one takes others back (Limits.around).
    """
    still, raw = judged.still, judged.raw
    ix = raw.register_ix[still.begin]
    is_open = still.closing < 0
    last = np.where(is_open, still.end, still.closing)
    ends = np.where(is_open, END, raw.ts_us[last])
    first_at, end_at = (np.searchsorted(raw.register_ix, ix, side) for side in ("left", "right"))
    around = np.array([around_of(r) for r in registers], dtype=np.int64)[ix]
    settled = still.witnessed & (~is_open | (last == end_at - 1))
    settled &= (still.witness_at - first_at >= around) | readings.from_first[ix]
    settled &= (end_at - 1 - last >= around) | readings.to_last[ix]
    unsettled: Ints = ix[reach_into(raw.ts_us[still.begin], ends, ix, within) & ~settled]
    return unsettled


def _last_us(judged: Judged, ix: int) -> int:
    """The last reading of a register, or far away where it has none."""
    last = judged.raw.last_of(ix)
    return int(judged.raw.ts_us[last]) if last >= 0 else END


def widened(judged: Judged, within: Within) -> Within:
    """The windows, out to where verdicts in them change hours; shape (registers,) each."""
    begin, end = within[0].copy(), within[1].copy()
    spots = judged.dependencies
    near = reach_into(spots.anchor_from_us, spots.anchor_to_us, spots.register_ix, within)
    spots = spots.take(near & (spots.level == ON_READINGS))
    np.minimum.at(begin, spots.register_ix, spots.from_us)
    np.maximum.at(end, spots.register_ix, spots.to_us)
    still, raw = judged.still, judged.raw
    fits = np.flatnonzero(still.state == FITS)
    ix, first, last = (
        raw.register_ix[still.begin[fits]],
        raw.ts_us[still.begin[fits]],
        raw.ts_us[still.closing[fits]],
    )
    run = reach_into(first, last, ix, within)
    np.minimum.at(begin, ix[run], first[run])
    np.maximum.at(end, ix[run], last[run])
    return begin, end


def widened_to_silences(registers: Sequence[InstalledRegister], silent: Silences, within: Within) -> Within:
    """The windows, out to all of the silences in them that have ended, and to the begin of those that have not where
    they reach near it: there no hour stands for itself.
    """
    begin, end = within[0].copy(), within[1].copy()
    for ix, start, stop in zip(
        silent.register_ix.tolist(), silent.start_us.tolist(), silent.end_us.tolist(), strict=True
    ):
        near = start + int(near_us(registers[ix])) + HOUR_US
        if stop != END:
            begin[ix], end[ix] = min(begin[ix], start), max(end[ix], stop)
        elif within[0][ix] < near:
            begin[ix], end[ix] = min(begin[ix], start), max(end[ix], near)
    return begin, end


@dataclass(frozen=True, slots=True)
class Wanted:
    """The times that readings must cover, of each register; shape (registers,)."""

    from_us: Ints
    to_us: Ints


def wanted(
    registers: Sequence[InstalledRegister],
    readings: RegisterReadings,
    judged: Judged,
    within: Within,
    now_us: int,
) -> Wanted:
    """What verdicts and estimates in the windows are learnt from, the windows included."""
    begin, end = within[0].copy(), within[1].copy()
    steps, still, raw = judged.steps, judged.still, judged.raw
    at = np.flatnonzero(shaped_steps(steps, within))
    np.minimum.at(begin, steps.register_ix[at], steps.start_us[at] - BEFORE_US)
    np.maximum.at(end, steps.register_ix[at], steps.end_us[at] + AFTER_US)
    for n in unread_ends(registers, readings, now_us):
        read_to = _last_us(judged, n)
        if within[1][n] > read_to:
            begin[n] = min(begin[n], read_to - BEFORE_US)
    days = np.array([r.rules.still_days for r in registers])
    first, last = raw.ts_us[still.begin], raw.ts_us[np.where(still.closing >= 0, still.closing, still.end)]
    ix = raw.register_ix[still.begin]
    known = last - first <= (days[ix] * DAY_US).astype(np.int64)
    run = np.flatnonzero(reach_into(first, last, ix, within) & ~still.witnessed & known)
    back = first[run] - ((days[ix[run]] + 1) * DAY_US).astype(np.int64)
    np.minimum.at(begin, ix[run], back)
    return Wanted(begin, end)
