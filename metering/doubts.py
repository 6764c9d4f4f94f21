"""What is said of doubtful readings and steps: their kinds, and findings for a person. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from metering.readings import REFUSED, InstalledRegister, Raw, RegisterReadings
from metering.stuck import FITS, UNSURE, StillRuns

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Names = npt.NDArray[np.str_]

SPIKE = "spike"
ZERO_READING = "zero_reading"
TRANSPOSED = "transposed_digits"
STUCK = "stuck_register"
OUT_OF_RANGE = "out_of_range"
#: Off the register's line by little, amid readings off the grid, or by anything between two readings of which none is
#: missing: its clock is off, not what it shows. In reading_doubt; what is said of clocks is found by another rule.
OFF_GRID = "off_grid"
#: Two readings follow one another where they are at most so many usual steps apart, of so many good readings around.
NEXT_STEPS, USUAL_OF = 1.5, 12
#: By so many hours of the usual rate a reading may be off its line for that.
CLOCK_H = 2.0
SECOND_US = 1_000_000
#: A reading that a person refused: in reading_doubt, never a finding.
PERSON = "refused"


@dataclass(frozen=True, slots=True)
class Doubts:
    """Readings that are left out of energy, as columns of equal length; kind: a finding's, or PERSON."""

    register_ix: Ints
    ts_us: Ints
    kind: Names

    def joined(self, other: Doubts) -> Doubts:
        """These and the other ones."""
        return Doubts(
            np.concatenate([self.register_ix, other.register_ix]),
            np.concatenate([self.ts_us, other.ts_us]),
            np.concatenate([self.kind, other.kind]),
        )


@dataclass(frozen=True, slots=True)
class StepFinding:
    """What a person should know of a register between two readings.

    starts_us: the first reading that is in doubt, or the one a doubtful step begins with; ends_us: the next good one.
    readings: how many are left out. before, after: what the good readings around show; shown: what the first doubtful
    one does.
    """

    register_ix: int
    kind: str
    starts_us: int
    ends_us: int
    readings: int
    before: float | None
    after: float | None
    shown: float | None = None


def run_findings(
    raw: Raw,
    taken_back: Bools,
    still: StillRuns,
    registers: Sequence[InstalledRegister],
    usual_at: Callable[[Ints], Floats],
) -> tuple[Doubts, list[StepFinding]]:
    """Runs of readings that were taken back or stand still. usual_at: usual rates around readings, per hour."""
    spans = _runs(raw, taken_back)
    usual = usual_at(np.array([begin for begin, _ in spans], dtype=np.int64)).tolist()
    good = np.flatnonzero(~taken_back)
    runs = [
        (
            begin,
            end,
            OFF_GRID
            if _is_between(raw, good, begin)
            else _run_kind(raw, begin, end, registers[int(raw.register_ix[begin])].interval_s, rate),
        )
        for (begin, end), rate in zip(spans, usual, strict=True)
    ]
    asked = np.flatnonzero(still.state == UNSURE).tolist()
    fits = np.flatnonzero(still.state == FITS).tolist()
    runs += [(int(still.begin[n]) + 1, int(still.end[n]) + 1, STUCK) for n in fits]
    found = [_finding(raw, begin, end, kind, end - begin) for begin, end, kind in runs if kind != OFF_GRID]
    found += [_finding(raw, int(still.begin[n]) + 1, int(still.end[n]) + 1, STUCK, 0) for n in asked]
    kind_of = {
        n: kind for begin, end, kind in reversed(runs) for n in range(begin, end)
    }  # taken back, even while it stood
    at = np.array(sorted(kind_of), dtype=np.int64)
    kinds = np.array([kind_of[n] for n in at.tolist()], dtype="<U20")
    return Doubts(raw.register_ix[at], raw.ts_us[at], kinds), found


def excluded_doubts(excluded: RegisterReadings) -> Doubts:
    """Readings beyond the register's range, or refused."""
    return Doubts(
        excluded.register_ix,
        excluded.ts_us,
        np.where(excluded.verdicts() == REFUSED, PERSON, OUT_OF_RANGE).astype("<U20"),
    )


def excluded_findings(raw: Raw, excluded: RegisterReadings) -> list[StepFinding]:
    """Readings beyond the register's range, up to the next one that is not."""
    found = []
    for n in np.flatnonzero(excluded.verdicts() != REFUSED).tolist():
        ix, ts = int(excluded.register_ix[n]), int(excluded.ts_us[n])
        low, high = (int(np.searchsorted(raw.register_ix, ix, side)) for side in ("left", "right"))
        after = low + int(np.searchsorted(raw.ts_us[low:high], ts))
        before = float(raw.value[after - 1]) if after > low else None
        ends, shown = (
            (int(raw.ts_us[after]), float(raw.value[after])) if after < high else (ts + SECOND_US, None)
        )
        found.append(StepFinding(ix, OUT_OF_RANGE, ts, ends, 1, before, shown, float(excluded.value[n])))
    return found


