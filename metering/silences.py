"""Silences of the past: what the times of stored readings say of when a meter or a gateway was silent. Pure; no I/O.

A step between two neighbouring readings that is longer than may be is a silence, whenever the readings came and in
whatever order: so a year that is replayed in a minute has the findings of the year as it was lived. Findings that
exist are brought to what the readings say now. See docs/decisions/findings.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Step:
    """From a reading to the next one, with nothing between.

    initial: it begins with the installation, not with a reading. patience: how long it might have been (None: as long
    as its subject may be silent now).
    """

    begin: datetime
    end: datetime
    initial: bool = False
    patience: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """anchor: the last reading before it, or the installation (initial); ends: None while it lasts; proved: readings
    on both sides show at least a part of it, it is not only that none has come since.
    """

    anchor: datetime
    ends: datetime | None
    initial: bool = False
    proved: bool = True

    def starts(self, interval_s: float) -> datetime:
        """When the first reading was missing."""
        return self.anchor if self.initial else self.anchor + timedelta(seconds=interval_s)


@dataclass(frozen=True, slots=True)
class Subject:
    """Who is judged. patience: how long it may be silent; last: its newest reading (None: it has none); now: up to
    when silence is judged (None: not known); joined: steps that follow one another are one silence, and one reading
    does not end it (a meter read just too seldom has one finding, not one a reading); over: no reading is to come.
    """

    patience: timedelta
    last: datetime | None
    now: datetime | None
    joined: bool
    over: bool = False


def silences(steps: Iterable[Step], excuses: Sequence[Step], subject: Subject) -> list[Silence]:
    """The silences of a subject, in order. steps: those longer than their patience, in any order; excuses: silences
    of what it is reached through (a meter's gateway, in order); what they leave of a step must be too long by itself.
    """
    found: list[Silence] = []
    for step in sorted(steps, key=lambda s: s.begin):
        if not is_unexplained(step, excuses, step.patience or subject.patience):
            continue
        if subject.joined and found and found[-1].ends == step.begin:
            found[-1] = Silence(found[-1].anchor, step.end, found[-1].initial)
        else:
            found.append(Silence(step.begin, step.end, step.initial))
    last, now = subject.last, subject.now
    if last is None or subject.over:
        return found
    lasting = now is not None and now - last > subject.patience
    if subject.joined and found and found[-1].ends == last:
        found[-1] = Silence(found[-1].anchor, None, found[-1].initial)
    elif lasting:
        found.append(Silence(last, None, proved=False))
    return found


def is_unexplained(step: Step, excuses: Sequence[Step], patience: timedelta) -> bool:
    """Whether a piece of the step outside the excuses, which are in order, is longer than the patience."""
    begin = step.begin
    for excuse in excuses:
        if excuse.end <= begin:
            continue
        if excuse.begin >= step.end:
            break
        if excuse.begin - begin > patience:
            return True
        begin = max(begin, excuse.end)
    return step.end - begin > patience


class Judged(StrEnum):
    """What a finding that is known is: open; closed, as a person judged it, and stays as it is."""

    OPEN = "open"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Known:
    """A finding that exists, not withdrawn."""

    finding_id: int
    anchor: datetime
    ends: datetime | None
    judged: Judged = Judged.OPEN


@dataclass(frozen=True, slots=True)
class Settled:
    """What to write: findings to bring to a silence, to withdraw, and silences to open."""

    moved: list[tuple[Known, Silence]]
    withdrawn: list[Known]
    opened: list[Silence]


def settle_silences(known: Iterable[Known], wanted: Sequence[Silence], subject: Subject) -> Settled:
    """Bring the findings of a subject to its silences: each finding to one that it overlaps, the earliest first.

    A finding without one is withdrawn, but for one that lasts where that is not for readings to say (a gateway's
    connection; no clock yet), or that ends after the newest reading. A silence that a person judged is not opened
    again, and one that nothing but the lack of readings shows is left to the watch.
    """
    found = sorted(known, key=lambda k: (k.anchor, k.finding_id))
    closed = [k for k in found if k.judged is Judged.CLOSED]
    free = [s for s in wanted if not any(_overlap(k, s) for k in closed)]
    moved, withdrawn = [], []
    for k in found:
        if k.judged is Judged.CLOSED:
            continue
        fit = next((s for s in free if _overlap(k, s)), None)
        if fit is not None:
            free.remove(fit)
            moved.append((k, fit))
        elif _is_said_by_readings(k, subject):
            withdrawn.append(k)
    return Settled(moved, withdrawn, [s for s in free if s.proved])


def _overlap(known: Known, silence: Silence) -> bool:
    before = known.ends is not None and known.ends <= silence.anchor
    after = silence.ends is not None and silence.ends <= known.anchor
    return not before and not after


def _is_said_by_readings(known: Known, subject: Subject) -> bool:
    if subject.last is None:
        return False
    if subject.over:
        return True
    if known.ends is None:
        return subject.joined and subject.now is not None and subject.last >= known.anchor
    return known.ends <= subject.last
