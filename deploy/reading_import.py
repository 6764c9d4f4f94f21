"""Import a file of readings: decode its rows a chunk at a time, put each through the writer, keep rejects beside."""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from zoneinfo import ZoneInfo

from collectors.decoders.reading_rows import Cell, DecodedRows, Row, decode_rows
from collectors.grouping import BatchBuilder
from collectors.reading_files import CheckedFile, Tell, check_file
from deploy.reject_file import RejectFile
from metering.records import MessageHeader
from storage.reading_import import (
    Chunk,
    ChunkResult,
    ImportedFile,
    Progress,
    Refused,
    begin_import,
    count_chunk,
    finish_import,
    import_chunk,
)
from storage.writer import Writer

#: Called with what is done (rows), and bytes of the file read of how many.
Watch = Callable[[str, int, int, int], None]


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """zone: of the file's local times; again: from the first row on, whatever was done; chunk_rows: a transaction."""

    zone: ZoneInfo | None = None
    again: bool = False
    dry_run: bool = False
    chunk_rows: int = 50_000


@dataclass(slots=True)
class Imported:
    """What became of a file's rows; rows = stored + repeated + conflicting + rejected.

    resumed_at: rows that an earlier run had done; reasons: of what this run rejected; rejects_file: if there is
    one (somebody may have taken it away since).
    """

    file: str
    rows: int
    stored: int
    repeated: int
    conflicting: int
    rejected: int
    resumed_at: int
    was_finished: bool
    reasons: dict[str, int] = field(default_factory=dict)
    rejects_file: str | None = None
    dry_run: bool = False
    seconds: float = 0.0


def import_file(
    writer: Writer, path: Path, actor: str, options: ImportOptions, watch: Watch = lambda *_: None
) -> Imported:
    """Import one file. Raises InputFileError before anything is changed, where the file is none; DatabaseAwayError."""
    began = time.monotonic()
    checked = check_file(path, options.zone is not None, _telling(watch, "check", path))
    run = _Run(writer, checked, options, watch)
    done = run.count() if options.dry_run else run.take(actor)
    done.seconds = round(time.monotonic() - began, 3)
    return done


def _telling(watch: Watch, what: str, path: Path) -> Tell:
    size = path.stat().st_size
    return lambda read: watch(what, 0, read, size)


class _Run:
    """One run over a checked file."""

    def __init__(self, writer: Writer, checked: CheckedFile, options: ImportOptions, watch: Watch) -> None:
        self._writer = writer
        self._checked = checked
        self._options = options
        self._watch = watch
        self._read = 0
        self._file = ImportedFile(checked.content, options.zone.key if options.zone else "")
        self._rejects = RejectFile(checked.path)
        self._reasons: Tally[str] = Tally()

    def take(self, actor: str) -> Imported:
        """Take in what is not in yet."""
        name = str(self._checked.path)
        progress = begin_import(self._writer, self._file, name, actor, again=self._options.again)
        resumed_at, finished = progress.rows_done, progress.finished_at is not None
        if not finished:
            self._rejects.require(progress.rejects_size)
            self._rejects.cut(progress.rejects_size)
            for rows in self._chunks(resumed_at):
                self._take_chunk(rows, progress)
            finish_import(self._writer, self._file)
        return self._imported(progress, resumed_at, finished)

    def count(self) -> Imported:
        """Find out what would become of all rows."""
        total = Progress()
        for rows in self._chunks(0):
            decoded, chunk = self._decode(rows)
            result = count_chunk(self._writer, chunk)
            total.rows_done += len(rows)
            total.stored += result.stored
            total.repeated += result.repeated
            total.conflicting += result.conflicting
            total.rejected += len(decoded.rejected) + len(result.refused)
            self._count_reasons(decoded, result, total.rows_done)
        return self._imported(total, 0, False)

    def _chunks(self, done: int) -> Iterator[list[Row]]:
        """The rows behind the first `done`, some thousand at a time."""
        rows = islice(self._checked.read(self._note_read), done, None)
        while chunk := list(islice(rows, self._options.chunk_rows)):
            yield chunk

    def _note_read(self, read: int) -> None:
        self._read = read

    def _take_chunk(self, rows: Sequence[Row], progress: Progress) -> None:
        decoded, chunk = self._decode(rows)
        before = progress.rejects_size

        def keep(refused: Sequence[Refused]) -> int:
            return self._rejects.write(before, _rejected_rows(rows, decoded, refused))

        result = import_chunk(self._writer, self._file, progress, chunk, keep)
        self._count_reasons(decoded, result, progress.rows_done)

    def _decode(self, rows: Sequence[Row]) -> tuple[DecodedRows, Chunk]:
        now_us = time.time_ns() // 1000
        decoded = decode_rows(rows, self._options.zone, now_us)
        columns = decoded.columns
        header = MessageHeader(self._file.gateway, self._checked.path.name, now_us, len(columns))
        builder = BatchBuilder()
        builder.add(header, columns, 0, None)
        return decoded, Chunk(builder.build(), len(rows))

    def _count_reasons(self, decoded: DecodedRows, result: ChunkResult, done: int) -> None:
        self._reasons += Tally(r.reason for r in decoded.rejected) + result.reasons
        self._watch("import", done, self._read, self._checked.size)

    def _imported(self, progress: Progress, resumed_at: int, finished: bool) -> Imported:
        rejected = progress.rejected
        return Imported(
            str(self._checked.path),
            progress.rows_done,
            progress.stored,
            progress.repeated,
            progress.conflicting,
            rejected,
            resumed_at,
            finished,
            dict(self._reasons),
            str(self._rejects.path)
            if rejected and not self._options.dry_run and self._rejects.path.exists()
            else None,
            self._options.dry_run,
        )


def _rejected_rows(
    rows: Sequence[Row], decoded: DecodedRows, refused: Sequence[Refused]
) -> list[tuple[int, str, str, Sequence[Cell]]]:
    """All rejects of a chunk in order of the rows, as the file of rejects has them."""
    found = [(r.index, r.reason, r.detail) for r in decoded.rejected]
    found += [(decoded.rows[r.index], r.reason, r.detail) for r in refused]
    return [(rows[at].line, reason, detail, rows[at].cells) for at, reason, detail in sorted(found)]
