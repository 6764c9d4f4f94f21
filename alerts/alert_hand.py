"""What a person does to an alert: acknowledge, promise, snooze, close, reopen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import psycopg
from psycopg.errors import UniqueViolation

from alerts.alert_rows import FollowUp, lock_alert, move_alert
from alerts.lifecycle import Life, Transition, TransitionError, acknowledge, close, reopen, snooze


@dataclass(frozen=True, slots=True)
class ByPerson:
    """Who acts, when (by the clock in use), and a word on why."""

    actor: str
    at: datetime
    note: str | None = None


def acknowledge_alert(
    conn: psycopg.Connection[Any],
    alert_id: int,
    by: ByPerson,
    follow_up: FollowUp,
    promised_on: date | None = None,
) -> Transition:
    """A person takes notice of an alert, and may promise a local day. Raises TransitionError, UnknownAlertError."""
    if promised_on is not None and promised_on < by.at.astimezone(follow_up.zone).date():
        raise TransitionError(f"a day that has passed cannot be promised: {promised_on}")
    return _act(conn, alert_id, by, follow_up, lambda life: acknowledge(life, by.note, promised_on))


def close_alert(
    conn: psycopg.Connection[Any], alert_id: int, by: ByPerson, follow_up: FollowUp
) -> Transition:
    """A person closes an alert. Raises TransitionError, UnknownAlertError."""
    return _act(conn, alert_id, by, follow_up, lambda life: close(life, by.note))


def snooze_alert(
    conn: psycopg.Connection[Any], alert_id: int, by: ByPerson, follow_up: FollowUp, until: datetime
) -> Transition:
    """A person asks for quiet about an alert until a time. Raises TransitionError, UnknownAlertError."""
    return _act(conn, alert_id, by, follow_up, lambda life: snooze(life, until, by.at, by.note))


def reopen_alert(
    conn: psycopg.Connection[Any], alert_id: int, by: ByPerson, follow_up: FollowUp
) -> Transition:
    """A person takes up an alert again that was resolved; where another of its rule and subject is open by now, that
    one is to be looked at. Raises TransitionError, UnknownAlertError."""
    try:
        return _act(conn, alert_id, by, follow_up, lambda life: reopen(life, by.note))
    except UniqueViolation as e:
        raise TransitionError("a newer alert of the same rule and subject is open") from e


def _act(
    conn: psycopg.Connection[Any],
    alert_id: int,
    by: ByPerson,
    follow_up: FollowUp,
    step_from: Callable[[Life], Transition],
) -> Transition:
    alert = lock_alert(conn, alert_id)
    step = step_from(alert.life)
    move_alert(conn, alert, step, by.at, by.actor, follow_up)
    return step
