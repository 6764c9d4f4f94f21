"""A thousand points: one late reading in a year of them, a further day with little and with much stored, and the memory
of a worker with years of them and a city's day to derive at once.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import timedelta
from threading import Event
from typing import Any

import numpy as np

from deploy.bench.derive_store import (
    Bools,
    Floats,
    Ints,
    Sessions,
    Store,
    lay,
    mark,
    put_readings,
    register_city,
    workers,
)
from deploy.bench.rig import Service, bench_database, bench_rig, check_alive
from deploy.clients import connect_database
from deploy.rate_bar import RateBar
from deploy.settings import Settings
from deploy.sql import query
from deploy.stack.steps import Steps
from simulators.city import City, CityOptions
from storage.derivation import Deriver

#: Around a late reading, what is derived once more to see that nothing differs: two weeks each way.
_AROUND_US = 14 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class Filled:
    """A store in which everything is derived but some readings, which were held back."""

    store: Store
    city: City
    held: tuple[Ints, Ints, Ints]
    values: Floats

    def ids(self, chosen: Ints | slice) -> tuple[Ints, Ints]:
        """Site and series of held readings."""
        ids, at = self.store.series, (self.held[0][chosen], self.held[1][chosen])
        return ids.site_id[at], ids.series_id[at]

    def bring(self, chosen: Ints) -> None:
        """Put held readings in and mark them, in one transaction, a mark a series."""
        sites, series = self.ids(chosen)
        ts = self.city.ts_us[self.held[2][chosen]]
        one, first = np.unique(series, return_index=True)
        with self.store.connect(autocommit=False) as connection, connection.cursor() as cursor:
            put_readings(cursor, series, ts, self.values[chosen])
            mark(cursor, sites[first], one, int(ts.min()), int(ts.max()))


def fill(settings: Settings, database: str, city: City, held: Bools, processes: int, steps: Steps) -> Filled:
    """Lay a city without what is held back, and derive it."""
    days = f"{city.options.days:,} × {city.options.sites * city.options.points:,}"
    with steps.step(f"{days} 天×点", f"{days} days x points laid", long=True) as step:
        store = register_city(settings, database, city)
        values = lay(store, city, store.series.series_id, step, held)
        store.settle()
    ids = store.series
    with (
        workers(store, processes) as ready,
        steps.step(f"推导 {days}", f"{days} derived", long=True),
    ):
        last = int(city.ts_us[-1])
        with store.connect(autocommit=False) as connection, connection.cursor() as cursor:
            mark(cursor, ids.site_id, ids.series_id, int(city.ts_us[0]), last)
        ready.derive()
        store.settle()
    site, point, at = np.nonzero(held)
    return Filled(store, city, (site, point, at), values)


class _Watched:
    """A deriver in this process, whose session tells its figures when it is asked to. cpu_s: of all that was timed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sessions = Sessions(store.url)
        self.cpu_s = 0.0
        self.deriver = Deriver(self._sessions.open)
        self.deriver.run_all()

    def timed(self) -> float:
        """Seconds to derive until nothing waits."""
        before, began = self._sessions.cpu_s(), time.perf_counter()
        self.deriver.run_all()
        seconds = time.perf_counter() - began
        self.cpu_s += self._sessions.cpu_s() - before
        return seconds

    def written(self) -> dict[str, tuple[int, int, int]]:
        """Rows inserted, updated and deleted so far, by table."""
        self._sessions.last().execute("select pg_stat_force_next_flush()")
        self._sessions.last().commit()
        with connect_database(
            self._store.settings, "superuser", autocommit=True, database=self._store.database
        ) as connection:
            rows = connection.execute(query("bench_derive_written")).fetchall()
        return {name: (int(i), int(u), int(d)) for name, i, u, d in rows}


# ---------------------------------------------------------------- one late reading


