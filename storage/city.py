"""The bulk loader: a simulated city straight into the database, registry first, then block by block of sites.

A block's readings, the energy derived from them and the note that it is there are one transaction, so that a load that
was broken off goes on where it stopped. The energy comes of the same functions as the worker's (metering/energy.py,
storage/rollup.py), only that the readings are in memory already; nothing is left for a worker to derive.
See docs/decisions/simulated-city.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.calendar import LocalCalendar
from metering.energy import HourEnergy, Windows, hourly_energy
from metering.errors import NengliuError
from metering.items import unit_factor
from metering.meters import Quota, Site
from metering.readings import InstalledRegister, RegisterReadings
from metering.registers import register_table
from metering.simulated import SIMULATED
from metering.spans import END, PlacedPoint, root_spans
from storage import locks
from storage.copying import copy_in
from storage.point_hours import Job, PointHours
from storage.registry import write_rows
from storage.rollup import SiteHours, insert_sites, make_work_tables, write_points
from storage.sql import query

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Connection = psycopg.Connection[Any]
Cursor = psycopg.Cursor[Any]

KIND = "city"
ACTOR = "simulate city"
#: The outbox that a city's part of the ledger names.
OUTBOX = "simulated"


class NotEmptyError(NengliuError):
    """The database holds something that is not this city."""


@dataclass(frozen=True, slots=True)
class CityPoint:
    """A point that every site has. number, parent: from 1, in order; parents come before children."""

    number: int
    item_code: str
    parent: int | None
    name: str
    register: str
    unit: str


@dataclass(frozen=True, slots=True)
class CityRegistry:
    """A registry of sites that all have the same points.

    rated_per_hour, start_values: shape (sites, points), in the meters' units; parameters: all that the city follows
    from; interval_s: between readings.
    """

    parameters: Mapping[str, Any]
    sites: Sequence[Site]
    points: Sequence[CityPoint]
    quotas: Sequence[Quota]
    rated_per_hour: Floats
    start_values: Floats
    installed_us: int
    interval_s: int
    digits: int
    decimals: int


@dataclass(frozen=True, slots=True)
class CitySeries:
    """The ids of a city's registers, points and sites, each of shape (sites, points)."""

    series_id: Ints
    point_id: Ints
    site_id: Ints


@dataclass(frozen=True, slots=True)
class BlockTimes:
    """Seconds that the parts of a block took."""

    copy_s: float
    energy_s: float
    rollup_s: float


@contextmanager
def nothing_assessed(connection: Connection) -> Iterator[None]:
    """In the block every assessor finds that another is at it (alerts/rolling.py); waits for one that is."""
    with connection.transaction():
        connection.execute("select from nengliu.assessment_cursor for update")
        yield


# ---------------------------------------------------------------- registry


def begin_city(connection: Connection, registry: CityRegistry) -> set[int]:
    """Write the registry, or find it there from a load that was broken off; the blocks that are there.

    Raises NotEmptyError where the database holds anything else.
    """
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(%s)", (locks.REGISTRY_IMPORT,))
        parameters = _known_parameters(cursor)
        if parameters is None:
            _require_empty(cursor)
            _write_registry(cursor, registry)
            return set()
        if parameters != dict(registry.parameters):
            raise NotEmptyError(
                f"the database holds another simulated city ({_told(parameters)}): give the same options to go on "
                "with it, or use a new database (`nengliu down --purge` and `nengliu up` for a local stack)"
            )
        cursor.execute("select block from nengliu.simulation_block where kind = %s", (KIND,))
        return {row[0] for row in cursor.fetchall()}


