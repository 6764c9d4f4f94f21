"""What `bench derive` works on: databases of its own with the readings of a simulated city and the marks of them, and
processes that derive.

Readings are laid by COPY, which is not what is measured; what they become is derived by `Deriver` alone.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, replace
from multiprocessing.pool import AsyncResult, Pool
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from deploy.bench.rig import cpu_s
from deploy.clients import connect_database, database_url
from deploy.settings import Settings
from deploy.simulate_city import city_registry
from deploy.stack.steps import Step
from simulators.city import City
from simulators.city_load import block_values
from storage.city import CitySeries, analyze_city, begin_city, read_series
from storage.copying import copy_in
from storage.derivation import Deriver, DeriveResult

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Connection = psycopg.Connection[tuple[Any, ...]]

#: Connections that readings are laid by at the same time.
_LAYING = 2


@dataclass(frozen=True, slots=True)
class Store:
    """A database of the benchmark's own, with the registry of a city."""

    settings: Settings
    database: str
    series: CitySeries

    @property
    def url(self) -> str:
        """Of the database, for a worker."""
        return database_url(self.settings, "worker", self.database)

    def connect(self, autocommit: bool = True) -> Connection:
        """A connection as the pipeline."""
        return connect_database(self.settings, "pipeline", autocommit=autocommit, database=self.database)

    def row(self, query: str) -> tuple[Any, ...]:
        """The one row that a query yields."""
        with self.connect() as connection:
            found = connection.execute(query).fetchone()
        assert found is not None
        return found

    def settle(self) -> None:
        """Let the planner know what has come, and have written what was laid, so that it is not paid for later."""
        with connect_database(self.settings, "owner", database=self.database) as owner:
            analyze_city(owner)
        with connect_database(
            self.settings, "superuser", autocommit=True, database=self.database
        ) as superuser:
            superuser.execute("checkpoint")


def register_city(settings: Settings, database: str, city: City) -> Store:
    """Write the registry of a city, without quotas, into an empty database."""
    registry = replace(city_registry(city), quotas=[])
    with connect_database(settings, "pipeline", database=database) as connection:
        begin_city(connection, registry)
        return Store(settings, database, read_series(connection, registry))


def lay(store: Store, city: City, series_id: Ints, step: Step, held: Bools | None = None) -> Floats:
    """Put a city's readings in, except those of `held`, whose values are returned in its order.

    series_id: shape (sites, points); held: shape (sites, points, times).
    """
    found: list[Floats] = [np.zeros(0)] * city.blocks
    done: list[int] = []

    def lay_some(first: int) -> None:
        with store.connect() as connection, connection.cursor() as cursor:
            for block in range(first, city.blocks, _LAYING):
                found[block] = _lay_block(cursor, city, block, series_id, held)
                done.append(block)
                step.advance(len(done), city.blocks)

    with ThreadPoolExecutor(_LAYING) as threads:
        list(threads.map(lay_some, range(_LAYING)))
    return np.concatenate(found)


def _lay_block(
    cursor: psycopg.Cursor[Any], city: City, block: int, series_id: Ints, held: Bools | None
) -> Floats:
    sites = city.sites_of(block)
    values = block_values(city, block)
    kept = np.ones(values.shape, np.bool_) if held is None else ~held[sites]
    series = np.broadcast_to(series_id[sites][:, :, np.newaxis], values.shape)[kept]
    put_readings(cursor, series, np.broadcast_to(city.ts_us, values.shape)[kept], values[kept])
    return values[~kept]


def put_readings(cursor: psycopg.Cursor[Any], series_id: Ints, ts_us: Ints, value: Floats) -> None:
    """COPY readings in, received when they were read."""
    copy_in(
        cursor,
        "nengliu.reading",
        {
            "series_id": ("int4", series_id),
            "ts": ("timestamptz", ts_us),
            "value": ("float8", value),
            "received_at": ("timestamptz", ts_us),
        },
    )


