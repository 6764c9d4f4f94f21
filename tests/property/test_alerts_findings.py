"""Which findings become alerts: one cause is one alert, and no order of events doubles, loses or wrongly closes one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from alerts.finding_rules import Finding, FindingRule, Told, episodes, hear
from alerts.lifecycle import FINAL, Action, State, acknowledge, after, close

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SILENT = FindingRule(("silent_meter",), "warning", after_h=24, group="gateway")
MONTHLY = FindingRule(("imbalance",), "warning", after_h=24, period=True, recent_days=45)


def hours(n):
    return timedelta(hours=n)


def finding(n, starts_h, ends_h=None, meter="m1", accepted=False, kind="silent_meter", gateway="G1"):
    ends = None if ends_h is None else BEGIN + hours(ends_h)
    return Finding(n, kind, meter, BEGIN + hours(starts_h), ends, accepted, 1, "S1", gateway, {})


def opened(told, heard, n=1):
    """The alerts after steps were taken."""
    alerts = {t.alert_id: t for t in told}
    for h in heard:
        if h.episode:
            n = max([n, *alerts]) + 1
            alerts[n] = Told(n, h.episode.members[0].finding_id, h.at, after(None, h.step, h.at))
        else:
            key = h.told.alert_id if h.told else n
            assert alerts[key].life.told_at <= h.at
            closed = h.at if h.step.to_state is State.RESOLVED else None
            accepted = h.step.action is Action.ACKNOWLEDGED or alerts[key].by_acceptance
            life = after(alerts[key].life, h.step, h.at)
            alerts[key] = replace(alerts[key], life=life, closed_at=closed, by_acceptance=accepted)
    return list(alerts.values())


def test_two_hundred_meters_behind_one_gateway_are_one_alert():
    found = [finding(n, n / 10, meter=f"m{n}") for n in range(200)]
    (episode,) = episodes(SILENT, found, BEGIN + hours(100))
    assert (episode.begins, episode.ends, len(episode.members)) == (BEGIN + hours(24), None, 200)
    (heard,) = hear(SILENT, [episode], [], BEGIN + hours(100), by_event=False)
    (alert,) = opened([], [heard])
    assert hear(SILENT, [episode], [alert], BEGIN + hours(101), by_event=False) == []


def test_what_was_short_is_nobodys_alert_and_what_is_over_only_by_event_time():
    short, over = finding(1, 0, 20), finding(2, 30, 90)
    until = BEGIN + hours(100)
    found = episodes(SILENT, [short, over], until)
    assert [(e.begins, e.ends) for e in found] == [(BEGIN + hours(54), BEGIN + hours(90))]
    assert hear(SILENT, found, [], until, by_event=False) == []
    (alert,) = opened([], hear(SILENT, found, [], until, by_event=True))
    assert (alert.opened_at, alert.life.state, alert.life.told_at) == (
        BEGIN + hours(54), State.RESOLVED, BEGIN + hours(90),
    )  # fmt: skip


def test_a_month_out_of_balance_is_told_while_it_is_recent_and_stays():
    month = finding(1, 0, 600, kind="imbalance", gateway=None)
    soon, late = BEGIN + hours(600 + 24 * 40), BEGIN + hours(600 + 24 * 50)
    (alert,) = opened([], hear(MONTHLY, episodes(MONTHLY, [month], soon), [], soon, by_event=False))
    assert hear(MONTHLY, episodes(MONTHLY, [month], late), [alert], late, by_event=False) == []
    assert hear(MONTHLY, episodes(MONTHLY, [month], late), [], late, by_event=False) == []
    (gone,) = hear(MONTHLY, [], [alert], late, by_event=False)
    assert gone.step.to_state is State.RETRACTED


def test_a_finding_that_a_person_accepted_is_acknowledged_and_opens_nothing():
    lasting = finding(1, 0)
    until = BEGIN + hours(30)
    (alert,) = opened([], hear(SILENT, episodes(SILENT, [lasting], until), [], until, by_event=False))
    known = episodes(SILENT, [replace(lasting, accepted=True)], until)
    (heard,) = hear(SILENT, known, [alert], until, by_event=False)
    assert heard.step.to_state is State.ACKNOWLEDGED
    assert hear(SILENT, known, [], until, by_event=False) == []


def test_a_known_dead_meter_hides_no_other_behind_its_gateway():
    dead, other = finding(1, 0), finding(2, 40, meter="m2")
    (alert,) = opened(
        [], hear(SILENT, episodes(SILENT, [dead], BEGIN + hours(30)), [], BEGIN + hours(30), False)
    )

    def looked(alert, at_h, *found):
        until = BEGIN + hours(at_h)
        heard = hear(SILENT, episodes(SILENT, found, until), [alert], until, by_event=False)
        (after_it,) = opened([alert], heard)
        return after_it, [h.step.action for h in heard]

    dead = replace(dead, accepted=True)
    alert, steps = looked(alert, 31, dead)
    assert steps == [Action.ACKNOWLEDGED]
    alert, steps = looked(alert, 60, dead, other)
    assert steps == [], "not for long enough yet"
    reopened, steps = looked(alert, 65, dead, other)
    assert steps == [Action.REOPENED]
    assert looked(reopened, 70, dead, replace(other, ends=BEGIN + hours(69)))[1] == [Action.ACKNOWLEDGED]
    by_person = replace(
        reopened, life=after(reopened.life, acknowledge(reopened.life, None), BEGIN + hours(66))
    )
    third = finding(3, 41, meter="m3")
    assert looked(replace(by_person, by_acceptance=False), 70, dead, other, third)[1] == []


spans = st.lists(st.tuples(st.integers(0, 200), st.integers(1, 120) | st.none()), max_size=6)


@given(spans, st.integers(0, 400))
def test_by_event_time_alerts_do_not_depend_on_how_often_one_looks(found, until_h):
    findings = [finding(n, a, None if d is None else a + d, meter=f"m{n}") for n, (a, d) in enumerate(found)]
    once, often = [], []
    for at in range(0, until_h + 1):
        seen = [
            replace(f, ends=f.ends if f.ends and f.ends <= BEGIN + hours(at) else None)
            for f in findings
            if f.starts <= BEGIN + hours(at)
        ]
        until = BEGIN + hours(at)
        often = opened(often, hear(SILENT, episodes(SILENT, seen, until), often, until, by_event=True))
    until = BEGIN + hours(until_h)
    seen = [
        replace(f, ends=f.ends if f.ends and f.ends <= until else None) for f in findings if f.starts <= until
    ]
    once = opened(once, hear(SILENT, episodes(SILENT, seen, until), once, until, by_event=True))
    assert [(t.opened_at, t.life) for t in once] == [(t.opened_at, t.life) for t in often]


class OneGateway(RuleBasedStateMachine):
    """Meters of a gateway fall silent, come back, are judged and looked at, in any order, by the wall clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN
        self.findings: dict[int, Finding] = {}
        self.told: list[Told] = []

    @rule(h=st.integers(1, 40))
    def time_passes(self, h):
        self.now += hours(h)

    @rule(meter=st.sampled_from(["m1", "m2", "m3"]), known_after_h=st.integers(0, 60))
    def falls_silent(self, meter, known_after_h):
        if any(f.subject == meter and f.ends is None for f in self.findings.values()):
            return
        n = len(self.findings) + 1000
        starts = max(BEGIN, self.now - hours(known_after_h))
        self.findings[n] = replace(finding(n, 0, meter=meter), starts=starts)

    @rule()
    def a_person_acknowledges(self):
        self.told = [
            replace(t, life=after(t.life, acknowledge(t.life, None), self.now), by_acceptance=False)
            if t.life.state is State.CONFIRMED
            else t
            for t in self.told
        ]

    @rule()
    def a_person_closes(self):
        self.told = [
            replace(t, life=after(t.life, close(t.life, None), self.now), closed_at=self.now, by_person=True)
            if t.life.state not in FINAL
            else t
            for t in self.told
        ]

    @rule(pick=st.integers(0, 20), how=st.sampled_from(["ends", "withdrawn", "accepted"]))
    def changes(self, pick, how):
        if self.findings:
            n = sorted(self.findings)[pick % len(self.findings)]
            if how == "withdrawn":
                self.findings[n] = replace(self.findings.pop(n), kind="gone")
            elif how == "accepted":
                self.findings[n] = replace(self.findings[n], accepted=True)
            elif self.findings[n].ends is None:
                self.findings[n] = replace(self.findings[n], ends=self.now)

    @rule()
    def looked_at(self):
        found = episodes(SILENT, [f for f in self.findings.values() if f.kind != "gone"], self.now)
        heard = hear(
            SILENT, found, [t for t in self.told if t.life.state is not State.RETRACTED], self.now, False
        )
        gone = [t for t in self.told if t.life.state is State.RETRACTED]
        kept = [t for t in self.told if t.life.state is not State.RETRACTED]
        self.told = gone + opened(kept, heard, n=len(self.told) + 1)
        last = [e for e in found if e.ends is None]
        standing = [t for t in self.told if t.life.state not in FINAL]
        assert len(last) <= 1
        for f in last[0].members if last else ():
            closed = any(t.by_person and t.covers(SILENT, f) for t in self.told)
            assert standing or f.accepted or f.ends is not None or closed, "who lasts is told of"
            hidden = [t for t in standing if t.life.state is State.ACKNOWLEDGED and t.by_acceptance]
            assert f.accepted or f.ends is not None or not hidden, "what was accepted hides no other"
        if standing:
            assert last, "an alert stands only while something lasts"
        again = hear(
            SILENT, found, [t for t in self.told if t.life.state is not State.RETRACTED], self.now, False
        )
        assert again == [], "looking again changes nothing"

    @invariant()
    def one_open_alert(self):
        assert sum(t.life.state not in FINAL for t in self.told) <= 1


TestOneGateway = OneGateway.TestCase
