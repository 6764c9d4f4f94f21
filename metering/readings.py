"""Installed registers and what they showed: the columns that energy is derived from.

Instants are integer microseconds since 1970-01-01T00:00Z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from metering.registers import Role
from metering.rules import Rules
from metering.spans import END

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Verdicts = npt.NDArray[np.int8]

#: What a person judged of a reading: it is good whatever the rules say; nothing; it never counts.
ACCEPTED, OPEN, REFUSED = 1, 0, -1


@dataclass(frozen=True, slots=True)
class InstalledRegister:
    """A cumulative register at a metering point from `installed_us` up to, not including, `removed_us`.

    factor: item units per display unit, CT x PT included. interval_s: how often it should be read.
    start_value, end_value: display at installed_us and removed_us where a person entered them.
    rated_per_hour: what the point can take in an hour, in item units.
    """

    role: Role
    factor: float
    digits: int
    decimals: int
    interval_s: float
    installed_us: int
    removed_us: int | None = None
    start_value: float | None = None
    end_value: float | None = None
    rated_per_hour: float | None = None
    rules: Rules = field(default_factory=Rules)

    @property
    def until_us(self) -> int:
        """removed_us, or END while it is installed."""
        return END if self.removed_us is None else self.removed_us


@dataclass(frozen=True, slots=True)
class RegisterReadings:
    """Stored readings of m installed registers: columns of equal length n, in any order, no (register, ts)
    twice.

    register_ix (n,): index of the installed register; ts_us (n,); value (n,): display units, as shown; verdict (n,):
    what a person judged of it. from_first (m,), to_last (m,): no reading of the register's installation comes
    before, after these.
    """

    register_ix: Ints
    ts_us: Ints
    value: Floats
    from_first: Bools
    to_last: Bools
    verdict: Verdicts | None = None

    def verdicts(self) -> Verdicts:
        """verdict, OPEN for all where none is given."""
        return np.zeros(len(self.ts_us), dtype=np.int8) if self.verdict is None else self.verdict


@dataclass(frozen=True, slots=True)
class Raw:
    """n readings in order of (register, time), no two at one moment; value in display units; pinned (n,): good
    whatever the rules say, as a person entered or accepted them.
    """

    register_ix: Ints
    ts_us: Ints
    value: Floats
    pinned: Bools

    def __len__(self) -> int:
        return len(self.value)

    def last_of(self, register_ix: int) -> int:
        """Which reading is the last one of a register, -1 where it has none."""
        last = int(np.searchsorted(self.register_ix, register_ix, "right")) - 1
        return last if last >= 0 and self.register_ix[last] == register_ix else -1


def whole_installation(registers: Sequence[InstalledRegister]) -> tuple[Bools, Bools]:
    """from_first and to_last of readings that are all there are."""
    every = np.ones(len(registers), dtype=np.bool_)
    return every, every.copy()