def mark(
    cursor: psycopg.Cursor[Any], site_id: Ints, series_id: Ints, from_us: int | Ints, to_us: int | Ints
) -> None:
    """Mark readings of each series as changed, as the writer does for a run of them."""
    copy_in(
        cursor,
        "nengliu.change",
        {
            "site_id": ("int4", site_id.ravel()),
            "series_id": ("int4", series_id.ravel()),
            "from_ts": ("timestamptz", np.broadcast_to(np.asarray(from_us), series_id.size)),
            "to_ts": ("timestamptz", np.broadcast_to(np.asarray(to_us), series_id.size)),
        },
    )


# ---------------------------------------------------------------- processes that derive


@dataclass(frozen=True, slots=True)
class Run:
    """What processes did: seconds until the last was done, processor seconds of them and of their sessions in the
    database, and what each returned.
    """

    seconds: float
    cpu_s: float
    results: list[Any]


class Workers:
    """Processes with a deriver each, connected and ready."""

    def __init__(self, pools: Sequence[Pool]) -> None:
        self.pools = pools

    def derive(self, watch: Callable[[], object] = lambda: None) -> Run:
        """Derive until nothing waits; a DeriveResult each. watch: called meanwhile."""
        return self.run(_derive_all, [()] * len(self.pools), watch)

    def run(
        self,
        work: Callable[..., Any],
        arguments: Sequence[tuple[Any, ...]],
        watch: Callable[[], object] = lambda: None,
    ) -> Run:
        """`work` in each process, where `session()` is a connection."""
        began = time.perf_counter()
        waiting: list[AsyncResult[Any]] = [
            pool.apply_async(_measured, (work, given))
            for pool, given in zip(self.pools, arguments, strict=True)
        ]
        for result in waiting:
            while not result.ready():
                result.wait(2)
                watch()
        seconds = time.perf_counter() - began
        each = [result.get() for result in waiting]
        return Run(seconds, sum(cpu for cpu, _ in each), [done for _, done in each])


@contextmanager
def workers(store: Store, count: int) -> Iterator[Workers]:
    """That many processes; nothing may wait to be derived yet."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools = [stack.enter_context(context.Pool(1, _begin, (store.url,))) for _ in range(count)]
        ready = Workers(pools)
        ready.derive()
        yield ready


class Sessions:
    """Connections to a database of this machine, which stay open so that what they cost is known."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._opened: list[psycopg.Connection[Any]] = []

    def open(self) -> psycopg.Connection[Any]:
        """A new one."""
        self._opened.append(psycopg.connect(self._url))
        return self._opened[-1]

    def last(self) -> psycopg.Connection[Any]:
        """The newest."""
        return self._opened[-1]

    def cpu_s(self) -> float:
        """Processor seconds of this process, and of the database's at the other end of the connections."""
        pids = [c.info.backend_pid for c in self._opened if not c.closed]
        return time.process_time() + sum(cpu_s(pid) for pid in pids)


_sessions: Sessions
_deriver: Deriver


def _begin(url: str) -> None:
    global _sessions, _deriver
    _sessions = Sessions(url)
    _deriver = Deriver(_sessions.open)


def session() -> psycopg.Connection[Any]:
    """In a process of `Workers`: a connection."""
    return _sessions.last()


def _measured(work: Callable[..., Any], given: tuple[Any, ...]) -> tuple[float, Any]:
    """The processor seconds that `work` took here and in the database, and what it returned."""
    before = _sessions.cpu_s()
    done = work(*given)
    return _sessions.cpu_s() - before, done


def _derive_all() -> DeriveResult:
    total = DeriveResult()
    while True:
        try:
            done = _deriver.run_once()
        except (
            psycopg.errors.DeadlockDetected
        ):  # one of two that were in each other's way tries again, as workers do
            continue
        if not done.sites:
            return total
        total = DeriveResult(*(a + b for a, b in zip(astuple(total), astuple(done), strict=True)))
