"""What the report shows, read from the api views: quota years with their days, assessments and alerts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cache, cached_property
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row

from alerts.report_lines import AlertSpan, spans_by_site

#: A year whose energy is measured for less than this share does not shape the monthly shares of a limit.
_SHAPE_COMPLETENESS = 0.9


@dataclass(frozen=True, slots=True)
class Day:
    """Energy of one local day, in the item's unit; completeness 0..1, None where nothing was installed."""

    day: date
    consumption: float
    completeness: float | None


@dataclass(frozen=True, slots=True)
class Assessed:
    """A quota assessment as of the end of a local day; energies in the item's unit."""

    as_of: date
    used: float
    limit_value: float | None
    p10: float | None
    p50: float | None
    p90: float | None
    level: str
    completeness: float | None


@dataclass(frozen=True, slots=True)
class OpenedAlert:
    """An alert of this quota; as_of: the local day whose assessment opened it."""

    alert_id: int
    rule: str
    severity: str
    state: str
    opened_at: datetime
    as_of: date
    resolved_at: datetime | None = None


@dataclass(frozen=True)
class QuotaYear:
    """One site, item and year with a limit, and all that the report says of it."""

    site_code: str
    site_name: str
    district_code: str | None
    floor_area_m2: float | None
    item_code: str
    unit: str
    year: int
    limit_value: float | None
    source: str
    days: Sequence[Day]
    assessments: Sequence[Assessed]
    alerts: Sequence[OpenedAlert]
    shape: Sequence[float]
    shape_years: Sequence[int]

    @property
    def last(self) -> Assessed | None:
        """The newest assessment."""
        return self.assessments[-1] if self.assessments else None

    @cached_property
    def passed_on(self) -> date | None:
        """The first local day at whose end more than the limit was used."""
        over = (a.as_of for a in self.assessments if a.limit_value is not None and a.used > a.limit_value)
        return next(over, None)

    @property
    def first_alert(self) -> OpenedAlert | None:
        """The alert that opened first."""
        return min(self.alerts, key=lambda a: a.opened_at, default=None)

    @property
    def lead_days(self) -> int | None:
        """Days that an alert had stood when the limit was passed; None without either."""
        if self.passed_on is None:
            return None
        standing = [
            a.as_of for a in self.alerts if a.resolved_at is None or a.resolved_at.date() > self.passed_on
        ]
        return (self.passed_on - min(standing)).days if standing else None

    def assessed_on(self, day: date) -> Assessed | None:
        """The assessment as of `day`, or the newest before it."""
        return max((a for a in self.assessments if a.as_of <= day), key=lambda a: a.as_of, default=None)

    @cached_property
    def months(self) -> list[tuple[float, float | None]]:
        """(consumption, completeness) of the twelve months; completeness None where there is nothing."""
        sums: list[list[Day]] = [[] for _ in range(12)]
        for d in self.days:
            sums[d.day.month - 1].append(d)
        return [(sum(d.consumption for d in of), _mean([d.completeness for d in of])) for of in sums]


@dataclass(frozen=True, slots=True)
class Intake:
    """What came in, in values, as the ledger counts them."""

    received: int
    stored: int
    repeated: int
    conflicting: int
    rejected: int
    gateways: int


@dataclass(frozen=True, slots=True)
class ReportData:
    """Everything that one report shows; left_out: sites with a quota that it does not show; alerts: by site code."""

    quotas: Sequence[QuotaYear]
    intake: Intake
    timezone: str
    left_out: int = 0
    alerts: Mapping[str, Sequence[AlertSpan]] = field(default_factory=dict)

    @property
    def sites(self) -> dict[str, list[QuotaYear]]:
        """The quotas by site code."""
        by_site: dict[str, list[QuotaYear]] = defaultdict(list)
        for q in self.quotas:
            by_site[q.site_code].append(q)
        return dict(by_site)


def load_report(
    connection: psycopg.Connection[Any], timezone: str, sites: Sequence[str] | None = None, at_most: int = 100
) -> ReportData:
    """Read the report's data from the api views.

    `sites`: these site codes; None: the `at_most` sites with a quota that have most alerts.
    """
    with connection.cursor(row_factory=dict_row) as cur:
        left_out = 0
        if sites is None:
            chosen = cur.execute(_query("report_sites"), {"at_most": at_most}).fetchall()
            sites = [r["site_code"] for r in chosen]
            left_out = chosen[0]["sites"] - len(chosen) if chosen else 0
        args = {"sites": list(sites)}
        days = _days(cur.execute(_query("report_days"), args).fetchall())
        assessments = _assessments(cur.execute(_query("report_assessments"), args).fetchall())
        alert_rows = cur.execute(_query("report_alerts"), args).fetchall()
        alerts = _alerts(alert_rows, ZoneInfo(timezone))
        quotas = [
            _quota_year(row, days.get((row["site_code"], row["item_code"]), []), assessments, alerts)
            for row in cur.execute(_query("report_quotas"), args).fetchall()
        ]
        intake = Intake(**(cur.execute(_query("report_ledger")).fetchone() or {}))
    return ReportData(quotas, intake, timezone, left_out, spans_by_site(alert_rows, ZoneInfo(timezone)))


