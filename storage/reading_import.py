"""Readings of a file, taken in as the writer takes those of gateways; how far the file is, in the same transaction.

Its rejects go into a file beside it and not into nengliu.reject. See docs/decisions/reading-import.md.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg

from metering.errors import NengliuError
from metering.records import Intake, ReadingBatch
from storage.registry_maps import IMPORT
from storage.sql import query
from storage.writer import Writer
from storage.writer_books import write_ledger


class ImportTakenError(NengliuError):
    """Another process imports the same file at this moment."""


@dataclass(frozen=True, slots=True)
class ImportedFile:
    """What makes it the same import: the SHA-256 of the file's bytes, and the zone of its local times ('': none)."""

    content: str
    zone: str = ""

    @property
    def gateway(self) -> str:
        """The name under which the ledger has what it brought, and the database its conflicts."""
        return IMPORT + self.content[:12]


@dataclass(slots=True)
class Progress:
    """How far a file is, in rows without the header; rejects_size: bytes of its rejects that are for good."""

    rows_done: int = 0
    stored: int = 0
    repeated: int = 0
    conflicting: int = 0
    rejected: int = 0
    rejects_size: int = 0
    finished_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """A reading that the registry refused: its index in the batch, reason and detail."""

    index: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a file: the batch of those that could be decoded (one message of the import's gateway), and how many
    there are in all.
    """

    batch: ReadingBatch
    rows: int


@dataclass(slots=True)
class ChunkResult:
    """What became of a chunk; reasons: of what the registry refused."""

    stored: int
    repeated: int
    conflicting: int
    refused: list[Refused] = field(default_factory=list)

    @property
    def reasons(self) -> Tally[str]:
        """How many were refused by the registry, by reason."""
        return Tally(r.reason for r in self.refused)


def begin_import(
    writer: Writer, file: ImportedFile, file_name: str, actor: str, *, again: bool = False
) -> Progress:
    """How far the file is; from the beginning with `again`. Raises DatabaseAwayError."""
    asked = {
        "content": file.content,
        "zone": file.zone,
        "file_name": file_name,
        "actor": actor,
        "again": again,
    }
    return Progress(*writer.run(lambda cursor: cursor.execute(query("import_begin"), asked).fetchone() or ()))


def import_chunk(
    writer: Writer,
    file: ImportedFile,
    progress: Progress,
    chunk: Chunk,
    keep_rejects: Callable[[Sequence[Refused]], int],
) -> ChunkResult:
    """Take the next rows of a file, all or nothing, and note them as done, here and in `progress`.

    keep_rejects: writes the chunk's rejects, those that the registry refuses and its own, behind those that are for
    good; returns the size of the file of rejects then. It may be called again.
    Raises ImportTakenError, DatabaseAwayError.
    """

    def work(cursor: psycopg.Cursor[Any]) -> tuple[ChunkResult, int]:
        result = _take(cursor, writer, chunk)
        size = keep_rejects(result.refused)
        _advance(cursor, file, progress, chunk, result, size)
        return result, size

    result, size = writer.run(work)
    for name, count in _counts(chunk, result).items():
        setattr(progress, name, getattr(progress, name) + count)
    progress.rows_done += chunk.rows
    progress.rejects_size = size
    return result


def count_chunk(writer: Writer, chunk: Chunk) -> ChunkResult:
    """What would become of the rows of a file; nothing is changed. Raises DatabaseAwayError."""
    return writer.run(lambda cursor: _take(cursor, writer, chunk), undone=True)


def finish_import(writer: Writer, file: ImportedFile) -> None:
    """Note that the whole file is in. Raises DatabaseAwayError."""
    text = (
        "update nengliu.reading_import set finished_at = clock_timestamp() where content = %s and zone = %s"
    )
    writer.run(lambda cursor: cursor.execute(text, (file.content, file.zone)))


def _take(cursor: psycopg.Cursor[Any], writer: Writer, chunk: Chunk) -> ChunkResult:
    taken = writer.take(cursor, Intake((chunk.batch,)))
    write_ledger(cursor, taken.accounts, taken.days, {})
    account = taken.accounts[0]
    refused = [Refused(r.reading, r.reason, r.detail) for r in taken.rejects if r.reading is not None]
    return ChunkResult(account.stored, account.repeated, account.conflicting, refused)


def _counts(chunk: Chunk, result: ChunkResult) -> dict[str, int]:
    taken = {
        "stored": result.stored,
        "repeated": result.repeated,
        "conflicting": result.conflicting,
    }
    return {**taken, "rejected": chunk.rows - sum(taken.values())}


def _advance(
    cursor: psycopg.Cursor[Any],
    file: ImportedFile,
    progress: Progress,
    chunk: Chunk,
    result: ChunkResult,
    rejects_size: int,
) -> None:
    cursor.execute(
        query("import_advance"),
        {
            "content": file.content,
            "zone": file.zone,
            "expected": progress.rows_done,
            "rows": chunk.rows,
            "rejects_size": rejects_size,
            **_counts(chunk, result),
        },
    )
    if cursor.rowcount != 1:
        raise ImportTakenError("another process imports the same file; wait for it, then run this again")
