"""Registers that stand still where the load never does. Pure.

A register that does not advance is measured: zero. It is doubtful only where the point had never stood still for
weeks before and a closing jump fits the energy that is missing; then the readings that stand still are left out,
and one step, estimated, spans them. Where no jump closes it, it is at most a finding for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.limits import Limits
from metering.readings import InstalledRegister, Raw
from metering.spans import HOUR_US

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

DAY_US = 24 * HOUR_US
#: So many steps in a row without a rise are looked at.
FEWEST_STILL = 2
#: A run that no fitting jump closes is a finding from so many steps on, where so many days before are known.
FEWEST_UNSURE = 8
FEWEST_DAYS = 7
#: The closing jump fits where it is from half the least to twice the most that the register rose by in the same time
#: of day on any of the days before.
FIT_LEAST, FIT_MOST = 0.5, 2.0

#: What a run is: doubtful, as the jump fits; to be looked at by a person; neither.
FITS, UNSURE, FINE = 2, 1, 0


@dataclass(frozen=True, slots=True)
class StillRuns:
    """Runs of good readings without a rise, as columns.

    begin, end: raw readings, both included, that show the same; closing: the good one after, where it shows more, else
    -1; state: FITS, UNSURE or FINE; on_from_us, on_to_us: what the verdict hangs on: where `witnessed` another step
    without a rise, which says that the load may stand still, else all readings from the first one that is learnt from;
    witness_at: the raw reading that this other step begins with.
    """

    begin: Ints
    end: Ints
    closing: Ints
    state: Ints
    witnessed: Bools
    on_from_us: Ints
    on_to_us: Ints
    witness_at: Ints

    def doubtful(self, n: int) -> Bools:
        """The readings, of n, that are left out: all of a run that fits, but its first."""
        edges = np.zeros(n + 1, dtype=np.int64)
        fits = self.state == FITS
        np.add.at(edges, self.begin[fits] + 1, 1)
        np.add.at(edges, self.end[fits] + 1, -1)
        return np.cumsum(edges)[:-1] > 0


@dataclass(frozen=True, slots=True)
class _Good:
    """The readings that no later one takes back, in order: `at` of the raw ones, and their columns."""

    at: Ints
    register_ix: Ints
    ts_us: Ints
    value: Floats


def still_runs(
    raw: Raw, doubtful: Bools, limits: Limits, registers: Sequence[InstalledRegister]
) -> StillRuns:
    """Runs of at least FEWEST_STILL steps without a rise, of registers that show more than 0."""
    at = np.flatnonzero(~doubtful)
    good = _Good(at, raw.register_ix[at], raw.ts_us[at], raw.value[at])
    begin, end = _runs(good)
    still_us = np.array([int(r.rules.still_days * DAY_US) for r in registers], dtype=np.int64)
    learns = good.ts_us[begin] - still_us[good.register_ix[begin]]
    closing = _closing(good, end)
    witness = _witness(good, begin, learns)
    seen = witness >= 0
    before = np.maximum(witness - 1, 0)
    on_from = np.where(seen, good.ts_us[before], learns)
    on_to = np.where(
        seen, good.ts_us[np.maximum(witness, 0)], good.ts_us[np.where(closing >= 0, closing, end)]
    )
    state = np.full(len(begin), FINE, dtype=np.int64)
    for n in np.flatnonzero(~seen).tolist():
        register = registers[int(good.register_ix[begin[n]])]
        run = int(begin[n]), int(end[n]), int(closing[n])
        state[n] = _judge(raw, good, register, limits, int(learns[n]), run)
    closed, witness_at = (at[closing], at[before]) if len(at) else (closing, before)
    return StillRuns(
        at[begin], at[end], np.where(closing >= 0, closed, -1), state, seen, on_from, on_to, witness_at
    )


def _runs(good: _Good) -> tuple[Ints, Ints]:
    """First and last reading of each run."""
    none = np.zeros(0, dtype=np.int64)
    if len(good.at) < 2:
        return none, none
    still = (good.register_ix[1:] == good.register_ix[:-1]) & (good.value[1:] == good.value[:-1])
    if not still.any():
        return none, none
    edges = np.diff(np.concatenate([[False], still, [False]]).astype(np.int8))
    begin, end = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    chosen = (end - begin >= FEWEST_STILL) & (good.value[begin] > 0)
    return begin[chosen], end[chosen]


def _closing(good: _Good, end: Ints) -> Ints:
    """The reading after each run, where it is the same register's and shows more; else -1."""
    after = np.minimum(end + 1, len(good.at) - 1)
    rises = (good.register_ix[after] == good.register_ix[end]) & (good.value[after] > good.value[end])
    return np.where(rises, after, -1)


def _witness(good: _Good, begin: Ints, learns: Ints) -> Ints:
    """Where the last step without a rise before each run ends, not before `learns`; -1 where there is none."""
    if len(begin) == 0:
        return begin
    flat = np.zeros(len(good.at), dtype=np.bool_)
    flat[1:] = (good.register_ix[1:] == good.register_ix[:-1]) & (good.value[1:] <= good.value[:-1])
    last = np.maximum.accumulate(np.where(flat, np.arange(len(flat)), -1))[begin]
    known = (last >= 0) & (good.register_ix[np.maximum(last, 0)] == good.register_ix[begin])
    known &= good.ts_us[np.maximum(last, 0)] > learns
    return np.where(known, last, -1)


def _judge(
    raw: Raw,
    good: _Good,
    register: InstalledRegister,
    limits: Limits,
    learns_us: int,
    run: tuple[int, int, int],
) -> int:
    """The state of a run (begin, end, closing) before which the register had always risen since learns_us."""
    begin, end, closing = run
    ix = int(good.register_ix[begin])
    low = int(np.searchsorted(good.register_ix, ix, "left"))
    lasts_us = int(good.ts_us[end] - good.ts_us[begin])
    if lasts_us > register.rules.still_days * DAY_US:
        return FINE  # a season without load
    known = min(FEWEST_DAYS, register.rules.still_days) * DAY_US <= good.ts_us[begin] - good.ts_us[low]
    is_long = lasts_us > register.rules.unsure_days * DAY_US
    unsure = UNSURE if known and end - begin >= FEWEST_UNSURE and not is_long else FINE
    if closing < 0 or good.ts_us[low] > learns_us:
        return unsure
    if raw.pinned[good.at[begin + 1 : end + 1]].any():
        return FINE  # a person knows
    began_us, length = int(good.ts_us[begin]), int(good.ts_us[closing] - good.ts_us[begin])
    starts = began_us - np.arange(1, int(register.rules.still_days) + 1) * DAY_US
    starts = starts[(starts >= learns_us) & (starts + length <= began_us)]
    if len(starts) == 0:
        return unsure
    ts, value = good.ts_us[low : begin + 1], good.value[low : begin + 1]
    usual = np.interp(starts + length, ts, value) - np.interp(starts, ts, value)
    rise = float(good.value[closing] - good.value[begin])
    most = float(limits.most(np.array([ix]), np.array([length]), np.array([np.inf]))[0])
    fits = FIT_LEAST * usual.min() <= rise <= min(most, FIT_MOST * usual.max())
    return FITS if fits else unsure
