"""A day of a city: readings to energy at every level by worker processes, against the same rows read and written by
processes that compute nothing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from deploy.bench.derive_store import Run, Store, Workers, lay, mark, register_city, session, workers
from deploy.bench.rig import BenchError, bench_database
from deploy.clients import connect_database
from deploy.rate_bar import RateBar
from deploy.settings import Settings
from deploy.sql import query
from deploy.stack.steps import Steps
from simulators.city import City

#: Sites of a transaction of the limit: as many as a batch of the derivation has at most.
_SITES = 500
#: Bytes that are handed to COPY at a time.
_PIECE = 1 << 20
_ENERGY = ("point_hour", "point_period", "point_day_open", "site_hour", "site_period", "site_day_open")
_OF_POINTS, _OF_SITES = _ENERGY[:3], _ENERGY[3:]


def measure_city_day(
    settings: Settings, database: str, city: City, processes: int, steps: Steps
) -> dict[str, Any]:
    """Derive a day that waits whole, then the limit; the figures. Raises BenchError, DependencyAwayError."""
    with bench_database(settings, database), tempfile.TemporaryDirectory(prefix="nengliu-bench-") as folder:
        store = _laid(settings, database, city, steps)
        with workers(store, processes) as ready:
            marks = _mark_all(store, city)
            with RateBar(steps, "推导的变化", "Changes derived", 20.0) as bar:
                derived = ready.derive(lambda: bar.draw(marks - _waiting(store), marks))
            rows = _rows(store)
            with steps.step("不计算的极限", "The limit, without computing", long=True):
                blocks = _blocks(store, ready, city, Path(folder))
                limit = _limit(store, ready, city, blocks, packed=False)
                packed = _limit(store, ready, city, blocks, packed=True)
        seconds = derived.seconds
        readings = sum(d.readings for d in derived.results)
        points, sites = store.row(query("bench_derive_wrong"))
        return {
            "sites": city.options.sites,
            "points": city.options.sites * city.options.points,
            "readings": city.readings,
            "changes": marks,
            "workers": processes,
            "seconds": round(seconds, 2),
            "readings_per_s": round(city.readings / seconds),
            "hours_per_s": round(rows["point_hour"] / seconds),
            "site_hours_per_s": round(rows["site_hour"] / seconds),
            "limit_seconds": round(limit.seconds, 2),
            "ratio": round(limit.seconds / seconds, 3),
            "cpu_s": round(derived.cpu_s, 2),
            "limit_cpu_s": round(limit.cpu_s, 2),
            "cpu_ratio": round(limit.cpu_s / derived.cpu_s, 3),
            "packed_limit_seconds": round(packed.seconds, 2),
            "packed_ratio": round(packed.seconds / seconds, 3),
            "packed_cpu_ratio": round(packed.cpu_s / derived.cpu_s, 3),
            "rows": rows,
            "wrong": {
                "readings_not_read": max(0, city.readings - readings),
                "hours_missing": city.readings * city.options.interval_s // 3600 - rows["point_hour"],
                "points": points,
                "sites": sites,
            },
        }


def _laid(settings: Settings, database: str, city: City, steps: Steps) -> Store:
    with steps.step("台账", "The registry", long=True):
        store = register_city(settings, database, city)
    with steps.step("读数", "The readings", long=True) as step:
        lay(store, city, store.series.series_id, step)
        store.settle()
        step.note(f"{city.readings:,}")
    return store


def _mark_all(store: Store, city: City) -> int:
    """Mark all that was laid, in one transaction: the whole backlog is there at once. How many marks."""
    ids = store.series
    with store.connect(autocommit=False) as connection, connection.cursor() as cursor:
        mark(cursor, ids.site_id, ids.series_id, int(city.ts_us[0]), int(city.ts_us[-1]))
    return ids.series_id.size


def _waiting(store: Store) -> int:
    return int(store.row("select count(*) from nengliu.change")[0])


def _rows(store: Store) -> dict[str, int]:
    """How many rows of energy there are, by table."""
    return {name: int(store.row(f"select count(*) from nengliu.{name}")[0]) for name in _ENERGY}


# ---------------------------------------------------------------- the limit


@dataclass(frozen=True, slots=True)
class _Block:
    """Some sites: their series, first and last; how many readings these have; files of their derived rows."""

    first_series: int
    last_series: int
    readings: int
    rows: Sequence[tuple[str, Path]]


def _blocks(store: Store, ready: Workers, city: City, folder: Path) -> list[_Block]:
    """All sites in blocks for the processes, their derived rows in files."""
    sites = city.options.sites
    size = min(_SITES, -(-sites // len(ready.pools)))
    with store.connect() as connection:
        return [_dumped(connection, store, city, slice(n, n + size), folder) for n in range(0, sites, size)]


def _limit(store: Store, ready: Workers, city: City, blocks: Sequence[_Block], *, packed: bool) -> Run:
    """As many processes read the same readings and write the same rows into equal tables, which are new and empty."""
    with connect_database(store.settings, "superuser", database=store.database) as owner:
        owner.execute(query("bench_derive_limit"))
    store.settle()
    count = len(ready.pools)
    done = ready.run(_copy_blocks, [(blocks[n::count], packed) for n in range(count)])
    if sum(done.results) != city.readings:
        raise BenchError(f"the limit read {sum(done.results)} readings of {city.readings}")
    return done


def _dumped(
    connection: psycopg.Connection[Any], store: Store, city: City, sites: slice, folder: Path
) -> _Block:
    """Write the derived rows of some sites into files, as COPY takes them."""
    ids = store.series
    series = ids.series_id[sites]
    files = []
    for name in _ENERGY:
        key, wanted = ("point_id", ids.point_id) if name in _OF_POINTS else ("site_id", ids.site_id[:, :1])
        path = folder / f"{name}-{sites.start}"
        statement = f"copy (select * from nengliu.{name} where {key} = any (%s)) to stdout (format binary)"
        with (
            path.open("wb") as out,
            connection.cursor() as cursor,
            cursor.copy(statement, (wanted[sites].ravel().tolist(),)) as copy,
        ):
            out.writelines(copy)
        files.append((name, path))
    return _Block(int(series.min()), int(series.max()), series.size * len(city.ts_us), files)


def _copy_blocks(blocks: Sequence[_Block], packed: bool) -> int:
    """In a process: block by block read the readings, row by row or packed into one value, and write the rows, each in
    a transaction; how many readings.
    """
    read, connection = 0, session()
    for block in blocks:
        with connection.transaction(), connection.cursor() as cursor:
            read += (_packed_out if packed else _copy_out)(cursor, block)
            for name, path in block.rows:
                _copy_in(cursor, name, path)
    return read


def _copy_out(cursor: psycopg.Cursor[Any], block: _Block) -> int:
    """Read by binary COPY: series, time and value."""
    statement = (
        "copy (select series_id, ts, value from nengliu.reading where series_id between %s and %s)"
        " to stdout (format binary)"
    )
    with cursor.copy(statement, (block.first_series, block.last_series)) as copy:
        stream = b"".join(copy)
    return (len(stream) - _HEAD) // _ROW


def _packed_out(cursor: psycopg.Cursor[Any], block: _Block) -> int:
    """Read as the derivation does: the same, packed by the server."""
    statement = (
        "select string_agg(int4send(series_id) || timestamptz_send(ts) || float8send(value), ''::bytea)"
        " from nengliu.reading where series_id between %s and %s"
    )
    row = cursor.execute(statement, (block.first_series, block.last_series), binary=True).fetchone()
    return 0 if row is None else len(row[0]) // (4 + 8 + 8)


#: Bytes of a binary COPY besides its rows (signature, flags, extension; trailer), and of a row of int4, int8, float8.
_HEAD, _ROW = 19 + 2, 2 + 3 * 4 + 4 + 8 + 8


def _copy_in(cursor: psycopg.Cursor[Any], name: str, path: Path) -> None:
    with (
        path.open("rb") as rows,
        cursor.copy(f"copy bench.{name} from stdin (format binary)") as copy,
    ):
        while piece := rows.read(_PIECE):
            copy.write(piece)
