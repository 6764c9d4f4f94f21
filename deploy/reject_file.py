"""The file of rejects beside a file of readings: what could not be used, and why. It can be mended and imported."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from collectors.decoders.reading_rows import FIELDS, Cell
from collectors.reading_files import PASSED_OVER
from metering.errors import InputFileError

HEADER = (*PASSED_OVER, *FIELDS)


class RejectFile:
    """FILE.rejects.csv. Only its first `size` bytes, as the database has them, count: what a process wrote after them
    and did not live to commit is written anew.
    """

    def __init__(self, of: Path) -> None:
        self.path = of.with_name(of.name + ".rejects.csv")

    def require(self, size: int) -> None:
        """See that those bytes are there. Raises InputFileError where they are not."""
        found = self.path.stat().st_size if self.path.exists() else 0
        if found < size:
            raise InputFileError(
                [
                    f"{self.path}: has {found} bytes, and the import that was broken off left {size}; put it back, or "
                    "give --again to import from the first row on (what is stored already counts as repeated)"
                ]
            )

    def write(self, size: int, rows: Iterable[tuple[int, str, str, Sequence[Cell]]]) -> int:
        """Write (line, reason, detail, cells) behind the first `size` bytes, for good; the size then."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if size == 0:
            writer.writerow(HEADER)
        empty = True
        for line, reason, detail, cells in rows:
            writer.writerow([line, reason, detail, *map(_shown, cells)])
            empty = False
        if empty:
            return size
        return self._append(size, text.getvalue().encode("utf-8", "surrogatepass"))

    def _append(self, size: int, data: bytes) -> int:
        handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
        with os.fdopen(handle, "wb") as f:
            f.truncate(size)
            f.seek(size)
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        return size + len(data)

    def clear(self) -> None:
        """Take the file of an earlier import away."""
        self.path.unlink(missing_ok=True)

    def cut(self, size: int) -> None:
        """Take away what was written and not committed."""
        if size == 0:
            self.clear()
        else:
            os.truncate(self.path, size)


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    return cell.isoformat() if hasattr(cell, "isoformat") else str(cell)
