"""What changes touch: from changed readings and registry rows to the hours of points that may come out
differently.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import psycopg

from metering.items import unit_factor
from metering.readings import InstalledRegister
from metering.registers import Role, register_table
from metering.rules import RuleBook
from metering.spans import END, HOUR_US, START, Span, union
from storage.rules import load_rules
from storage.slices import NEAR_US, Slices, last_readings, readings_after
from storage.sql import query

#: Changes of a register closer together than this are looked at as one.
JOIN_US = 24 * HOUR_US


@dataclass(frozen=True, slots=True)
class Change:
    """A row of nengliu.change: readings of a series, or a point of the registry; from and to included."""

    site_id: int
    series_id: int | None
    point_id: int | None
    from_us: int
    to_us: int


@dataclass(frozen=True, slots=True)
class PlacedRegister:
    """An installed register with where it is; series_id None: never read. obis: the register's code."""

    point_id: int
    site_id: int
    series_id: int | None
    register: InstalledRegister
    meter: str
    obis: str
    gateway: str


@dataclass(slots=True)
class Touched:
    """What is to be derived again.

    points: normal lists of whole hours. sites: the same, of changes of their registry. elsewhere:
    changes of points of sites that are not claimed. last: register -> no reading of it comes after this
    moment.
    """

    points: dict[int, list[Span]] = field(default_factory=dict)
    sites: dict[int, list[Span]] = field(default_factory=dict)
    elsewhere: list[Change] = field(default_factory=list)
    last: dict[int, int] = field(default_factory=dict)


def load_registers(
    cursor: psycopg.Cursor[Any], sites: Sequence[int], series: Sequence[int]
) -> list[PlacedRegister]:
    """The installed registers that energy is taken from, of the sites, and of the series wherever they
    are.
    """
    rules = load_rules(cursor)
    cursor.execute(query("derive_registers"), {"sites": list(sites), "series": list(series)})
    return [
        _placed(row, rules) for row in cursor if register_table()[row[6]].role in (Role.TOTAL, Role.TARIFF)
    ]


def _placed(row: tuple[Any, ...], rules: RuleBook) -> PlacedRegister:
    (_, point_id, site_id, item, rated, series_id, register, unit, digits, decimals, ratio, interval_s) = row[
        :12
    ]
    installed_us, removed_us, start_value, end_value, meter, gateway, model, point_code = row[12:]
    return PlacedRegister(
        point_id,
        site_id,
        series_id,
        InstalledRegister(
            role=register_table()[register].role,
            factor=unit_factor(unit, item) * ratio,
            digits=digits,
            decimals=decimals,
            interval_s=interval_s,
            installed_us=installed_us,
            removed_us=removed_us,
            start_value=start_value,
            end_value=end_value,
            rated_per_hour=rated,
            rules=rules.of(item, model, point_code),
        ),
        meter,
        register,
        gateway,
    )