def measure_late(
    settings: Settings, database: str, options: CityOptions, tries: int, processes: int, steps: Steps
) -> dict[str, Any]:
    """One reading after the other comes late, each somewhere in the time that is stored; the figures."""
    city = City(options)
    with bench_database(settings, database):
        filled = fill(settings, database, city, _scattered(city, tries), processes, steps)
        watched = _Watched(filled.store)
        seconds, written = [], []
        with steps.step(f"{tries} 个迟到的读数", f"{tries} late readings", long=True):
            for n in np.random.default_rng(1).permutation(tries).tolist():
                before = watched.written()
                filled.bring(np.array([n]))
                seconds.append(watched.timed())
                written.append(_difference(before, watched.written()))
        wrong = _derived_differently(filled, watched.deriver)
        watched.deriver.close()
    return {
        "points": options.sites * options.points,
        "days": options.days,
        "interval_s": options.interval_s,
        "readings": city.readings,
        "tries": tries,
        "median_ms": _ms(statistics.median(seconds)),
        "p95_ms": _ms(float(np.quantile(seconds, 0.95))),
        "max_ms": _ms(max(seconds)),
        "mean_cpu_ms": _ms(watched.cpu_s / tries),
        "rows_written": _typical(written),
        "wrong": wrong,
    }


