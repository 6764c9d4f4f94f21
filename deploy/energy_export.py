"""Write energy to a file or to stdout as CSV or Parquet, in bounded memory; a file is there whole or not at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Literal

import psycopg

from storage.energy_export import Wanted, csv_blocks, is_figure, row_blocks

Format = Literal["csv", "parquet"]
#: Called with how many rows are written.
Watch = Callable[[int], None]


def export_energy(
    connection: psycopg.Connection[Any],
    wanted: Wanted,
    zone: str,
    into: Path | None,
    form: Format,
    watch: Watch,
) -> int:
    """Write what is wanted into a file, or to stdout (None); how many rows. Raises DatabaseAwayError, OSError."""
    write = _write_csv if form == "csv" else _write_parquet
    if into is None:
        return write(connection, wanted, zone, sys.stdout.buffer, watch)
    with _whole(into) as file:
        return write(connection, wanted, zone, file, watch)


@contextmanager
def _whole(path: Path) -> Iterator[BinaryIO]:
    """A file beside `path` that takes its place at the end, and is gone if there is none."""
    unready = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unready.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        unready.replace(path)
    finally:
        unready.unlink(missing_ok=True)


def _write_csv(
    connection: psycopg.Connection[Any], wanted: Wanted, zone: str, file: BinaryIO, watch: Watch
) -> int:
    rows = -1  # the header
    for block in csv_blocks(connection, wanted, zone):
        file.write(block)
        rows += block.count(b"\n")
        watch(rows)
    file.flush()
    return rows


def _write_parquet(
    connection: psycopg.Connection[Any], wanted: Wanted, zone: str, file: BinaryIO, watch: Watch
) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(c, _type(c, wanted, zone)) for c in wanted.columns])
    rows = 0
    with pq.ParquetWriter(_Forward(file), schema) as writer:
        for block in _grouped(row_blocks(connection, wanted)):
            columns = zip(*block, strict=True)
            arrays = [pa.array(v, t) for v, t in zip(columns, schema.types, strict=True)]
            writer.write_batch(pa.record_batch(arrays, schema=schema))
            rows += len(block)
            watch(rows)
    file.flush()
    return rows


#: Rows of a row group: enough to compress well, little to hold.
_GROUP = 100_000


def _grouped(blocks: Iterator[list[tuple[Any, ...]]]) -> Iterator[list[tuple[Any, ...]]]:
    group: list[tuple[Any, ...]] = []
    for block in blocks:
        group += block
        if len(group) >= _GROUP:
            yield group
            group = []
    if group:
        yield group


def _type(column: str, wanted: Wanted, zone: str) -> Any:
    import pyarrow as pa

    if column == "period":
        return pa.timestamp("us", zone) if wanted.grain == "hour" else pa.date32()
    return pa.float64() if is_figure(column) else pa.string()


class _Forward:
    """A file that is only written onwards, as a pipe is: it counts itself where it is."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self.closed = False

    def write(self, data: Any) -> int:
        """Write all of it."""
        self._file.write(data)
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._at

    def writable(self) -> bool:
        """It is."""
        return True

    def readable(self) -> bool:
        """It is not."""
        return False

    def seekable(self) -> bool:
        """It is not."""
        return False

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._file.flush()

    def close(self) -> None:
        """The file itself stays open: whoever opened it closes it."""
        self.closed = True
