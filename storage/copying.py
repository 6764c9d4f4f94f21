"""Columns in and out of PostgreSQL in its binary formats, as numpy structured arrays: no loop over rows.

Binary COPY (PostgreSQL documentation, COPY, "Binary Format"); arrays as parameters, of which the planner knows how
long they are, as it does not of a temporary table; and rows that a query packs into one bytea by int4send,
float8send …, which are faster to fetch than COPY's, as those come one by one. Only columns of fixed width without
NULL.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from psycopg.adapt import Dumper
from psycopg.pq import Format

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

#: Object identifiers of the types, which arrays carry on the wire (pg_type.dat).
_TYPE_OIDS = {"int2": 21, "int4": 23, "int8": 20, "float8": 701, "timestamptz": 1184}

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


class PgArray:
    """A one-dimensional array as a parameter of a query, which must say its type: %(name)s::int4[]."""

    __slots__ = ("wire",)

    def __init__(self, kind: str, values: npt.NDArray[Any]) -> None:
        """kind: the SQL type of an element; timestamptz in µs since 1970, as `encode` has it."""
        head = np.array([1 if len(values) else 0, 0, _TYPE_OIDS[kind], len(values), 1], dtype=">i4").tobytes()
        rows = np.empty(len(values), dtype=[("size", ">i4"), ("value", WIRE_TYPES[kind])])
        rows["size"] = rows.dtype["value"].itemsize
        rows["value"] = _pg_time(values) if kind == "timestamptz" else values
        self.wire = head + rows.tobytes() if len(values) else head[:12]


class _ArrayDumper(Dumper):
    format = Format.BINARY

    def dump(self, obj: PgArray) -> bytes:
        return obj.wire


psycopg.adapters.register_dumper(PgArray, _ArrayDumper)


def arrays(columns: Columns) -> dict[str, PgArray]:
    """The columns as parameters of a query."""
    return {name: PgArray(kind, values) for name, (kind, values) in columns.items()}


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
