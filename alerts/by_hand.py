"""Assessment by hand: as of a day, or as it was known at a time. What `nengliu quota assess` does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from alerts.alert_rows import FollowUp
from alerts.alert_store import Hearing, evaluate_alerts
from alerts.assess_set import AssessedSet, Scope, assess_days
from alerts.assessment_store import assessment_rows, write_assessments
from alerts.days import end_of_day
from alerts.due import mark_moved_limits
from alerts.event_clock import event_clock_state, last_assessable, read_event_clock
from alerts.frames import Series, load_series
from alerts.limit_store import (
    LimitRefresh,
    explain_missing_limits,
    refresh_limits,
    refresh_limits_of_days,
)
from alerts.month_alerts import judge_months
from alerts.parameters import Parameters
from alerts.rolling import energy_revision, local_zone
from alerts.sql import query
from metering.errors import InputFileError, NengliuError

#: The columns of `assessment_rows`, as people read them.
FIELDS = (
    "site_id",
    "item_code",
    "year",
    "as_of",
    "used",
    "limit_value",
    "quota_limit_id",
    "forecast_p10",
    "forecast_p50",
    "forecast_p90",
    "exhaustion_date",
    "level",
    "completeness",
    "method",
    "expected_share",
)


class AsOfError(InputFileError):
    """A date that cannot be assessed; the message says which can."""

    def __init__(self, problem: str) -> None:
        super().__init__([problem])


class UnknownSiteError(InputFileError):
    """A site that the registry does not know."""


@dataclass(frozen=True, slots=True)
class HandOptions:
    """by_event, patience_s, parameters as in RollingOptions; site_codes: only these sites (None: all)."""

    by_event: bool
    patience_s: float
    parameters: Parameters
    site_codes: list[str] | None = None


@dataclass(frozen=True, slots=True)
class HandResult:
    """Rows as dictionaries with the columns of api.quota_assessment, `method` and `basis`: `assessed` now, `stored`
    (known then), or `recomputed` (quota versions as known then, but energy and registry as known now).
    without: series that cannot be assessed, since no conversion factor covers what they used."""

    as_of: date
    rows: list[dict[str, Any]]
    written: int = 0
    transitions: int = 0
    without: tuple[Series, ...] = ()


def assess_by_hand(
    conn: psycopg.Connection[Any], options: HandOptions, as_of: date | None, now: datetime
) -> HandResult:
    """Assess every series as of a day (default: today, or the last day of the event clock), write what is new and
    let the rules see it, those about months only if it is the newest; the caller commits. Raises AsOfError for a day
    that has not come, UnknownSiteError."""
    zone = local_zone(conn)
    _known_sites(conn, options)
    _lock_cursor(conn)
    day = _day(conn, options, as_of, now)
    scope = Scope(zone, options.parameters, options.by_event, now=None if options.by_event else now)
    time_of: Callable[[date], datetime] = lambda _: now  # noqa: E731
    revision: int | None = energy_revision(conn)
    if options.by_event:
        refresh_limits_of_days(conn, options.parameters.limits, zone, day, now)
        time_of, revision = lambda d: end_of_day(d, zone).astimezone(UTC), None
    else:
        mark_moved_limits(conn, refresh_limits(conn, options.parameters.limits, zone, now).moved)
    series = load_series(conn, options.site_codes)
    sets = list(assess_days(conn, series, day, day, scope))
    written = sum(write_assessments(conn, found, now) for found in sets)
    follow_up = FollowUp(options.parameters.care, zone)
    hearing = Hearing(time_of, revision, options.by_event)
    transitions = evaluate_alerts(conn, sets, options.parameters, follow_up, hearing)
    if not options.by_event or day >= (event_clock_state(conn, options.patience_s).assessed_through or day):
        transitions += judge_months(conn, series, day, day, scope, hearing)
    return HandResult(day, _rows(sets, "assessed", now), written, transitions, _without(sets))


def assess_as_known(
    conn: psycopg.Connection[Any], options: HandOptions, as_of: date | None, known_at: datetime, now: datetime
) -> HandResult:
    """What was known at `known_at` as of a day (default: the day of `known_at`, or the last day of the event clock):
    the assessments stored by then; for series without one, assessed again with the quota versions known then. Writes
    nothing. Raises AsOfError for a day that had not come then, UnknownSiteError."""
    if known_at > now:
        raise AsOfError(f"--known-at {known_at.isoformat()} is in the future")
    _known_sites(conn, options)
    if options.by_event:
        day = _day(conn, options, as_of, now)
    else:
        today_then = (known_at - timedelta(microseconds=1)).astimezone(local_zone(conn)).date()
        day = as_of or today_then
        if day > today_then:
            raise AsOfError(f"--as-of {day} had not come at --known-at {known_at.isoformat()}")
    keys = {"as_of": day, "known_at": known_at, "site_codes": options.site_codes}
    with conn.cursor(row_factory=dict_row) as cursor:
        stored = [{**r, "basis": "stored"} for r in cursor.execute(query("known_assessments"), keys)]
    found = {(r["site_code"], r["item_code"]) for r in stored}
    scope = Scope(
        local_zone(conn),
        options.parameters,
        options.by_event,
        known_at,
        None if options.by_event else known_at,
    )
    series = [s for s in load_series(conn, options.site_codes) if (s.site_code, s.item_code) not in found]
    again = list(assess_days(conn, series, day, day, scope)) if series else []
    rows = sorted(
        [*stored, *_rows(again, "recomputed", None)], key=lambda r: (r["site_code"], r["item_code"])
    )
    return HandResult(day, [_with_ratio(r) for r in rows], without=_without(again))


def refresh_limits_by_hand(
    conn: psycopg.Connection[Any], options: HandOptions, now: datetime
) -> LimitRefresh:
    """Compute limits after an import, by the wall clock those of `options.site_codes`; the caller commits."""
    _lock_cursor(conn)
    zone = local_zone(conn)
    if not options.by_event:
        refreshed = refresh_limits(conn, options.parameters.limits, zone, now, options.site_codes)
        mark_moved_limits(conn, refreshed.moved)
        return refreshed
    p, done_at = options.parameters.limits, clock_time(conn, options, now)
    through = done_at.date() - timedelta(days=1)
    written = refresh_limits_of_days(conn, p, zone, through, now)
    return LimitRefresh(written, tuple(explain_missing_limits(conn, p, zone, done_at, options.site_codes)))


def clock_time(conn: psycopg.Connection[Any], options: HandOptions, now: datetime) -> datetime:
    """`now`; by the event clock the end of the last day that it assessed, in the year 1 where there is none."""
    if not options.by_event:
        return now
    through = read_event_clock(conn, options.patience_s)[0].assessed_through or date(1, 1, 1)
    return end_of_day(through, local_zone(conn))


def _lock_cursor(conn: psycopg.Connection[Any]) -> None:
    """One writer of limits and alerts at a time; an assessor whose snapshot is older than ours begins again."""
    conn.execute("update nengliu.assessment_cursor set assessed_through = assessed_through")


def _day(conn: psycopg.Connection[Any], options: HandOptions, as_of: date | None, now: datetime) -> date:
    zone = local_zone(conn)
    today = now.astimezone(zone).date()
    if not options.by_event:
        if as_of is not None and as_of > today:
            raise AsOfError(f"--as-of {as_of} has not come: today is {today}")
        return as_of or today
    state, pending = read_event_clock(conn, options.patience_s)
    done = state.assessed_through
    if as_of is None:
        if done is None:
            raise NengliuError("the event clock has not completed a day yet: nothing to assess")
        return done
    if done is not None and as_of <= done:
        return as_of
    before = date.fromordinal(as_of.toordinal() - 1)
    if last_assessable(state.mark, pending, before, as_of, zone) is None:
        raise AsOfError(f"--as-of {as_of}: the event clock has come to {state.mark.at or 'no time yet'} only")
    return as_of


def _without(sets: list[AssessedSet]) -> tuple[Series, ...]:
    return tuple(series for found in sets for series in found.without)


def _known_sites(conn: psycopg.Connection[Any], options: HandOptions) -> None:
    """Raise UnknownSiteError where a site that was named is not in the registry."""
    if options.site_codes is None:
        return
    rows = conn.execute(
        "select site_code from nengliu.site where site_code = any (%s)", (options.site_codes,)
    )
    unknown = sorted(set(options.site_codes) - {row[0] for row in rows})
    if unknown:
        raise UnknownSiteError([f"no site {code!r} in the registry" for code in unknown])


def _rows(sets: list[AssessedSet], basis: str, assessed_at: datetime | None) -> list[dict[str, Any]]:
    out = []
    for found in sets:
        codes = {s.site_id: s.site_code for s in found.series}
        for row in assessment_rows(found):
            named = dict(zip(FIELDS, row, strict=True))
            named = {"site_code": codes[named.pop("site_id")], **named}
            out.append(_with_ratio({**named, "assessed_at": assessed_at, "basis": basis}))
    return out


def _with_ratio(row: dict[str, Any]) -> dict[str, Any]:
    limit = row["limit_value"]
    share = row["expected_share"]
    due = limit * share if limit and share else None
    return {
        **row,
        "used_ratio": row["used"] / limit if limit else None,
        "pace": row["used"] / due if due else None,
    }
