"""Follows alerts up: carries out escalations and reminders as they come due, in the caller's transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from alerts.alert_rows import ACTOR, AlertRow, FollowUp, due_alerts, move_alert
from alerts.lifecycle import come_due, next_due


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
