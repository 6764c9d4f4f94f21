"""Which findings are ground for an alert, and for how long: episodes. Pure.

One cause is one alert: findings of a kind behind the same gateway that touch in time are one episode, and an episode
has one alert.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from alerts.lifecycle import FINAL, Action, Life, State, Transition

Group = Literal["gateway", "finding"]


@dataclass(frozen=True, slots=True)
class FindingRule:
    """An alert rule about findings of some kinds.

    after_h: a finding must have lasted so long; group: findings of one gateway are one subject, or each is its own;
    period: the finding is about days that are over, so that its end does not end the alert; recent_days: by the wall
    clock such days must lie within so many days before, or nobody is told of them any more. enabled: a rule that is not
    opens nothing; what it told of before ends as ever.
    """

    kinds: tuple[str, ...]
    severity: str
    after_h: float
    group: Group = "finding"
    period: bool = False
    recent_days: float = 0.0
    enabled: bool = True

    @property
    def patience(self) -> timedelta:
        """after_h as a time."""
        return timedelta(hours=self.after_h)


@dataclass(frozen=True, slots=True)
class Finding:
    """A finding that nobody withdrew or refused. ends: None while it lasts; own: the rule as it is for its site, None:
    as it is for all.
    """

    finding_id: int
    kind: str
    subject: str
    starts: datetime
    ends: datetime | None
    accepted: bool
    site_id: int | None
    site_code: str | None
    gateway: str | None
    detail: dict[str, Any]
    own: FindingRule | None = None

    def rule(self, general: FindingRule) -> FindingRule:
        """The rule as it is for what this finding is about."""
        return self.own or general

    def key(self, rule: FindingRule) -> str:
        """What an alert of `rule` about this finding is about."""
        if rule.group == "gateway" and self.gateway is not None:
            return self.gateway
        return f"{self.subject}/{self.kind}" if len(rule.kinds) > 1 else self.subject


@dataclass(frozen=True, slots=True)
class Episode:
    """Findings of one subject that touch in time. begins: when the first had lasted long enough; ends: when none lasts
    any more, None: not yet; members: in order of starts.
    """

    begins: datetime
    ends: datetime | None
    members: tuple[Finding, ...]

    @property
    def accepted(self) -> bool:
        """Whether a person accepted all of it."""
        return all(f.accepted for f in self.members)

    def known(self, until: datetime) -> bool:
        """Whether a person accepted all of it that lasts; where nothing does, all of it."""
        lasting = [f for f in self.members if f.ends is None or f.ends > until]
        return all(f.accepted for f in lasting or self.members)

    def opening(self, general: FindingRule) -> FindingRule | None:
        """The rule by which it opens an alert: that of the first member whose rule is in use; None: no member's is."""
        rules = (f.rule(general) for f in self.members)
        return next((r for r in rules if r.enabled), None)


def episodes(
    rule: FindingRule, findings: Sequence[Finding], until: datetime, since: datetime | None = None
) -> list[Episode]:
    """Episodes of the findings of one subject that begin at or before `until`, in order; none before `since`."""
    spans = []
    for f in findings:
        begins = f.starts + f.rule(rule).patience
        begins = begins if since is None else max(begins, since)
        if begins <= until and (f.ends is None or begins <= f.ends):
            spans.append((begins, None if rule.period else f.ends, f))
    spans.sort(key=lambda s: (s[0], s[2].finding_id))
    found: list[Episode] = []
    for begins, ends, f in spans:
        last = found[-1] if found else None
        if last and not rule.period and (last.ends is None or begins <= last.ends):
            later = None if last.ends is None or ends is None else max(last.ends, ends)
            found[-1] = Episode(last.begins, later, (*last.members, f))
        else:
            found.append(Episode(begins, ends, (f,)))
    return found


@dataclass(frozen=True, slots=True)
class Told:
    """An alert about findings of a subject. finding_id: the first of the episode that opened it; closed_at: when it was
    resolved, by_person: by a person, not because what it was about was over; by_acceptance: it was acknowledged because
    what it was about was accepted, not by a person who looked at the alert.
    """

    alert_id: int
    finding_id: int
    opened_at: datetime
    life: Life
    closed_at: datetime | None = None
    by_person: bool = False
    by_acceptance: bool = False

    def names(self, episode: Episode) -> bool:
        """Whether its finding is of that episode."""
        return self.finding_id in {f.finding_id for f in episode.members}

    def is_of(self, rule: FindingRule, episode: Episode) -> bool:
        """Whether it is about that episode: by its finding, else by its time."""
        if self.names(episode):
            return True
        within = episode.begins <= self.opened_at and (episode.ends is None or self.opened_at <= episode.ends)
        return within and not rule.period

    def covers(self, rule: FindingRule, finding: Finding) -> bool:
        """Whether that finding was over when it was resolved, or had lasted long enough when a person closed it."""
        if self.closed_at is None:
            return False
        if self.by_person:
            return finding.starts + finding.rule(rule).patience <= self.closed_at
        return finding.ends is not None and finding.ends <= self.closed_at


