"""Drives the platform's own code with the buildings of alert_truth.py, without a broker: registry, writer, derivation
and assessor. Everything of a day arrives at its end.

By the wall clock, which is moved from day to day, each day is written, derived and assessed before the next. By the
event clock some days are, one after the other, but never past one on which something late arrives or is entered.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from alerts.rolling import RollingAssessor, RollingOptions
from deploy.bench.alert_truth import HOUR_US, NEVER, REDUCTION, Building, Installed, Quality
from deploy.clients import connect_database
from deploy.settings import Settings
from deploy.sql import query
from deploy.stack.steps import Step
from metering.instants import from_us
from metering.records import Intake, MessageHeader, ReadingBatch
from storage.derivation import Deriver
from storage.registry import import_registry
from storage.writer import Writer

_MINUTE_US = 60_000_000
#: Days of the years before that are written at a time.
_DAYS_AT_ONCE = 20
#: By the event clock so many days are received at a time.
_TURN_DAYS = 10
_REGISTER = "1.8.0"
_DIGITS = 7

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A step of an alert: which alert, of which site and rule, when, to which state, and what was noted."""

    alert_id: int
    site_code: str
    rule: str
    at: datetime
    to_state: str
    note: str | None


class Platform:
    """The platform's parts on a database of its own."""

    def __init__(self, settings: Settings, database: str, quality: Quality, *, by_event: bool) -> None:
        self._settings, self._database, self._quality = settings, database, quality
        self._by_event = by_event
        self._now = datetime.now(UTC)
        self._writer = Writer(lambda: self._connect("writer"))
        self._deriver = Deriver(lambda: self._connect("worker"))
        self._assessor = RollingAssessor(
            lambda: self._connect("worker"),
            RollingOptions(by_event, patience_s=1e9, debounce_s=0.0),
            lambda: self._now,
        )
        self._days = _by_day(quality)

    def _connect(self, role: Any) -> psycopg.Connection[Any]:
        return connect_database(self._settings, role, database=self._database)

    def run(self, step: Step) -> list[Told]:
        """All years and what comes late; what the alerts did."""
        q = self._quality
        try:
            self._import(dict.fromkeys(range(len(q.buildings)), NEVER), whole=True)
            for day in range(0, q.judged_from, _DAYS_AT_ONCE):
                self._receive(range(day, min(day + _DAYS_AT_ONCE, q.judged_from)))
            self._deriver.run_all()
            total = q.days + q.tail_days
            for days in self._turns(q.judged_from, total):
                self._receive(days)
                self._enter(days[-1])
                self._deriver.run_all()
                self._now = from_us(q.begin_us + (days[-1] + 1) * 24 * HOUR_US + 5 * _MINUTE_US)
                self._assessor.run_once()
                step.advance(days[-1] - q.judged_from + 1, total - q.judged_from)
        finally:
            self._writer.close()
            self._deriver.close()
        with self._connect("pipeline") as connection:
            told = [Told(*row) for row in connection.execute(query("bench_alerts_told")).fetchall()]
        # Of a quick look the year goes on, and what it brings is not judged.
        whole = q.options.judged_days is None
        return [t for t in told if whole or day_of(q, t.at) < q.days]

    def _turns(self, first: int, stop: int) -> Iterator[range]:
        """The days that are received before the next look of the assessor."""
        at_once = _TURN_DAYS if self._by_event else 1
        alone = {day for b in self._quality.buildings for day in b.entered}
        alone |= {b.flaw.last for b in self._quality.buildings if b.flaw and b.flaw.kind == "outage_late"}
        while first < stop:
            end = next((d for d in range(first, first + at_once) if d in alone), first + at_once)
            yield range(first, min(max(end, first + 1), stop))
            first = max(end, first + 1)

    def limits(self) -> dict[str, float]:
        """The limit in force of each site."""
        with self._connect("pipeline") as connection:
            return dict(connection.execute(query("bench_alerts_limits")).fetchall())

    def _receive(self, days: Iterable[int]) -> None:
        batches = [batch for day in days for batch in self._days.get(day, ())]
        self._writer.write(Intake(readings=tuple(batches)))

    def _enter(self, day: int) -> None:
        due = {n: day for n, b in enumerate(self._quality.buildings) if day in b.entered}
        if due:
            self._import(due, whole=False)

    def _import(self, entered: Mapping[int, int], *, whole: bool) -> None:
        """Import rows of installations, entered on the days given, of some buildings; whole: all else, too."""
        q = self._quality
        with tempfile.TemporaryDirectory() as folder:
            files = {"installations": [_INSTALLATION_COLUMNS]}
            files["installations"] += [
                _installation(q, q.buildings[n], row)
                for n, day in entered.items()
                for row in q.buildings[n].entered[day]
            ]
            if whole:
                files |= _registry(q)
            for name, rows in files.items():
                with (Path(folder) / f"{name}.csv").open("w", encoding="utf-8", newline="") as out:
                    csv.writer(out).writerows(rows)
            with self._connect("pipeline") as connection:
                import_registry(connection, Path(folder), "bench")