@cache
def _query(name: str) -> str:
    return files("alerts").joinpath("queries", f"{name}.sql").read_text(encoding="utf-8")


_Key = tuple[str, str, int]

#: Alerts that warn of the limit or say that it is passed; the others stand in the time line only.
_OF_THE_LIMIT = frozenset({"quota_forecast_over", "quota_over", "quota_severe", "quota_enforcement"})


def _days(rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[Day]]:
    days: dict[tuple[str, str], list[Day]] = defaultdict(list)
    for r in rows:
        days[r["site_code"], r["item_code"]].append(Day(r["period"], r["consumption"], r["completeness"]))
    return days


def _assessments(rows: Sequence[Mapping[str, Any]]) -> dict[_Key, list[Assessed]]:
    found: dict[_Key, list[Assessed]] = defaultdict(list)
    for r in rows:
        found[r["site_code"], r["item_code"], r["year"]].append(
            Assessed(r["as_of"], r["used"], r["limit_value"], r["forecast_p10"], r["forecast_p50"],
                     r["forecast_p90"], r["level"], r["completeness"])
        )  # fmt: skip
    return found


def _alerts(rows: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> dict[_Key, list[OpenedAlert]]:
    """Those of the limit by site, item and year, as the evidence names them."""
    found: dict[_Key, list[OpenedAlert]] = defaultdict(list)
    for r in rows:
        evidence = r["evidence"]
        if r["rule"] not in _OF_THE_LIMIT or not {"item_code", "year"} <= evidence.keys():
            continue
        # Without an as_of in the evidence: the last day that had ended when the alert opened.
        as_of = evidence.get("as_of")
        day = (
            date.fromisoformat(as_of) if as_of else r["opened_at"].astimezone(zone).date() - timedelta(days=1)
        )
        found[r["site_code"], evidence["item_code"], int(evidence["year"])].append(
            OpenedAlert(
                r["alert_id"],
                r["rule"],
                r["severity"],
                r["state"],
                r["opened_at"].astimezone(zone),
                day,
                r["resolved_at"].astimezone(zone) if r["resolved_at"] else None,
            )
        )
    return found


def _quota_year(
    row: Mapping[str, Any],
    days: Sequence[Day],
    assessments: Mapping[_Key, Sequence[Assessed]],
    alerts: Mapping[_Key, Sequence[OpenedAlert]],
) -> QuotaYear:
    year: int = row["year"]
    key = (row["site_code"], row["item_code"], year)
    shape, shape_years = limit_shape(days, year)
    return QuotaYear(
        site_code=row["site_code"],
        site_name=row["name"],
        district_code=row["district_code"],
        floor_area_m2=row["floor_area_m2"],
        item_code=row["item_code"],
        unit=row["unit"],
        year=year,
        limit_value=row["limit_value"],
        source=row["source"],
        days=[d for d in days if d.day.year == year],
        assessments=assessments.get(key, []),
        alerts=alerts.get(key, []),
        shape=shape,
        shape_years=shape_years,
    )


def limit_shape(days: Sequence[Day], year: int) -> tuple[list[float], list[int]]:
    """The share of `year`'s limit that falls to each month, summing to 1, and the years that it was taken
    from.

    The mean of the monthly shares of the site's well-measured earlier years; without one, by the days of the
    month.
    """
    by_year: dict[int, list[Day]] = defaultdict(list)
    for d in days:
        if d.day.year < year:
            by_year[d.day.year].append(d)
    good = {y: of for y, of in by_year.items() if _shapes(y, of)}
    if not good:
        lengths = [_month_days(year, m) for m in range(1, 13)]
        return [n / sum(lengths) for n in lengths], []
    shares = [0.0] * 12
    for of in good.values():
        total = sum(d.consumption for d in of)
        for d in of:
            shares[d.day.month - 1] += d.consumption / total / len(good)
    return shares, sorted(good)


def _shapes(year: int, days: Sequence[Day]) -> bool:
    length = (date(year + 1, 1, 1) - date(year, 1, 1)).days
    covered = sum(d.completeness or 0.0 for d in days) / length
    return covered >= _SHAPE_COMPLETENESS and sum(d.consumption for d in days) > 0


def _month_days(year: int, month: int) -> int:
    return (date(year + month // 12, month % 12 + 1, 1) - date(year, month, 1)).days


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
