"""The limit that ingest is held against: the same rows by numpy binary COPY straight into an equal
hypertable.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import psycopg

from deploy.load.rows import Load
from storage.copying import copy_in

TABLE = "public.bench_limit"
_BLOCK = 200_000


def make_table(connection: psycopg.Connection[Any]) -> None:
    """A hypertable like nengliu.reading, its natural key included. The connection is the database owner's."""
    connection.execute(f"drop table if exists {TABLE}")
    connection.execute(
        f"create table {TABLE} (series_id int not null, ts timestamptz not null, value float8 not null,"
        " received_at timestamptz not null)"
    )
    connection.execute(
        f"select create_hypertable('{TABLE}', by_range('ts', interval '28 days'), create_default_indexes => false)"
    )
    connection.execute(f"create unique index on {TABLE} (series_id, ts)")


def measure(connection: psycopg.Connection[Any], load: Load) -> float:
    """Seconds to copy all rows of `load` into the emptied table and commit."""
    make_table(connection)
    connection.commit()
    meter, ts, value = load.columns()
    received = np.full(len(ts), time.time_ns() // 1000, np.int64)
    started = time.perf_counter()
    with connection.transaction(), connection.cursor() as cursor:
        for at in range(0, len(ts), _BLOCK):
            part = slice(at, at + _BLOCK)
            copy_in(
                cursor,
                TABLE,
                {
                    "series_id": ("int4", meter[part]),
                    "ts": ("timestamptz", ts[part]),
                    "value": ("float8", value[part]),
                    "received_at": ("timestamptz", received[part]),
                },
            )
    return time.perf_counter() - started
