"""Rows of a Parquet file of readings, a few thousand at a time. See docs/decisions/parquet.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from collectors.decoders.reading_rows import FIELDS, Row
from metering.errors import InputFileError

_BATCH_ROWS = 10_000


def parquet_rows(path: Path, tell: Callable[[int], None]) -> Iterator[Row]:
    """The rows; a row's line is its number, from 1 on. Raises InputFileError, where the file cannot be read or its
    columns are not those of readings.
    """
    try:
        with pq.ParquetFile(path, pre_buffer=False) as file:
            _check(path, file.schema_arrow)
            names = [f for f in FIELDS if f in file.schema_arrow.names]
            size, total = path.stat().st_size, max(file.metadata.num_rows, 1)
            done = 0
            for batch in file.iter_batches(_BATCH_ROWS, columns=names, use_threads=False):
                columns = [_values(batch, f) for f in FIELDS]
                for number, cells in enumerate(zip(*columns, strict=True), start=done + 1):
                    yield Row(number, cells)
                done += batch.num_rows
                tell(size * done // total)
    except (pa.ArrowException, OSError) as e:
        raise InputFileError([f"{path}: cannot be read as Parquet: {e}"]) from e


def _values(batch: Any, name: str) -> list[Any]:
    """A column as Python values: microseconds are as fine as times get here."""
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    column = batch.column(name)
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    values: list[Any] = column.to_pylist()
    return values


def _check(path: Path, schema: Any) -> None:
    """Raise InputFileError unless every column is there, once, and of a type that can hold it."""
    names = list(schema.names)
    problems = [f"column {name} is missing" for name in FIELDS[:4] if name not in names]
    problems += [f"column {name} is there twice" for name in FIELDS if names.count(name) > 1]
    problems += [
        f"column {name} is {schema.field(name).type}; it must be {wanted}"
        for name, (fits, wanted) in _TYPES.items()
        if names.count(name) == 1 and not fits(schema.field(name).type)
    ]
    if problems:
        raise InputFileError([f"{path}:1: {problem}" for problem in problems])


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_number(kind: Any) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


#: A number of a meter is text: as a number it loses its leading zeros.
_TYPES: dict[str, tuple[Callable[[Any], bool], str]] = {
    "meter": (_is_text, "text (a number loses its leading zeros)"),
    "register": (_is_text, "text"),
    "ts": (
        lambda kind: _is_text(kind) or _is_number(kind) or pa.types.is_timestamp(kind),
        "a timestamp, an epoch or text",
    ),
    "value": (lambda kind: _is_text(kind) or _is_number(kind), "a number"),
    "correction": (lambda kind: _is_text(kind) or pa.types.is_boolean(kind), "a boolean"),
}
