"""When registers pass their highest value by themselves, seen while a run is made."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np

from metering.records import Floats, Ints
from simulators.consumption import UNITS_PER_KWH
from simulators.registers import RegisterFace


class Rollovers:
    """Registers that count the true energy. seen: (register, moment in µs) of each first reading after a rollover."""

    def __init__(self, faces: Sequence[RegisterFace]) -> None:
        self.seen: list[tuple[int, int]] = []
        self._faces = faces
        self._range = _units([f.capacity_steps * f.step_kwh for f in faces])
        self._start = _units([f.start_value * f.ratio for f in faces])
        self._step = _units([f.step_kwh for f in faces])

    def see(self, ts_us: Ints, before: Ints, energy: Ints, total: Ints) -> None:
        """A stretch of readings. before, total: int64[points], true energy up to its begin and its end, in 1e-9;
        energy: int64[points, n].
        """
        # A step more on both sides, because these are floats: what is shown decides.
        turns = [np.floor((sums + self._start + more) / self._range) for sums, more in
                 ((before, -self._step), (total, self._step))]  # fmt: skip
        for p in np.flatnonzero(turns[1] > turns[0]).tolist():
            shown = self._faces[p].show(np.concatenate([before[p : p + 1], before[p] + np.cumsum(energy[p])]))
            self.seen += [(p, int(ts_us[i])) for i in np.flatnonzero(np.diff(shown) < 0)]


def _units(energies: Sequence[Decimal]) -> Floats:
    return np.array([float(e) for e in energies]) * UNITS_PER_KWH
