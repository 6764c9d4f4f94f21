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
from alerts.told import told_s
from metering.registers import Role, register_table
from metering.steps import GAP_INTERVALS
from storage.copying import unpack

_SECOND = 1e-6


@dataclass(frozen=True, slots=True)
class Series:
    """A site and item that is assessed.

    since: the first local day that it can have energy. parts: the items that it sums: itself, or of tce and tco2 the
    site's two-character items. building_type: None where the registry names none.
    """

    site_code: str
    site_id: int
    item_code: str
    since: date
    parts: tuple[str, ...]
    building_type: str | None = None


def load_series(conn: psycopg.Connection[Any], site_codes: list[str] | None = None) -> list[Series]:
    """All series that are assessed, in order of (site_code, item_code); `site_codes` narrows them."""
    rows = conn.execute(query("assessed_series"), {"site_codes": site_codes}).fetchall()
    return [
        Series(code, site, item, since, tuple(parts), kind) for code, site, item, since, parts, kind in rows
    ]


def first_energy_day(conn: psycopg.Connection[Any]) -> date | None:
    """The first local day of which any energy is known."""
    row = conn.execute(query("first_energy_day")).fetchone()
    return row[0] if row else None


def load_energy(
    conn: psycopg.Connection[Any],
    series: list[Series],
    days: DayGrid,
    asked: Bools,
    now: datetime | None,
    hindsight: bool,
) -> EnergyDays:
    """Energy and silence of `series` over `days`.

    asked: S x N, the (series, day) whose state of knowledge is wanted: silences as of other days are not read.
    now: up to when time has passed, where the last day has not ended. hindsight: what readings after a day's end tell
    of the time before it counts for that day, too; else each day knows only readings up to its end.
    """
    reader = _Reader(conn, series, days)
    energy, covered, unknown = reader.matrices("energy_days")
    open_energy, open_covered = np.zeros(energy.shape), np.zeros(energy.shape)
    if not hindsight:
        open_energy, open_covered, _ = reader.matrices("open_days")
    installed = reader.installed()
    unsettled = (open_energy > 0) | (open_covered > 0) | (covered < installed - _SECOND * installed)
    silence = reader.silence(asked & unsettled & (installed > 0), hindsight)
    return EnergyDays(
        days,
        energy,
        covered,
        installed,
        open_energy,
        open_covered,
        silence,
        unknown,
        now.timestamp() if now else float("inf"),
    )


