"""What an edge collector says of its meters: in its status, and to a person. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from collectors.edge.readings import MeterHealth

#: A status has room for so many meters by name.
MOST_NAMED = 100
#: A meter's clock is worth naming when it is off by more than this.
CLOCK_OFF_S = 60.0


def summary(meters: Sequence[MeterHealth], clock_offset_s: float | None) -> dict[str, Any]:
    """Field `meters` of the status. clock_offset_s: the edge's clock minus the platform's; meters' clocks are given
    against the platform's where that is known, else against the edge's.
    """
    silent = [m for m in meters if m.failures_in_a_row or m.last_ok is None]
    clocks = {
        m.meter: round(m.clock_offset_s + (clock_offset_s or 0.0), 1)
        for m in meters
        if m.clock_offset_s is not None
    }
    off = {name: offset for name, offset in clocks.items() if abs(offset) > CLOCK_OFF_S}
    return {
        "count": len(meters),
        "answering": len(meters) - len(silent),
        "silent": {m.meter: _silence(m) for m in silent[:MOST_NAMED]},
        "clocks_off_s": dict(list(off.items())[:MOST_NAMED]),
    }


def _silence(meter: MeterHealth) -> dict[str, Any]:
    return {
        "bus": meter.bus,
        "last_ok": None if meter.last_ok is None else meter.last_ok.isoformat(timespec="seconds"),
        "failures": meter.failures_in_a_row,
        "error": (meter.last_error or "")[:200],
    }
