"""Reads what assessments are made from: day sums of energy, what was open, when meters were installed and silent."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from alerts.assessment import EnergyDays, Silence
from alerts.days import Bools, DayGrid, Floats, Ints
from alerts.sql import query
from metering.registers import Role, register_table
from storage.copying import decode

_SECOND = 1e-6


@dataclass(frozen=True, slots=True)
class Series:
    """A site and item that is assessed; `since`: the first local day that it can have energy."""

    site_code: str
    site_id: int
    item_code: str
    since: date


def load_series(conn: psycopg.Connection[Any], site_codes: list[str] | None = None) -> list[Series]:
    """All series that are assessed, in order of (site_code, item_code); `site_codes` narrows them."""
    rows = conn.execute(query("assessed_series"), {"site_codes": site_codes}).fetchall()
    return [Series(*row) for row in rows]


def first_energy_day(conn: psycopg.Connection[Any]) -> date | None:
    """The first local day of which any energy is known."""
    row = conn.execute(query("first_energy_day")).fetchone()
    return row[0] if row else None


def load_energy(
    conn: psycopg.Connection[Any], series: list[Series], days: DayGrid, asked: Bools, now: datetime | None
) -> EnergyDays:
    """Energy and silence of `series` over `days`.

    asked: S x N, the (series, day) whose state of knowledge is wanted: silences as of other days are not read.
    now: up to when time has passed, where the last day has not ended.
    """
    reader = _Reader(conn, series, days)
    energy, covered = reader.matrices("energy_days")
    open_energy, open_covered = reader.matrices("open_days")
    installed = reader.installed()
    unsettled = (open_energy > 0) | (open_covered > 0) | (covered < installed - _SECOND * installed)
    silence = reader.silence(asked & unsettled & (installed > 0))
    return EnergyDays(
        days,
        energy,
        covered,
        installed,
        open_energy,
        open_covered,
        silence,
        now.timestamp() if now else float("inf"),
    )


class _Reader:
    def __init__(self, conn: psycopg.Connection[Any], series: list[Series], days: DayGrid) -> None:
        self._conn = conn
        self._series = series
        self._days = days
        self._shape = (len(series), days.size)
        self._keys: dict[str, Any] = {
            "sites": [s.site_id for s in series],
            "items": [s.item_code for s in series],
            "first": days.first,
            "last": days.day(days.size - 1),
            "begins": _instant(days.edges_s[0]),
            "ends": _instant(days.edges_s[-1]),
            **_registers(),
        }

    def matrices(self, name: str) -> tuple[Floats, Floats]:
        ix, day, first, second = self._columns(name, ("int4", "int4", "float8", "float8"))
        one, two = np.zeros(self._shape), np.zeros(self._shape)
        one[ix, day], two[ix, day] = first, second
        return one, two

    def installed(self) -> Floats:
        out = np.zeros(self._shape)
        edges = self._days.edges_s
        spans = self._columns("installed_spans", ("int4", "float8", "float8"))
        for ix, begin, end in zip(*spans, strict=True):
            out[ix] += np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0, None)
        return out

    def silence(self, asked: Bools) -> Silence:
        ixs, day_ixs = np.nonzero(asked)
        keys = {
            "ixs": ixs.tolist(),
            "sites": [self._series[i].site_id for i in ixs],
            "items": [self._series[i].item_code for i in ixs],
            "day_ixs": day_ixs.tolist(),
            "day_ends": [_instant(self._days.edges_s[d + 1]) for d in day_ixs],
            **_registers(),
        }
        types = ("int4", "int4", "float8", "float8")
        tails = _copy(self._conn, "silent_tails", keys, types) if len(ixs) else _nothing(4)
        heads = self._columns("silent_heads", ("int4", "float8", "float8"))
        no_day = np.full(len(heads[0]), -1, dtype=np.int64)
        return Silence(
            np.concatenate([tails[0], heads[0]]).astype(np.int64),
            np.concatenate([tails[1], no_day]).astype(np.int64),
            np.concatenate([tails[2], heads[1]]).astype(np.float64),
            np.concatenate([tails[3], heads[2]]).astype(np.float64),
        )

    def _columns(self, name: str, types: tuple[str, ...]) -> list[npt.NDArray[Any]]:
        return _copy(self._conn, name, self._keys, types)


def _copy(
    conn: psycopg.Connection[Any], name: str, keys: dict[str, Any], types: tuple[str, ...]
) -> list[npt.NDArray[Any]]:
    statement = f"copy ({query(name)}) to stdout (format binary)"
    with conn.cursor() as cursor, cursor.copy(statement.encode(), keys) as copy:
        return decode(b"".join(bytes(part) for part in copy), types)


def _registers() -> dict[str, list[str]]:
    table = register_table().values()
    return {
        "totals": [r.code for r in table if r.role is Role.TOTAL],
        "tariffs": [r.code for r in table if r.role is Role.TARIFF],
    }


def _nothing(columns: int) -> list[npt.NDArray[Any]]:
    return [np.zeros(0) for _ in range(columns)]


def _instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


def as_of_rows(series: list[Series], days: DayGrid, first: date, last: date) -> tuple[Ints, Ints]:
    """Rows (series index, day index) of every series from `first`, or its `since`, to `last`; series-major."""
    begins = [max(days.index(first), days.index(s.since)) for s in series]
    stop = days.index(last) + 1
    counts = np.array([max(stop - b, 0) for b in begins], dtype=np.int64)
    ix = np.repeat(np.arange(len(series)), counts)
    offset = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return ix, np.repeat(np.array(begins, dtype=np.int64), counts) + offset
