"""Writes the truth of a run while it is made: hours as they pass, faults as they turned out at the end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from metering.records import Ints
from simulators.consumption import UNITS_PER_KWH
from simulators.run import Run, Stretch
from simulators.scenario.draw import MOMENTS, Fault, RunWindow
from simulators.scenario.gateway_run import unknown_meter
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.points import MeteredPoint
from simulators.truth import TrueFault, TruePoint, TruthFile

_HOUR_US = 3_600_000_000
_SIZES = {
    "spike": ("energy", "item unit"),
    "clock_skew": ("offset", "s"),
    "clock_jump": ("offset", "s"),
    "clock_drift": ("seconds_per_day", "s/d"),
    "phase_lost": ("share", "share"),
    "repeats": ("share", "share"),
    "reorder": ("share", "share"),
    "wrong_bytes": ("share", "share"),
    "ct_changed": ("factor", "ratio"),
    "extension": ("factor", "ratio"),
    "closed": ("factor", "ratio"),
    "new_chiller": ("factor", "ratio"),
    "transposed_digits": ("energy", "item unit"),
    "gateway_wiped": ("pending", "s"),
}


class KeptTruth:
    """See simulators.run.TruthKeeper: sums intervals up to hours."""

    def __init__(self, file: TruthFile, points: Sequence[MeteredPoint], window: RunWindow) -> None:
        self._file = file
        self._points = points
        self._from_us = window.from_us
        self._open = np.zeros(len(points), np.int64)
        self._open_hour = -1
        file.add_points([_true_point(p, points) for p in points])

    def add(self, stretch: Stretch, energy: Ints) -> None:
        """Keep the hours of a stretch; the last, if it goes on, is kept open."""
        hour = (stretch.ts_us - 1) // _HOUR_US
        first = np.flatnonzero(np.diff(hour, prepend=-1))
        sums = np.add.reduceat(energy, first, axis=1)
        hours = hour[first]
        if hours[0] == self._open_hour:
            sums[:, 0] += self._open
        full = int(stretch.ts_us[-1]) % _HOUR_US == 0
        self._open, self._open_hour = sums[:, -1].copy(), int(hours[-1])
        until = len(hours) if full else len(hours) - 1
        begin = int(stretch.ts_us[0] == self._from_us)  # the reading that the run begins with
        if until > begin:
            self._file.add_hours(int(hours[begin]), sums[:, begin:until] / UNITS_PER_KWH)

    def finish(self, run: Run, **facts: object) -> None:
        """Keep the faults as they turned out, and the facts of the run."""
        faults = [t for f in run.faults for t in true_faults(f, run)]
        self._file.add_faults(faults)
        self._file.set_run(labels=json.dumps(_labels(self._points, run.faults), sort_keys=True), **facts)
        self._file.save()


def _labels(points: Sequence[MeteredPoint], faults: Sequence[Fault]) -> dict[str, str]:
    """Of each point the label of its only fault, `none` for one without; a point with several has none."""
    found: dict[int, set[str]] = {}
    for f in faults:
        for p in f.points:
            found.setdefault(p, set()).add(f.label)
    labels = {p.point_code: found.get(i, {"none"}) for i, p in enumerate(points)}
    return {code: next(iter(names)) for code, names in labels.items() if len(names) == 1}


def true_faults(fault: Fault, run: Run) -> list[TrueFault]:
    """What a fault turned out as, once for each meter that it struck, once for a whole gateway or site."""
    kind = fault_kinds()[fault.kind]
    expected = kind.found_by if _is_expected(fault) else ()
    whole = TrueFault(
        fault.kind, fault.label, kind.fault, fault.site_code, None, _stranger(fault),
        None if fault.on == "site" else fault.gateway,
        _moment(fault.from_us), _moment(fault.to_us), *_size(fault, dict(fault.values)),
        expected, (*kind.may_find, *(() if expected else kind.found_by)),
        {k: v for k, v in fault.values.items() if k != "salt"} | _successor(fault, run),
    )  # fmt: skip
    if fault.on != "meter":
        return [whole]
    return [t for p in fault.points if (t := _of_meter(fault, p, whole, run)) is not None]


def _of_meter(fault: Fault, p: int, whole: TrueFault, run: Run) -> TrueFault | None:
    point, meter = run.source.points[p], run.meters[p]
    happened = meter.happened.get(meter.faults.index(fault), {})
    size, unit = _size(fault, {**fault.values, **happened})
    starts, ends = whole.starts, whole.ends
    if fault.kind == "rollover":
        if not meter.rolled_us:
            return None
        rolled_us = meter.rolled_us[0]
        starts, ends = _moment(rolled_us - run.source.window.interval_us), _moment(rolled_us)
    elif fault.kind in MOMENTS and fault.kind not in ("spike", "transposed_digits") and not happened:
        return None
    return replace(
        whole,
        point_code=point.point_code,
        meter=str(happened.get("old_meter", point.meter)),
        starts=starts,
        ends=ends,
        size=size,
        size_unit=unit,
        detail={**whole.detail, **happened},
    )


def _is_expected(fault: Fault) -> bool:
    """Whether somebody should find it: not what the registry is told at once."""
    return fault.values.get("record") != "announced"


def _size(fault: Fault, values: dict[str, object]) -> tuple[float | None, str | None]:
    if fault.kind not in _SIZES:
        return None, None
    key, unit = _SIZES[fault.kind]
    value = values.get(key)
    if not isinstance(value, int | float):
        return None, None
    return (-float(value) if values.get("direction") == "slow" else float(value)), unit


def _stranger(fault: Fault) -> str | None:
    """The meter that the registry does not know, where a fault sends one along."""
    return unknown_meter(fault) if fault.kind == "unknown_meter" else None


def _successor(fault: Fault, run: Run) -> dict[str, str]:
    """The gateway that was put in the place of another."""
    return (
        {"new_gateway": run.gateway_at(fault.gateway, fault.from_us)}
        if fault.kind == "gateway_swapped"
        else {}
    )


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _true_point(point: MeteredPoint, points: Sequence[MeteredPoint]) -> TruePoint:
    return TruePoint(
        point.point_code, point.site_code, point.item_code, point.unit,
        None if point.parent is None else points[point.parent].point_code,
        point.meter, point.register, point.gateway, float(point.face.step_kwh),
    )  # fmt: skip
