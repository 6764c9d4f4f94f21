"""Carries out the rule about monthly plans: alerts of months over their plan, in the transaction that assesses."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import psycopg

from alerts.alert_care import move_as_seen
from alerts.alert_rows import FollowUp, NewAlert, open_alert
from alerts.alert_store import Hearing
from alerts.assess_set import Scope
from alerts.days import DayGrid
from alerts.frames import Series
from alerts.lifecycle import FINAL, State, observe
from alerts.limit_store import limit_bases
from alerts.month_rule import (
    MONTHLY_OVER,
    Month,
    MonthRule,
    PlanVersion,
    judge_month,
    months_ended,
    plan_in_force,
)
from alerts.month_uses import MonthUse, month_uses
from alerts.sql import query

_Place = tuple[int, str]


@dataclass(slots=True)
class _Known:
    alert_id: int
    state: State

    @property
    def stands(self) -> bool:
        return self.state not in FINAL


@dataclass(frozen=True, slots=True)
class _Seen:
    """A month's use as it is judged at the end of a local day; plan None: there is none (any more)."""

    day: date
    used: MonthUse
    plan: PlanVersion | None

    @property
    def plan_value(self) -> float | None:
        if self.plan is None or self.plan.months is None:
            return None
        return float(self.plan.months[self.used.month.month - 1])

    @property
    def key(self) -> tuple[_Place, Month]:
        return (self.used.series.site_id, self.used.series.item_code), self.used.month

    @property
    def subject(self) -> str:
        return f"{self.used.series.site_code}/{self.used.series.item_code}/{self.used.month}"


def judge_months(
    conn: psycopg.Connection[Any],
    series: list[Series],
    first: date,
    last: date,
    scope: Scope,
    hearing: Hearing,
) -> int:
    """Let the rule see the months of `series` that are over; the caller commits. Returns the transitions.

    By the wall clock: those that ended in the last judged_days, as known now. By the event clock: as they became known
    from the end of day `first` to that of `last`. In both, also those of which an alert stands.
    """
    p, follow_up = scope.parameters, FollowUp(scope.parameters.care, scope.zone)
    rules = {s: p.month(s.site_code, s.building_type) for s in series}
    judged_days = max((r.judged_days for r in rules.values()), default=0)
    if not scope.by_event and scope.now is not None:
        first = last = scope.now.astimezone(scope.zone).date() - timedelta(days=1)
    known = _known_alerts(conn, series)
    plans = _plans(conn, series, known, first - timedelta(days=judged_days), last)
    asked = _asked(rules, known, plans, first, last)
    seen: list[_Seen] = []
    for year in sorted({m.year for _, m in asked}):
        of_year = [(s, m) for s, m in asked if m.year == year]
        days = DayGrid.spanning(min(m.first for _, m in of_year), max(m.last for _, m in of_year), scope.zone)
        uses = list(month_uses(conn, of_year, days, scope.now, scope.by_event))
        seen += _seen(uses, plans, known, rules, first, last, scope)
    seen.sort(key=lambda s: (s.day, s.used.series.site_code, s.used.series.item_code, str(s.used.month)))
    bases = limit_bases(
        conn, (s.plan.limit_id for s in seen if s.plan is not None and s.plan.limit_id is not None)
    )
    return sum(_observe(conn, s, known, rules[s.used.series], bases, follow_up, hearing) for s in seen)


def _asked(
    rules: Mapping[Series, MonthRule],
    known: dict[tuple[_Place, Month], _Known],
    plans: dict[tuple[int, str, int], list[PlanVersion]],
    first: date,
    last: date,
) -> list[tuple[Series, Month]]:
    """Months that are over and have, or may have had, a plan: of late, or with an alert that stands."""
    found = []
    for s, rule in rules.items():
        place = (s.site_id, s.item_code)
        of_late = months_ended(first - timedelta(days=rule.judged_days), last)
        months = {m for m in of_late if any(v.months for v in plans.get((*place, m.year), ()))}
        months |= {m for (p, m), alert in known.items() if p == place and alert.stands and m.last <= last}
        found += [(s, m) for m in sorted(months, key=str)]
    return found


