"""Wires `simulate city`: buildings and readings from simulators/, the bulk loader of storage/, two connections."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from threading import Event
from typing import Any
from zoneinfo import ZoneInfo

from deploy.clients import connect_database
from deploy.interrupt import on_interrupt
from deploy.rate_bar import RateBar
from deploy.settings import Settings
from deploy.stack.steps import Steps
from metering.errors import SettingError
from metering.meters import Quota, Site
from simulators.city import DECIMALS, DIGITS, City, CityOptions
from simulators.city_load import block_values, rated_per_hour
from storage.city import (
    BlockTimes,
    CityLoader,
    CityPoint,
    CityRegistry,
    CitySeries,
    analyze_city,
    begin_city,
    city_state,
    finish_city,
    nothing_assessed,
    read_series,
)

#: Blocks that are put in at the same time: a core each for what the database does with them.
_CONNECTIONS = 2
_HOUR_S = 3600


@dataclass(slots=True)
class _Filling:
    """What has been put in so far. seconds: of each part, summed over the connections."""

    done: int
    already: int
    seconds: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("copy", "energy", "rollup"), 0.0)
    )

    def add(self, readings: int, times: BlockTimes) -> None:
        self.done += readings
        self.seconds["copy"] += times.copy_s
        self.seconds["energy"] += times.energy_s
        self.seconds["rollup"] += times.rollup_s


def city_options(
    settings: Settings, sites: int, points: int, days: int, start: str | None, seed: int, interval_s: int
) -> CityOptions:
    """The options as they were given; without a start that of the city that is there, else so that yesterday is
    the last day. Raises SettingError.
    """
    if interval_s < 60 or _HOUR_S % interval_s:
        raise SettingError(
            f"--interval {interval_s}: want seconds of which an hour is a multiple, 60 or more"
        )
    today = datetime.now(ZoneInfo(settings.timezone)).date()
    begin = _given(start) or _begun(settings) or today - timedelta(days=days)
    if begin.year < 2000 or begin + timedelta(days=days) > today:
        raise SettingError(f"--start {begin} and --days {days}: want days from 2000 on that are over by now")
    return CityOptions(begin, days, sites, points, seed, interval_s, settings.timezone)


def _given(start: str | None) -> date | None:
    try:
        return date.fromisoformat(start) if start else None
    except ValueError as e:
        raise SettingError(f"--start {start!r}: want a day like 2014-03-01") from e


def _begun(settings: Settings) -> date | None:
    with connect_database(settings, "pipeline") as connection:
        state = city_state(connection)
    return date.fromisoformat(state.parameters["start"]) if state else None


def run_city(settings: Settings, options: CityOptions, steps: Steps, stop: Event) -> dict[str, Any]:
    """Fill the database, or go on filling it; the report. Ends early, after the blocks that are on their way, where
    `stop` is set or Ctrl-C is pressed. Raises NotEmptyError, DependencyAwayError.
    """
    began = time.monotonic()
    city = City(options)
    registry = city_registry(city)
    with connect_database(settings, "pipeline") as connection, _unassessed(settings):
        with steps.step("台账", "The registry", long=True) as step:
            there = begin_city(connection, registry)
            series = read_series(connection, registry)
            step.note(f"{options.sites:,} × {options.points}")
        written = time.monotonic()
        filling = _fill(settings, _Work(city, registry, series), there, steps, stop)
        filled = time.monotonic()
        complete = filling.done == city.readings
        if complete:
            finish_city(connection, city.ts_us, options.points, city.calendar)
        # Also of a part, before an assessor may look at it.
        with steps.step("统计信息", "Analyze"), connect_database(settings, "owner") as owner:
            analyze_city(owner)
    return _report(city, filling, complete, [began, written, filled, time.monotonic()])


@contextmanager
def _unassessed(settings: Settings) -> Iterator[None]:
    """A worker that runs waits with its assessments: of half a city without statistics they take very long."""
    with connect_database(settings, "pipeline") as connection, nothing_assessed(connection):
        yield


def city_registry(city: City) -> CityRegistry:
    """What the loader writes of a city: its buildings, points and meters, and a quota of each."""
    options = city.options
    points = [CityPoint(p.number, p.item_code, p.parent, p.name, p.register, p.unit) for p in city.patterns]
    return CityRegistry(
        parameters={**asdict(options), "start": options.start.isoformat()},
        sites=[Site(**asdict(site)) for site in city.sites],
        points=points,
        quotas=list(_quotas(city)),
        rated_per_hour=rated_per_hour(city),
        start_values=city.start_ticks / 10**DECIMALS,
        installed_us=int(city.day_start_us[0]),
        interval_s=options.interval_s,
        digits=DIGITS,
        decimals=DECIMALS,
    )


def _quotas(city: City) -> Iterator[Quota]:
    """A limit of electricity for every building and year that there are days of: for what is left of the year, from
    the first day on, so that some buildings will be over it.
    """
    last = city.options.start + timedelta(days=city.options.days - 1)
    for year in range(city.options.start.year, last.year + 1):
        first = max(city.options.start, date(year, 1, 1))
        part = ((date(year, 12, 31) - first).days + 1) / 365
        for site, whole in zip(city.sites, city.limit_kwh.tolist(), strict=True):
            limit = round(whole * part)
            yield Quota(site.site_code, "01", year, limit, "manual", (), None, "simulated", date(year, 1, 1))


@dataclass(frozen=True, slots=True)
class _Work:
    """What a block is made and put in with."""

    city: City
    registry: CityRegistry
    series: CitySeries

    def loaded(self, loader: CityLoader, block: int) -> tuple[int, BlockTimes]:
        """Make a block and put it in: (readings, seconds)."""
        values = block_values(self.city, block)
        return values.size, loader.load(block, self.city.sites_of(block), self.city.ts_us, values)


def _fill(settings: Settings, work: _Work, there: set[int], steps: Steps, stop: Event) -> _Filling:
    """Put in the blocks that are not there, several at a time."""
    city = work.city
    already = sum(_readings(city, block) for block in there)
    filling = _Filling(already, already)
    waiting = iter(sorted(set(range(city.blocks)) - there))
    connections = [connect_database(settings, "pipeline") for _ in range(_CONNECTIONS)]
    try:
        loaders = [CityLoader(c, work.registry, work.series, city.calendar) for c in connections]
        with (
            on_interrupt(stop.set),
            ThreadPoolExecutor(_CONNECTIONS) as pool,
            RateBar(steps, "读数与能耗", "Readings and energy", 20.0) as bar,
        ):
            _run(
                pool,
                loaders,
                work.loaded,
                waiting,
                stop,
                lambda: bar.draw(filling.done, city.readings),
                filling,
            )
    finally:
        for connection in connections:
            connection.close()
    return filling


def _readings(city: City, block: int) -> int:
    return city.site_count(block) * city.options.points * len(city.ts_us)


Loaded = tuple[int, BlockTimes]


def _run(
    pool: ThreadPoolExecutor,
    loaders: list[CityLoader],
    load: Callable[[CityLoader, int], Loaded],
    waiting: Iterator[int],
    stop: Event,
    draw: Callable[[], None],
    filling: _Filling,
) -> None:
    """Every loader has one block at a time; `stop` only keeps further ones from being begun."""
    running: dict[Future[Loaded], CityLoader] = {}
    free = list(loaders)
    while True:
        while free and not stop.is_set() and (block := next(waiting, None)) is not None:
            loader = free.pop()
            running[pool.submit(load, loader, block)] = loader
        if not running:
            return
        finished, _ = wait(running, 0.2, FIRST_COMPLETED)
        for future in finished:
            free.append(running.pop(future))
            filling.add(*future.result())
        draw()


def _report(city: City, filling: _Filling, complete: bool, marks: list[float]) -> dict[str, Any]:
    registry_s, fill_s, finish_s = (round(b - a, 2) for a, b in pairwise(marks))
    put = filling.done - filling.already
    options = city.options
    return {
        **asdict(options),
        "start": options.start.isoformat(),
        "complete": complete,
        "readings": filling.done,
        "readings_in_all": city.readings,
        "readings_before": filling.already,
        "connections": _CONNECTIONS,
        "seconds": round(marks[-1] - marks[0], 2),
        "registry_s": registry_s,
        "fill_s": fill_s,
        "finish_s": finish_s,
        "readings_per_s": round(put / fill_s) if fill_s else 0,
        # Of one connection while the others were at work too: what its COPY of the readings took, and the rest.
        "connection_seconds": {name: round(s, 2) for name, s in filling.seconds.items()},
        "copy_readings_per_s": round(put / filling.seconds["copy"]) if put else None,
    }
