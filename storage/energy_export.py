"""Energy out of the views of schema api, streamed in order: as CSV as the server writes it, or as rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

import psycopg
from psycopg import sql

from storage.errors import away_as_typed
from storage.sql import query

Grain = Literal["hour", "day", "month", "year"]

_POINT = (
    "site_code",
    "point_code",
    "item_code",
    "unit",
    "period",
    "consumption",
    "estimated",
    "completeness",
)
_SITE = (
    *("site_code", "item_code", "unit", "period", "consumption", "estimated", "completeness"),
    *("tce", "tce_calorific", "tco2"),
)
_FIGURES = frozenset(("consumption", "estimated", "completeness", "tce", "tce_calorific", "tco2"))
_FETCHED = 10_000
_ISO = sql.SQL("""to_char(period, 'YYYY-MM-DD"T"HH24:MI:SSTZH:TZM') as period""")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the energy: of points, or of whole sites; sites, districts, items: empty means all.

    low, high: periods that start in [low, high): moments for hours, else dates.
    """

    of_sites: bool
    grain: Grain
    low: datetime | date
    high: datetime | date
    sites: Sequence[str] = ()
    districts: Sequence[str] = ()
    items: Sequence[str] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the view; of hours of points their method too."""
        if self.of_sites:
            return _SITE
        return (*_POINT, "method") if self.grain == "hour" else _POINT


def is_figure(column: str) -> bool:
    """Whether a column holds numbers; `period` holds times, all others texts."""
    return column in _FIGURES


def unknown_codes(connection: psycopg.Connection[Any], wanted: Wanted) -> list[str]:
    """Those of the sites and districts that the registry does not have."""
    asked = {"sites": list(wanted.sites), "districts": list(wanted.districts)}
    found = connection.execute(query("export_unknown"), asked)
    return [code for (code,) in found]


def csv_blocks(connection: psycopg.Connection[Any], wanted: Wanted, zone: str) -> Iterator[bytes]:
    """CSV with its header, in whole rows; hours as times with the offset of `zone`. Raises DatabaseAwayError."""
    text, values = _query(wanted, as_text=True)
    with away_as_typed(), connection.transaction(), connection.cursor() as cursor:
        cursor.execute("select set_config('timezone', %s, true)", [zone])
        copying = sql.SQL("copy ({}) to stdout with (format csv, header)").format(text)
        with cursor.copy(copying, values) as copy:
            for block in copy:
                yield bytes(block)


def row_blocks(connection: psycopg.Connection[Any], wanted: Wanted) -> Iterator[list[tuple[Any, ...]]]:
    """Rows in the order of `wanted.columns`, some thousand at a time. Raises DatabaseAwayError."""
    text, values = _query(wanted, as_text=False)
    with away_as_typed(), connection.transaction(), connection.cursor("energy_export") as cursor:
        cursor.execute(text, values)
        while rows := cursor.fetchmany(_FETCHED):
            yield rows


def _query(wanted: Wanted, *, as_text: bool) -> tuple[sql.Composed, dict[str, Any]]:
    """The query; names of views and columns are of this file, everything else is a parameter."""
    view = f"{'site_energy' if wanted.of_sites else 'energy'}_{wanted.grain}"
    methods = "method" in wanted.columns
    shown = [
        _ISO if as_text and c == "period" and wanted.grain == "hour" else sql.Identifier(c)
        for c in wanted.columns
    ]
    order = [
        sql.Identifier(c) for c in ("site_code", "point_code", "item_code", "period") if c in wanted.columns
    ]
    tests: list[sql.Composable] = [sql.SQL("period >= %(low)s and period < %(high)s")]
    values: dict[str, Any] = {"low": wanted.low, "high": wanted.high}
    for name, column, codes in (("sites", "site_code", wanted.sites), ("items", "item_code", wanted.items)):
        if codes:
            tests.append(sql.SQL("{} = any(%({})s)").format(sql.Identifier(column), sql.SQL(name)))
            values[name] = list(codes)
    if wanted.districts:
        tests.append(
            sql.SQL("site_code in (select site_code from api.site where district_code = any(%(districts)s))")
        )
        values["districts"] = list(wanted.districts)
    joined = sql.SQL("join api.energy_hour_method using (site_code, point_code, period)" if methods else "")
    text = sql.SQL("select {} from {} {} where {} order by {}").format(
        sql.SQL(", ").join(shown),
        sql.Identifier("api", view),
        joined,
        sql.SQL(" and ").join(tests),
        sql.SQL(", ").join(order),
    )
    return text, values
