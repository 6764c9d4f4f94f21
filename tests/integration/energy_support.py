"""Registry rows and readings put straight into the database, for tests of what is derived from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from metering.instants import to_us
from metering.registers import Role, register_table
from metering.spans import END, PlacedPoint, Span, root_spans, union
from storage.derivation import Deriver

Row = tuple[Any, ...]


@dataclass
class Town:
    """A database with a registry that a test builds row by row."""

    connection: psycopg.Connection[Any]
    url: str
    superuser_url: str

    def superuser(self) -> psycopg.Connection[Any]:
        """Another connection, that may do everything."""
        return psycopg.connect(self.superuser_url, autocommit=True)

    def site(self, code: str, sector: str = "buildings", district: str | None = "110108") -> int:
        """A site, new or known."""
        return self._one(
            """insert into nengliu.site (site_code, name, kind, sector, district_code, floor_area_m2)
               values (%s, %s, 'building', %s, %s, 5000)
               on conflict (site_code) do update set name = excluded.name returning site_id""",
            (code, code, sector, district),
        )

    def point(
        self, code: str, site: int, item: str = "01", parent: int | None = None, rated: float | None = None
    ) -> int:
        """A metering point."""
        return self._one(
            """insert into nengliu.point (point_code, site_id, item_code, name, parent_point_id, rated_per_hour)
               values (%s, %s, %s, %s, %s, %s) returning point_id""",
            (code, site, item, code, parent, rated),
        )

    def install(self, meter: str, point: int, installed: datetime, **more: Any) -> int:
        """An installation; spans and marks as an import of it would write them (`place`)."""
        row = {
            "meter": meter,
            "point_id": point,
            "register": "1.8.0",
            "gateway": "gw1",
            "protocol": "json",
            "unit": "kWh",
            "digits": 6,
            "decimals": 2,
            "ratio": 1,
            "installed_at": installed,
            **more,
        }
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        return self._one(
            f"insert into nengliu.installation ({names}) values ({marks}) returning installation_id",
            tuple(row.values()),
        )

    def place(self, points: Iterable[int] | None = None) -> None:
        """Compute point_span and root_span of everything anew, and mark `points` (default: all) as changed."""
        spans = self._point_spans()
        self._rows("delete from nengliu.point_span", [])
        self._rows("delete from nengliu.root_span", [])
        self._rows(
            "insert into nengliu.point_span values (%s, " + _AT + ", " + _AT + ")",
            [(p, a, a, b, b) for p, found in spans.items() for a, b in found],
        )
        placed: dict[int, dict[str, PlacedPoint]] = defaultdict(dict)
        for p, site, item, parent in self.connection.execute(
            "select point_id, site_id, item_code, parent_point_id from nengliu.point"
        ).fetchall():
            placed[site][str(p)] = PlacedPoint(
                item, None if parent is None else str(parent), spans.get(p, [])
            )
        self._rows(
            "insert into nengliu.root_span values (%s, %s, %s, " + _AT + ", " + _AT + ")",
            [
                (site, item, int(p), a, a, b, b)
                for site, members in placed.items()
                for (item, p), found in root_spans(members).items()
                for a, b in found
            ],
        )
        chosen = None if points is None else list(points)
        self.connection.execute(
            """insert into nengliu.change (site_id, point_id, from_ts, to_ts)
               select site_id, point_id, '-infinity', 'infinity' from nengliu.point
               where %s::int[] is null or point_id = any (%s)""",
            (chosen, chosen),
        )

    def read(self, meter: str, readings: Iterable[tuple[datetime, float]], register: str = "1.8.0") -> None:
        """Store readings (a known time: as a correction) and mark what they change, as the writer does."""
        rows = list(readings)
        series = self._one(
            """insert into nengliu.series (meter, register) values (%s, %s)
               on conflict (meter, register) do update set meter = excluded.meter returning series_id""",
            (meter, register),
        )
        self._rows(
            """insert into nengliu.reading (series_id, ts, value, received_at) values (%s, %s, %s, now())
               on conflict (series_id, ts) do update set value = excluded.value""",
            [(series, ts, value) for ts, value in rows],
        )
        times = [ts for ts, _ in rows]
        self.connection.execute(
            """insert into nengliu.change (site_id, series_id, from_ts, to_ts)
               select (select p.site_id from nengliu.installation i join nengliu.point p using (point_id)
                       where i.meter = %(meter)s and i.register = %(register)s and i.installed_at <= %(to)s
                         and (i.removed_at is null or i.removed_at > %(from)s)
                       order by i.installed_at limit 1), %(series)s, %(from)s, %(to)s""",
            {"meter": meter, "register": register, "series": series, "from": min(times), "to": max(times)},
        )

    def rows(self, query: str, *parameters: Any) -> list[Row]:
        """What a query yields."""
        return self.connection.execute(query, parameters or None).fetchall()

    def _point_spans(self) -> dict[int, list[Span]]:
        found: dict[int, list[Span]] = defaultdict(list)
        for point, register, begin, end in self.rows(
            "select point_id, register, installed_at, removed_at from nengliu.installation"
        ):
            if register_table()[register].role in (Role.TOTAL, Role.TARIFF):
                found[point].append((to_us(begin), END if end is None else to_us(end)))
        return {point: union(spans) for point, spans in found.items()}

    def _rows(self, statement: str, rows: list[Row]) -> None:
        with self.connection.cursor() as cursor:
            if rows:
                cursor.executemany(statement, rows)
            elif "%s" not in statement:
                cursor.execute(statement)

    def _one(self, statement: str, parameters: Row) -> int:
        row = self.connection.execute(statement, parameters).fetchone()
        assert row is not None
        return int(row[0])


_AT = (
    "case when %s >= 4611686018427387904 then 'infinity' "
    "else timestamptz 'epoch' + %s::bigint * interval '1 microsecond' end"
)

#: What tests put in, or what is made of it.
_FILLED = (
    "change, dependency, factor_version, finding, installation, point, point_day_open, point_hour, point_period, "
    "point_span, reading, reading_doubt, reading_review, root_span, series, site, site_day_open, site_hour, site_period"
)


@contextmanager
def empty_database(superuser_url: str, zone: str = "Asia/Shanghai", registry: bool = False) -> Iterator[None]:
    """The database of a module, emptied for a test, its days those of `zone`."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        connection.execute("set search_path = nengliu")
        connection.execute(
            "set lock_timeout = '60s'"
        )  # a worker that was left behind is an error, not a wait
        connection.execute(f"truncate {_FILLED} cascade")
        if registry:
            connection.execute("truncate registry_version cascade")
        connection.execute("update node set timezone = %s", (zone,))
    yield


