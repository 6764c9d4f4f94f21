"""The life of an alert: a pure state machine. What is observed, done or due leads to at most one transition at a time.

    (none) -> provisional -> confirmed -> acknowledged -> resolved
                   \\______________\\______________\\-----> retracted      resolved -> confirmed (reopened)

What was acknowledged because its finding was accepted is reopened as well where another finding joins it.
A reminder, an escalation and a snooze are transitions from a state to itself. `after` says how an alert stands after a
transition; `next_due` what is due by itself, and when. docs/decisions/alert-life.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from alerts.days import end_of_day
from metering.errors import NengliuError


class State(StrEnum):
    """States of an alert; the last two are final."""

    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


class Action(StrEnum):
    """What a transition is. Those from a state to itself: promised, snoozed, reminded, escalated."""

    OPENED = "opened"
    CONFIRMED = "confirmed"
    ACKNOWLEDGED = "acknowledged"
    PROMISED = "promised"
    SNOOZED = "snoozed"
    REMINDED = "reminded"
    ESCALATED = "escalated"
    RESOLVED = "resolved"
    RETRACTED = "retracted"
    REOPENED = "reopened"


FINAL = frozenset({State.RESOLVED, State.RETRACTED})


class TransitionError(NengliuError):
    """What was asked for cannot be done in the alert's state; the message says why."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one assessment says to a rule.

    holds: the rule's ground holds, for as long as the rule wants; complete: the evidence is complete enough;
    settled_well: the period is over and the rule's fear did not come true; gone: the ground was taken away by a
    correction (a rule about what has been, not about what will be); unlimited: there is no limit (any more); calm:
    what a rule about what will be feared has been unlikely for long enough, or a state that a rule tells of has been
    over for long enough.
    """

    holds: bool
    complete: bool
    settled_well: bool = False
    gone: bool = False
    calm: bool = False
    unlimited: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A step from one state (None: there was no alert) to another, or to the same.

    promised_on: the local day by which a person promised to put it right; snoozed_until: when its reminders go on.
    """

    from_state: State | None
    to_state: State
    action: Action
    note: str | None = None
    promised_on: date | None = None
    snoozed_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Life:
    """How an alert stands. told_at: when it last opened, was confirmed, acknowledged, reminded of or escalated;
    escalated: how often that was since it opened; promised_on, snoozed_until as in Transition; reopened_at: when it was
    taken up again last.
    """

    state: State
    told_at: datetime
    escalated: int = 0
    promised_on: date | None = None
    snoozed_until: datetime | None = None
    reopened_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Care:
    """How an alert of a severity is followed up, in hours: unacknowledged it is escalated `escalations` times, each
    escalate_after_h after the last word of it; else, and once acknowledged, reminded of every remind_after_h.
    """

    escalate_after_h: float
    escalations: int
    remind_after_h: float


@dataclass(frozen=True, slots=True)
class Due:
    """A transition that comes by itself at a time."""

    at: datetime
    step: Transition


def observe(state: State | None, seen: Observation) -> Transition | None:
    """What an assessment does to an alert in `state`; None: nothing. A final state never changes by itself."""
    if state is None:
        return _open(seen)
    if state in FINAL:
        return None
    if seen.settled_well:
        return _resolve(state, "the year is over and the limit was kept")
    if seen.calm:
        return _resolve(state, "it has not been so, or not been likely, for long enough")
    if seen.gone or seen.unlimited:
        note = "the sum is no longer over: energy or limit was corrected"
        if seen.unlimited:
            note = "there is no limit any more"
        return Transition(state, State.RETRACTED, Action.RETRACTED, note)
    if state is State.PROVISIONAL and seen.holds and seen.complete:
        return Transition(state, State.CONFIRMED, Action.CONFIRMED)
    return None


def _open(seen: Observation) -> Transition | None:
    if not seen.holds or seen.settled_well or seen.calm:
        return None
    return Transition(None, State.CONFIRMED if seen.complete else State.PROVISIONAL, Action.OPENED)


def _resolve(state: State, note: str | None) -> Transition:
    return Transition(state, State.RESOLVED, Action.RESOLVED, note)


# ---------------------------------------------------------------- what a person does


def acknowledge(life: Life, note: str | None, promised_on: date | None = None) -> Transition:
    """A person takes notice, and may promise a day; one that is acknowledged takes a (new) promise.

    Raises TransitionError where the alert is closed, or acknowledged and nothing new is promised.
    """
    state = _open_state(life, "nothing is left to acknowledge")
    if state is State.ACKNOWLEDGED:
        if promised_on is None or promised_on == life.promised_on:
            raise TransitionError("the alert is acknowledged already; `nengliu alerts show` says by whom")
        return Transition(state, state, Action.PROMISED, note, promised_on)
    return Transition(state, State.ACKNOWLEDGED, Action.ACKNOWLEDGED, note, promised_on)


