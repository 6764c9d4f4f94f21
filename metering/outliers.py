"""Readings that later readings take back: a spike, a zero, transposed digits, a dip. Pure, vectorised.

A register only rises. Where it falls and is soon back on its line, the readings off that line are doubtful: they
stay stored, and energy is the step between the good readings around them. A register that stays down (a reset, a
rollover, another meter) takes nothing back.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.limits import Limits, usual_rates
from metering.readings import Raw

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: The part of a fall that the register must rise by in one step on the run's other side.
JUMP_SHARE = 0.5
#: Falls judged at a time: bounds memory.
_AT_ONCE = 4096


def falls(raw: Raw) -> Ints:
    """Where a reading is below the one before it."""
    if len(raw) == 0:
        return np.zeros(0, dtype=np.int64)
    same = raw.register_ix[1:] == raw.register_ix[:-1]
    return np.flatnonzero(same & (raw.value[1:] < raw.value[:-1])) + 1


def taken_back(raw: Raw, rates: Floats, limits: Limits) -> Bools:
    """The doubtful readings; shape (n,).

    Each fall is judged by itself, on the readings as they came. A spike: the nearest reading before it that is not
    above what it fell to, from where the step over the run between is plausible (`Limits.most`); the run is doubtful.
    A dip: the nearest reading after it that is not below what it fell from, likewise. Either only within
    `Limits.around` readings, and where the register jumped on the run's other side too, by at least half of the fall
    in one step: else it is a reset, or a rollover, whose register has come by there since. Of both the one that leaves
    the line on which most readings around lie, as readings of another time may lie between any two; else the shorter
    run, or the one beside the larger jump. No run holds a pinned reading. What one fall takes back is no less a
    reading to the others, so that no verdict hangs on another.
    """
    edges = np.zeros(len(raw) + 1, dtype=np.int64)
    found = falls(raw)
    for n in range(0, len(found), _AT_ONCE):
        begin, end = _runs(raw, rates, limits, found[n : n + _AT_ONCE])
        np.add.at(edges, begin, 1)
        np.add.at(edges, end, -1)
    return np.cumsum(edges)[:-1] > 0


def _runs(raw: Raw, rates: Floats, limits: Limits, fall: Ints) -> tuple[Ints, Ints]:
    """The doubtful run [begin, end) of each fall; empty where it has none."""
    usual = usual_rates(raw, rates, limits, fall)
    spike, jump = _Search(raw, limits, usual, fall, -1).steps()
    dip, rise = _Search(raw, limits, usual, fall - 1, 1).steps()
    both = np.flatnonzero((spike > 0) & (dip > 0))
    votes = np.zeros(len(fall), dtype=np.int64)
    votes[both] = _on_line(raw, limits, usual[both], fall[both]) - _on_line(
        raw, limits, usual[both], fall[both] - 1
    )
    shorter = (spike < dip) | ((spike == dip) & (jump >= rise))
    is_spike = (spike > 0) & ((dip == 0) | (votes > 0) | ((votes == 0) & shorter))
    begin = np.where(is_spike, fall - spike + 1, fall)
    end = np.where(is_spike, fall, np.where(dip > 0, fall - 1 + dip, fall))
    return begin, end


def _on_line(raw: Raw, limits: Limits, usual: Floats, base: Ints) -> Ints:
    """How many of the readings around each reading `base` the register can have shown where that one is right."""
    most = int(limits.around.max(initial=0))
    at = base[:, None] + np.arange(-most, most + 1)
    index = np.clip(at, 0, max(len(raw) - 1, 0))
    ix = raw.register_ix[base][:, None]
    near = (at == index) & (raw.register_ix[index] == ix) & (np.abs(at - base[:, None]) <= limits.around[ix])
    since_us = raw.ts_us[index] - raw.ts_us[base][:, None]
    risen = np.sign(since_us) * (raw.value[index] - raw.value[base][:, None])
    could = limits.most(np.broadcast_to(ix, at.shape), np.abs(since_us), usual[:, None])
    return np.asarray(np.count_nonzero(near & (risen >= 0) & (risen <= could), axis=1))


@dataclass(frozen=True, slots=True)
class _Search:
    """For where the register is back on its line, from `base` backwards (way -1) or onwards (way 1)."""

    raw: Raw
    limits: Limits
    usual: Floats
    base: Ints
    way: int

    def steps(self) -> tuple[Ints, Floats]:
        """How many readings from `base` that is, 0 where it is not near or the register never jumped between; and
        by how much it jumped.
        """
        raw, way, base = self.raw, self.way, self.base
        steps = np.zeros(len(base), dtype=np.int64)
        fallen = np.abs(raw.value[base + way] - raw.value[base])
        jump = np.zeros(len(base))
        open_ = np.flatnonzero(~raw.pinned[base + way])
        for k in range(2, int(self.limits.around.max(initial=0)) + 1):
            at = base[open_] + way * k
            near = (at >= 0) & (at < len(raw)) & (k <= self.limits.around[raw.register_ix[base[open_]]])
            near[near] = raw.register_ix[at[near]] == raw.register_ix[base[open_[near]]]
            open_, at = open_[near], at[near]
            if len(open_) == 0:
                break
            jump[open_] = np.maximum(jump[open_], way * (raw.value[at] - raw.value[at - way]))
            back = way * (raw.value[at] - raw.value[base[open_]])
            most = self.limits.most(
                raw.register_ix[at], np.abs(raw.ts_us[at] - raw.ts_us[base[open_]]), self.usual[open_]
            )
            closed = (back >= 0) & (back <= most) & (jump[open_] >= JUMP_SHARE * fallen[open_])
            steps[open_[closed]] = k
            open_ = open_[~closed & ~raw.pinned[at]]
        return steps, jump