def _told(parameters: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _known_parameters(cursor: Cursor) -> dict[str, Any] | None:
    cursor.execute("select parameters from nengliu.simulation where kind = %s", (KIND,))
    row = cursor.fetchone()
    return row[0] if row else None


def _require_empty(cursor: Cursor) -> None:
    cursor.execute(query("city_others"))
    row = cursor.fetchone()
    if row is not None and row[0]:
        raise NotEmptyError(
            f"the database holds {', '.join(row[0])} that are not simulated: a city goes into an empty database only; "
            "use one of its own (another NENGLIU_STATE_DIR and `nengliu up`, or NENGLIU_DATABASE_URL)"
        )


def _write_registry(cursor: Cursor, registry: CityRegistry) -> None:
    write_rows(cursor, "site", registry.sites)
    cursor.execute(query("city_temp"))
    _fill_temp(cursor, registry)
    for level in sorted(set(_levels(registry.points).values())):
        cursor.execute(query("city_points"), {"level": level})
    cursor.execute(
        query("city_installations"),
        {
            "gateway": SIMULATED,
            "digits": registry.digits,
            "decimals": registry.decimals,
            "installed_us": registry.installed_us,
            "interval_s": registry.interval_s,
        },
    )
    roots = [(item, number) for item, numbers in _roots(registry).items() for number in numbers]
    cursor.execute(
        query("city_roots"),
        {
            "installed_us": registry.installed_us,
            "item_code": [item for item, _ in roots],
            "number": [number for _, number in roots],
        },
    )
    write_rows(cursor, "quota", registry.quotas)
    cursor.execute(
        "insert into nengliu.registry_version (actor, note) values (%s, %s) returning version",
        (ACTOR, f"simulated, its rows are not kept one by one: {_told(registry.parameters)}"),
    )
    row = cursor.fetchone()
    assert row is not None
    cursor.execute(
        "insert into nengliu.simulation (kind, parameters, version) values (%s, %s, %s)",
        (KIND, json.dumps(dict(registry.parameters)), row[0]),
    )
    cursor.execute("select pg_advisory_xact_lock(%s)", (locks.REGISTRY,))


def _roots(registry: CityRegistry) -> dict[str, list[int]]:
    """Which points count for which items of their site: item -> numbers of points."""
    placed = {
        str(p.number): PlacedPoint(
            p.item_code, None if p.parent is None else str(p.parent), [(registry.installed_us, END)]
        )
        for p in registry.points
    }
    roots: dict[str, list[int]] = {}
    for item, number in root_spans(placed):
        roots.setdefault(item, []).append(int(number))
    return roots


def _levels(points: Sequence[CityPoint]) -> dict[int, int]:
    levels: dict[int, int] = {}
    for p in points:
        levels[p.number] = 0 if p.parent is None else levels[p.parent] + 1
    return levels


def _fill_temp(cursor: Cursor, registry: CityRegistry) -> None:
    levels = _levels(registry.points)
    with cursor.copy("copy city_site from stdin") as copy:
        for n, site in enumerate(registry.sites):
            copy.write_row((n, site.site_code))
    with cursor.copy("copy city_point from stdin") as copy:
        for p in registry.points:
            copy.write_row((p.number, p.item_code, p.parent, p.name, levels[p.number], p.register, p.unit))
    sites, points = registry.rated_per_hour.shape
    copy_in(
        cursor,
        "city_register",
        {
            "site_n": ("int4", np.repeat(np.arange(sites), points)),
            "number": ("int4", np.tile(np.arange(1, points + 1), sites)),
            "rated_per_hour": ("float8", registry.rated_per_hour.ravel()),
            "start_value": ("float8", registry.start_values.ravel()),
        },
    )
    cursor.execute("analyze city_site, city_point, city_register")


def read_series(connection: Connection, registry: CityRegistry) -> CitySeries:
    """The ids that the registry was given."""
    shape = len(registry.sites), len(registry.points)
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(query("city_series"), {"registers": shape[0] * shape[1]})
        found = np.array(cursor.fetchall(), np.int64).T
    series, point, site = (ids.reshape(shape) for ids in found)
    return CitySeries(series, point, site)


def finish_city(connection: Connection, ts_us: Ints, points: int, calendar: LocalCalendar) -> None:
    """Write the books of a city whose blocks are all there, once: ledger and gateways. points: of each site."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(
            "update nengliu.simulation set filled_at = clock_timestamp() where kind = %s and filled_at is null",
            (KIND,),
        )
        if not cursor.rowcount:
            return
        day_ix, counts = np.unique(
            np.searchsorted(calendar.day_start_us, ts_us, "right") - 1, return_counts=True
        )
        cursor.execute(
            query("city_ledger"),
            {
                "last_us": int(ts_us[-1]),
                "outbox": OUTBOX,
                "days": [calendar.date_at(n) for n in day_ix.tolist()],
                "readings": (counts * points).tolist(),
            },
        )


def analyze_city(owner: Connection) -> None:
    """Let the planner know what has come; the connection is the database owner's."""
    with owner.transaction():
        owner.execute(query("city_analyze"))


@dataclass(frozen=True, slots=True)
class CityState:
    """A simulated city in the database. others: gateways that sent readings of their own into it."""

    parameters: dict[str, Any]
    filled: bool
    readings: int
    others: int


def city_state(connection: Connection) -> CityState | None:
    """The city that the database holds, None where it holds none."""
    with connection.transaction(), connection.cursor() as cursor:
        cursor.execute(query("city_state"), {"kind": KIND, "simulated": SIMULATED})
        row = cursor.fetchone()
    return CityState(*row) if row else None


# ---------------------------------------------------------------- readings and energy


class CityLoader:
    """Puts blocks of sites into the database through one connection."""

    def __init__(
        self, connection: Connection, registry: CityRegistry, series: CitySeries, calendar: LocalCalendar
    ) -> None:
        self._connection, self._registry = connection, registry
        self._series, self._calendar = series, calendar
        self._roots = _roots(registry)
        make_work_tables(connection)
        connection.prepare_threshold = None  # plans depend on the bounds of time

    def load(self, block: int, sites: slice, ts_us: Ints, values: Floats) -> BlockTimes:
        """Put the readings of some sites in, all of them, with their energy; values: shape (sites, points, times)."""
        began = time.perf_counter()
        with self._connection.transaction(), self._connection.cursor() as cursor:
            cursor.execute("set local work_mem = '64MB'")
            times = len(ts_us)
            series = np.repeat(self._series.series_id[sites].ravel(), times)
            ts = np.tile(ts_us, values.shape[0] * values.shape[1])
            copy_in(
                cursor,
                "nengliu.reading",
                {
                    "series_id": ("int4", series),
                    "ts": ("timestamptz", ts),
                    "value": ("float8", values.ravel()),
                    "received_at": ("timestamptz", ts),
                },
            )
            copied = time.perf_counter()
            derived = self._energy(sites, ts_us, values)
            energy = time.perf_counter()
            write_points(cursor, derived, self._calendar)
            window = derived.jobs[0].window
            site_ids = self._series.site_id[sites, 0].tolist()
            site_hours = list(self._site_hours(sites, derived.derived.hours))
            insert_sites(cursor, site_hours, {i: [window] for i in site_ids}, self._calendar)
            cursor.execute(
                "insert into nengliu.simulation_block (kind, block, readings) values (%s, %s, %s)",
                (KIND, block, values.size),
            )
        return BlockTimes(copied - began, energy - copied, time.perf_counter() - energy)

    def _energy(self, sites: slice, ts_us: Ints, values: Floats) -> PointHours:
        registers = self._registers(sites)
        times, count = len(ts_us), len(registers)
        every = np.ones(count, np.bool_)
        readings = RegisterReadings(
            np.repeat(np.arange(count), times), np.tile(ts_us, count), values.ravel(), every, every
        )
        window = self._registry.installed_us, int(ts_us[-1])
        windows = Windows(np.full(count, window[0]), np.full(count, window[1]))
        now_us = time.time_ns() // 1000
        derived = hourly_energy(registers, range(count), readings, windows, self._calendar, now_us)
        points = self._series.point_id[sites].ravel().tolist()
        jobs = [Job(p, window, (n,)) for n, p in enumerate(points)]
        return PointHours(jobs, (), np.arange(count), derived, values.size)

    def _site_hours(self, sites: slice, hours: HourEnergy) -> Iterator[SiteHours]:
        """Every site's hours, item by item: sums of the points that count, in order of their ids, as a worker's are.

        Every point has every hour, as it was read from the first to the last.
        """
        point_ids = self._series.point_id[sites]
        shape = *point_ids.shape, -1
        figures = [
            column.reshape(shape)
            for column in (hours.consumption, hours.estimated, hours.covered_s, hours.installed_s)
        ]
        hour_us = hours.hour_us.reshape(shape)[:, 0]
        site_id = np.repeat(self._series.site_id[sites, 0], hour_us.shape[1])
        for item, numbers in self._roots.items():
            # The points of a site were made level by level, alike at every site.
            in_order = sorted(numbers, key=lambda number: point_ids[0, number - 1])
            sums = [
                reduce(np.add, (column[:, number - 1] for number in in_order)).ravel() for column in figures
            ]
            yield SiteHours(item, site_id, hour_us.ravel(), *sums)

    def _registers(self, sites: slice) -> list[InstalledRegister]:
        registry = self._registry
        kinds = [
            (register_table()[p.register].role, unit_factor(p.unit, p.item_code)) for p in registry.points
        ]
        return [
            InstalledRegister(
                role=role,
                factor=factor,
                digits=registry.digits,
                decimals=registry.decimals,
                interval_s=registry.interval_s,
                installed_us=registry.installed_us,
                start_value=start,
                rated_per_hour=rated,
            )
            for starts, rates in zip(
                registry.start_values[sites].tolist(), registry.rated_per_hour[sites].tolist(), strict=True
            )
            for (role, factor), start, rated in zip(kinds, starts, rates, strict=True)
        ]