#: Everything derived, in an order of its own, without revisions.
DERIVED = {
    "point_hour": "select point_id, hour, consumption, estimated, covered_s, installed_s, method "
    "from nengliu.point_hour",
    "point_period": "select * from nengliu.point_period",
    "point_day_open": "select * from nengliu.point_day_open",
    "site_hour": "select site_id, item_code, hour, consumption, estimated, covered_s, installed_s "
    "from nengliu.site_hour",
    "site_period": "select * from nengliu.site_period",
    "site_day_open": "select * from nengliu.site_day_open",
    "reading_doubt": "select * from nengliu.reading_doubt",
    "finding": "select rule_key, kind, point_id, starts, ends, detail::text from nengliu.finding where state = 'open'",
}


def derived(connection: psycopg.Connection[Any]) -> dict[str, list[Row]]:
    """All derived rows, table by table, sorted."""
    return {name: sorted(connection.execute(q).fetchall()) for name, q in DERIVED.items()}


def derive_anew(connection: psycopg.Connection[Any], database: Any) -> dict[str, list[Row]]:
    """All derived rows as they are when everything is derived from the beginning."""
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute("set lock_timeout = '60s'")
        superuser.execute(f"truncate nengliu.dependency, {', '.join(f'nengliu.{name}' for name in DERIVED)}")
    connection.execute(
        "insert into nengliu.change (site_id, point_id, from_ts, to_ts) "
        "select site_id, point_id, '-infinity', 'infinity' from nengliu.point"
    )
    deriver = Deriver(lambda: psycopg.connect(database.worker_url))
    deriver.run_all()
    deriver.close()
    return derived(connection)