def _scattered(city: City, count: int) -> Bools:
    """Readings here and there, none of them the first or the last of its meter."""
    shape = city.options.sites, city.options.points, len(city.ts_us)
    held = np.zeros(shape, np.bool_)
    draw = np.random.default_rng(2)
    point = draw.choice(shape[0] * shape[1], count, replace=count > shape[0] * shape[1])
    at = 1 + (draw.permutation(count) * (shape[2] - 2)) // count
    held[point // shape[1], point % shape[1], at] = True
    return held


def _difference(
    before: dict[str, tuple[int, int, int]], after: dict[str, tuple[int, int, int]]
) -> dict[str, list[int]]:
    """What was inserted, updated and deleted between two looks, where anything was."""
    moved = {
        name: [b - a for a, b in zip(before.get(name, (0, 0, 0)), now, strict=True)]
        for name, now in after.items()
    }
    return {name: counts for name, counts in moved.items() if any(counts)}


def _typical(written: Sequence[dict[str, list[int]]]) -> dict[str, dict[str, float]]:
    """By table the median over the tries of rows inserted, updated and deleted, and the most that were written."""
    tables = sorted({name for one in written for name in one})
    found = {}
    for name in tables:
        counts = np.array([one.get(name, [0, 0, 0]) for one in written])
        inserted, updated, deleted = np.median(counts, axis=0).tolist()
        found[name] = {
            "inserted": inserted,
            "updated": updated,
            "deleted": deleted,
            "most": int(counts.sum(axis=1).max()),
        }
    return found


def _derived_differently(filled: Filled, deriver: Deriver) -> int:
    """Hours that come out differently when the weeks around the late readings are derived again."""
    sites, series = filled.ids(slice(None))
    ts = filled.city.ts_us[filled.held[2]]
    with filled.store.connect(autocommit=False) as connection, connection.cursor() as cursor:
        mark(cursor, sites, series, ts - _AROUND_US, ts + _AROUND_US)
    return deriver.run_all().hours


def _ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


# ---------------------------------------------------------------- a further day


def measure_stored(
    settings: Settings,
    database: str,
    options: CityOptions,
    days: tuple[int, int],
    rounds: int,
    processes: int,
    steps: Steps,
) -> dict[str, Any]:
    """Derive one day more after the other, in turns where few and where many days are stored; the figures.

    options: the points, and the first of the days that come; days: how many are stored before it.
    """
    with ExitStack() as stack:
        filled, watched = [], []
        for stored in days:
            name = stack.enter_context(bench_database(settings, f"{database}_{stored}"))
            start = options.start - timedelta(days=stored)
            city = City(replace(options, start=start, days=stored + rounds))
            filled.append(fill(settings, name, city, _last_days(city, rounds), processes, steps))
            watched.append(_Watched(filled[-1].store))
        seconds: list[list[float]] = [[] for _ in days]
        with steps.step(f"{rounds} 天, 轮流", f"{rounds} further days, in turns", long=True):
            for left in range(rounds, 0, -1):
                for which, one in enumerate(filled):
                    one.bring(_of_day(one, left))
                    seconds[which].append(watched[which].timed())
        hours = [one.store.row("select count(*) from nengliu.point_hour")[0] for one in filled]
        for each in watched:
            each.deriver.close()
    points = options.sites * options.points
    few, many = (statistics.median(s) for s in seconds)
    return {
        "points": points,
        "interval_s": options.interval_s,
        "days_stored": list(days),
        "rounds": rounds,
        "ms": [_ms(few), _ms(many)],
        "mean_cpu_ms": [_ms(each.cpu_s / rounds) for each in watched],
        "rounds_ms": [[_ms(s) for s in one] for one in seconds],
        "ratio": round(many / few, 3),
        "wrong": sum(abs(points * 24 * (d + rounds) - h) for d, h in zip(days, hours, strict=True)),
    }


def _last_days(city: City, count: int) -> Bools:
    shape = city.options.sites, city.options.points, len(city.ts_us)
    return np.broadcast_to(city.ts_us > city.day_start_us[-1 - count], shape)


def _of_day(filled: Filled, left: int) -> Ints:
    """Which of the held readings are of the `left`-th day from the end."""
    ts, days = filled.city.ts_us[filled.held[2]], filled.city.day_start_us
    return np.flatnonzero((ts > days[-1 - left]) & (ts <= days[-left]))


# ---------------------------------------------------------------- memory


def measure_memory(
    settings: Settings, tag: str, old: CityOptions, day: CityOptions, steps: Steps
) -> dict[str, Any]:
    """The most memory of a real worker that finds a city's day, and years of some further points, waiting at once.

    day: the city; old: its first sites, whose readings begin years before.
    """
    years, city = City(old), City(replace(day, sites=day.sites - old.sites))
    with bench_rig(settings, tag, [], {}, None) as rig:
        store = register_city(
            settings, rig.database, City(replace(day, start=old.start, days=(day.start - old.start).days + 1))
        )
        with store.connect() as connection:  # meters that were installed years ago and are read from now on
            connection.execute("update nengliu.installation set start_value = null")
        ids = store.series
        parts = ((years, slice(old.sites)), (city, slice(old.sites, None)))
        with steps.step("积压", "The backlog", long=True) as step:
            for part, sites in parts:
                lay(store, part, ids.series_id[sites], step)
            store.settle()
        [worker] = rig.start("worker")
        with store.connect(autocommit=False) as connection, connection.cursor() as cursor:
            for part, sites in parts:
                mark(
                    cursor, ids.site_id[sites], ids.series_id[sites], int(part.ts_us[0]), int(part.ts_us[-1])
                )
        began = time.perf_counter()
        _await_derived(store, worker, ids.series_id.size, steps)
        seconds = time.perf_counter() - began
        worker.measure()
        hours = int(store.row("select count(*) from nengliu.point_hour")[0])
    return {
        "points": [p.options.sites * p.options.points for p, _ in parts],
        "days": [p.options.days for p, _ in parts],
        "interval_s": [p.options.interval_s for p, _ in parts],
        "readings": [p.readings for p, _ in parts],
        "hours": hours,
        "seconds": round(seconds, 1),
        "peak_rss_mb": worker.peak_rss_mb,
    }


def _await_derived(store: Store, worker: Service, marks: int, steps: Steps) -> None:
    pause = Event()
    with RateBar(steps, "推导的变化", "Changes derived", 20.0) as bar:
        while waiting := int(store.row("select count(*) from nengliu.change")[0]):
            check_alive(worker)
            bar.draw(marks - waiting, marks)
            pause.wait(1)
