"""Columns in and out of PostgreSQL by binary COPY, built and read as numpy structured arrays: no loop over
rows.

Format: PostgreSQL documentation, COPY, "Binary Format". Only columns of fixed width without NULL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from metering.spans import END, START

_SIGNATURE = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"

#: PostgreSQL counts timestamptz in microseconds from 2000-01-01T00:00Z.
PG_EPOCH_US = 946_684_800_000_000

#: Wire types of columns: name in SQL -> big-endian numpy type.
WIRE_TYPES = {"int4": ">i4", "int8": ">i8", "float8": ">f8", "timestamptz": ">i8", "bool": ">i1"}


def _row_type(types: tuple[str, ...]) -> np.dtype[Any]:
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for i, kind in enumerate(types):
        fields += [(f"size{i}", ">i4"), (f"value{i}", WIRE_TYPES[kind])]
    return np.dtype(fields)


def encode(columns: Mapping[str, tuple[str, npt.NDArray[Any]]]) -> bytes:
    """The binary COPY stream of `columns`: name -> (SQL type, values); timestamptz as microseconds since
    1970.
    """
    types = tuple(kind for kind, _ in columns.values())
    row_type = _row_type(types)
    length = len(next(iter(columns.values()))[1])
    rows = np.empty(length, dtype=row_type)
    rows["columns"] = len(types)
    for i, (kind, values) in enumerate(columns.values()):
        rows[f"size{i}"] = np.dtype(WIRE_TYPES[kind]).itemsize
        rows[f"value{i}"] = _pg_time(values) if kind == "timestamptz" else values
    return b"".join((_SIGNATURE, rows.tobytes(), _TRAILER))


def _pg_time(us: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Microseconds since 1970 as PostgreSQL counts them; START and END become -infinity and infinity."""
    limits = np.iinfo(np.int64)
    return np.where(us >= END, limits.max, np.where(us <= START, limits.min, us - PG_EPOCH_US))


def decode(stream: bytes, types: tuple[str, ...]) -> list[npt.NDArray[Any]]:
    """The columns of a binary COPY stream without NULLs, native byte order; timestamptz in µs since 1970."""
    row_type = _row_type(types)
    count = (len(stream) - len(_SIGNATURE) - len(_TRAILER)) // row_type.itemsize
    rows = np.frombuffer(stream, dtype=row_type, count=count, offset=len(_SIGNATURE))
    found = []
    for i, kind in enumerate(types):
        values = rows[f"value{i}"].astype(np.dtype(WIRE_TYPES[kind]).newbyteorder("="))
        found.append(values + PG_EPOCH_US if kind == "timestamptz" else values)
    return found


def copy_in(
    cursor: psycopg.Cursor[Any], table: str, columns: Mapping[str, tuple[str, npt.NDArray[Any]]]
) -> None:
    """COPY `columns` into `table` (a name of ours, never input)."""
    with cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin (format binary)") as copy:
        copy.write(encode(columns))


def copy_out(cursor: psycopg.Cursor[Any], query: str, types: tuple[str, ...]) -> list[npt.NDArray[Any]]:
    """The columns that `query` yields, without NULLs, of `types`."""
    with cursor.copy(f"copy ({query}) to stdout (format binary)") as copy:
        return decode(b"".join(copy), types)