def close(life: Life, note: str | None) -> Transition:
    """A person declares the matter settled. Raises TransitionError where the alert is closed already."""
    return _resolve(_open_state(life), note)


def snooze(life: Life, until: datetime, now: datetime, note: str | None) -> Transition:
    """A person asks for quiet until a time. Raises TransitionError where that is past or the alert closed."""
    state = _open_state(life, "there is nothing to snooze")
    if until <= now:
        raise TransitionError(f"a snooze until {until.isoformat()} would be over already")
    return Transition(state, state, Action.SNOOZED, note, snoozed_until=until)


def reopen(life: Life, note: str | None) -> Transition:
    """A person takes a resolved alert up again. Raises TransitionError where it is not resolved."""
    if life.state is State.RETRACTED:
        raise TransitionError(
            "the alert was retracted: its ground is gone; where it comes back, so does an alert"
        )
    if life.state is not State.RESOLVED:
        raise TransitionError(f"the alert is {life.state}: only a resolved one can be reopened")
    return Transition(life.state, State.CONFIRMED, Action.REOPENED, note)


def _open_state(life: Life, what: str | None = None) -> State:
    if life.state in FINAL:
        raise TransitionError(f"the alert is {life.state} already" + (f"; {what}" if what else ""))
    return life.state


# ---------------------------------------------------------------- what comes by itself


def after(life: Life | None, step: Transition, at: datetime) -> Life:
    """How the alert stands after a transition at a time. Raises ValueError for a step that begins at another state."""
    if (life.state if life else None) is not step.from_state:
        raise ValueError(
            f"a step from {step.from_state} of an alert that is {life.state if life else 'not there'}"
        )
    if life is None:
        return Life(step.to_state, at)
    if step.action is Action.REOPENED:
        return Life(step.to_state, at, reopened_at=at)
    if step.action is Action.SNOOZED:
        return replace(life, snoozed_until=step.snoozed_until)
    # What was provisional is confirmed by itself: the quiet that a person asked for lasts.
    snoozed_until = life.snoozed_until if step.action is Action.CONFIRMED else None
    told = replace(life, state=step.to_state, told_at=at, snoozed_until=snoozed_until)
    if step.action is Action.ESCALATED:
        return replace(told, escalated=life.escalated + 1)
    if step.action in (Action.ACKNOWLEDGED, Action.PROMISED):
        return replace(told, promised_on=step.promised_on or life.promised_on)
    return told


def next_due(life: Life, care: Care, zone: ZoneInfo) -> Due | None:
    """What comes next by itself, if nothing else happens; None: nothing.

    A confirmed alert that nobody acknowledges is escalated, then reminded of. An acknowledged one is reminded of when
    the promised day has ended, and regularly. A snooze holds all of it back, and ends with a reminder.
    """
    if life.state not in (State.CONFIRMED, State.ACKNOWLEDGED):
        return None
    if life.snoozed_until is not None:
        return _due(life, life.snoozed_until, Action.REMINDED, "the snooze is over")
    reminder = life.told_at + timedelta(hours=care.remind_after_h)
    if life.state is State.CONFIRMED:
        if life.escalated < care.escalations:
            at = life.told_at + timedelta(hours=care.escalate_after_h)
            return _due(life, at, Action.ESCALATED, f"nobody acknowledged it for {care.escalate_after_h:g} h")
        return _due(life, reminder, Action.REMINDED, "nobody acknowledged it yet")
    if life.promised_on is not None:
        promised = end_of_day(life.promised_on, zone)
        if life.told_at < promised:
            note = f"it was promised for {life.promised_on} and is not resolved"
            return _due(life, promised, Action.REMINDED, note)
    return _due(life, reminder, Action.REMINDED, "acknowledged, and not resolved yet")


def come_due(life: Life, care: Care, zone: ZoneInfo, until: datetime) -> Iterator[Due]:
    """Everything that comes by itself up to and at `until`, each at its own time."""
    while (due := next_due(life, care, zone)) is not None and due.at <= until:
        yield due
        life = after(life, due.step, due.at)


def _due(life: Life, at: datetime, action: Action, note: str) -> Due:
    return Due(at, Transition(life.state, life.state, action, note))
