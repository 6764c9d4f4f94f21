"""Rows of a CSV file by line and column, with every problem of its form named. No knowledge of what is in
it.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class CsvRow:
    """One row: the line it starts at and its cells by column, without surrounding spaces."""

    line: int
    cells: dict[str, str]


@dataclass(slots=True)
class CsvContent:
    """The rows of a file and what is wrong with it, as "file:line: …"."""

    rows: list[CsvRow] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def read_rows(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> CsvContent:
    """Read a CSV file in UTF-8 (a byte order mark and CRLF are accepted) with just the given columns, in any
    order.
    """
    content = CsvContent()
    text = _text(path, content.problems)
    if text is None:
        return content
    lines = _parsed(path.name, text, content.problems)
    if not lines:
        if not content.problems:
            content.problems.append(f"{path.name}:1: is empty; the first line must be {','.join(required)}")
        return content
    header_line, header, lines = _without_empty_columns(lines)
    wrong = _header_problems(header, required, optional)
    if wrong:
        content.problems.extend(f"{path.name}:{header_line}: {problem}" for problem in wrong)
        return content
    for line, cells in lines:
        if len(cells) != len(header):
            content.problems.append(f"{path.name}:{line}: has {len(cells)} cells, expected {len(header)}")
        else:
            content.rows.append(CsvRow(line, dict(zip(header, cells, strict=True))))
    return content


def _text(path: Path, problems: list[str]) -> str | None:
    try:
        raw = path.read_bytes()
    except OSError as e:
        problems.append(f"{path.name}:1: cannot be read: {e.strerror}")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        line = raw.count(b"\n", 0, e.start) + 1
        problems.append(f"{path.name}:{line}: is not UTF-8{_other_encoding(raw)}; save the file as UTF-8")
        return None


def _other_encoding(raw: bytes) -> str:
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return " (it looks like UTF-16)"
    try:
        raw.decode("gb18030")
    except UnicodeDecodeError:
        return ""
    return " (it looks like GBK)"


def _parsed(name: str, text: str, problems: list[str]) -> list[tuple[int, list[str]]]:
    """Rows that are not blank, with the line that each starts at; nothing where the file is no CSV."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, list[str]]] = []
    line = 1
    try:
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append((line, stripped))
            line = reader.line_num + 1
    except csv.Error as e:
        problems.append(f"{name}:{line}: is no CSV: {e}")
        return []
    return rows


def _without_empty_columns(
    lines: list[tuple[int, list[str]]],
) -> tuple[int, list[str], list[tuple[int, list[str]]]]:
    """The header with its line, and the rows, both without the cells that spreadsheets write for columns at the end
    that have neither a name nor anything below it.
    """
    header_line, header = lines[0]
    width = max(n + 1 for n, name in enumerate(header) if name)
    end = len(header)
    rows = [(n, cells if any(cells[width:end]) else cells[:width] + cells[end:]) for n, cells in lines]
    return header_line, header[:width], rows[1:]


def _header_problems(header: list[str], required: Sequence[str], optional: Sequence[str]) -> list[str]:
    known = [*required, *optional]
    problems = [
        f"column {c!r} is not known; the columns are {','.join(known)}" for c in header if c not in known
    ]
    problems += [f"column {c} is missing" for c in required if c not in header]
    problems += [f"column {c} is there twice" for c in dict.fromkeys(header) if header.count(c) > 1]
    return problems
