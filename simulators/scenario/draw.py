"""From what a scenario says to faults with a place, a time and a size: the same for the same seed. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from fnmatch import fnmatchcase
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from metering.errors import InputFileError
from simulators.chance import generator
from simulators.scenario.files import FaultSpec, Scenario
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.points import MeteredPoint

_DAY_US = 86_400_000_000
_TRIES = 60
#: Kinds that stay until the run ends, or until the registry knows.
LASTING = frozenset({"meter_replaced", "ct_changed", "gateway_swapped", "extension", "new_chiller"})
#: Kinds that the registry may be told of: what ends and what begins there must both be in the run.
_RECORDED = frozenset({"meter_replaced", "ct_changed", "gateway_swapped"})
#: Kinds that only a meter behind transformers can have.
_ELECTRIC = frozenset({"ct_changed", "phase_lost"})


@dataclass(frozen=True, slots=True)
class RunWindow:
    """When a run is: microseconds since the epoch, UTC, on the grid of interval_us; zone: of local times."""

    from_us: int
    to_us: int
    interval_us: int
    zone: str

    def snap(self, moment_us: float) -> int:
        """The reading at or after a moment."""
        return -int(-moment_us // self.interval_us) * self.interval_us


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that was drawn. on: meter, gateway or site; points: indexes of all that it strikes; from_us..to_us: not
    including to_us. values: its parameters, one value each, durations in seconds.
    """

    kind: str
    label: str
    on: str
    site_code: str
    gateway: str
    points: tuple[int, ...]
    from_us: int
    to_us: int
    values: Mapping[str, Any] = field(default_factory=dict)

    def us(self, key: str) -> int:
        """A duration parameter in microseconds, 0 where it has none."""
        return round(float(self.values.get(key, 0)) * 1e6)

    def begins_us(self) -> int:
        """Where it begins to spoil something: what a wiped gateway had waiting was read before it was wiped."""
        return self.from_us - self.us("pending")

    def spans(self) -> list[tuple[int, int]]:
        """The times that it spoils: its own, and those that a clock put wrong stamps instead."""
        spans = [(self.begins_us(), self.to_us)]
        if self.kind in ("clock_skew", "clock_jump"):
            error = self.us("offset") * (-1 if self.values.get("direction") == "slow" else 1)
            spans.append((self.from_us + error, self.to_us + error))
        return spans

    def holds(self, moment_us: int) -> bool:
        """Whether a moment is in it."""
        return self.from_us <= moment_us < self.to_us


@dataclass(frozen=True, slots=True)
class Drawn:
    """Faults by time; left_out: how many of each label found no room beside the others."""

    faults: Sequence[Fault]
    left_out: Mapping[str, int]


def draw_faults(scenario: Scenario, points: Sequence[MeteredPoint], window: RunWindow, seed: int) -> Drawn:
    """All faults of a run. One strikes no point that another strikes within a day, unless told its place and time or
    `overlap`: so it is known what made an hour wrong. What lasts is placed first, it wants most room.

    Raises InputFileError where an entry names nothing that is there, or a time outside the run.
    """
    busy: dict[int, list[tuple[int, int]]] = {}
    found: list[Fault] = []
    left_out: dict[str, int] = {}
    problems: list[str] = []
    for n, spec in sorted(
        enumerate(scenario.faults), key=lambda e: (e[1].at is None, e[1].kind not in LASTING)
    ):
        rng = generator(seed, "scenario", n, spec.label)
        try:
            wanted = _count(spec, points, window, rng)
            drawn = _draw_spec(spec, wanted, points, window, rng, busy)
        except ValueError as e:
            problems.append(f"{scenario.name}: fault {n + 1} ({spec.label}): {e}")
            continue
        found += drawn
        if len(drawn) < wanted:
            left_out[spec.label] = left_out.get(spec.label, 0) + wanted - len(drawn)
    if problems:
        raise InputFileError(problems)
    return Drawn(sorted(found, key=lambda f: (f.from_us, f.label, f.points)), left_out)


def _draw_spec(
    spec: FaultSpec,
    wanted: int,
    points: Sequence[MeteredPoint],
    window: RunWindow,
    rng: np.random.Generator,
    busy: dict[int, list[tuple[int, int]]],
) -> list[Fault]:
    drawn = []
    for _ in range(wanted):
        for _ in range(_TRIES):
            fault = _draw_one(spec, points, window, rng)
            if fault is not None and (spec.overlap or spec.at is not None or _is_free(fault, busy)):
                drawn.append(fault)
                for p in fault.points:
                    busy.setdefault(p, []).extend(fault.spans())
                break
    return drawn


def _count(
    spec: FaultSpec, points: Sequence[MeteredPoint], window: RunWindow, rng: np.random.Generator
) -> int:
    if spec.per_year is None:
        return 1 if spec.count is None else spec.count
    years = (window.to_us - window.from_us) / (365.25 * _DAY_US)
    return int(rng.poisson(spec.per_year * years * len(_candidates(spec, _scope(spec), points))))


def _is_free(fault: Fault, busy: Mapping[int, list[tuple[int, int]]]) -> bool:
    return all(
        last + _DAY_US <= start or end + _DAY_US <= first
        for first, last in fault.spans()
        for p in fault.points
        for start, end in busy.get(p, ())
    )


