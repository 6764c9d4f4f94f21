"""The demonstration's proof: what is in the database against the CSV files that it came from."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import psycopg
from psycopg.rows import dict_row

from deploy.replay import ReplayPlan
from deploy.sql import query
from metering.records import Ints
from simulators.consumption import UNITS_PER_KWH, Consumption
from simulators.registers import RegisterSeries

#: Energy of a month may differ by this much a building, kWh.
MONTH_TOLERANCE_KWH = 0.01


@dataclass(frozen=True, slots=True)
class MonthError:
    """Energy of one building in one month: by the CSV and by the platform, kWh."""

    site_code: str
    month: date
    csv_kwh: float
    stored_kwh: float

    @property
    def error_kwh(self) -> float:
        """How far off the platform is."""
        return abs(self.stored_kwh - self.csv_kwh)


@dataclass(frozen=True, slots=True)
class Books:
    """The ledger's sums over the demonstration's gateways, in values."""

    received: int
    stored: int
    repeated: int
    conflicting: int
    rejected: int


@dataclass(frozen=True, slots=True)
class Check:
    """The result. readings: sent; lost, doubled, wrong (another value), strange (never sent): 0 if all is well."""

    readings: int
    lost: int
    doubled: int
    wrong: int
    strange: int
    books: Books
    months: int
    worst: MonthError
    csv_kwh: float
    stored_kwh: float
    estimated_kwh: float

    @property
    def is_well(self) -> bool:
        """Whether nothing is lost, doubled, rejected or off."""
        counts = (
            self.lost,
            self.doubled,
            self.wrong,
            self.strange,
            self.books.rejected,
            self.books.conflicting,
        )
        return not any(counts) and self.worst.error_kwh <= MONTH_TOLERANCE_KWH


def check_demo(connection: psycopg.Connection[Any], plan: ReplayPlan) -> Check:
    """Compare the api views with `plan`: readings one by one, energy by month and building."""
    counts = [
        _compare_readings(s, _stored_readings(connection, m.meter))
        for m, s in zip(plan.meters, plan.series, strict=True)
    ]
    lost, doubled, wrong, strange = (sum(c) for c in zip(*counts, strict=True))
    months, estimated = _months(connection, plan)
    with connection.cursor(row_factory=dict_row) as cur:
        books = cur.execute(query("demo_books"), {"gateways": plan.gateways}).fetchone() or {}
    return Check(
        readings=plan.readings,
        lost=lost,
        doubled=doubled,
        wrong=wrong,
        strange=strange,
        books=Books(**books),
        months=len(months),
        worst=max(months, key=lambda m: m.error_kwh),
        csv_kwh=sum(int(b.energy.sum()) for b in plan.buildings) / UNITS_PER_KWH,
        stored_kwh=sum(m.stored_kwh for m in months),
        estimated_kwh=estimated,
    )


def _stored_readings(connection: psycopg.Connection[Any], meter: str) -> tuple[Ints, list[float]]:
    with connection.cursor(binary=True) as cur:
        rows = cur.execute(query("demo_readings"), {"meter": meter}).fetchall()
    return np.array([r[0] for r in rows], np.int64), [r[1] for r in rows]


def _compare_readings(sent: RegisterSeries, stored: tuple[Ints, list[float]]) -> tuple[int, int, int, int]:
    """(lost, doubled, wrong, strange) of one meter."""
    ts, values = stored
    unique, first = np.unique(ts, return_index=True)
    _, of_sent, of_stored = np.intersect1d(sent.ts_us, unique, assume_unique=True, return_indices=True)
    same = sent.value[of_sent] == np.array(values, np.float64)[first[of_stored]]
    return (
        len(sent) - len(of_sent),
        len(ts) - len(unique),
        int(np.count_nonzero(~same)),
        len(unique) - len(of_stored),
    )


def _months(connection: psycopg.Connection[Any], plan: ReplayPlan) -> tuple[list[MonthError], float]:
    sites = [m.site_code for m in plan.meters]
    rows = connection.execute(query("demo_months"), {"sites": sites}).fetchall()
    stored = {(site, month): energy for site, month, energy, _ in rows}
    months = [
        MonthError(m.site_code, month, truth, stored.pop((m.site_code, month), 0.0))
        for m, b in zip(plan.meters, plan.buildings, strict=True)
        for month, truth in csv_months(b)
    ]
    # Months that the CSV knows nothing of count with a truth of 0.
    months += [MonthError(site, month, 0.0, energy) for (site, month), energy in stored.items()]
    return months, sum(row[3] for row in rows)


def csv_months(building: Consumption) -> list[tuple[date, float]]:
    """Energy by month of the CSV's clock, kWh."""
    month = building.hour.astype("datetime64[h]").astype("datetime64[M]")
    names, index = np.unique(month, return_inverse=True)
    sums = np.zeros(len(names), np.int64)
    np.add.at(sums, index, building.energy)
    return [
        (name.astype(object), int(total) / UNITS_PER_KWH) for name, total in zip(names, sums, strict=True)
    ]
