"""An alert of a quota held against what is known now, and against what was known when it opened: assessed afresh."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from datetime import date, datetime
from typing import Any

import psycopg

from alerts.assess_set import Scope, assess_days
from alerts.assessment_store import assessment_rows
from alerts.by_hand import FIELDS, HandOptions
from alerts.days import end_of_day
from alerts.frames import load_series
from alerts.rolling import local_zone
from alerts.sql import query
from metering.errors import NengliuError
from metering.instants import to_us
from storage.derivation import Deriver
from storage.registry_rehearsal import put_back
from storage.remark import mark_points

#: What a verdict rests on: the same to so much of itself is the same.
_SAME = 1e-9
_FIGURES = ("used", "limit_value", "forecast_p10", "forecast_p50", "forecast_p90", "completeness")


class NotOfAQuotaError(NengliuError):
    """The alert is not about a quota: its evidence are findings or loads."""


@dataclass(frozen=True, slots=True)
class Since:
    """What came since an alert's assessment that bears on it: readings of the site up to the end of its day that came
    or were corrected, verdicts on readings, limits and registry rows of the site (and rules of validation), factors of
    a quota in tonnes.
    """

    readings: int
    corrected: int
    reviews: int
    limits: int
    registry: int
    factors: int

    @property
    def nothing(self) -> bool:
        """Whether nothing did."""
        return not any(astuple(self))


@dataclass(frozen=True, slots=True)
class Provenance:
    """then: the figures as they were stored with the alert; known_at: when they were known, wall clock; now: the same
    day assessed with what is known now; since: what came in between.
    """

    as_of: date
    known_at: datetime
    then: dict[str, Any]
    now: dict[str, Any] | None
    since: Since


def trace(
    conn: psycopg.Connection[Any], alert: Mapping[str, Any], options: HandOptions, now: datetime
) -> Provenance:
    """What became of an alert's ground. alert: a row of api.alert. Raises NotOfAQuotaError."""
    then, as_of, site, item = _then(alert)
    known_at = _known_at(conn, alert, then, as_of, site, item, now)
    scope = Scope(
        local_zone(conn), options.parameters, options.by_event, now=None if options.by_event else now
    )
    keys = {
        "site": site,
        "known_at": known_at,
        "until": end_of_day(as_of, local_zone(conn)),
        "item": item,
        "year": as_of.year,
    }
    row = conn.execute(query("provenance_since"), keys).fetchone()
    assert row is not None  # a select without a table yields one row
    return Provenance(as_of, known_at, then, _assessed(conn, site, item, as_of, scope), Since(*row))


def verify(
    deriver: Deriver, alert: Mapping[str, Any], traced: Provenance, options: HandOptions
) -> dict[str, Any] | None:
    """The alert's day assessed again from the readings, verdicts, limits, factors and registry as they were known then:
    what came since is taken away and the site derived anew, in a transaction that is rolled back.
    """
    _, as_of, site, item = _then(alert)
    with deriver.rehearsal() as (connection, derive):
        found = connection.execute(
            "select site_id from nengliu.site where site_code = %s for no key update", (site,)
        ).fetchone()
        if found is None:
            return None
        keys = {"site": site, "known_at": traced.known_at}
        if traced.since.factors:
            connection.execute(query("provenance_factors"), keys)
            connection.execute(query("provenance_factors_again"), keys)
        otherwise = put_back(connection, site, traced.known_at)
        row = connection.execute(query("provenance_forget"), keys).fetchone()
        if row is not None and row[0] is not None:
            mark_points(connection, [site], to_us(row[0]), to_us(row[1]))
            otherwise += 1
        if otherwise:
            derive([found[0]])
        zone = local_zone(connection)
        past = None if options.by_event else traced.known_at
        scope = Scope(zone, options.parameters, options.by_event, traced.known_at, past)
        return _assessed(connection, site, item, as_of, scope)


def same(one: Mapping[str, Any], other: Mapping[str, Any] | None) -> bool:
    """Whether two assessments say the same: level, method and figures."""
    if other is None or one["level"] != other["level"]:
        return False
    return all(_close(one.get(name), other.get(name)) for name in _FIGURES)


def _close(a: float | None, b: float | None) -> bool:
    if a is None or b is None:
        return a is b
    return abs(a - b) <= 1e-6 + _SAME * max(abs(a), abs(b))


def _then(alert: Mapping[str, Any]) -> tuple[dict[str, Any], date, str, str]:
    evidence = alert["evidence"]
    if "limit_value" not in evidence or "forecast" not in evidence:
        raise NotOfAQuotaError(f"alert {alert['alert_id']} ({alert['rule']}) is not about a quota")
    forecast = evidence["forecast"]
    figures = {
        **{name: evidence.get(name) for name in ("used", "limit_value", "completeness", "level", "method")},
        **{f"forecast_{q}": forecast[q] for q in ("p10", "p50", "p90")},
        "exhaustion_date": evidence.get("exhaustion_date"),
    }
    return figures, date.fromisoformat(evidence["as_of"]), alert["site_code"], evidence["item_code"]


def _known_at(
    conn: psycopg.Connection[Any],
    alert: Mapping[str, Any],
    then: Mapping[str, Any],
    as_of: date,
    site: str,
    item: str,
    now: datetime,
) -> datetime:
    """When the assessment was written that the alert rests on, wall clock; when it opened, where none is stored."""
    keys = {"site": site, "item": item, "as_of": as_of, **then}
    row = conn.execute(query("provenance_known_at"), keys).fetchone()
    opened: datetime = alert["opened_at"]
    return row[0] if row and row[0] else min(opened, now)


def _assessed(
    conn: psycopg.Connection[Any], site: str, item: str, as_of: date, scope: Scope
) -> dict[str, Any] | None:
    series = [s for s in load_series(conn, [site]) if s.item_code == item]
    for found in assess_days(conn, series, as_of, as_of, scope):
        for row in assessment_rows(found):
            return dict(zip(FIELDS, row, strict=True))
    return None
