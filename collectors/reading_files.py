"""Files of readings: CSV in UTF-8, plain or gzip, and Parquet, told apart by their first bytes.

A file is read twice: `check_file` looks at all of it before anything is taken, then `rows` yields its rows. Memory is
bounded whatever the file: a line may have a mebibyte.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from collectors.decoders.reading_rows import FIELDS, Cell, Row, TimeKind, kind_of_time
from metering.errors import InputFileError

#: Columns that a file of rejects has besides: taken, and passed over.
PASSED_OVER = ("line", "reason", "detail")
_REQUIRED = FIELDS[:4]
_LONGEST_LINE = 1024 * 1024
_BLOCK = 1024 * 1024

#: Called with how many bytes of the file are read.
Tell = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A file that can be imported. content: SHA-256 of its bytes; rows: without the header; size: in bytes."""

    path: Path
    content: str
    rows: int
    size: int
    is_parquet: bool

    def read(self, tell: Tell = lambda _: None) -> Iterator[Row]:
        """Its rows in order."""
        return _rows(self.path, self.is_parquet, tell)


def check_file(path: Path, local_times: bool, tell: Tell = lambda _: None) -> CheckedFile:
    """Look at all of a file. local_times: a zone is given for it, so that its times must be local ones.

    Raises InputFileError, with file and line, where it is no such file, or its times are not all of one kind.
    """
    content, size, start = _digest(path)
    if not size:
        raise InputFileError(
            [f"{path}:1: is empty; the first line must be {','.join(_REQUIRED)}[,{FIELDS[4]}]"]
        )
    is_parquet = start.startswith(b"PAR1")
    times = _Times(path, local_times)
    rows = 0
    for row in _rows(path, is_parquet, tell):
        rows += 1
        if row.problem is None:
            times.see(row.line, row.cells[2])
    return CheckedFile(path, content, rows, size, is_parquet)


class _Times:
    """Sees that all times of a file are of one kind; what is no time is a reject of its own."""

    def __init__(self, path: Path, local_times: bool) -> None:
        self._path = path
        self._local_times = local_times
        self._kind: str | None = None
        self._first = 0

    def see(self, line: int, ts: Cell) -> None:
        kind = kind_of_time(ts)
        if kind is None or kind == self._kind:
            return
        if self._kind is not None:
            raise InputFileError(
                [
                    f"{self._path}:{line}: {_named(kind)}, and line {self._first} {_named(self._kind)}; "
                    "write all times of a file in one way, best in UTC, or cut it into files that are each of one"
                ]
            )
        self._require_zone(line, kind)
        self._kind, self._first = kind, line

    def _require_zone(self, line: int, kind: str) -> None:
        if kind == TimeKind.LOCAL and not self._local_times:
            raise InputFileError(
                [
                    f"{self._path}:{line}: {_named(kind)}; if all its times are local times of one zone, name it: "
                    "--zone Asia/Shanghai"
                ]
            )
        if kind != TimeKind.LOCAL and self._local_times:
            raise InputFileError([f"{self._path}:{line}: {_named(kind)}; leave --zone out for this file"])


def _named(kind: str) -> str:
    if kind == TimeKind.LOCAL:
        return "has a time without offset"
    return "has an epoch" if kind == TimeKind.EPOCH else f"has a time with offset {kind}"


def _digest(path: Path) -> tuple[str, int, bytes]:
    """SHA-256, size and first bytes."""
    digest, size, start = hashlib.sha256(), 0, b""
    with path.open("rb") as f:
        while block := f.read(_BLOCK):
            start = start or block[:4]
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size, start


def _rows(path: Path, is_parquet: bool, tell: Tell) -> Iterator[Row]:
    if is_parquet:
        from collectors.reading_parquet import parquet_rows  # its library takes a while to import

        yield from parquet_rows(path, tell)
        return
    with path.open("rb") as raw, _text(path, raw) as text:
        yield from _csv_rows(path, text, lambda: tell(raw.tell()))


