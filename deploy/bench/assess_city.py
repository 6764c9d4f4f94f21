"""What `bench assess` works on: a database of its own with a simulated city of one electricity point a building, the
days of years as the derivation leaves them, and of hours and readings those that an assessment reads.

All of it is laid by COPY, which is not what is measured. A meter's readings, hours and days add up to each other, so
that what is derived later goes on from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

from deploy.bench.derive_store import Store, put_readings
from deploy.clients import connect_database
from deploy.settings import Settings
from deploy.simulate_city import city_registry
from deploy.stack.steps import Step
from metering.days import is_day_off
from metering.meters import Quota
from simulators.city import DECIMALS, City, city_rng
from storage.city import begin_city, read_series
from storage.copying import copy_in

Ints = npt.NDArray[np.int64]

_ITEM = "01"
#: Hours are laid of so many days: what rules about loads read of them.
_HOUR_DAYS = 100
#: Readings are laid of so many days.
_READING_DAYS = 3
_SITES_AT_ONCE = 500
_HOUR_US = 3_600_000_000
_DAY_S = 86_400.0
#: What is used in each hour of a day, against the others.
_HOURS = np.array([1.0] * 7 + [2.0, 3.0] + [4.0] * 9 + [3.0, 2.0] + [1.0] * 4)
#: Energy of a day off, and of summer against the mean.
_OFF, _SEASON = 0.7, 0.25


@dataclass(frozen=True)
class AssessCity:
    """A city whose options span all days, the last of them included; of each building there is one point.

    over: so many buildings, the first ones, have a limit that one more hour of use passes once all days are there.
    """

    city: City
    over: int

    @cached_property
    def ticks(self) -> Ints:
        """Energy of each building and day, in hundredths of kWh; shape (sites, days)."""
        o = self.city.options
        days = [o.start + timedelta(days=n) for n in range(o.days)]
        turn = np.array([d.timetuple().tm_yday for d in days]) * (2 * np.pi / 365)
        level = 1 - _SEASON * np.cos(turn)
        level *= np.array([_OFF if is_day_off(d) else 1.0 for d in days])
        noise = np.exp(city_rng(o.seed, "assess").normal(0.0, 0.1, (o.sites, o.days)))
        kwh = self.city.year_kwh[:, None] / 365 * level * noise
        return np.asarray(np.rint(kwh * 10**DECIMALS).astype(np.int64))

    def day(self, index: int) -> date:
        """The local day of that number."""
        return self.city.options.start + timedelta(days=index)

    def quotas(self) -> list[Quota]:
        """A given limit for this year and the last, of every building; see `over`."""
        last = self.day(self.city.options.days - 1)
        used = self.ticks[:, (date(last.year, 1, 1) - self.city.options.start).days :].sum(axis=1)
        usual = self.city.limit_kwh
        near = np.where(np.arange(len(used)) < self.over, used / 10**DECIMALS + 0.01, usual)
        return [
            Quota(site.site_code, _ITEM, year, limit, "manual", (), None, "bench", date(year, 1, 1))
            for year, limits in ((last.year - 1, usual), (last.year, near))
            for site, limit in zip(self.city.sites, limits.tolist(), strict=True)
        ]

    def shown(self, day: int) -> Ints:
        """What each register shows at the end of a day, in hundredths."""
        return np.asarray(self.city.start_ticks[:, 0] + self.ticks[:, : day + 1].sum(axis=1))


def register(settings: Settings, database: str, made: AssessCity) -> Store:
    """Write the registry of the city, with its quotas, into an empty database."""
    registry = replace(city_registry(made.city), quotas=made.quotas())
    with connect_database(settings, "pipeline", database=database) as connection:
        begin_city(connection, registry)
        return Store(settings, database, read_series(connection, registry))


def lay_days(store: Store, made: AssessCity, first: int, last: int, step: Step | None = None) -> None:
    """Lay the days from number `first` to `last`, with the hours and readings of the newest of them."""
    sites = made.city.options.sites
    with store.connect() as connection, connection.cursor() as cursor:
        for n in range(0, sites, _SITES_AT_ONCE):
            some = slice(n, min(n + _SITES_AT_ONCE, sites))
            with connection.transaction():
                _lay_days(cursor, store, made, some, first, last)
                _lay_hours(cursor, store, made, some, max(first, last - _HOUR_DAYS + 1), last)
            if step is not None:
                step.advance(some.stop, sites)


def _lay_days(
    cursor: psycopg.Cursor[Any], store: Store, made: AssessCity, some: slice, first: int, last: int
) -> None:
    ticks = made.ticks[some, first : last + 1]
    count = ticks.size
    days = np.array([made.day(n) for n in range(first, last + 1)], dtype="datetime64[D]")
    with cursor.copy(
        "copy nengliu.site_period (grain, site_id, item_code, period, consumption, estimated, covered_s, installed_s)"
        " from stdin (format binary)"
    ) as copy:
        copy.write(
            _binary_days(
                np.repeat(store.series.site_id[some, 0], len(days)),
                np.tile((days - np.datetime64("2000-01-01")).astype(np.int64), len(ticks)),
                ticks.ravel() / 10**DECIMALS,
                count,
            )
        )


def _binary_days(site_id: Ints, period: Ints, energy: npt.NDArray[np.float64], count: int) -> bytes:
    """Days of electricity, measured whole, as a binary COPY takes them; period: days since 2000-01-01."""
    fields = (
        ("grain", "S3", 3, b"day"),
        ("site_id", ">i4", 4, site_id),
        ("item_code", "S2", 2, _ITEM.encode()),
        ("period", ">i4", 4, period),
        ("consumption", ">f8", 8, energy),
        ("estimated", ">f8", 8, 0.0),
        ("covered_s", ">f8", 8, _DAY_S),
        ("installed_s", ">f8", 8, _DAY_S),
    )
    kinds = [("columns", ">i2")]
    for name, kind, _, _ in fields:
        kinds += [(f"size_{name}", ">i4"), (name, kind)]
    rows = np.empty(count, dtype=np.dtype(kinds))
    rows["columns"] = len(fields)
    for name, _, size, values in fields:
        rows[f"size_{name}"], rows[name] = size, values
    return b"PGCOPY\n\xff\r\n\x00" + bytes(8) + rows.tobytes() + b"\xff\xff"


def _lay_hours(
    cursor: psycopg.Cursor[Any], store: Store, made: AssessCity, some: slice, first: int, last: int
) -> None:
    """Hours of the days, and readings at the end of each hour of the last ones."""
    days = made.ticks[some, first : last + 1]
    cumulated = np.rint(days[:, :, None] * (np.cumsum(_HOURS) / _HOURS.sum())).astype(np.int64)
    hours = np.diff(cumulated, axis=2, prepend=0).reshape(len(days), -1)
    start_us = made.city.day_start_us[first : last + 1]
    begins = (start_us[:, None] + np.arange(24) * _HOUR_US).ravel()
    sites, shape = store.series.site_id[some, 0], hours.shape
    every = np.full(hours.size, 3600.0)
    copy_in(
        cursor,
        "nengliu.site_hour",
        {
            "site_id": ("int4", np.repeat(sites, shape[1])),
            "item_code": ("text", np.full(hours.size, _ITEM.encode(), "S2")),
            "hour": ("timestamptz", np.tile(begins, shape[0])),
            "consumption": ("float8", hours.ravel() / 10**DECIMALS),
            "estimated": ("float8", np.zeros(hours.size)),
            "covered_s": ("float8", every),
            "installed_s": ("float8", every),
            "revision": ("int8", np.ones(hours.size, np.int64)),
        },
    )
    kept = min(_READING_DAYS, days.shape[1]) * 24
    shown = (made.shown(last)[some, None] - hours.sum(axis=1)[:, None] + np.cumsum(hours, axis=1))[:, -kept:]
    put_readings(
        cursor,
        np.repeat(store.series.series_id[some, 0], kept),
        np.tile(begins[-kept:] + _HOUR_US, shape[0]),
        shown.ravel() / 10**DECIMALS,
    )
