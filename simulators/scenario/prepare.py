"""What must be so before a run begins for a fault to happen in it: a register that is to roll over is nearly full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from metering.records import Ints
from simulators.consumption import UNITS_PER_KWH
from simulators.scenario.draw import Fault, RunWindow
from simulators.scenario.points import MeteredPoint


def prepare_points(
    points: Sequence[MeteredPoint], faults: Sequence[Fault], window: RunWindow, begun: Ints
) -> list[MeteredPoint]:
    """The points with start values at which registers roll over about when a fault says so.

    begun: int64[points], energy counted before the run, in 1e-9 of the unit. About: by the typical use of the point;
    when it truly did is in the truth.
    """
    prepared = list(points)
    for fault in faults:
        if fault.kind != "rollover":
            continue
        for p in fault.points:
            point = prepared[p]
            hours = (fault.from_us - window.from_us) / 3.6e9
            energy = point.typical_per_hour * hours + int(begun[p]) / UNITS_PER_KWH
            step = Decimal(1).scaleb(-point.face.decimals)
            ahead = max((Decimal(str(energy)) / point.face.ratio).quantize(step), step)
            top = Decimal(10) ** point.face.digits
            prepared[p] = replace(point, face=replace(point.face, start_value=(top - ahead) % top))
    return prepared