def _scope(spec: FaultSpec) -> str:
    on = spec.parameter("on")
    return on[0] if on else fault_kinds()[spec.kind].scope[0]


def _candidates(spec: FaultSpec, on: str, points: Sequence[MeteredPoint]) -> list[tuple[int, ...]]:
    """What it may strike: groups of points, of one each for a meter, of a whole gateway or site else."""
    chosen = [i for i, p in enumerate(points) if _fits(spec, p)]
    if on == "meter":
        groups: list[tuple[int, ...]] = [(i,) for i in chosen]
    else:
        keys = [p.gateway if on == "gateway" else p.site_code for p in points]
        members: dict[str, list[int]] = {keys[i]: [] for i in chosen}
        for i, key in enumerate(keys):
            if key in members:
                members[key].append(i)
        groups = [tuple(m) for m in members.values()]
    if not groups or (spec.nth or 0) > len(groups):
        raise ValueError("there is no such meter, gateway or site in this run")
    return groups if spec.nth is None else [groups[spec.nth - 1]]


def _fits(spec: FaultSpec, point: MeteredPoint) -> bool:
    return (
        (spec.point is None or point.point_code == spec.point)
        and (spec.gateway is None or point.gateway == spec.gateway)
        and (not spec.roots or point.parent is None)
        and (spec.kind not in _ELECTRIC or point.item_code.startswith("01"))
        and fnmatchcase(point.site_code, spec.sites)
        and fnmatchcase(point.item_code, spec.items)
    )


def _draw_one(
    spec: FaultSpec, points: Sequence[MeteredPoint], window: RunWindow, rng: np.random.Generator
) -> Fault | None:
    """A fault, or None where it falls to a time at which it cannot be."""
    values = {k: _one_of(v, rng) for k, v in (spec.parameters or {}).items()}
    on = values.pop("on", None) or fault_kinds()[spec.kind].scope[0]
    groups = _candidates(spec, on, points)
    group = groups[int(rng.integers(len(groups)))]
    times = _times(spec, values, window, rng)
    if times is None:
        return None
    from_us, to_us = times
    point = points[group[0]]
    if "offset" in values:
        values["offset"] = float(int(values["offset"]))  # stamps are whole seconds
    if float(values.get("start_value", 0)) >= 10**point.face.digits:
        raise ValueError(f"start_value {values['start_value']}: the register has {point.face.digits} digits")
    values["salt"] = int(rng.integers(2**32))
    return Fault(spec.kind, spec.label, on, point.site_code, point.gateway, group, from_us, to_us, values)


def _one_of(value: Any, rng: np.random.Generator) -> Any:
    match value:
        case (low, high):
            if isinstance(value, tuple):
                return low + (high - low) * float(rng.random())
            return value[int(rng.integers(2))]
        case list():
            return value[int(rng.integers(len(value)))]
        case _:
            return value


def _times(
    spec: FaultSpec, values: Mapping[str, Any], window: RunWindow, rng: np.random.Generator
) -> tuple[int, int] | None:
    """from_us and to_us, on the grid, to_us of what lasts the end of the run; None where it cannot be then."""
    lasts = 0 if spec.kind in LASTING else max(round(float(values.get("lasts", 0)) * 1e6), window.interval_us)
    if spec.at is not None:
        at = spec.at if spec.at.tzinfo else spec.at.replace(tzinfo=ZoneInfo(window.zone))
        begin = window.snap(round(at.timestamp() * 1e6))
        if not window.from_us <= begin < window.to_us:
            raise ValueError(f"at {at.isoformat()}: is not in the run")
    else:
        margin = min(_DAY_US, (window.to_us - window.from_us) // 10)
        whole = window.to_us - window.from_us - 2 * margin
        lasts = min(lasts, whole)  # as long as it can be, in a short run
        room = whole - lasts
        begin = window.snap(window.from_us + margin + room * float(rng.random()))
    if spec.kind == "gateway_swapped":
        begin = _next_midnight(begin, window)
    if not window.from_us + (spec.kind in _RECORDED) <= begin < window.to_us:
        if spec.at is not None:
            raise ValueError("the run must have begun before it, and go on after it")
        return None
    end = _end_of(spec.kind, values, begin, lasts, window)
    return begin, min(max(end, begin + window.interval_us), window.to_us)


def _next_midnight(moment_us: int, window: RunWindow) -> int:
    """The local midnight at or after a moment: a gateway is changed at the end of a day, all of its meters at once."""
    local = datetime.fromtimestamp(moment_us / 1e6, ZoneInfo(window.zone))
    day = local.date() if local.time() == time() else local.date() + timedelta(days=1)
    return round(datetime.combine(day, time(), ZoneInfo(window.zone)).timestamp() * 1e6)


def _end_of(kind: str, values: Mapping[str, Any], begin: int, lasts: int, window: RunWindow) -> int:
    """Until when a fault goes on: what is recorded, until the registry knows it; what is not, for good."""
    if kind not in LASTING:
        return window.snap(begin + lasts)
    match values.get("record"):
        case "announced":
            return begin + window.interval_us
        case "late":
            return window.snap(begin + float(values["late_by"]) * 1e6)
        case _:
            return window.to_us