@contextmanager
def _text(path: Path, raw: BinaryIO) -> Iterator[TextIO]:
    """The file as text. What goes wrong while it is read is raised as InputFileError."""
    plain = _plain(raw)
    try:
        with io.TextIOWrapper(plain, "utf-8-sig", newline="") as text:
            yield text
    except UnicodeDecodeError as e:
        raise InputFileError([_not_utf8(path)]) from e
    except (gzip.BadGzipFile, EOFError, zlib.error) as e:
        raise InputFileError([f"{path}: is no whole gzip file: {e}"]) from e


def _plain(raw: BinaryIO) -> BinaryIO:
    """The file's bytes from the beginning, unpacked."""
    raw.seek(0)
    zipped = raw.read(2) == b"\x1f\x8b"
    raw.seek(0)
    return cast("BinaryIO", gzip.GzipFile(fileobj=raw)) if zipped else raw


def _not_utf8(path: Path) -> str:
    """Which line is the first that is not UTF-8, and what it may be: the text layer decodes blocks of many."""
    with path.open("rb") as raw:
        lines = iter(partial(_plain(raw).readline, _LONGEST_LINE), b"")
        for number, line in enumerate(lines, start=1):
            if not _decodes(line, "utf-8"):
                if line.startswith((b"\xff\xfe", b"\xfe\xff")):
                    hint = " (it looks like UTF-16)"
                else:
                    hint = " (it looks like GBK)" if _decodes(line, "gb18030") else ""
                return f"{path}:{number}: is not UTF-8{hint}; save the file as UTF-8"
    return f"{path}: is not UTF-8; save the file as UTF-8"


def _decodes(line: bytes, encoding: str) -> bool:
    try:
        line.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _csv_rows(path: Path, text: TextIO, tell: Callable[[], None]) -> Iterator[Row]:
    reader = csv.reader(_lines(path, text), strict=True)
    places: Sequence[int | None] | None = None
    line = 1
    try:
        for found in reader:
            cells = [cell.strip() for cell in found]
            if any(cells):
                if places is None:
                    places = _places(path, line, cells)
                else:
                    yield _row(line, cells, places)
            line = reader.line_num + 1
            if line % 4096 < 1:
                tell()
    except csv.Error as e:
        raise InputFileError([f"{path}:{line}: is no CSV: {e}"]) from e
    if places is None:
        raise InputFileError(
            [f"{path}:1: is empty; the first line must be {','.join(_REQUIRED)}[,{FIELDS[4]}]"]
        )


def _lines(path: Path, text: TextIO) -> Iterator[str]:
    """The file's lines; a cell may hold line ends."""
    for number, line in enumerate(chain(iter(partial(text.readline, _LONGEST_LINE), "")), start=1):
        if len(line) >= _LONGEST_LINE:
            raise InputFileError(
                [f"{path}:{number}: is longer than {_LONGEST_LINE} characters: is it a CSV file?"]
            )
        yield line


def _places(path: Path, line: int, header: list[str]) -> list[int | None]:
    """Where each of FIELDS stands in a row; then how many cells a row has."""
    known = (*FIELDS, *PASSED_OVER)
    problems = [
        f"column {c!r} is not known; the columns are {','.join(FIELDS)}" for c in header if c not in known
    ]
    problems += [f"column {c} is missing" for c in _REQUIRED if c not in header]
    problems += [f"column {c} is there twice" for c in dict.fromkeys(header) if header.count(c) > 1]
    if problems:
        raise InputFileError([f"{path}:{line}: {problem}" for problem in problems])
    return [header.index(f) if f in header else None for f in FIELDS] + [len(header)]


def _row(line: int, cells: list[str], places: Sequence[int | None]) -> Row:
    *at, width = places
    assert width is not None
    if len(cells) == width:
        return Row(line, [None if n is None else cells[n] for n in at])
    padded = cells[:width] + [""] * (width - len(cells))
    kept = [None if n is None else padded[n] for n in at]
    return Row(line, [*kept, *cells[width:]], f"has {len(cells)} cells, expected {width}")
