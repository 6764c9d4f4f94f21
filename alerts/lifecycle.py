"""The life of an alert: a pure state machine. What is observed or done leads to at most one transition."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from metering.errors import NengliuError


class State(StrEnum):
    """States of an alert; the last two are final."""

    PROVISIONAL = "provisional"
    CONFIRMED = "confirmed"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RETRACTED = "retracted"


FINAL = frozenset({State.RESOLVED, State.RETRACTED})


class TransitionError(NengliuError):
    """What was asked for cannot be done in the alert's state; the message says why."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one assessment says to a rule.

    holds: the rule's ground holds, for as long as the rule wants; complete: the evidence is complete enough;
    settled_well: the period is over and the rule's fear did not come true; gone: the ground was taken away by a
    correction (a rule about what has been, not about what will be); calm: what a rule about what will be feared has
    been unlikely for long enough.
    """

    holds: bool
    complete: bool
    settled_well: bool = False
    gone: bool = False
    calm: bool = False


@dataclass(frozen=True, slots=True)
class Transition:
    """A step from one state (None: there was no alert) to another."""

    from_state: State | None
    to_state: State
    note: str | None = None


def observe(state: State | None, seen: Observation) -> Transition | None:
    """What an assessment does to an alert in `state`; None: nothing. A final state never changes by itself."""
    if state is None:
        return _open(seen)
    if state in FINAL:
        return None
    if seen.settled_well:
        return Transition(state, State.RESOLVED, "the year is over and the limit was kept")
    if seen.calm:
        return Transition(state, State.RESOLVED, "the forecast keeps to the limit, its upper band included")
    if seen.gone:
        return Transition(state, State.RETRACTED, "the sum is no longer over: energy or limit was corrected")
    if state is State.PROVISIONAL and seen.holds and seen.complete:
        return Transition(state, State.CONFIRMED)
    return None


def _open(seen: Observation) -> Transition | None:
    if not seen.holds or seen.settled_well:
        return None
    return Transition(None, State.CONFIRMED if seen.complete else State.PROVISIONAL)


def acknowledge(state: State, note: str | None) -> Transition:
    """A person takes notice. Raises TransitionError where the alert is acknowledged or closed already."""
    if state in FINAL:
        raise TransitionError(f"the alert is {state} already; nothing is left to acknowledge")
    if state is State.ACKNOWLEDGED:
        raise TransitionError("the alert is acknowledged already; `nengliu alerts show` says by whom")
    return Transition(state, State.ACKNOWLEDGED, note)


def close(state: State, note: str | None) -> Transition:
    """A person declares the matter settled. Raises TransitionError where the alert is closed already."""
    if state in FINAL:
        raise TransitionError(f"the alert is {state} already")
    return Transition(state, State.RESOLVED, note)