def step_findings(raw: Raw, start_at: Ints, end_at: Ints, kind: Names) -> list[StepFinding]:
    """Steps that have a kind: they carry no energy, or are a rollover."""
    found = []
    for n in np.flatnonzero(kind != "").tolist():
        begin, end = int(start_at[n]), int(end_at[n])
        found.append(
            StepFinding(
                int(raw.register_ix[begin]),
                str(kind[n]),
                int(raw.ts_us[begin]),
                int(raw.ts_us[end]),
                0,
                float(raw.value[begin]),
                float(raw.value[end]),
            )
        )
    return found


def _runs(raw: Raw, chosen: Bools) -> list[tuple[int, int]]:
    """[begin, end) of runs of chosen readings of one register."""
    at = np.flatnonzero(chosen)
    if len(at) == 0:
        return []
    cut = np.flatnonzero((np.diff(at) > 1) | (np.diff(raw.register_ix[at]) != 0)) + 1
    return [(int(at[a]), int(at[b - 1]) + 1) for a, b in pairwise([0, *cut.tolist(), len(at)])]


def _is_between(raw: Raw, good: Ints, begin: int) -> bool:
    """Whether the good readings around the run follow one another: what lies between belongs to another time."""
    n = int(np.searchsorted(good, begin))
    near = good[max(n - USUAL_OF, 0) : n + USUAL_OF]
    near = near[raw.register_ix[near] == raw.register_ix[begin]]
    k = int(np.searchsorted(near, begin))
    if not 0 < k < len(near):
        return False
    steps = np.diff(raw.ts_us[near])
    return bool(steps[k - 1] <= NEXT_STEPS * np.median(steps))


def _run_kind(raw: Raw, begin: int, end: int, interval_s: float, usual: float) -> str:
    if (raw.value[begin:end] == 0).all():
        return ZERO_READING
    if _is_off_grid(raw, begin, end, interval_s, usual):
        return OFF_GRID
    if end - begin == 1 and _is_transposed(raw, begin):
        return TRANSPOSED
    return SPIKE


def _is_off_grid(raw: Raw, begin: int, end: int, interval_s: float, usual: float) -> bool:
    """Whether the readings of the run and beside it are not on one grid, and the run is off the line by little."""
    first, last = begin - 1, min(end, len(raw) - 1)
    ts, value = raw.ts_us[first : last + 1], raw.value[first : last + 1]
    if len(np.unique(ts % max(int(interval_s * 1e6), 1))) == 1:
        return False
    on_line = np.interp(ts, [ts[0], ts[-1]], [value[0], value[-1]])
    return bool(np.abs(value - on_line)[1:-1].max(initial=0) <= CLOCK_H * usual)


def _is_transposed(raw: Raw, at: int) -> bool:
    """Whether two neighbouring digits swapped make the reading lie between the ones beside it."""
    low, high = raw.value[at - 1], raw.value[at + 1]
    decimals = _decimals(raw, at)
    digits = f"{round(float(raw.value[at]) * 10**decimals):d}"
    width = max(len(digits), len(f"{round(float(high) * 10**decimals):d}"))
    digits = digits.rjust(width, "0")
    for n in range(width - 1):
        swapped = digits[:n] + digits[n + 1] + digits[n] + digits[n + 2 :]
        if swapped != digits and low <= int(swapped) / 10**decimals <= high:
            return True
    return False


def _decimals(raw: Raw, at: int) -> int:
    """Decimals that the readings around are shown with."""
    near = raw.value[max(0, at - 4) : at + 5]
    return next((d for d in range(7) if np.allclose(near, np.round(near, d), rtol=0, atol=1e-7)), 6)


def _finding(raw: Raw, begin: int, end: int, kind: str, readings: int) -> StepFinding:
    """Of the run [begin, end); the reading before it is good."""
    ix = raw.register_ix[begin]
    after = end if end < len(raw) and raw.register_ix[end] == ix else end - 1
    before = max(begin - 1, 0)
    return StepFinding(
        int(ix),
        kind,
        int(raw.ts_us[begin]),
        int(raw.ts_us[after]),
        readings,
        float(raw.value[before]),
        float(raw.value[after]),
        float(raw.value[begin]),
    )
