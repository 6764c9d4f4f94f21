"""The truth of a simulated run: an SQLite file beside it, written while it is made and read by the score.

Tables: truth.sql beside this file, and docs/truth.md.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from metering.errors import InputFileError
from metering.records import Floats, Ints

TRUTH_FILE = "truth.sqlite"


@dataclass(frozen=True, slots=True)
class TruePoint:
    """A metering point of the run. display_step: least energy that its display shows, in `unit`."""

    point_code: str
    site_code: str
    item_code: str
    unit: str
    parent_code: str | None
    meter: str
    register: str
    gateway: str
    display_step: float


@dataclass(frozen=True, slots=True)
class TrueFault:
    """Something that was made wrong, or changed in truth (is_fault False). ends: first moment that is right again.

    found_by: finding kinds of which one should name it ("reject:REASON" for a dead letter), empty: none should;
    may_find: those that are no false alarm. point_code None: all points of its gateway, or of its site.
    """

    kind: str
    label: str
    is_fault: bool
    site_code: str
    point_code: str | None
    meter: str | None
    gateway: str | None
    starts: datetime
    ends: datetime
    size: float | None = None
    size_unit: str | None = None
    found_by: tuple[str, ...] = ()
    may_find: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=dict)


class TruthFile:
    """The file, or the folder of the run that it lies in. One writer; what was saved is there after a crash.

    must_exist: it is only read, and nothing in it changes. Raises InputFileError where it is none.
    """

    def __init__(self, path: Path, *, must_exist: bool = False) -> None:
        path = path / TRUTH_FILE if path.is_dir() else path
        if must_exist and not path.is_file():
            raise InputFileError(
                [f"{path}: no such file; `nengliu simulate fleet --out DIR` writes DIR/truth.sqlite"]
            )
        try:
            if must_exist:
                self._db = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=60)
                self._db.execute("select 1 from run, point, hour, fault limit 1")
                return
            self._db = sqlite3.connect(path, timeout=60)
            self._db.executescript(files("simulators").joinpath("truth.sql").read_text(encoding="utf-8"))
        except sqlite3.OperationalError as e:
            raise InputFileError([f"{path}: is no truth file, or cannot be opened now: {e}"]) from e
        except sqlite3.DatabaseError as e:
            raise InputFileError([f"{path}: is no truth file: {e}"]) from e

    def close(self) -> None:
        """Close it; what was not saved is gone."""
        self._db.close()

    def save(self) -> None:
        """Commit."""
        self._db.commit()

    # ------------------------------------------------------------ writing

    def set_run(self, **facts: object) -> None:
        """Facts of the run, by key."""
        rows = [(k, str(v)) for k, v in facts.items()]
        self._db.executemany("insert or replace into run (key, value) values (?, ?)", rows)

    def add_points(self, points: Sequence[TruePoint]) -> None:
        """The points, in the order of the rows of `add_hours`."""
        rows = [
            (n, p.point_code, p.site_code, p.item_code, p.unit, p.parent_code, p.meter, p.register, p.gateway,
             p.display_step)
            for n, p in enumerate(points)
        ]  # fmt: skip
        self._db.executemany(f"insert or replace into point values ({_marks(10)})", rows)

    def add_hours(self, first_hour: int, energy: Floats) -> None:
        """float64[points, hours]: energy from `first_hour` (hours since 1970, UTC) on, in each point's unit."""
        points, hours = energy.shape
        no = np.repeat(np.arange(points), hours)
        hour = np.tile(np.arange(first_hour, first_hour + hours), points)
        rows = zip(no.tolist(), hour.tolist(), energy.ravel().tolist(), strict=True)
        self._db.executemany("insert or replace into hour values (?, ?, ?)", rows)

    def add_faults(self, faults: Iterable[TrueFault]) -> None:
        """Faults, in any order."""
        rows = [
            (f.kind, f.label, int(f.is_fault), f.site_code, f.point_code, f.meter, f.gateway,
             _text(f.starts), _text(f.ends), f.size, f.size_unit, " ".join(f.found_by), " ".join(f.may_find),
             json.dumps(f.detail, ensure_ascii=False, sort_keys=True))
            for f in faults
        ]  # fmt: skip
        self._db.executemany(f"insert into fault values (null, {_marks(14)})", rows)

    # ------------------------------------------------------------ reading

    def run(self) -> dict[str, str]:
        """Facts of the run."""
        return dict(self._db.execute("select key, value from run").fetchall())

    def points(self) -> list[TruePoint]:
        """All points in order of their number."""
        found = self._db.execute("select * from point order by point_no").fetchall()
        return [TruePoint(*row[1:]) for row in found]

    def hour_bounds(self) -> tuple[int, int] | None:
        """First and last hour (since 1970) of any point; None where there is none yet."""
        first, last = self._db.execute("select min(hour), max(hour) from hour").fetchone()
        return None if first is None else (first, last)

    def hours(self, point_no: int) -> tuple[Ints, Floats]:
        """(int64[n] hours since 1970, float64[n] energy) of a point, ascending."""
        found = self._db.execute(
            "select hour, energy from hour where point_no = ? order by hour", (point_no,)
        ).fetchall()
        table = np.array(found, np.float64).reshape(-1, 2)
        return table[:, 0].astype(np.int64), table[:, 1]

    def faults(self) -> list[TrueFault]:
        """All faults in order of their number."""
        found = self._db.execute("select * from fault order by fault_no").fetchall()
        return [
            TrueFault(
                kind, label, bool(is_fault), site, point, meter, gateway, datetime.fromisoformat(starts),
                datetime.fromisoformat(ends), size, size_unit, tuple(found_by.split()), tuple(may_find.split()),
                json.loads(detail),
            )
            for _, kind, label, is_fault, site, point, meter, gateway, starts, ends, size, size_unit, found_by,
                may_find, detail in found
        ]  # fmt: skip


def _marks(n: int) -> str:
    return ", ".join("?" * n)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()
