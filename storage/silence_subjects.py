"""Who is to be heard: meters behind gateways, and gateways, as the registry has them at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from metering.findings import SilenceRule
from metering.instants import to_us
from metering.silent_steps import Patience, patience_at
from metering.spans import END, Span, union
from storage.sql import query

Connection = psycopg.Connection[Any]
#: (gateway, meter); of the gateway itself the meter is ''.
Who = tuple[str, str]

_MICROSECOND = timedelta(microseconds=1)


class Installed(NamedTuple):
    """An installation; passed: whether nothing more comes of it."""

    gateway: str
    meter: str
    register: str
    installed_at: datetime
    removed_at: datetime | None
    interval_s: int
    point_id: int
    site_id: int
    passed: bool

    @property
    def span(self) -> Span:
        """When it is installed."""
        removed = self.removed_at
        return to_us(self.installed_at), END if removed is None else to_us(removed)


@dataclass(frozen=True, slots=True)
class Watched:
    """A meter behind a gateway, or the gateway: its installations, when it is to be heard (spans), and how long it may
    be silent: patience by the interval that counts now, and patiences as installations came and went; a gateway's of
    several intervals are what it may at least and at most (metering/silent_steps.py).
    """

    who: Who
    interval_s: int
    patience: timedelta
    installed: list[Installed]
    spans: list[Span]
    patiences: list[Patience]

    def ended(self, span: Span) -> bool:
        """Whether nothing more comes of that span."""
        return span[1] != END and all(i.passed for i in self.installed if i.span[1] == span[1])

    def span_at(self, moment_us: int) -> Span:
        """The span that holds a moment."""
        return next(s for s in self.spans if s[0] <= moment_us < s[1])

    def patience_at(self, moment_us: int) -> timedelta:
        """The shortest by what was installed then."""
        us = patience_at(self.patiences, moment_us)
        return self.patience if us == END else us * _MICROSECOND

    @property
    def shortest_us(self) -> int:
        """The shortest patience that it ever had."""
        return min(us for _, us in self.patiences)

    @property
    def mixed_us(self) -> int:
        """The longest patience that is not its longest; 0 where all that it ever had are the same."""
        return max({us for _, us in self.patiences} - {max(us for _, us in self.patiences)}, default=0)


def watched_of(
    connection: Connection, rule: SilenceRule, sites: Iterable[int] = (), gateways: Iterable[str] = ()
) -> dict[Who, Watched]:
    """All meters and gateways of some gateways, and of those that some sites have."""
    asked = {"sites": sorted(sites), "gateways": sorted(gateways)}
    of_meter: dict[Who, list[Installed]] = defaultdict(list)
    of_gateway: dict[Who, list[Installed]] = defaultdict(list)
    for row in connection.execute(query("silence_installed"), asked).fetchall():
        i = Installed(*row)
        of_meter[i.gateway, i.meter].append(i)
        of_gateway[i.gateway, ""].append(i)
    return {
        who: _watched(who, installed, patience)
        for subjects, patience in ((of_meter, rule.meter), (of_gateway, rule.gateway))
        for who, installed in subjects.items()
    }


def _watched(who: Who, installed: list[Installed], patience: Callable[[float], timedelta]) -> Watched:
    interval_s = _interval(installed)
    by_interval: dict[int, list[Span]] = defaultdict(list)
    for i in installed:
        by_interval[i.interval_s].append(i.span)
    patiences = [
        (span, patience(s) // _MICROSECOND) for s, spans in by_interval.items() for span in union(spans)
    ]
    spans = union(i.span for i in installed)
    return Watched(who, interval_s, patience(interval_s), installed, spans, patiences)


def _interval(installed: Sequence[Installed]) -> int:
    """The smallest of those that are open, or else ended last, in s."""
    last = max(i.span[1] for i in installed)
    return min(i.interval_s for i in installed if i.span[1] == last)


def series_of(connection: Connection, meters: Iterable[str]) -> dict[str, dict[str, int]]:
    """The series of meters: meter -> register -> series_id."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for meter, register, series_id in connection.execute(
        query("silence_series"), {"meters": sorted(set(meters))}
    ).fetchall():
        found[meter][register] = series_id
    return found


def meters_of(watched: dict[Who, Watched]) -> dict[str, list[Watched]]:
    """The meters of each gateway."""
    found: dict[str, list[Watched]] = defaultdict(list)
    for (gateway, meter), w in watched.items():
        if meter:
            found[gateway].append(w)
    return found
