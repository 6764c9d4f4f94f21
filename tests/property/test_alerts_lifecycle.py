"""The life of an alert as a state machine: no sequence of events doubles, loses or wrongly closes it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from alerts.assessment import Assessments
from alerts.lifecycle import (
    FINAL,
    Action,
    Care,
    Life,
    Observation,
    State,
    Transition,
    TransitionError,
    acknowledge,
    after,
    close,
    come_due,
    next_due,
    observe,
    reopen,
    snooze,
)
from alerts.parameter_file import shipped_parameters
from alerts.rules import RULES, About, judge, run_length

observations = st.builds(
    Observation,
    holds=st.booleans(),
    complete=st.booleans(),
    settled_well=st.booleans(),
    gone=st.booleans(),
    calm=st.booleans(),
    unlimited=st.booleans(),
)
ZONE = ZoneInfo("Asia/Shanghai")
CARE = Care(escalate_after_h=48, escalations=2, remind_after_h=168)
ORDER = {None: 0, State.PROVISIONAL: 1, State.CONFIRMED: 2, State.ACKNOWLEDGED: 3}


class OneAlert(RuleBasedStateMachine):
    """One alert, seen, handled and left alone in any order, beside a model that knows only its history."""

    def __init__(self) -> None:
        super().__init__()
        self.life: Life | None = None
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.history: list[tuple[datetime, Transition]] = []

    @property
    def state(self):
        return self.life.state if self.life else None

    def _take(self, step, at=None) -> None:
        if step is not None:
            assert step.from_state == self.state
            at = at or self.now
            self.history.append((at, step))
            self.life = after(self.life, step, at)

    def _refused_when(self, refused, act) -> None:
        if refused:
            with pytest.raises(TransitionError):
                act()
        else:
            self._take(act())

    @rule(seen=observations)
    def assessed(self, seen):
        before = self.state
        self._take(observe(self.state, seen))
        if before is None and self.state is not None:
            assert seen.holds
        if before not in FINAL and self.state is State.RESOLVED:
            assert seen.settled_well or seen.calm
        if before not in FINAL and self.state is State.RETRACTED:
            assert seen.gone or seen.unlimited
        if before in FINAL:
            assert self.state is before

    @rule(hours=st.floats(0.01, 2000), all_at_their_times=st.booleans())
    def time_passes(self, hours, all_at_their_times):
        self.now += timedelta(hours=hours)
        if self.life is None:
            return
        if all_at_their_times:
            for due in list(come_due(self.life, CARE, ZONE, self.now)):
                assert self.history[-1][0] <= due.at <= self.now
                self._take(due.step, due.at)
        else:
            due = next_due(self.life, CARE, ZONE)
            if due is not None and due.at <= self.now:
                self._take(due.step)
        due = next_due(self.life, CARE, ZONE)
        assert due is None or due.at > self.now, "made up for once, and not again"

    @precondition(lambda self: self.life)
    @rule(promise=st.none() | st.integers(0, 60))
    def acknowledged(self, promise):
        day = None if promise is None else (self.now + timedelta(days=promise)).date()
        nothing_new = self.state is State.ACKNOWLEDGED and day in (None, self.life.promised_on)
        self._refused_when(self.state in FINAL or nothing_new, lambda: acknowledge(self.life, "seen", day))

    @precondition(lambda self: self.life)
    @rule(hours=st.floats(-5, 500))
    def snoozed(self, hours):
        until = self.now + timedelta(hours=hours)
        refused = self.state in FINAL or until <= self.now
        self._refused_when(refused, lambda: snooze(self.life, until, self.now, None))

    @precondition(lambda self: self.life)
    @rule()
    def closed(self):
        self._refused_when(self.state in FINAL, lambda: close(self.life, "done"))

    @precondition(lambda self: self.life)
    @rule()
    def reopened(self):
        self._refused_when(self.state is not State.RESOLVED, lambda: reopen(self.life, "again"))

    @invariant()
    def opens_once_and_only_moves_on(self):
        steps = [step for _, step in self.history]
        assert sum(step.from_state is None for step in steps) <= 1
        moved = [step for step in steps if step.from_state is not step.to_state]
        for before, step in itertools.pairwise(moved):
            assert step.from_state is before.to_state
            assert (
                ORDER.get(step.to_state, 9) > ORDER.get(step.from_state, 9) or step.action is Action.REOPENED
            )
        assert sum(step.action is Action.RETRACTED for step in steps) <= 1

    @invariant()
    def is_followed_up_while_it_is_open_and_only_then(self):
        due = self.life and next_due(self.life, CARE, ZONE)
        assert (due is not None) == (self.state in (State.CONFIRMED, State.ACKNOWLEDGED))
        if due and self.life.snoozed_until:
            assert due.at == self.life.snoozed_until
            assert due.step.action is Action.REMINDED

    @invariant()
    def is_escalated_only_while_nobody_took_notice_and_so_often(self):
        since = 0
        for _, step in self.history:
            if step.action is Action.ESCALATED:
                since += 1
                assert step.from_state is State.CONFIRMED
                assert since <= CARE.escalations
            elif step.action is Action.REOPENED:
                since = 0

    @invariant()
    def seeing_the_same_again_changes_nothing(self):
        for seen in (Observation(True, True), Observation(True, False)):
            step = observe(self.state, seen)
            if step is not None:
                assert observe(step.to_state, seen) is None


TestOneAlert = OneAlert.TestCase


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 6), st.booleans()), unique_by=lambda r: r[:2]))
def test_a_run_counts_days_on_end_of_one_series(rows):
    rows.sort()
    found = run_length(
        np.array([r[2] for r in rows], dtype=bool),
        np.array([r[0] for r in rows]),
        np.array([r[1] for r in rows]),
    )
    ground = {r[:2] for r in rows if r[2]}
    for (series, day, holds), length in zip(rows, found, strict=True):
        expected = 0
        while holds and (series, day - expected) in ground:
            expected += 1
        assert length == expected


FORECAST = next(r for r in RULES if r.about is About.FORECAST)
PACE = next(r for r in RULES if r.name == "quota_pace")
NO_VERDICT = next(r for r in RULES if r.name == "quota_no_verdict")
SHIPPED = shipped_parameters()


def assessed(p10, p50, p90, limit=100.0, used=10.0, share=0.1, completeness=1.0):
    """Assessments of one series on consecutive days, complete."""
    n = len(p50)
    columns = [np.broadcast_to(np.asarray(c, dtype=float), n) for c in (used, limit, p10, p50, p90)]
    level = np.zeros(n, dtype=np.int64)
    return Assessments(
        np.zeros(n, dtype=np.int64), np.arange(n), *columns, np.full(n, -1),
        np.broadcast_to(np.asarray(completeness, dtype=float), n), level,
        np.full(n, "profile/1", dtype=object), np.broadcast_to(np.asarray(share, dtype=float), n),
    )  # fmt: skip


@given(st.lists(st.tuples(st.floats(80, 120), st.floats(0, 20), st.floats(0, 20)), min_size=1, max_size=30))
def test_a_forecast_alert_opens_when_fairly_sure_and_calms_when_the_whole_band_keeps_the_limit(days):
    p50 = np.array([d[0] for d in days])
    low, high = np.array([d[1] for d in days]), np.array([d[2] for d in days])
    a = assessed(p50 - low, p50, p50 + high)
    rule = SHIPPED.rules[FORECAST.name]
    v = judge(FORECAST, a, np.zeros(len(days), dtype=bool), SHIPPED.levels, rule)
    sure = p50 - rule.band_share * low > 100.0
    for n in range(len(days)):
        assert v.holds[n] == (n + 1 >= rule.days and sure[n + 1 - rule.days : n + 1].all())
        calm = (p50 + high <= 100.0)[max(0, n + 1 - rule.calm_days) : n + 1]
        assert v.calm[n] == (n + 1 >= rule.calm_days and calm.all())
    assert not (v.holds & v.calm).any()


@given(st.lists(st.tuples(st.floats(80, 120), st.floats(0, 20)), min_size=1, max_size=30))
def test_a_forecast_alert_is_confirmed_when_all_of_the_lower_band_is_over_the_limit_as_long(days):
    p50, low = (np.array([d[n] for d in days]) for n in (0, 1))
    a = assessed(p50 - low, p50, p50 + 10.0)
    rule = SHIPPED.rules[FORECAST.name]
    v = judge(FORECAST, a, np.zeros(len(days), dtype=bool), SHIPPED.levels, rule)
    sure = p50 - low > 100.0
    for n in range(len(days)):
        assert v.complete[n] == (n + 1 >= rule.days and sure[n + 1 - rule.days : n + 1].all())
        assert not v.complete[n] or v.holds[n]


@pytest.mark.parametrize(
    ("method", "seasonal", "confirms"),
    [("profile/1", True, True), ("run_rate/1", True, False), ("run_rate/1", False, True)],
)
def test_what_follows_the_weather_wants_a_year_before_to_be_confirmed(method, seasonal, confirms):
    a = assessed([105.0] * 5, [110.0] * 5, [115.0] * 5)
    a = replace(a, method=np.full(5, method, dtype=object))
    v = judge(
        FORECAST, a, np.zeros(5, dtype=bool), SHIPPED.levels, SHIPPED.rules[FORECAST.name],
        seasonal=np.full(5, seasonal),
    )  # fmt: skip
    assert v.holds[-1]
    assert v.complete[-1] == confirms


def test_on_the_last_day_of_the_year_nothing_is_left_to_foretell():
    a = assessed([105.0] * 5, [110.0] * 5, [115.0] * 5)
    last = np.array([False] * 4 + [True])
    v = judge(FORECAST, a, last, SHIPPED.levels, SHIPPED.rules[FORECAST.name])
    assert v.holds.tolist() == [False, False, True, True, False]


@given(st.lists(st.tuples(st.floats(0, 60), st.floats(0.01, 0.6)), min_size=1, max_size=25))
def test_the_pace_is_told_of_when_use_runs_ahead_for_long_and_ends_when_it_does_not(days):
    used, share = np.array([d[0] for d in days]), np.array([d[1] for d in days])
    n = len(days)
    v = judge(PACE, assessed([90.0] * n, [95.0] * n, [99.0] * n, used=used, share=share),
              np.zeros(n, dtype=bool), SHIPPED.levels, SHIPPED.rules["quota_pace"])  # fmt: skip
    p = SHIPPED.rules["quota_pace"]
    ahead = (used > (1 + p.margin) * share * 100.0) & (share >= p.min_share)
    for i in range(n):
        assert v.holds[i] == (i + 1 >= p.days and ahead[i + 1 - p.days : i + 1].all())
        assert v.calm[i] == (i + 1 >= p.calm_days and not ahead[i + 1 - p.calm_days : i + 1].any())
    assert not v.gone.any()


def test_the_pace_says_nothing_where_the_year_is_likely_to_end_over():
    n = 10
    v = judge(PACE, assessed([95.0] * n, [105.0] * n, [110.0] * n, used=50.0, share=0.1),
              np.zeros(n, dtype=bool), SHIPPED.levels, SHIPPED.rules["quota_pace"])  # fmt: skip
    assert not v.holds.any()


def test_without_a_verdict_for_a_week_somebody_is_told_though_the_evidence_is_incomplete():
    whole = [0.95] * 2 + [0.5] * 7 + [0.92] * 3
    n = len(whole)
    v = judge(NO_VERDICT, assessed([90.0] * n, [95.0] * n, [99.0] * n, completeness=whole),
              np.zeros(n, dtype=bool), SHIPPED.levels, SHIPPED.rules["quota_no_verdict"])  # fmt: skip
    assert np.flatnonzero(v.holds).tolist() == [8]
    assert v.complete.all()
    assert np.flatnonzero(v.calm).tolist() == [11]


def test_a_meter_that_waits_for_its_monthly_reading_needs_nobody():
    whole, waits = np.full(10, 0.5), np.array([0.45] * 5 + [0.0] * 5)
    a = replace(assessed([90.0] * 10, [95.0] * 10, [99.0] * 10, completeness=whole), waiting=waits)
    p = replace(SHIPPED.rules["quota_no_verdict"], days=3)
    v = judge(NO_VERDICT, a, np.zeros(10, dtype=bool), SHIPPED.levels, p)
    assert np.flatnonzero(v.holds).tolist() == [7, 8, 9]
    assert np.flatnonzero(v.calm).tolist() == [2, 3, 4]


MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)


def told(life, until):
    return [(str(due.step.action), due.at - MONDAY) for due in come_due(life, CARE, ZONE, until)]


def hours(n):
    return timedelta(hours=n)


def test_an_alert_that_nobody_takes_up_is_escalated_and_then_reminded_of():
    life = Life(State.CONFIRMED, MONDAY)
    assert told(life, MONDAY + hours(500)) == [
        ("escalated", hours(48)),
        ("escalated", hours(96)),
        ("reminded", hours(96 + 168)),
        ("reminded", hours(96 + 2 * 168)),
    ]
    assert told(Life(State.PROVISIONAL, MONDAY), MONDAY + hours(500)) == []


def test_a_promise_is_waited_for_and_then_asked_about():
    life = Life(State.ACKNOWLEDGED, MONDAY, promised_on=date(2026, 4, 10))
    # The day ends at midnight in Beijing, 16:00 UTC.
    end = datetime(2026, 4, 10, 16, tzinfo=UTC) - MONDAY
    assert told(life, MONDAY + end + hours(200)) == [("reminded", end), ("reminded", end + hours(168))]


def test_a_snooze_holds_everything_back_and_ends_with_a_word():
    life = after(
        Life(State.CONFIRMED, MONDAY),
        snooze(Life(State.CONFIRMED, MONDAY), MONDAY + hours(100), MONDAY, None),
        MONDAY,
    )
    assert told(life, MONDAY + hours(150)) == [("reminded", hours(100)), ("escalated", hours(148))]


def test_a_snooze_outlasts_the_confirmation_of_what_was_provisional():
    life = Life(State.PROVISIONAL, MONDAY)
    life = after(life, snooze(life, MONDAY + hours(100), MONDAY, None), MONDAY)
    confirmed = observe(life.state, Observation(holds=True, complete=True))
    life = after(life, confirmed, MONDAY + hours(10))
    assert told(life, MONDAY + hours(150)) == [("reminded", hours(100)), ("escalated", hours(148))]


def test_a_step_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="confirmed"):
        after(
            Life(State.CONFIRMED, MONDAY),
            Transition(State.ACKNOWLEDGED, State.RESOLVED, Action.RESOLVED),
            MONDAY,
        )
