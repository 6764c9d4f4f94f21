"""Carries out what rules decide of assessments: which alerts open, move and close, in the transaction that assesses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from alerts.alert_care import move_as_seen
from alerts.alert_rows import FollowUp, NewAlert, open_alert
from alerts.assess_set import AssessedSet
from alerts.assessment import LEVELS
from alerts.days import Bools, as_date
from alerts.lifecycle import Observation, State, observe
from alerts.limit_store import limit_bases
from alerts.parameters import Parameters, RuleParameters
from alerts.rules import RULES, judge
from alerts.sql import query

#: An alert that data are missing is confirmed at the earliest so long after it opened: they may be on their way.
DATA_MAY_COME = timedelta(hours=12)


@dataclass(frozen=True, slots=True)
class Hearing:
    """How assessments are heard. time_of: the time of an alert whose ground is an assessment as of that day;
    energy_revision: newest revision of energy that they rest on, for the evidence; by_event: what comes due by itself
    before that time is carried out first. newest_only: alerts that there are hear only the newest day that was assessed
    of their year, since an earlier one does not tell how things stand.
    """

    time_of: Callable[[date], datetime]
    energy_revision: int | None
    by_event: bool
    newest_only: bool = True


@dataclass(frozen=True, slots=True)
class _Seen:
    """A row of a set that says something to a rule."""

    day: date
    place: tuple[str, str]
    rule_no: int
    found: AssessedSet
    row: int
    seen: Observation
    rule: RuleParameters


@dataclass(slots=True)
class _Known:
    """An alert as it stands. A row of an earlier day than `as_of` tells it nothing.

    opened_at: the time of that day. settled: the day whose assessment resolved it without a person; only a later day
    may open another.
    """

    alert_id: int
    state: State
    as_of: date
    opened_at: datetime
    settled: date | None = None

    def deaf_to(self, day: date) -> bool:
        return day < self.as_of or (self.settled is not None and day <= self.settled)


def evaluate_alerts(
    conn: psycopg.Connection[Any],
    sets: list[AssessedSet],
    parameters: Parameters,
    follow_up: FollowUp,
    hearing: Hearing,
) -> int:
    """Let every rule see the assessments asked for, in order of day, site, item and rule; returns the transitions."""
    known = _known_alerts(conn, sets)
    newest = _newest_days(conn, sets, known) if hearing.newest_only else {}
    bases = limit_bases(conn, (int(i) for found in sets for i in np.unique(found.limit_id) if i))
    made = 0
    for item in sorted(_observations(sets, parameters, known), key=lambda s: (s.day, s.place, s.rule_no)):
        rule = RULES[item.rule_no].name
        series = item.found.series[int(item.found.rows.series[item.row])]
        key = (series.site_id, series.item_code, item.found.year, rule)
        alert = known.get(key)
        if alert is not None and alert.deaf_to(item.day):
            continue
        if alert is not None and alert.settled is not None:
            alert = None
        if alert is not None and item.day < newest.get(key[:3], item.day):
            continue
        if alert is None and not item.rule.enabled:
            continue
        at, seen = hearing.time_of(item.day), item.seen
        if not RULES[item.rule_no].needs_data and (alert is None or at - alert.opened_at < DATA_MAY_COME):
            seen = replace(seen, complete=False)
        step = observe(alert.state if alert else None, seen)
        if step is None:
            continue
        if alert is None:
            new = NewAlert(
                rule,
                item.rule.severity,
                f"{series.site_code}/{series.item_code}/{item.found.year}",
                _evidence(item, bases, hearing.energy_revision),
                series.site_id,
                series.site_code,
                series.item_code,
                item.found.year,
            )
            row = open_alert(conn, new, step, at, follow_up)
            known[key] = _Known(row.alert_id, step.to_state, item.day, at)
            made += 1
            continue
        moved, steps = move_as_seen(
            conn,
            alert.alert_id,
            seen,
            at,
            follow_up,
            hearing.by_event,
            item.day,
            item.rule.calm_days,
        )
        made += steps
        if moved is not None and moved.to_state is State.RETRACTED:
            del known[key]  # its ground may come back
        elif moved is not None:
            alert.state = moved.to_state
            alert.settled = item.day if alert.state is State.RESOLVED else None
    return made


def _observations(
    sets: list[AssessedSet], parameters: Parameters, known: dict[tuple[int, str, int, str], _Known]
) -> Iterator[_Seen]:
    for found in sets:
        a = found.rows
        dates = found.days.dates[a.as_of]
        last_day = dates == np.datetime64(f"{found.year:04d}-12-31", "D")
        for rule_no, p, of_rule in _as_parameterised(found, parameters):
            rule = RULES[rule_no]
            doubt = found.doubts.energy[a.series, a.as_of]
            v = judge(rule, a, last_day, parameters.levels, p, doubt, _seasonal(found, p)[a.series])
            spoken_of = np.array(
                [(s.site_id, s.item_code, found.year, rule.name) in known for s in found.series],
                dtype=np.bool_,
            )
            np.logical_or.at(spoken_of, a.series[v.holds], True)
            ends = v.gone | v.settled_well | v.calm | v.unlimited
            says = found.asked & of_rule & (v.holds | (ends & spoken_of[a.series]))
            for row in np.flatnonzero(says).tolist():
                series = found.series[int(a.series[row])]
                seen = Observation(
                    bool(v.holds[row]),
                    bool(v.complete[row]),
                    bool(v.settled_well[row]),
                    bool(v.gone[row]),
                    bool(v.calm[row]),
                    bool(v.unlimited[row]),
                )
                place = (series.site_code, series.item_code)
                yield _Seen(as_date(dates[row]), place, rule_no, found, row, seen, p)


def _seasonal(found: AssessedSet, p: RuleParameters) -> Bools:
    """Which series follow the weather, or sum an item that does."""
    return np.array(
        [any(part.startswith(p.seasonal_items) for part in s.parts) for s in found.series], np.bool_
    )


def _as_parameterised(
    found: AssessedSet, parameters: Parameters
) -> Iterator[tuple[int, RuleParameters, Bools]]:
    """Each rule with each of its parameters in force, and the rows that these are for."""
    for rule_no, rule in enumerate(RULES):
        groups: dict[RuleParameters, list[int]] = {}
        for ix, s in enumerate(found.series):
            p = parameters.rule(rule.name, s.site_code, s.building_type)
            groups.setdefault(p, []).append(ix)
        for p, members in groups.items():
            yield rule_no, p, np.isin(found.rows.series, members)


def _known_alerts(
    conn: psycopg.Connection[Any], sets: list[AssessedSet]
) -> dict[tuple[int, str, int, str], _Known]:
    """The alert of each subject and rule that matters: the open one, else the newest closed by a person or in time.

    A retracted alert does not count: its ground was gone, and may come back.
    """
    known: dict[tuple[int, str, int, str], _Known] = {}
    for found in sets:
        keys = {"year": found.year, "sites": sorted({s.site_id for s in found.series})}
        for alert_id, site_id, item, year, rule, state, as_of, opened_at, settled in conn.execute(
            query("alerts_of_series"), keys
        ).fetchall():
            if State(state) is not State.RETRACTED:
                known[site_id, item, year, rule] = _Known(alert_id, State(state), as_of, opened_at, settled)
    return known


def _newest_days(
    conn: psycopg.Connection[Any], sets: list[AssessedSet], known: Iterable[tuple[int, str, int, str]]
) -> dict[tuple[int, str, int], date]:
    """The newest day assessed of each series and year that has an alert."""
    years = {(s.site_id, s.item_code, found.year) for found in sets for s in found.series}
    rows = sorted(years & {key[:3] for key in known})
    if not rows:
        return {}
    sites, items, of_years = map(list, zip(*rows, strict=True))
    keys = {"sites": sites, "items": items, "years": of_years}
    return {(s, i, y): day for s, i, y, day in conn.execute(query("newest_assessed_days"), keys)}


def _evidence(item: _Seen, bases: dict[int, dict[str, Any]], revision: int | None) -> dict[str, Any]:
    a, r = item.found.rows, item.row
    exhaustion = int(a.exhaustion[r])
    day = date(item.found.year, 1, 1).toordinal() + exhaustion
    evidence: dict[str, Any] = {
        "as_of": item.day.isoformat(),
        "item_code": item.place[1],
        "year": item.found.year,
        "level": str(LEVELS[a.level[r]]),
        "used": float(a.used[r]),
        "limit_value": _number(a.limit[r]),
        "forecast": {"p10": _number(a.p10[r]), "p50": _number(a.p50[r]), "p90": _number(a.p90[r])},
        "method": str(a.method[r]),
        "completeness": _number(a.completeness[r]),
        "expected_share": _number(a.share[r]),
        "exhaustion_date": date.fromordinal(day).isoformat() if exhaustion >= 0 else None,
        "days_to_exhaustion": day - item.day.toordinal() if exhaustion >= 0 else None,
        "rule": asdict(item.rule),
        "quota": bases.get(int(item.found.limit_id[r])),
    }
    if doubts := item.found.doubts.of.get((int(a.series[r]), int(a.as_of[r]))):
        evidence["doubts"] = [d.told(item.found.days) for d in doubts]
        evidence["doubtful"] = float(item.found.doubts.energy[a.series[r], a.as_of[r]])
    if revision is not None:
        evidence["energy_revision"] = revision
    return evidence


def _number(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
