"""Writes the truth of a run while it is made: hours as they pass, faults as they turned out at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np

from metering.records import Ints
from simulators.consumption import UNITS_PER_KWH
from simulators.run import Run
from simulators.scenario.draw import Fault, RunWindow
from simulators.scenario.gateway_run import unknown_meter
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.points import MeteredPoint
from simulators.truth import TrueFault, TruePoint, TruthFile

_HOUR_US = 3_600_000_000
_BY_METER = frozenset({"spike", "transposed_digits", "reset", "meter_replaced", "ct_changed"})
#: Parameters of a fault that are its size, with their unit; a direction "slow" makes it negative.
_SIZES = {
    "clock_skew": ("offset", "s"),
    "clock_jump": ("offset", "s"),
    "clock_drift": ("seconds_per_day", "s/d"),
    "phase_lost": ("share", "share"),
    "ct_changed": ("factor", "ratio"),
    "extension": ("factor", "ratio"),
    "closed": ("factor", "ratio"),
    "new_chiller": ("factor", "ratio"),
}
#: Kinds of which the size is energy: of a reading that is wrong, or what was used while nothing right was shown.
_ENERGIES = frozenset(
    {"spike", "transposed_digits", "outage", "stuck_register", "zeros", "reset", "meter_replaced", "rollover"}
)


class KeptTruth:
    """See simulators.run.TruthKeeper: sums intervals up to hours."""

    def __init__(self, file: TruthFile, points: Sequence[MeteredPoint], window: RunWindow) -> None:
        self._file = file
        self._points = points
        self._from_us = window.from_us
        self._open = np.zeros(len(points), np.int64)
        self._open_hour = -1
        file.add_points([_true_point(p, points) for p in points])

    def add(self, ts_us: Ints, energy: Ints) -> None:
        """Keep the hours of a stretch, for good; the last, if it goes on, is kept open."""
        hour = (ts_us - 1) // _HOUR_US
        first = np.flatnonzero(np.diff(hour, prepend=-1))
        sums = np.add.reduceat(energy, first, axis=1)
        hours = hour[first]
        if hours[0] == self._open_hour:
            sums[:, 0] += self._open
        full = int(ts_us[-1]) % _HOUR_US == 0
        self._open, self._open_hour = sums[:, -1].copy(), int(hours[-1])
        until = len(hours) if full else len(hours) - 1
        begin = int(ts_us[0] == self._from_us)  # the reading that the run begins with
        if until > begin:
            self._file.add_hours(int(hours[begin]), sums[:, begin:until] / UNITS_PER_KWH)
            self._file.save()

    def finish(self, run: Run, **facts: object) -> None:
        """Keep the faults as they turned out, and the facts of the run; close the file."""
        faults = [t for f in run.faults for t in true_faults(f, run)]
        faults += [_rolled(p, ts_us, run) for p, ts_us in run.rolled()]
        self._file.add_faults(faults)
        self._file.set_run(labels=json.dumps(_labels(self._points, run.faults), sort_keys=True), **facts)
        self._file.save()
        self._file.close()


def _labels(points: Sequence[MeteredPoint], faults: Sequence[Fault]) -> dict[str, str]:
    """Of each point the label of its only fault, `none` for one without; a point with several has none."""
    found: dict[int, set[str]] = {}
    for f in faults:
        for p in f.points:
            found.setdefault(p, set()).add(f.label)
    labels = {p.point_code: found.get(i, {"none"}) for i, p in enumerate(points)}
    return {code: next(iter(names)) for code, names in labels.items() if len(names) == 1}


#: Kinds that are readings which are wrong, or not there.
_OF_READINGS = frozenset({"outage", "zeros", "stuck_register", "spike", "transposed_digits"})
#: What a meter under a number that nobody entered is seen by: its readings are dead letters, the old one is silent.
_NEW_NUMBER = ("silent_meter", "reject:unknown_meter")


def true_faults(fault: Fault, run: Run) -> list[TrueFault]:
    """What a fault turned out as: once for each meter that it struck, once for a whole gateway or site; none where it
    changed nothing.
    """
    if fault.on == "meter":
        return [t for p in fault.points if (t := _of_meter(fault, p, run)) is not None]
    whole = _plain(fault)
    if fault.on == "site":
        return [replace(whole, gateway=None)]
    struck = run.struck(fault)
    if struck is None and fault.kind not in ("gateway_swapped", "gateway_wiped"):
        return []
    count = 0 if struck is None else struck.count
    whole = replace(
        whole,
        meter=_stranger(fault),
        starts=_moment(fault.begins_us()),
        detail={**whole.detail, **_successor(fault, run), "count": count},
    )
    return [whole if whole.size is not None else replace(whole, size=float(count), size_unit="messages")]


def _plain(fault: Fault) -> TrueFault:
    """A fault as it was drawn."""
    kind = fault_kinds()[fault.kind]
    size, unit = _size(fault)
    told = fault.values.get("record") == "announced"
    return TrueFault(
        kind=fault.kind,
        label=fault.label,
        is_fault=kind.fault,
        site_code=fault.site_code,
        point_code=None,
        meter=None,
        gateway=fault.gateway,
        starts=_moment(fault.from_us),
        ends=_moment(fault.to_us),
        size=size,
        size_unit=unit,
        found_by=() if told else kind.found_by,
        may_find=(*kind.may_find, *kind.found_by) if told else kind.may_find,
        detail={k: v for k, v in fault.values.items() if k != "salt"},
    )


def _size(fault: Fault) -> tuple[float | None, str | None]:
    if fault.kind not in _SIZES:
        return None, None
    key, unit = _SIZES[fault.kind]
    sign = -1 if fault.values.get("direction") == "slow" else 1
    return sign * float(fault.values[key]), unit


def _of_meter(fault: Fault, p: int, run: Run) -> TrueFault | None:
    point, meter = run.source.points[p], run.meters[p]
    n = meter.faults.index(fault)
    happened = meter.happened.get(n, {})
    whole = _plain(fault)
    if fault.kind == "rollover":
        if not meter.rolled_us:
            return None
        rolled_us = meter.rolled_us[0]
        starts = _moment(rolled_us - run.source.window.interval_us)
        whole = replace(whole, starts=starts, ends=_moment(rolled_us))
    elif fault.kind in _BY_METER and not happened:
        return None
    elif fault.kind in _OF_READINGS and not meter.read.get(n):
        return None  # no reading there to be wrong, or to be missed
    used = meter.used.get(n, 0) / UNITS_PER_KWH
    if fault.kind in _ENERGIES:
        whole = replace(whole, size=_energy(fault.kind, point, used, happened), size_unit=point.unit)
    shows = abs(_hidden(fault, used, happened)) >= float(point.face.step_kwh)
    found_by = _NEW_NUMBER if whole.found_by and _has_new_number(happened) else whole.found_by
    return replace(
        whole,
        point_code=point.point_code,
        meter=str(happened.get("old_meter", point.meter)),
        found_by=found_by if shows else (),
        may_find=whole.may_find
        if shows and found_by == whole.found_by
        else (*whole.may_find, *whole.found_by),
        detail={**whole.detail, **happened, "used": used},
    )


def _rolled(p: int, ts_us: int, run: Run) -> TrueFault:
    """A register that passed its highest value because it was full, not because a scenario said so."""
    point, kind = run.source.points[p], fault_kinds()["rollover"]
    return TrueFault(
        kind="rollover",
        label="rollover",
        is_fault=kind.fault,
        site_code=point.site_code,
        point_code=point.point_code,
        meter=point.meter,
        gateway=point.gateway,
        starts=_moment(ts_us - run.source.window.interval_us),
        ends=_moment(ts_us),
        size=-(10.0**point.face.digits) * float(point.face.ratio),
        size_unit=point.unit,
        found_by=kind.found_by,
        may_find=kind.may_find,
        detail={"said": False},
    )


def _energy(kind: str, point: MeteredPoint, used: float, happened: Mapping[str, Any]) -> float:
    """The size of a fault in the unit of the item: by how much a reading was wrong or a register moved, or what was
    used while nothing right was shown.
    """
    match kind:
        case "spike" | "transposed_digits":
            return float(happened["energy"])
        case "reset" | "meter_replaced":
            return (float(happened["start_value"]) - float(happened["end_value"])) * float(point.face.ratio)
        case "rollover":
            return -(10.0**point.face.digits) * float(point.face.ratio)
        case _:
            return used


def _has_new_number(happened: Mapping[str, Any]) -> bool:
    """Whether another meter was put in that is sent under a number of its own."""
    return happened.get("meter") != happened.get("old_meter")


def _hidden(fault: Fault, used: float, happened: Mapping[str, Any]) -> float:
    """Energy that a fault hides; infinite where it is not energy that gives it away."""
    match fault.kind:
        case "stuck_register":
            return used
        case "phase_lost":
            return used * float(fault.values["share"])
        case "ct_changed":
            return used * (1 - 1 / float(fault.values["factor"]))
        case "transposed_digits":  # no more than the register rises by anyway: no reading falls
            return 0.0 if abs(float(happened["energy"])) <= used else float("inf")
        case _:
            return float("inf")


def _stranger(fault: Fault) -> str | None:
    """The meter that the registry does not know, where a fault sends one along."""
    return unknown_meter(fault) if fault.kind == "unknown_meter" else None


def _successor(fault: Fault, run: Run) -> dict[str, str]:
    """The gateway that is in the place of the one named, since it was swapped or by this very fault."""
    name = run.gateway_at(fault.gateway, fault.from_us)
    return {} if name == fault.gateway else {"new_gateway": name}


def _moment(us: int) -> datetime:
    return datetime.fromtimestamp(us / 1e6, UTC)


def _true_point(point: MeteredPoint, points: Sequence[MeteredPoint]) -> TruePoint:
    return TruePoint(
        point.point_code, point.site_code, point.item_code, point.unit,
        None if point.parent is None else points[point.parent].point_code,
        point.meter, point.register, point.gateway, float(point.face.step_kwh),
    )  # fmt: skip
