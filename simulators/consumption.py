"""Hourly consumption of real buildings, from a folder of CSV files; strict: a row that does not parse is an
error.

Shape of the folder (the Cambridge Estates archive's own):

    UCam_Building_<id>/electricity/<year>.csv[.gz|.xz]   header, then "2011-01-01 00:00:00,12.3": hour's start
                                                         on the CSV's clock, kWh in that hour
    building_floor_roof_areas.csv                        Building ID, GIA (m2), …

Energy is kept in whole units of 1e-9 kWh, so that sums are exact.
"""

from __future__ import annotations

import csv
import gzip
import lzma
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TextIO

import numpy as np

from metering.errors import InputFileError
from metering.records import Ints

#: Whole units a kWh.
UNITS_PER_KWH = 10**9
#: No hour of a building is larger than this; it keeps sums within 64 bits.
MAX_HOUR_KWH = 1_000_000

_BUILDING = re.compile(r"UCam_Building_(\w+)\Z")
_YEAR_FILE = re.compile(r"(\d{4})\.csv(\.gz|\.xz)?\Z")
_AREAS = "building_floor_roof_areas.csv"
_MAX_PROBLEMS = 20
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  (the CSV's clock has no zone of its own)


@dataclass(frozen=True, slots=True)
class Consumption:
    """Consumption of one building by hour of the CSV's clock.

    hour: int64[n], hours since 1970-01-01T00:00 on the CSV's clock, strictly ascending; start of the hour.
    energy: int64[n], units of 1e-9 kWh in that hour. gia_m2: gross internal area, None where not given.
    """

    building: str
    gia_m2: float | None
    hour: Ints
    energy: Ints

    def years(self) -> list[int]:
        """The calendar years of which something is there, on the CSV's clock."""
        stamps = self.hour.astype("datetime64[h]").astype("datetime64[Y]").astype(np.int64) + 1970
        return [int(y) for y in np.unique(stamps)]


def read_folder(folder: Path) -> list[Consumption]:
    """All buildings of `folder`, by building id. Raises InputFileError naming every bad row by file and
    line.
    """
    if not folder.is_dir():
        raise InputFileError([f"{folder}: no such folder"])
    areas = _read_areas(folder)
    found = [d for d in sorted(folder.iterdir()) if (d / "electricity").is_dir() and _BUILDING.match(d.name)]
    if not found:
        raise InputFileError([f"{folder}: no UCam_Building_<id>/electricity folder in it"])
    problems: list[str] = []
    buildings = []
    for path in sorted(found, key=lambda d: _natural(_building_id(d))):
        building = _building_id(path)
        hour, energy = _read_building(folder, path / "electricity", problems)
        buildings.append(Consumption(building, areas.get(building), hour, energy))
    problems += [f"{folder}/UCam_Building_{b.building}: no hour in it" for b in buildings if not len(b.hour)]
    if problems:
        more = len(problems) - _MAX_PROBLEMS
        raise InputFileError(problems[:_MAX_PROBLEMS] + ([f"… and {more} more"] if more > 0 else []))
    return buildings


def _building_id(path: Path) -> str:
    match = _BUILDING.match(path.name)
    assert match
    return match[1]


def _natural(name: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(p), "") if p.isdigit() else (-1, p) for p in re.split(r"(\d+)", name) if p)


def _open_text(path: Path) -> TextIO:
    match path.suffix:
        case ".gz":
            return gzip.open(path, "rt", encoding="utf-8", newline="")
        case ".xz":
            return lzma.open(path, "rt", encoding="utf-8", newline="")
        case _:
            return path.open(encoding="utf-8", newline="")


def _read_areas(folder: Path) -> dict[str, float]:
    path = folder / _AREAS
    if not path.exists():
        return {}
    areas = {}
    with path.open(encoding="utf-8", newline="") as f:
        for line_no, row in enumerate(csv.DictReader(f), start=2):
            try:
                areas[row["Building ID"]] = float(row["GIA (m2)"])
            except (KeyError, TypeError, ValueError) as e:
                raise InputFileError(
                    [f"{path}:{line_no}: wants columns Building ID and GIA (m2), a number"]
                ) from e
    return areas


def _read_building(folder: Path, electricity: Path, problems: list[str]) -> tuple[Ints, Ints]:
    files = sorted(p for p in electricity.iterdir() if _YEAR_FILE.match(p.name))
    years = [p.name[:4] for p in files]
    problems += [
        f"{p.relative_to(folder)}: a second file of that year"
        for p, y in zip(files, years, strict=True)
        if years.count(y) > 1
    ]
    hours: list[int] = []
    energies: list[int] = []
    for path in files:
        name = str(path.relative_to(folder))
        try:
            with _open_text(path) as f:
                for line_no, hour, energy in _rows(name, f, problems):
                    if hours and hour <= hours[-1]:
                        problems.append(f"{name}:{line_no}: hour is not after the row before it")
                        continue
                    hours.append(hour)
                    energies.append(energy)
        except (UnicodeDecodeError, lzma.LZMAError, gzip.BadGzipFile, EOFError) as e:
            problems.append(f"{name}: cannot be read: {e}")
    return np.array(hours, np.int64), np.array(energies, np.int64)


def _rows(name: str, file: TextIO, problems: list[str]) -> Iterator[tuple[int, int, int]]:
    """(line number, hour, energy) of each good row; a bad one goes to `problems`."""
    reader = csv.reader(file)
    header = next(reader, [])
    if len(header) != 2 or header[0].strip() != "datetime":
        problems.append(f"{name}:1: header must be 'datetime,<load> [kWh]', found {','.join(header)!r}")
        return
    for row in reader:
        try:
            if len(row) != 2:
                raise ValueError(f"wants 2 columns, has {len(row)}")
            yield reader.line_num, _parse_hour(row[0]), _parse_energy(row[1])
        except ValueError as e:
            problems.append(f"{name}:{reader.line_num}: {e}")


def _parse_hour(text: str) -> int:
    try:
        stamp = datetime.fromisoformat(text.strip())
    except ValueError as e:
        raise ValueError(f"datetime {text!r} is not like 2011-01-31 23:00:00") from e
    if stamp.tzinfo is not None:
        raise ValueError(f"datetime {text!r} has an offset; the CSV's clock is named by --csv-timezone")
    if stamp.minute or stamp.second or stamp.microsecond:
        raise ValueError(f"datetime {text!r} is not the start of an hour")
    return int((stamp - _EPOCH).total_seconds()) // 3600


def _parse_energy(text: str) -> int:
    try:
        value = Decimal(text.strip())
    except InvalidOperation as e:
        raise ValueError(f"consumption {text!r} is not a number") from e
    if not value.is_finite() or not 0 <= value <= MAX_HOUR_KWH:
        raise ValueError(f"consumption {text!r} is not in 0..{MAX_HOUR_KWH} kWh")
    return int((value * UNITS_PER_KWH).to_integral_value())