def _seen(
    uses: list[MonthUse],
    plans: dict[tuple[int, str, int], list[PlanVersion]],
    known: dict[tuple[_Place, Month], _Known],
    rules: Mapping[Series, MonthRule],
    first: date,
    last: date,
    scope: Scope,
) -> Iterator[_Seen]:
    by_month: dict[tuple[Series, Month], list[MonthUse]] = defaultdict(list)
    for u in uses:
        by_month[u.series, u.month].append(u)
    for (s, m), found in by_month.items():
        versions = plans.get((s.site_id, s.item_code, m.year), [])
        if not scope.by_event:
            yield _Seen(last, found[-1], plan_in_force(versions, m.last, None, scope.zone))
            continue
        before = [u for u in found if u.known_on < first]
        alert = known.get(((s.site_id, s.item_code), m))
        judged = [(first, before[-1])] if before and alert is not None and alert.stands else []
        until = min(last, m.last + timedelta(days=rules[s].judged_days))
        judged += [(u.known_on, u) for u in found if first <= u.known_on <= until]
        for day, u in judged:
            yield _Seen(day, u, plan_in_force(versions, m.last, day, scope.zone))


def _observe(
    conn: psycopg.Connection[Any],
    seen: _Seen,
    known: dict[tuple[_Place, Month], _Known],
    rule: MonthRule,
    bases: dict[int, dict[str, Any]],
    follow_up: FollowUp,
    hearing: Hearing,
) -> int:
    alert = known.get(seen.key)
    observation = judge_month(seen.used.use, seen.plan_value, seen.used.completeness, rule)
    step = observe(alert.state if alert else None, observation)
    if step is None or (alert is None and not rule.enabled):
        return 0
    at = hearing.time_of(seen.day)
    if alert is None:
        s = seen.used.series
        new = NewAlert(
            MONTHLY_OVER,
            rule.severity,
            seen.subject,
            _evidence(seen, rule, bases, hearing.energy_revision),
            s.site_id,
            s.site_code,
            s.item_code,
            seen.used.month.year,
        )
        row = open_alert(conn, new, step, at, follow_up)
        known[seen.key] = _Known(row.alert_id, row.life.state)
        return 1
    moved, made = move_as_seen(conn, alert.alert_id, observation, at, follow_up, hearing.by_event)
    if moved is not None and moved.to_state is State.RETRACTED:
        del known[seen.key]  # its ground may come back
    elif moved is not None:
        alert.state = moved.to_state
    return made


def _known_alerts(conn: psycopg.Connection[Any], series: list[Series]) -> dict[tuple[_Place, Month], _Known]:
    keys = {"sites": sorted({s.site_id for s in series})}
    found = {}
    for alert_id, site_id, item, month, state in conn.execute(query("alerts_of_months"), keys):
        day = date.fromisoformat(f"{month}-01")
        found[(site_id, item), Month(day.year, day.month)] = _Known(alert_id, State(state))
    return found


def _plans(
    conn: psycopg.Connection[Any],
    series: list[Series],
    known: dict[tuple[_Place, Month], _Known],
    begin: date,
    last: date,
) -> dict[tuple[int, str, int], list[PlanVersion]]:
    """Versions of limits by site, item and year, as plan_in_force wants them."""
    years = {*range(begin.year, last.year + 1)} | {m.year for (_, m), a in known.items() if a.stands}
    found: dict[tuple[int, str, int], list[PlanVersion]] = defaultdict(list)
    keys = {"sites": sorted({s.site_id for s in series}), "years": sorted(years)}
    for site_id, item, year, *version in conn.execute(query("quota_plans"), keys):
        found[site_id, item, year].append(PlanVersion(*version))
    return found


def _evidence(
    seen: _Seen, rule: MonthRule, bases: dict[int, dict[str, Any]], revision: int | None
) -> dict[str, Any]:
    u, plan = seen.used, seen.plan_value
    evidence: dict[str, Any] = {
        "as_of": seen.day.isoformat(),
        "item_code": u.series.item_code,
        "year": u.month.year,
        "month": str(u.month),
        "used": u.use,
        "plan_value": plan,
        "used_ratio": u.use / plan if plan else None,
        "margin": rule.margin,
        "completeness": None if math.isnan(u.completeness) else u.completeness,
        "quota": bases.get(seen.plan.limit_id or 0) if seen.plan else None,
    }
    if revision is not None:
        evidence["energy_revision"] = revision
    return evidence