@dataclass(frozen=True, slots=True)
class Heard:
    """A step to take at a time: of the alert `told`, of a new one about `episode`, or (neither) of the last opened."""

    at: datetime
    step: Transition
    told: Told | None = None
    episode: Episode | None = None


def hear(
    rule: FindingRule, found: Sequence[Episode], told: Sequence[Told], until: datetime, by_event: bool
) -> list[Heard]:
    """What episodes mean to the alerts of a subject. Retracted alerts are not among `told`: their ground may come back.

    by_event: an alert opens and ends at the times of its episode, be it over or not; else now (`until`), and nobody is
    told of what was over before anybody was told. What goes on or comes after an alert was resolved is another's.
    """
    found = _beyond(rule, found, told, until)
    steps: list[Heard] = []
    stands = False
    for t in told:
        if t.life.state not in FINAL:
            own = _of_open(t, _episode_of(t, rule, found), until, by_event)
            stands |= not any(h.step.to_state in FINAL for h in own)
            steps += own
    if stands and not rule.period:
        return steps  # one open alert a subject
    for e in found:
        if e.accepted or e.opening(rule) is None or any(t.is_of(rule, e) for t in told):
            continue
        if by_event:
            steps.append(Heard(e.begins, _OPEN, episode=e))
            if e.ends is not None and e.ends <= until:
                steps.append(Heard(e.ends, _resolved(State.CONFIRMED)))
        elif e.ends is None and _is_recent(rule, e, until):
            steps.append(Heard(until, _OPEN, episode=e))
    return steps


def _beyond(
    rule: FindingRule, found: Sequence[Episode], told: Sequence[Told], until: datetime
) -> list[Episode]:
    """The episodes, each parted into what alerts covered that were resolved, and what is left of it."""
    parted: list[Episode] = []
    for e in found:
        closed = [t for t in told if t.closed_at is not None and not rule.period and t.is_of(rule, e)]
        left = [f for f in e.members if not any(t.covers(rule, f) for t in closed)]
        if not closed or not left:
            parted.append(e)
            continue
        covered = tuple(f for f in e.members if f not in left)
        ends = [f.ends for f in covered if f.ends is not None]
        if covered:
            parted.append(Episode(e.begins, max(ends) if len(ends) == len(covered) else None, covered))
        parted += episodes(rule, left, until, max(t.closed_at for t in closed if t.closed_at is not None))
    return parted


def _episode_of(told: Told, rule: FindingRule, found: Sequence[Episode]) -> Episode | None:
    """What an alert is about: the episode of its finding, else the last at whose time it opened."""
    named = (e for e in found if told.names(e))
    return next(named, next((e for e in reversed(found) if told.is_of(rule, e)), None))


_OPEN = Transition(None, State.CONFIRMED, Action.OPENED)


def _of_open(told: Told, episode: Episode | None, until: datetime, by_event: bool) -> list[Heard]:
    state = told.life.state
    if episode is None:
        note = "what it was about turned out not to be so"
        return [Heard(until, Transition(state, State.RETRACTED, Action.RETRACTED, note), told)]
    if episode.ends is not None and episode.ends <= until:
        at = max(episode.ends, told.life.told_at) if by_event else until
        return [Heard(at, _resolved(state), told)]
    known = episode.known(until)
    if known and state is State.CONFIRMED:
        note = "the finding was accepted"
        return [Heard(until, Transition(state, State.ACKNOWLEDGED, Action.ACKNOWLEDGED, note), told)]
    if not known and state is State.ACKNOWLEDGED and told.by_acceptance:
        note = "another finding joined the one that was accepted"
        return [Heard(until, Transition(state, State.CONFIRMED, Action.REOPENED, note), told)]
    return []


def _resolved(state: State) -> Transition:
    return Transition(state, State.RESOLVED, Action.RESOLVED, "it is over")


def _is_recent(rule: FindingRule, episode: Episode, until: datetime) -> bool:
    last = episode.members[-1]
    recent = timedelta(days=last.rule(rule).recent_days)
    return not rule.period or last.ends is None or until - last.ends <= recent
