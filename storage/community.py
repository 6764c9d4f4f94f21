"""What the community edition of TimescaleDB can do more: community/*.sql, run where `timescaledb.license` says so.

All works without it. See docs/decisions/retention.md.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import psycopg
import structlog

log = structlog.get_logger(__name__)

#: From this version on an insert that meets a row which is there already goes on with the next row of a compressed
#: chunk (timescale/timescaledb #7672: before, the rest of the statement was left out without a word).
LEAST_VERSION = (2, 18, 2)


def is_community(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server's TimescaleDB is the community edition."""
    row = connection.execute("select current_setting('timescaledb.license', true)").fetchone()
    return row == ("timescale",)


def switch_on(connection: psycopg.Connection[Any]) -> list[str]:
    """Switch on what that edition can, as the owner, in a transaction; names of the files run, none where it is not
    that edition or too old a one. Does nothing the second time.
    """
    if not is_community(connection):
        return []
    version = timescale_version(connection)
    if version < LEAST_VERSION:
        log.warning(
            "compression_left_off",
            version=".".join(map(str, version)),
            wanted=".".join(map(str, LEAST_VERSION)),
            why="an older one can lose late readings of compressed chunks",
        )
        return []
    folder = files("storage").joinpath("community")
    found = sorted(f.name for f in folder.iterdir() if f.name.endswith(".sql"))
    for name in found:
        connection.execute(folder.joinpath(name).read_text(encoding="utf-8").encode())  # our own file
    return found


def timescale_version(connection: psycopg.Connection[Any]) -> tuple[int, ...]:
    """The version of the extension in this database, (2, 19, 3); what follows a dash is left out."""
    row = connection.execute("select extversion from pg_extension where extname = 'timescaledb'").fetchone()
    assert row is not None  # the migrations need it
    return tuple(int(part) for part in row[0].split("-")[0].split("."))
