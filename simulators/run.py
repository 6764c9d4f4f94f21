"""A simulated run: true energy through meters and gateways, faults and all, as messages in order of time. Pure.

Memory holds a day and what is sent later than that day. The same source, faults and seed give the same emissions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import numpy as np

from metering.records import Ints
from simulators.emission import Emission, RegistryChange
from simulators.registry_changes import Installed
from simulators.scenario.changes import change_energy
from simulators.scenario.draw import Fault, RunWindow
from simulators.scenario.gateway_run import GatewayRun
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.meter_run import MeterRun, Shown
from simulators.scenario.points import MeteredPoint
from simulators.times import local_texts

#: Faults of a gateway that change what is read and how it is stamped; the others change only how it is sent.
_READ_OTHERWISE = frozenset({"outage", "clock_skew", "clock_jump", "clock_drift", "unknown_meter"})


@dataclass(frozen=True, slots=True)
class Instant:
    """Values of an instant register that one point sends along: text[n]; power: whether it follows power; phase: of
    which it is (0: of none).
    """

    register: str
    values: np.ndarray[Any, np.dtype[np.float64]]
    decimals: int
    power: bool = False
    phase: int = 0


@dataclass(frozen=True, slots=True)
class Stretch:
    """A local day or so: ts_us int64[n], ends of intervals; energy int64[points, n] in them, units of 1e-9.

    present: whether a reading is taken there, None: always; instants: of each point that has any.
    """

    day: date
    ts_us: Ints
    energy: Ints
    present: np.ndarray[Any, np.dtype[np.bool_]] | None = None
    instants: Mapping[int, Sequence[Instant]] = field(default_factory=dict)


class SentAt(StrEnum):
    """What a message says of when it was sent: simulated time, or the time that it really is."""

    SIMULATED = "simulated"
    NOW = "now"


class Source(Protocol):
    """Where true energy comes from: a fleet or real consumption. begun: int64[points], energy counted before."""

    points: Sequence[MeteredPoint]
    window: RunWindow
    begun: Ints

    def stretches(self) -> Iterator[Stretch]:
        """All stretches in order, without a gap, from the beginning each time it is asked."""
        ...


class TruthKeeper(Protocol):
    """Is told the true energy of each stretch."""

    def add(self, stretch: Stretch, energy: Ints) -> None:
        """energy: after real changes, before any meter."""
        ...


@dataclass(slots=True)
class _Kept:
    """Readings of several times that will be one message."""

    texts: list[str] = field(default_factory=list)
    values: int = 0
    times: int = 0
    last_us: int = 0

    def add(self, moment_us: int, texts: Sequence[str], values: int) -> None:
        self.texts += texts
        self.values += values
        self.times += 1
        self.last_us = moment_us

    def send(self, gateway: GatewayRun) -> Iterator[Emission]:
        yield from gateway.send(self.last_us, ",".join(self.texts), self.values)
        self.texts, self.values, self.times = [], 0, 0


@dataclass
class Run:
    """One run. seed: of outboxes' names and of what messages suffer; per_message: times of reading that one holds."""

    source: Source
    faults: Sequence[Fault]
    seed: str
    truth: TruthKeeper | None = None
    installed: Installed | None = None
    sent_at: SentAt = SentAt.SIMULATED
    per_message: int = 1
    readings: int = 0

    def __post_init__(self) -> None:
        points = self.source.points
        self._zone = ZoneInfo(self.source.window.zone)
        self._changes = [f for f in self.faults if not fault_kinds()[f.kind].fault]
        struck = self._by_point(len(points))
        self.meters = {p: MeterRun(points[p], fs) for p, fs in struck.items()}
        self._total = self.source.begun.copy()
        self._kept: dict[str, _Kept] = {}
        self._members: dict[str, list[int]] = {}
        for i, p in enumerate(points):
            self._members.setdefault(p.gateway, []).append(i)
        self._gateways = {g: self._gateway(g) for g in self._members}

    def _by_point(self, count: int) -> dict[int, list[Fault]]:
        """Faults that strike meters, by point."""
        found: dict[int, list[Fault]] = {}
        for f in self.faults:
            if f.on == "meter":
                for p in f.points:
                    found.setdefault(p, []).append(f)
        assert all(p < count for p in found)
        return found

    def _gateway(self, gateway: str) -> GatewayRun:
        faults = [f for f in self.faults if f.on == "gateway" and f.gateway == gateway]
        zone = self._zone if self.sent_at is SentAt.SIMULATED else None
        return GatewayRun(gateway, faults, self.seed, zone)

    def gateway_at(self, gateway: str, moment_us: int) -> str:
        """The name that the gateway of this place publishes as at a moment."""
        return self._gateways[gateway].who(moment_us)[0]

    def gateways(self) -> list[str]:
        """Every name that a gateway of this run publishes as."""
        return list(dict.fromkeys(n for g in self._gateways.values() for n in g.names()))

    def emissions(self) -> Iterator[Emission | RegistryChange]:
        """All messages, and changes of the registry between them, by the time they are due."""
        later: list[tuple[int, int, Emission | RegistryChange]] = []
        count = 0
        for stretch in self.source.stretches():
            energy = change_energy(
                stretch.energy, stretch.ts_us, stretch.day, self._changes, self.source.points
            )
            if self.truth is not None:
                self.truth.add(stretch, energy)
            made = list(self._of_stretch(stretch, energy))
            entries: list[Emission | RegistryChange] = [*self._entries(stretch), *made]
            for e in entries:
                heapq.heappush(later, (e.due_us, count, e))
                count += 1
            until = int(stretch.ts_us[-1])
            while later and later[0][0] <= until:
                yield self._count(heapq.heappop(later)[2])
        for e in self._rests():
            heapq.heappush(later, (e.due_us, count, e))
            count += 1
        while later:
            yield self._count(heapq.heappop(later)[2])

    def _count(self, emission: Emission | RegistryChange) -> Emission | RegistryChange:
        if isinstance(emission, Emission):
            self.readings += emission.readings
        return emission

    def _entries(self, stretch: Stretch) -> Iterator[RegistryChange]:
        """What is entered into the registry for what happened in a stretch that has just been made."""
        if self.installed is None:
            return
        first, last = int(stretch.ts_us[0]), int(stretch.ts_us[-1])
        for fault in self.faults:
            if not first <= fault.from_us <= last:
                continue
            changes: list[RegistryChange | None] = []
            if fault.kind in ("meter_replaced", "ct_changed"):
                changes = [self._new_register(fault, p, self.installed) for p in fault.points]
            elif fault.kind == "gateway_swapped":
                changes = [self._new_gateway(fault, self.installed)]
            yield from (c for c in changes if c is not None)

    def _new_register(self, fault: Fault, p: int, installed: Installed) -> RegistryChange | None:
        meter, point = self.meters[p], self.source.points[p]
        happened = meter.happened.get(meter.faults.index(fault))
        if happened is None:
            return None
        return installed.new_register(fault, point.point_code, point.register, happened)

    def _new_gateway(self, fault: Fault, installed: Installed) -> RegistryChange | None:
        points = {p: self.source.points[p] for p in fault.points}
        registers = {point.point_code: point.register for point in points.values()}
        values = {point.point_code: self._shows(p) for p, point in points.items()}
        return installed.new_gateway(fault, registers, values)

    def _shows(self, p: int) -> float:
        """What a register shows at the end of the stretch that was made last."""
        if p in self.meters and self.meters[p].runs:
            return self.meters[p].shows()
        return float(self.source.points[p].face.show(self._total[p : p + 1])[0])

    def _of_stretch(self, stretch: Stretch, energy: Ints) -> Iterator[Emission]:
        """The messages of a stretch, by gateway; not in order."""
        before = self._total
        total = before[:, None] + np.cumsum(energy, axis=1)
        self._total = total[:, -1].copy()
        times = local_texts(stretch.ts_us, self.source.window.zone)
        for name, members in self._members.items():
            gateway = self._gateways[name]
            if stretch.present is not None or self._is_struck(gateway, members, stretch):
                rows = self._struck_rows(gateway, members, stretch, energy, before, times)
            else:
                rows = self._plain_rows(members, stretch, total, times)
            yield from self._messages(gateway, stretch, rows)

    def _is_struck(self, gateway: GatewayRun, members: Sequence[int], stretch: Stretch) -> bool:
        """Whether anything changes what is read or how it is stamped."""
        first, last = int(stretch.ts_us[0]), int(stretch.ts_us[-1])
        return any(
            f.kind in _READ_OTHERWISE and f.from_us <= last and first < f.to_us for f in gateway.faults
        ) or any(self.meters[p].is_struck(last) for p in members if p in self.meters)

    def _messages(
        self, gateway: GatewayRun, stretch: Stretch, rows: Iterator[tuple[list[str], int]]
    ) -> Iterator[Emission]:
        """rows: of each time, the JSON of its readings and how many values they are."""
        if self.per_message == 1:
            for moment, (texts, values) in zip(stretch.ts_us.tolist(), rows, strict=True):
                if values:
                    yield from gateway.send(moment, ",".join(texts), values)
            return
        kept = self._kept.setdefault(gateway.gateway, _Kept())
        for moment, (texts, values) in zip(stretch.ts_us.tolist(), rows, strict=True):
            if values:
                kept.add(moment, texts, values)
            if kept.times == self.per_message:
                yield from kept.send(gateway)

    def _rests(self) -> Iterator[Emission]:
        """What is left at the end, in messages that are not full."""
        for name, kept in self._kept.items():
            if kept.times:
                yield from kept.send(self._gateways[name])

    # ------------------------------------------------------------ where nothing goes wrong

    def _plain_rows(
        self, members: Sequence[int], stretch: Stretch, total: Ints, times: Sequence[str]
    ) -> Iterator[tuple[list[str], int]]:
        """Of each time: the readings of all meters of a gateway as they are."""
        heads, columns, values = [], [], 0
        for p in members:
            point = self.source.points[p]
            shown = list(map(repr, point.face.show(total[p]).tolist()))
            more = stretch.instants.get(p, ())
            if more:
                parts = [shown, *(_instant_texts(m) for m in more)]
                shown = list(map("".join, zip(*parts, strict=True)))
            heads.append((f'{{"meter":"{point.meter}","ts":"', f'","values":{{"{point.register}":'))
            columns.append(shown)
            values += 1 + len(more)
        for ts, row in zip(times, zip(*columns, strict=True), strict=True):
            yield [f"{a}{ts}{b}{v}}}}}" for (a, b), v in zip(heads, row, strict=True)], values

    # ------------------------------------------------------------ where something does

    def _struck_rows(
        self,
        gateway: GatewayRun,
        members: Sequence[int],
        stretch: Stretch,
        energy: Ints,
        before: Ints,
        times: Sequence[str],
    ) -> Iterator[tuple[list[str], int]]:
        """Of each time: the readings that are taken, as their meters and the gateway's clock have it."""
        texts: list[list[str]] = [[] for _ in stretch.ts_us]
        values = [0] * len(stretch.ts_us)
        clock = gateway.clock_error_us(stretch.ts_us)
        for p in members:
            shown = self._shown(p, stretch, energy[p], int(before[p]))
            kept = shown.kept if stretch.present is None else shown.kept & stretch.present[p]
            stamped = shown.ts_us + clock
            same = np.array_equal(stamped, stretch.ts_us)
            stamps = times if same else local_texts(stamped, self.source.window.zone)
            for i, text, count in self._readings(p, shown, stamps, kept, stretch):
                texts[i].append(text)
                values[i] += count
        for i, moment in enumerate(stretch.ts_us.tolist()):
            if gateway.is_out(moment):
                texts[i], values[i] = [], 0
            elif (unknown := gateway.unknown_meter(moment)) is not None and texts[i]:
                texts[i].append(f'{{"meter":"{unknown}",{texts[i][0].split(",", 1)[1]}')
                values[i] += 1
        yield from zip(texts, values, strict=True)

    def _shown(self, p: int, stretch: Stretch, energy: Ints, before: int) -> Shown:
        n = len(stretch.ts_us)
        if p in self.meters and self.meters[p].is_struck(int(stretch.ts_us[-1])):
            return self.meters[p].advance(stretch.ts_us, energy, before)
        point = self.source.points[p]
        zeros = np.zeros(n, np.int64)
        value = point.face.show(before + np.cumsum(energy))
        return Shown(stretch.ts_us, value, np.ones(n, np.bool_), zeros, [point.meter], np.ones(n), zeros)

    def _readings(
        self,
        p: int,
        shown: Shown,
        times: Sequence[str],
        kept: np.ndarray[Any, np.dtype[np.bool_]],
        stretch: Stretch,
    ) -> Iterator[tuple[int, str, int]]:
        """(index of the time, JSON, how many values) of each reading that is taken."""
        register = self.source.points[p].register
        value = list(map(repr, shown.value.tolist()))
        more = stretch.instants.get(p, ())
        if more:
            parts = [value, *(_instant_texts(_struck(m, shown)) for m in more)]
            value = list(map("".join, zip(*parts, strict=True)))
        for i in np.flatnonzero(kept).tolist():
            meter = shown.meters[shown.meter[i]]
            yield (
                i,
                f'{{"meter":"{meter}","ts":"{times[i]}","values":{{"{register}":{value[i]}}}}}',
                1 + len(more),
            )


def _instant_texts(instant: Instant) -> list[str]:
    values = np.round(instant.values, instant.decimals).tolist()
    return [f',"{instant.register}":{v!r}' for v in values]


def _struck(instant: Instant, shown: Shown) -> Instant:
    """An instant value as a meter with faults shows it."""
    values = instant.values * shown.power if instant.power else instant.values
    if instant.phase:
        lost = shown.lost_phase == instant.phase
        back = np.where(
            (shown.lost_phase > 0) & instant.power, values / np.maximum(shown.power, 1e-9), values
        )
        values = np.where(lost, 0.0, back)
    return Instant(instant.register, values, instant.decimals, instant.power, instant.phase)
