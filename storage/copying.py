"""Columns in and out of PostgreSQL in its binary formats, as numpy structured arrays: no loop over rows.

Binary COPY (PostgreSQL documentation, COPY, "Binary Format"), and rows that a query packs into one bytea by
int4send, float8send …, which are faster to fetch than COPY's, as those come one by one. Only columns of fixed
width without NULL.
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

#: Wire types of columns: name in SQL -> big-endian numpy type. To COPY in there is also text, of values of one length
#: (numpy's S).
WIRE_TYPES = {
    "int2": ">i2",
    "int4": ">i4",
    "int8": ">i8",
    "float8": ">f8",
    "timestamptz": ">i8",
    "bool": ">i1",
}

Columns = Mapping[str, tuple[str, npt.NDArray[Any]]]


def encode(columns: Columns) -> bytes:
    """The binary COPY stream of `columns`: name -> (SQL type, values); timestamptz in µs since 1970, where
    START and END are -infinity and infinity.
    """
    wire_types = [v.dtype.str if kind == "text" else WIRE_TYPES[kind] for kind, v in columns.values()]
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for i in range(len(wire_types)):
        fields += [(f"size{i}", ">i4"), (f"value{i}", wire_types[i])]
    rows = np.empty(len(next(iter(columns.values()))[1]), dtype=np.dtype(fields))
    rows["columns"] = len(columns)
    for i, (kind, values) in enumerate(columns.values()):
        rows[f"size{i}"] = np.dtype(wire_types[i]).itemsize
        rows[f"value{i}"] = _pg_time(values) if kind == "timestamptz" else values
    return b"".join((_SIGNATURE, rows.tobytes(), _TRAILER))


def _pg_time(us: npt.NDArray[Any]) -> npt.NDArray[Any]:
    limits = np.iinfo(np.int64)
    return np.where(us >= END, limits.max, np.where(us <= START, limits.min, us - PG_EPOCH_US))


def copy_in(cursor: psycopg.Cursor[Any], table: str, columns: Columns) -> None:
    """COPY `columns` into `table` (a name of ours, never input)."""
    with cursor.copy(f"copy {table} ({', '.join(columns)}) from stdin (format binary)") as copy:
        copy.write(encode(columns))


def decode(stream: bytes, types: tuple[str, ...]) -> list[npt.NDArray[Any]]:
    """The columns of a binary COPY stream without NULLs; timestamptz in µs since 1970."""
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for i, kind in enumerate(types):
        fields += [(f"size{i}", ">i4"), (f"value{i}", WIRE_TYPES[kind])]
    row_type = np.dtype(fields)
    count = (len(stream) - len(_SIGNATURE) - len(_TRAILER)) // row_type.itemsize
    rows = np.frombuffer(stream, dtype=row_type, count=count, offset=len(_SIGNATURE))
    return [_native(rows[f"value{i}"], kind) for i, kind in enumerate(types)]


def unpack(packed: bytes | None, types: tuple[str, ...]) -> list[npt.NDArray[Any]]:
    """The columns of rows that a query packed into one bytea with …send functions of `types`; timestamptz in
    µs since 1970.
    """
    row_type = np.dtype([(f"value{i}", WIRE_TYPES[kind]) for i, kind in enumerate(types)])
    rows = np.frombuffer(packed or b"", dtype=row_type)
    return [_native(rows[f"value{i}"], kind) for i, kind in enumerate(types)]


def _native(values: npt.NDArray[Any], kind: str) -> npt.NDArray[Any]:
    own = values.astype(np.dtype(WIRE_TYPES[kind]).newbyteorder("="))
    return own + PG_EPOCH_US if kind == "timestamptz" else own
