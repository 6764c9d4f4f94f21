"""Follows alerts up: carries out escalations and reminders as they come due, and moves an alert as a rule has seen its
ground, in the caller's transaction.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import psycopg

from alerts.alert_rows import ACTOR, AlertRow, FollowUp, due_alerts, lock_alert, move_alert
from alerts.lifecycle import Observation, State, Transition, come_due, next_due, observe


def follow_up_at(conn: psycopg.Connection[Any], now: datetime, follow_up: FollowUp) -> int:
    """By the wall clock: one step of each alert of which anything is due, now. What came due while no worker ran is
    made up for once. Returns the steps.
    """
    made = 0
    for alert in due_alerts(conn, now):
        due = next_due(alert.life, follow_up.care[alert.severity], follow_up.zone)
        if due is not None and due.at <= now:
            move_alert(conn, alert, due.step, now, ACTOR, follow_up)
            made += 1
    return made


def follow_up_to(conn: psycopg.Connection[Any], until: datetime, follow_up: FollowUp) -> int:
    """By the event clock: every step of every alert up to `until`, each at its own time. Returns the steps."""
    return sum(catch_up(conn, alert, until, follow_up) for alert in due_alerts(conn, until))


def catch_up(conn: psycopg.Connection[Any], alert: AlertRow, until: datetime, follow_up: FollowUp) -> int:
    """The same of one locked alert, before something else happens to it at `until`."""
    steps = list(come_due(alert.life, follow_up.care[alert.severity], follow_up.zone, until))
    for due in steps:
        move_alert(conn, alert, due.step, due.at, ACTOR, follow_up)
    return len(steps)


def move_as_seen(
    conn: psycopg.Connection[Any],
    alert_id: int,
    seen: Observation,
    at: datetime,
    follow_up: FollowUp,
    by_event: bool,
    day: date | None = None,
    calm_days: int = 0,
) -> tuple[Transition | None, int]:
    """Move an alert as what a rule has seen wants it; returns that step, if any, and how many were made in all.

    by_event: after what comes due before `at`; day: what was seen is of that day, and settles the alert if it ends so;
    calm_days: so many days up to it must have been calm, none of them before a person reopened the alert.
    """
    alert = lock_alert(conn, alert_id)
    made = catch_up(conn, alert, at, follow_up) if by_event else 0
    reopened = alert.life.reopened_at
    if reopened is not None and day is not None:
        before = day - timedelta(days=calm_days) < reopened.astimezone(follow_up.zone).date()
        seen = replace(seen, calm=seen.calm and not before)
    step = observe(alert.life.state, seen)  # a person may have moved it since it was read
    if step is not None:
        settled = day if step.to_state is State.RESOLVED else None
        move_alert(conn, alert, step, at, ACTOR, follow_up, settled)
        made += 1
    return step, made
