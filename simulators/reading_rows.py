"""The readings of a gateway's meters as JSON, time after time: as they are, or as faults make them. Pure.

Where nothing goes wrong a short way is taken, because most stretches of most meters are like that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from metering.records import Ints
from simulators.scenario.gateway_run import GatewayRun
from simulators.scenario.meter_run import MeterRun, Shown
from simulators.scenario.points import MeteredPoint
from simulators.stretch import Bools, Instant, Instants
from simulators.times import local_texts

#: Faults of a gateway that change what is read and how it is stamped; the others change only how it is sent.
_READ_OTHERWISE = frozenset({"outage", "clock_skew", "clock_jump", "clock_drift", "unknown_meter"})

#: Of one time of reading: the JSON of each meter's reading, and how many values they are.
Row = tuple[list[str], int]


@dataclass(frozen=True, slots=True)
class Made:
    """A stretch after real changes: ts_us int64[n] and the same as text; before int64[points], energy up to it; energy
    int64[points, n]; see Stretch.
    """

    ts_us: Ints
    times: Sequence[str]
    before: Ints
    energy: Ints
    present: Bools | None
    instants: Instants


@dataclass(frozen=True, slots=True)
class ReadingRows:
    """points: all of a run; meters: those that faults strike, by point; zone: of the times written."""

    points: Sequence[MeteredPoint]
    meters: Mapping[int, MeterRun]
    zone: str

    def rows(self, gateway: GatewayRun, members: Sequence[int], made: Made) -> Iterator[Row]:
        """One row a time; an empty one where nothing is read."""
        if made.present is not None or self._is_struck(gateway, members, made):
            return self._struck(gateway, members, made)
        return self._plain(members, made)

    def _is_struck(self, gateway: GatewayRun, members: Sequence[int], made: Made) -> bool:
        first, last = int(made.ts_us[0]), int(made.ts_us[-1])
        return any(
            f.kind in _READ_OTHERWISE and f.from_us <= last and first < f.to_us for f in gateway.faults
        ) or any(self.meters[p].is_struck(last) for p in members if p in self.meters)

    def _plain(self, members: Sequence[int], made: Made) -> Iterator[Row]:
        heads, columns, values = [], [], 0
        for p in members:
            point = self.points[p]
            total = made.before[p] + np.cumsum(made.energy[p])
            shown = list(map(repr, point.face.show(total).tolist()))
            more = made.instants.get(p, ())
            heads.append((f'{{"meter":"{point.meter}","ts":"', f'","values":{{"{point.register}":'))
            columns.append(_with_instants(shown, more))
            values += 1 + len(more)
        for ts, row in zip(made.times, zip(*columns, strict=True), strict=True):
            yield [f"{a}{ts}{b}{v}}}}}" for (a, b), v in zip(heads, row, strict=True)], values

    def _struck(self, gateway: GatewayRun, members: Sequence[int], made: Made) -> Iterator[Row]:
        texts: list[list[str]] = [[] for _ in made.ts_us]
        values = [0] * len(made.ts_us)
        clock = gateway.clock_error_us(made.ts_us)
        for p in members:
            for i, text, count in self._readings(p, clock, made):
                texts[i].append(text)
                values[i] += count
        for i, moment in enumerate(made.ts_us.tolist()):
            if texts[i] and gateway.is_out(moment):
                texts[i], values[i] = [], 0
            elif texts[i] and (unknown := gateway.unknown_meter(moment)) is not None:
                texts[i].append(f'{{"meter":"{unknown}",{texts[i][0].split(",", 1)[1]}')
                values[i] += 1
        yield from zip(texts, values, strict=True)

    def _readings(self, p: int, clock: Ints, made: Made) -> Iterator[tuple[int, str, int]]:
        """(index of the time, JSON, how many values) of each reading that is taken."""
        register = self.points[p].register
        shown = self._shown(p, made)
        stamped = shown.ts_us + clock
        same = np.array_equal(stamped, made.ts_us)
        times = made.times if same else local_texts(stamped, self.zone)
        more = [_as_shown(i, shown) for i in made.instants.get(p, ())]
        value = _with_instants(list(map(repr, shown.value.tolist())), more)
        kept = shown.kept if made.present is None else shown.kept & made.present[p]
        for i in np.flatnonzero(kept).tolist():
            meter = shown.meters[shown.meter[i]]
            text = f'{{"meter":"{meter}","ts":"{times[i]}","values":{{"{register}":{value[i]}}}}}'
            yield i, text, 1 + len(more)

    def _shown(self, p: int, made: Made) -> Shown:
        if p in self.meters and self.meters[p].is_struck(int(made.ts_us[-1])):
            present = None if made.present is None else made.present[p]
            return self.meters[p].advance(made.ts_us, made.energy[p], int(made.before[p]), present)
        point, n = self.points[p], len(made.ts_us)
        value = point.face.show(made.before[p] + np.cumsum(made.energy[p]))
        zeros, ones = np.zeros(n, np.int64), np.ones(n)
        return Shown(made.ts_us, value, np.ones(n, np.bool_), zeros, [point.meter], ones, ones, zeros)


def _with_instants(shown: list[str], more: Sequence[Instant]) -> list[str]:
    if not more:
        return shown
    return list(map("".join, zip(shown, *map(_texts, more), strict=True)))


def _texts(instant: Instant) -> list[str]:
    values = np.round(instant.values, instant.decimals).tolist()
    return [f',"{instant.register}":{v!r}' for v in values]


def _as_shown(instant: Instant, shown: Shown) -> Instant:
    """An instant value as a meter with faults shows it: by its transformers, without the phase that is lost."""
    values = instant.values * shown.transformed if instant.power else instant.values
    if instant.power and not instant.phase:
        values = values * shown.measured
    if instant.phase:
        values = np.where(shown.lost_phase == instant.phase, 0.0, values)
    return replace(instant, values=values)
