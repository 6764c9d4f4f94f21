"""A simulated run: true energy through meters and gateways, faults and all, as messages in order of time. Pure.

Memory holds a day and what is sent later than that day. The same source, faults and seed give the same emissions.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from metering.records import Ints
from simulators.emission import Emission, RegistryChange
from simulators.reading_rows import Made, ReadingRows
from simulators.registry_changes import Installed
from simulators.rollovers import Rollovers
from simulators.scenario.changes import change_energy
from simulators.scenario.draw import Fault
from simulators.scenario.gateway_run import GatewayRun, Struck
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.meter_run import MeterRun
from simulators.stretch import Source, Stretch
from simulators.times import local_texts


class SentAt(StrEnum):
    """What a message says of when it was sent: simulated time, or the time that it really is."""

    SIMULATED = "simulated"
    NOW = "now"


class TruthKeeper(Protocol):
    """Is told the true energy of each stretch."""

    def add(self, ts_us: Ints, energy: Ints) -> None:
        """int64[n] ends of intervals, int64[points, n]: after real changes, before any meter."""
        ...


@dataclass(slots=True)
class _Kept:
    """Readings of several times that will be one message."""

    texts: list[str] = field(default_factory=list)
    values: int = 0
    times: int = 0
    last_us: int = 0

    def add(self, moment_us: int, texts: list[str], values: int) -> None:
        self.texts = self.texts + texts if self.texts else texts
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
        self.meters = {p: MeterRun(points[p], fs) for p, fs in self._by_point().items()}
        self._total = self.source.begun.copy()
        self._rollovers = Rollovers([point.face for point in points])
        self._kept: dict[str, _Kept] = {}
        self._members: dict[str, list[int]] = {}
        for i, p in enumerate(points):
            self._members.setdefault(p.gateway, []).append(i)
        self._gateways = {g: self._gateway(g) for g in self._members}
        self._rows = ReadingRows(points, self.meters, self.source.window.zone)

    def _by_point(self) -> dict[int, list[Fault]]:
        """Faults that strike meters, by point."""
        found: dict[int, list[Fault]] = {}
        for f in self.faults:
            if f.on == "meter":
                for p in f.points:
                    found.setdefault(p, []).append(f)
        return found

    def _gateway(self, gateway: str) -> GatewayRun:
        faults = [f for f in self.faults if f.on == "gateway" and f.gateway == gateway]
        zone = self._zone if self.sent_at is SentAt.SIMULATED else None
        return GatewayRun(gateway, faults, self.seed, zone)

    def gateway_at(self, gateway: str, moment_us: int) -> str:
        """The name that the gateway of this place publishes as at a moment."""
        return self._gateways[gateway].who(moment_us)[0]

    def struck(self, fault: Fault) -> Struck | None:
        """What a fault of a gateway did, None where it did nothing."""
        return self._gateways[fault.gateway].struck(fault)

    def gateways(self) -> list[str]:
        """Every name that a gateway of this run publishes as."""
        return list(dict.fromkeys(n for g in self._gateways.values() for n in g.names()))

    def rolled(self) -> list[tuple[int, int]]:
        """(point, moment in µs) of every rollover that no fault asked for, by itself as registers fill."""
        found = []
        for p, ts_us in self._rollovers.seen:
            if p not in self.meters or not self.meters[p].runs or ts_us < self.meters[p].from_us:
                found.append((p, ts_us))
        for p, meter in self.meters.items():
            said = any(f.kind == "rollover" for f in meter.faults)
            found += [(p, ts_us) for ts_us in meter.rolled_us[said:]]
        return sorted(found, key=lambda x: x[::-1])

    def emissions(self) -> Iterator[Emission | RegistryChange]:
        """All messages, and changes of the registry between them, by the time they are due."""
        later: list[tuple[int, int, Emission | RegistryChange]] = []
        count = 0
        for stretch in self.source.stretches():
            made = self._made(stretch)
            if self.truth is not None:
                self.truth.add(made.ts_us, made.energy)
            messages = list(self._of_stretch(made))
            found: list[Emission | RegistryChange] = [*self._entries(stretch), *messages]
            for e in found:
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

    def _made(self, stretch: Stretch) -> Made:
        """A stretch with the real changes that are in force."""
        energy = change_energy(stretch.energy, stretch.ts_us, stretch.day, self._changes, self.source.points)
        before = self._total
        self._total = before + energy.sum(axis=1)
        self._rollovers.see(stretch.ts_us, before, energy, self._total)
        times = local_texts(stretch.ts_us, self.source.window.zone)
        return Made(stretch.ts_us, times, before, energy, stretch.present, stretch.instants(energy))

    def _of_stretch(self, made: Made) -> Iterator[Emission]:
        """The messages of a stretch, by gateway; not in order."""
        for name, members in self._members.items():
            gateway = self._gateways[name]
            kept = self._kept.setdefault(name, _Kept())
            rows = self._rows.rows(gateway, members, made)
            for moment, (texts, values) in zip(made.ts_us.tolist(), rows, strict=True):
                if not values:
                    continue
                if kept.times and gateway.changes_between(kept.last_us, moment):
                    yield from kept.send(gateway)
                kept.add(moment, texts, values)
                if kept.times >= self.per_message:
                    yield from kept.send(gateway)

    def _rests(self) -> Iterator[Emission]:
        """What is left at the end, in messages that are not full."""
        for name, kept in self._kept.items():
            if kept.times:
                yield from kept.send(self._gateways[name])
