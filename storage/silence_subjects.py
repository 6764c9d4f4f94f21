"""Who is to be heard: meters behind gateways, and gateways, as the registry has them at any time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
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
    """An installation; span: when; passed: whether nothing more comes of it."""

    gateway: str
    meter: str
    register: str
    span: Span
    interval_s: int
    point_id: int
    site_id: int
    passed: bool


@dataclass(frozen=True, slots=True)
class Watched:
    """A meter behind a gateway, or the gateway: its installations, when it is to be heard (spans), and how long it may
    be silent: patience by the interval that counts now, and patiences as installations came and went; a gateway's of
    several intervals are what it may at least and at most (metering/silent_steps.py).
    """

    who: Who
    interval_s: int
    patience: timedelta
    spans: list[Span]
    patiences: list[Patience]
    installed: list[Installed]

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
    for gateway, meter, register, installed_at, removed_at, *more in connection.execute(
        query("silence_installed"), asked
    ).fetchall():
        span = to_us(installed_at), END if removed_at is None else to_us(removed_at)
        i = Installed(gateway, meter, register, span, *more)
        of_meter[gateway, meter].append(i)
        of_gateway[gateway, ""].append(i)
    found: dict[Who, Watched] = {}
    for subjects, patience in ((of_meter, rule.meter), (of_gateway, rule.gateway)):
        terms: dict[tuple[tuple[Span, int], ...], _Terms] = {}
        for who, installed in subjects.items():
            key = tuple((i.span, i.interval_s) for i in installed)
            if key not in terms:  # most meters are installed alike
                terms[key] = _terms(key, patience)
            found[who] = Watched(who, *terms[key], installed=installed)
    return found


#: interval_s, patience, spans and patiences of something watched.
_Terms = tuple[int, timedelta, list[Span], list[Patience]]


def _terms(installed: Sequence[tuple[Span, int]], patience: Callable[[float], timedelta]) -> _Terms:
    """Of the spans and intervals of what is installed; the interval that counts now is the smallest of those that are
    open, or else ended last.
    """
    last = max(span[1] for span, _ in installed)
    interval_s = min(s for span, s in installed if span[1] == last)
    by_interval: dict[int, list[Span]] = defaultdict(list)
    for span, s in installed:
        by_interval[s].append(span)
    patiences = [
        (span, patience(s) // _MICROSECOND) for s, spans in by_interval.items() for span in union(spans)
    ]
    return interval_s, patience(interval_s), union(span for span, _ in installed), patiences


def series_of(connection: Connection, meters: Iterable[str]) -> dict[str, dict[str, int]]:
    """The series of meters: meter -> register -> series_id."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for meter, register, series_id in connection.execute(
        query("silence_series"), {"meters": sorted(set(meters))}
    ).fetchall():
        found[meter][register] = series_id
    return found