def whole_hours(from_us: int, to_us: int) -> Span:
    """The whole hours, at least one, around from_us and to_us, both included unless on the hour at the
    end.
    """
    begin = START if from_us == START else from_us // HOUR_US * HOUR_US
    end = END if to_us == END else -(-to_us // HOUR_US) * HOUR_US
    return begin, max(end, begin + HOUR_US)


@dataclass(frozen=True, slots=True)
class Places:
    """Where things are: installed registers, the site of each point that a change names, the sites
    claimed.
    """

    registers: Sequence[PlacedRegister]
    site_of: dict[int, int]
    claimed: set[int]
    by_series: dict[int, list[int]]
    by_point: dict[int, list[int]]

    @classmethod
    def of(cls, registers: Sequence[PlacedRegister], points: dict[int, int], claimed: set[int]) -> Places:
        """With `points`: the site of points that may have no register."""
        by_series: dict[int, list[int]] = defaultdict(list)
        by_point: dict[int, list[int]] = defaultdict(list)
        for ix, placed in enumerate(registers):
            by_point[placed.point_id].append(ix)
            if placed.series_id is not None:
                by_series[placed.series_id].append(ix)
        return cls(
            registers, points | {r.point_id: r.site_id for r in registers}, claimed, by_series, by_point
        )


def touched_hours(cursor: psycopg.Cursor[Any], changes: Sequence[Change], places: Places) -> Touched:
    """The hours that the changes of claimed sites may have touched, of points and of sites.

    A change of a reading touches the steps to its neighbours; what else hangs on it, dependencies tell
    (storage/hanging.py).
    """
    touched = Touched()
    spans: dict[int, list[Span]] = defaultdict(list)
    points: dict[int, list[Span]] = defaultdict(list)
    sites: dict[int, list[Span]] = defaultdict(list)
    for change in changes:
        if change.point_id is None:
            _spread_series(change, places, spans, touched)
        else:
            sites[change.site_id].append(whole_hours(change.from_us, change.to_us))
            _spread_point(change, change.point_id, places, spans, points, touched)
    for ix, span in _around(cursor, places.registers, spans, touched):
        points[places.registers[ix].point_id].append(whole_hours(*span))
    touched.points = {point: union(found) for point, found in points.items()}
    touched.sites = {site: union(found) for site, found in sites.items()}
    return touched


def _spread_series(change: Change, places: Places, spans: dict[int, list[Span]], touched: Touched) -> None:
    """Book changed readings with the registers that they belong to; elsewhere, if that site is not
    claimed.
    """
    for ix in places.by_series.get(change.series_id or 0, ()):
        placed = places.registers[ix]
        r = placed.register
        if r.installed_us > change.to_us or r.until_us <= change.from_us:
            continue
        span = max(change.from_us, r.installed_us), min(change.to_us, r.until_us)
        if placed.site_id in places.claimed:
            spans[ix].append(span)
        else:
            touched.elsewhere.append(Change(placed.site_id, None, placed.point_id, *span))


def _spread_point(
    change: Change,
    point: int,
    places: Places,
    spans: dict[int, list[Span]],
    points: dict[int, list[Span]],
    touched: Touched,
) -> None:
    """Book a change of a point with all its registers; elsewhere, if it belongs to another site by now."""
    home = places.site_of.get(point)
    if home is None:
        return
    if home not in places.claimed:
        touched.elsewhere.append(Change(home, None, point, change.from_us, change.to_us))
        return
    points[point].append(whole_hours(change.from_us, change.to_us))
    for ix in places.by_point.get(point, ()):
        r = places.registers[ix].register
        if r.installed_us <= change.to_us and r.until_us >= change.from_us:
            spans[ix].append((max(change.from_us, r.installed_us), min(change.to_us, r.until_us)))


def _around(
    cursor: psycopg.Cursor[Any],
    registers: Sequence[PlacedRegister],
    spans: dict[int, list[Span]],
    touched: Touched,
) -> Iterable[tuple[int, Span]]:
    """Each register's changed spans, out to the readings, or ends of the installation, that steps reach
    to.
    """
    rows = [(ix, *span) for ix, found in spans.items() for span in _joined(found)]
    read = [row for row in rows if registers[row[0]].series_id is not None]
    before, after = _neighbours(cursor, registers, read)
    for n, (ix, begin, end) in enumerate(read):
        r = registers[ix].register
        earlier = before.get(n)
        if earlier is None:
            earlier = r.installed_us if r.start_value is not None else begin
        yield ix, (min(earlier, begin), _reach(ix, r, after.get(n), end, touched))
    for ix, begin, end in rows:
        if registers[ix].series_id is None:
            yield ix, (min(begin, registers[ix].register.installed_us), end)


def _joined(spans: list[Span]) -> list[Span]:
    """Spans joined where little lies between them."""
    return [(a, b - JOIN_US) for a, b in union((a, b + JOIN_US) for a, b in spans)]


def _neighbours(
    cursor: psycopg.Cursor[Any], registers: Sequence[PlacedRegister], rows: list[tuple[int, int, int]]
) -> tuple[dict[int, int], dict[int, int]]:
    """By index of the row: when the readings before its span, and after it, are."""
    if not rows:
        return {}, {}
    series = np.array([registers[ix].series_id for ix, _, _ in rows], dtype=np.int64)
    installed = np.array([registers[ix].register.installed_us for ix, _, _ in rows], dtype=np.int64)
    until = np.array([registers[ix].register.until_us for ix, _, _ in rows], dtype=np.int64)
    near = np.array([4e6 * registers[ix].register.interval_s for ix, _, _ in rows]).astype(np.int64) + NEAR_US
    begin = np.array([b for _, b, _ in rows], dtype=np.int64)
    end = np.array([e for _, _, e in rows], dtype=np.int64)
    found = last_readings(cursor, Slices(series, installed, begin - 1), near, 1)
    later = readings_after(cursor, Slices(series, end + 1, until - 1), 1)
    return (
        dict(zip(found.slice_ix.tolist(), found.ts_us.tolist(), strict=True)),
        dict(zip(later.slice_ix.tolist(), later.ts_us.tolist(), strict=True)),
    )


def _reach(ix: int, register: InstalledRegister, later: int | None, end: int, touched: Touched) -> int:
    """How far the step reaches that begins at `end`, where `later` is the next reading."""
    if later is not None:
        return later
    touched.last[ix] = max(end, touched.last.get(ix, end))
    return end if register.removed_us is None else max(end, register.removed_us)
