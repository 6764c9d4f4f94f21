"""What the truth knows of faults: which points each touches, in which hours. Pure; no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from simulators.truth import TrueFault, TruePoint

#: Either side of a fault: readings before and after it share hours with it, and stamps are rounded to intervals.
MARGIN = timedelta(hours=1)
_HOUR_S = 3600
_SECONDS = {"s": 1, "min": 60, "h": 3600, "d": 86400}
#: Readings of these are stamped off by the fault's size: it touches the hours that they are stamped in, too.
_OF_THE_CLOCK = ("clock_skew", "clock_jump", "clock_drift")

Window = tuple[datetime, datetime]


def windows_of(fault: TrueFault) -> list[Window]:
    """When it was, and of a clock that is off also what its readings say when it was."""
    own = (fault.starts, fault.ends)
    if fault.kind not in _OF_THE_CLOCK or fault.size is None or fault.size_unit not in _SECONDS:
        return [own]
    off = timedelta(seconds=fault.size * _SECONDS[fault.size_unit])
    return [own, (fault.starts + off, fault.ends + off)]


def hours_of(fault: TrueFault) -> list[tuple[int, int]]:
    """Its windows in hours since 1970, from, up to not included, with the margin."""
    return [
        (
            int((begin - MARGIN).timestamp() // _HOUR_S),
            int(-((-(end + MARGIN).timestamp()) // _HOUR_S)),
        )
        for begin, end in windows_of(fault)
    ]


@dataclass(frozen=True, slots=True)
class TouchedBy:
    """What a fault is about. A fault of a meter that no point has (an unknown one) touches no point.

    codes, meters, gateways, sites: what a finding of it can name. Of one meter's fault a gateway or site only where it
    has no other meter: that it is silent tells nothing of one meter of several. A gateway also goes by the name of the
    one that was put in its place. senders: gateways that a reject of it can name.
    """

    fault: TrueFault
    points: frozenset[int]
    codes: frozenset[str]
    meters: frozenset[str]
    gateways: frozenset[str]
    sites: frozenset[str]
    senders: frozenset[str]


class Places:
    """The points of a run by everything that a fault or a finding can name.

    A gateway that was swapped stands for the same points under its new name (`faults` tell which).
    """

    def __init__(self, points: Sequence[TruePoint], faults: Sequence[TrueFault] = ()) -> None:
        self._points = points
        self._renamed: defaultdict[str, set[str]] = defaultdict(set)
        for f in faults:
            if f.gateway is not None and (new := f.detail.get("new_gateway")) is not None:
                self._renamed[f.gateway].add(new)
        self.codes = {p.point_code for p in points}
        self.meters = {p.meter for p in points}
        self.gateways = {p.gateway for p in points}.union(*self._renamed.values())
        self.sites = {p.site_code for p in points}
        self._meters_of: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        for p in points:
            for gateway in (p.gateway, *self._renamed[p.gateway]):
                self._meters_of["gateway", gateway].add(p.meter)
            self._meters_of["site", p.site_code].add(p.meter)

    def touched_by(self, fault: TrueFault) -> TouchedBy:
        """The points of the fault: the one it names, else all of its meter, else of its gateway, else of its site."""
        points = frozenset(n for n, p in enumerate(self._points) if self._is_of(p, fault))
        named = [self._points[n] for n in points]
        gateways = frozenset(p.gateway for p in named) | _some(fault.gateway)
        gateways = gateways.union(*(self._renamed.get(g, ()) for g in gateways))
        sites = frozenset({fault.site_code})
        # Of a meter that no point has nothing but its gateway is known.
        of_meter = bool(points) and (fault.point_code is not None or fault.meter is not None)
        own = {p.meter for p in named}
        put_in = _some(fault.detail.get("new_gateway"))
        return TouchedBy(
            fault,
            points,
            frozenset(p.point_code for p in named),
            frozenset(own) | _some(fault.meter) | _some(fault.detail.get("meter")),
            self._wholly("gateway", gateways, own) if of_meter else gateways | put_in,
            self._wholly("site", sites, own) if of_meter else sites,
            gateways | put_in,
        )

    def _wholly(self, what: str, names: frozenset[str], meters: set[str]) -> frozenset[str]:
        """Those of the gateways or sites that have no other meter."""
        return frozenset(n for n in names if self._meters_of[what, n] <= meters)

    @staticmethod
    def _is_of(point: TruePoint, fault: TrueFault) -> bool:
        if fault.point_code is not None:
            return point.point_code == fault.point_code
        if fault.meter is not None:
            return point.meter == fault.meter
        if fault.gateway is not None:
            return point.gateway == fault.gateway
        return point.site_code == fault.site_code


def _some(name: str | None) -> frozenset[str]:
    return frozenset() if name is None else frozenset({name})