class _Reader:
    def __init__(self, conn: psycopg.Connection[Any], series: list[Series], days: DayGrid) -> None:
        self._conn = conn
        self._series = series
        self._days = days
        self._shape = (len(series), days.size)
        parts = [(ix, s, item) for ix, s in enumerate(series) for item in s.parts]
        self._series_of = np.array([ix for ix, _, _ in parts], dtype=np.int64)
        self._weights = part_weights(conn, [(item, s.item_code) for _, s, item in parts], days)
        # One row a part: queries answer with its number.
        self._keys: dict[str, Any] = {
            "sites": [s.site_id for _, s, _ in parts],
            "items": [item for _, _, item in parts],
            "first": days.first,
            "last": days.day(days.size - 1),
            "begins": _instant(days.edges_s[0]),
            "ends": _instant(days.edges_s[-1]),
            **_registers(),
        }

    def matrices(self, name: str) -> tuple[Floats, Floats, Bools]:
        """Energy in the series' unit, seconds, and where energy is not known in that unit; S x N each."""
        part, day, energy, seconds = self._columns(name, ("int4", "int4", "float8", "float8"))
        order = np.argsort(part, kind="stable")  # sums of parts always in the same order
        part, day, energy, seconds = part[order], day[order], energy[order], seconds[order]
        where = (self._series_of[part], day)
        weight = self._weights[part, day]
        not_known = np.isnan(weight) & (energy != 0)
        one, two, unknown = (
            np.zeros(self._shape),
            np.zeros(self._shape),
            np.zeros(self._shape, dtype=np.bool_),
        )
        np.add.at(one, where, energy * np.nan_to_num(weight))
        np.add.at(two, where, seconds)
        np.logical_or.at(unknown, where, not_known)
        return one, two, unknown

    def installed(self) -> Floats:
        out = np.zeros(self._shape)
        edges = self._days.edges_s
        spans = self._columns("installed_spans", ("int4", "float8", "float8"))
        for part, begin, end in zip(*spans, strict=True):
            seconds = np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0, None)
            out[self._series_of[part]] += seconds
        return out

    def silence(self, asked: Bools, hindsight: bool) -> Silence:
        rows = [(i, d, item) for i, d in np.argwhere(asked).tolist() for item in self._series[i].parts]
        keys = {
            "ixs": [i for i, _, _ in rows],
            "sites": [self._series[i].site_id for i, _, _ in rows],
            "items": [item for _, _, item in rows],
            "day_ixs": [d for _, d, _ in rows],
            "day_ends": [_instant(self._days.edges_s[d + 1]) for _, d, _ in rows],
            "hindsight": hindsight,
            **_registers(),
        }
        types = ("int4", "int4", "float8", "float8", "int4", "float8")
        ix, day, begin, end, point, interval = (
            copy_columns(self._conn, "silent_tails", keys, types) if rows else _nothing(6)
        )
        told = told_s(self._conn, (point, interval, begin, end), self._days.zone.key, hindsight=hindsight)
        waits = (interval > 0) & (end - begin <= GAP_INTERVALS * interval)
        heads = self._columns("silent_heads", ("int4", "float8", "float8"))
        no_day = np.full(len(heads[0]), -1, dtype=np.int64)
        return Silence(
            np.concatenate([ix, self._series_of[heads[0]]]).astype(np.int64),
            np.concatenate([day, no_day]).astype(np.int64),
            np.concatenate([begin, heads[1]]).astype(np.float64),
            np.concatenate([end, heads[2]]).astype(np.float64),
            np.concatenate([told, np.zeros(len(no_day))]),
            np.concatenate([waits, np.zeros(len(no_day))]).astype(np.bool_),
        )

    def _columns(self, name: str, types: tuple[str, ...]) -> list[npt.NDArray[Any]]:
        return copy_columns(self._conn, name, self._keys, types)


def part_weights(conn: psycopg.Connection[Any], parts: list[tuple[str, str]], days: DayGrid) -> Floats:
    """P x N: what a unit of each part (item, what it is summed into) counts on each day; NaN: no factor covers it."""
    out = np.ones((len(parts), days.size))
    converted = sorted({into for item, into in parts if item != into})
    if not converted:
        return out
    factors = conn.execute(query("factors"), {"quantities": converted}).fetchall()
    for p, (item, into) in enumerate(parts):
        if item == into:
            continue
        out[p] = np.nan
        for factor_item, quantity, value, valid_from, valid_to in factors:
            if (factor_item, quantity) == (item, into):
                begin, end = max(days.index(valid_from), 0), max(days.index(valid_to), 0)
                out[p, begin:end] = value
    return out


def copy_columns(
    conn: psycopg.Connection[Any], name: str, keys: dict[str, Any], types: tuple[str, ...]
) -> list[npt.NDArray[Any]]:
    """The columns of a query; types: float8, int4. The server packs its rows into one value: row by row, as COPY sends
    them, reading took nine tenths of an assessment's time.
    """
    columns = [f"column_{n}" for n in range(len(types))]
    packed = " || ".join(f"{kind}send({name})" for name, kind in zip(columns, types, strict=True))
    statement = f"select string_agg({packed}, ''::bytea) from (\n{query(name)}\n) x ({', '.join(columns)})"
    # Never prepared: a plan depends on how many series are asked for.
    row = conn.execute(statement.encode(), keys, prepare=False, binary=True).fetchone()
    assert row is not None  # an aggregate yields one row
    return unpack(row[0], types)


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
