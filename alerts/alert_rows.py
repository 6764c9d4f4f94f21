"""Alerts as rows: opened and moved, each step with its transition and event in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, overload
from zoneinfo import ZoneInfo

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from alerts.lifecycle import Care, Life, State, Transition, after, next_due
from alerts.notify.store import enqueue_transition
from alerts.sql import query
from metering.errors import InputFileError
from storage.event_outbox import enqueue

ALERT_EVENTS = "alert.events"
#: Who did what no person did.
ACTOR = "nengliu"


class UnknownAlertError(InputFileError):
    """An alert that is not there."""


@dataclass(frozen=True, slots=True)
class FollowUp:
    """How alerts are followed up: the care of each severity, and the zone in which promised days end."""

    care: dict[str, Care]
    zone: ZoneInfo

    def due_at(self, severity: str, life: Life) -> datetime | None:
        """When an alert is next due by itself."""
        due = next_due(life, self.care[severity], self.zone)
        return due.at if due else None


@dataclass(frozen=True, slots=True)
class NewAlert:
    """An alert to open. subject names site, item and period, or what the finding is about; site_id: None where it is of
    several sites or of the platform; year, item_code: of a quota; finding_id: of a finding.
    """

    rule: str
    severity: str
    subject: str
    evidence: dict[str, Any]
    site_id: int | None = None
    site_code: str | None = None
    item_code: str | None = None
    year: int | None = None
    finding_id: int | None = None


@dataclass(slots=True)
class AlertRow:
    """An alert as it is stored, locked where it is about to move. Columns of nengliu.alert."""

    alert_id: int
    site_code: str | None
    rule: str
    severity: str
    subject: str
    evidence: dict[str, Any]
    life: Life


def open_alert(
    conn: psycopg.Connection[Any], new: NewAlert, step: Transition, at: datetime, follow_up: FollowUp
) -> AlertRow:
    """Write an alert with its first transition."""
    life = after(None, step, at)
    keys = {
        **{
            name: getattr(new, name)
            for name in ("rule", "severity", "subject", "site_id", "item_code", "year")
        },
        "finding_id": new.finding_id,
        "state": life.state.value,
        "at": at,
        "due_at": follow_up.due_at(new.severity, life),
        "evidence": Jsonb(new.evidence),
    }
    row = conn.execute(query("insert_alert"), keys).fetchone()
    assert row is not None  # insert … returning
    alert = AlertRow(row[0], new.site_code, new.rule, new.severity, new.subject, new.evidence, life)
    _record(conn, alert, step, at, ACTOR)
    return alert


def lock_alerts(conn: psycopg.Connection[Any], alert_ids: Sequence[int]) -> list[AlertRow]:
    """Alerts by number, in that order, locked until the transaction ends; those that are not there are left out."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("alerts_for_update"), {"alert_ids": list(alert_ids)}).fetchall()
    return [_alert(row) for row in rows]


def lock_alert(conn: psycopg.Connection[Any], alert_id: int) -> AlertRow:
    """An alert, locked until the transaction ends. Raises UnknownAlertError."""
    found = lock_alerts(conn, [alert_id])
    if not found:
        raise UnknownAlertError(
            [f"there is no alert {alert_id}; `nengliu alerts list` shows those there are"]
        )
    return found[0]


def due_alerts(conn: psycopg.Connection[Any], until: datetime) -> list[AlertRow]:
    """Alerts of which something comes due by itself up to `until`, locked; what somebody else holds is left to them."""
    with conn.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("alerts_due"), {"until": until}).fetchall()
    return [_alert(row) for row in rows]


def due_anew(conn: psycopg.Connection[Any], follow_up: FollowUp) -> int:
    """Write when alerts are next due by the care in force, which may not be that of when they moved last; how many it
    changed.
    """
    with conn.cursor(row_factory=dict_row) as cursor:
        alerts = [_alert(row) for row in cursor.execute(query("alerts_cared_for")).fetchall()]
    keys = {
        "alert_ids": [a.alert_id for a in alerts],
        "due_at": [follow_up.due_at(a.severity, a.life) for a in alerts],
    }
    return conn.execute(query("alerts_due_at"), keys).rowcount


def move_alert(
    conn: psycopg.Connection[Any],
    alert: AlertRow,
    step: Transition,
    at: datetime,
    actor: str,
    follow_up: FollowUp,
    settled: date | None = None,
) -> None:
    """Carry out a step of a locked alert. settled: the day whose assessment resolved it without a person."""
    alert.life = life = after(alert.life, step, at)
    keys = {
        "alert_id": alert.alert_id,
        "state": life.state.value,
        "changed": step.from_state is not step.to_state,
        "at": at,
        "told_at": life.told_at,
        "escalated": life.escalated,
        "promised_on": life.promised_on,
        "snoozed_until": life.snoozed_until,
        "reopened_at": life.reopened_at,
        "due_at": follow_up.due_at(alert.severity, life),
        "settled": settled,
    }
    conn.execute(query("move_alert"), keys)
    _record(conn, alert, step, at, actor)


@overload
def utc(moment: datetime) -> datetime: ...


@overload
def utc(moment: None) -> None: ...


def utc(moment: datetime | None) -> datetime | None:
    """A moment in UTC: the database gives it in its own zone, where a day added may be 23 hours long."""
    return None if moment is None else moment.astimezone(UTC)


def life_of(
    state: str,
    told_at: datetime,
    escalated: int,
    promised_on: date | None,
    snoozed_until: datetime | None,
    reopened_at: datetime | None,
) -> Life:
    """How an alert stands, from its columns."""
    return Life(State(state), utc(told_at), escalated, promised_on, utc(snoozed_until), utc(reopened_at))


def _alert(row: dict[str, Any]) -> AlertRow:
    columns = ("state", "told_at", "escalated", "promised_on", "snoozed_until", "reopened_at")
    life = life_of(*(row.pop(name) for name in columns))
    return AlertRow(**row, life=life)


def _record(
    conn: psycopg.Connection[Any], alert: AlertRow, step: Transition, at: datetime, actor: str
) -> None:
    keys = {
        "alert_id": alert.alert_id,
        "at": at,
        "from_state": step.from_state.value if step.from_state else None,
        "to_state": step.to_state.value,
        "action": step.action.value,
        "actor": actor,
        "note": step.note,
    }
    conn.execute(query("insert_transition"), keys)
    event = {**keys, "at": at.isoformat(), "promised_on": _text(alert.life.promised_on)}
    event["snoozed_until"] = _text(step.snoozed_until)
    event |= {name: getattr(alert, name) for name in ("site_code", "rule", "severity", "subject", "evidence")}
    enqueue(conn, ALERT_EVENTS, alert.site_code or alert.subject, event)
    enqueue_transition(conn, alert.alert_id)


def _text(moment: date | datetime | None) -> str | None:
    return moment.isoformat() if moment else None