_INSTALLATION_COLUMNS: Row = (
    "meter", "point_code", "register", "gateway", "protocol", "unit", "digits", "decimals", "ratio", "installed_at",
    "removed_at", "start_value", "end_value",
)  # fmt: skip


def _installation(q: Quality, b: Building, row: Installed) -> Row:
    return (
        f"{b.code}M", f"{b.code}-P", _REGISTER, b.gateway, "json", "kWh", _DIGITS, 2, row.ratio, _text(q, row.begin_h),
        None if row.end_h is None else _text(q, row.end_h), row.start_value, row.end_value,
    )  # fmt: skip


def _text(q: Quality, hours: int) -> str:
    return from_us(q.begin_us + hours * HOUR_US).isoformat()


def _registry(q: Quality) -> dict[str, list[Row]]:
    sites: list[Row] = [
        ("site_code", "name", "kind", "sector", "building_type", "district_code", "floor_area_m2")
    ]
    points: list[Row] = [
        ("point_code", "site_code", "item_code", "name", "parent_point_code", "rated_per_hour")
    ]
    quotas: list[Row] = [
        ("site_code", "item_code", "year", "limit_value", "method", "base_years", "reduction_percent", "source",
         "effective_from"),
    ]  # fmt: skip
    year = q.options.judged
    for b in q.buildings:
        sites.append((b.code, b.code, "building", "buildings", "A", "110108", 5000))
        points.append((f"{b.code}-P", b.code, "01", "total", None, b.rated))
        how: Row = (None, "base_year", year - 1, REDUCTION)
        if q.options.judged_days is not None:
            how = (round(b.limit_kwh, 6), "manual", None, None)
        quotas.append((b.code, "01", year, *how, "simulated", f"{year}-01-01"))
    return {"sites": sites, "points": points, "quotas": quotas}


def _by_day(q: Quality) -> dict[int, list[ReadingBatch]]:
    """What arrives at the end of each day: a message a gateway, in order of what was read."""
    found: dict[int, list[ReadingBatch]] = {}
    for gateway, of_gateway in groupby(q.buildings, lambda b: b.gateway):
        buildings = list(of_gateway)
        meters = tuple(f"{b.code}M" for b in buildings)
        number = np.repeat(np.arange(len(buildings), dtype=np.int32), len(buildings[0].shown))
        arrival = np.concatenate([b.arrival for b in buildings])
        ts = q.begin_us + np.rint(np.concatenate([b.stamp_h for b in buildings]) * HOUR_US).astype(np.int64)
        value = np.concatenate([b.shown for b in buildings])
        order = np.lexsort((ts, arrival))
        bounds = np.searchsorted(arrival[order], np.arange(q.days + q.tail_days + 1))
        for day, (begin, end) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
            at = order[begin:end]
            if not len(at):
                continue
            received = q.begin_us + (day + 1) * 24 * HOUR_US + _MINUTE_US
            header = MessageHeader(gateway, f"nl/v1/{gateway}/readings", received, len(at))
            found.setdefault(day, []).append(
                ReadingBatch(
                    (header,), meters, (_REGISTER,), number[at], np.zeros(len(at), np.int32), ts[at], value[at],
                    np.zeros(len(at), np.bool_),
                )
            )  # fmt: skip
    return found


def day_of(q: Quality, at: datetime) -> int:
    """The number of the local day that has just ended at a time of the clock that is moved."""
    return (at.astimezone(q.zone).date() - timedelta(days=1) - q.options.first).days
