"""The life of an alert as a state machine: no sequence of events doubles, loses or wrongly closes it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from alerts.assessment import Assessments
from alerts.lifecycle import FINAL, Observation, State, TransitionError, acknowledge, close, observe
from alerts.parameters import shipped_parameters
from alerts.rules import RULES, judge, run_length

observations = st.builds(
    Observation,
    holds=st.booleans(),
    complete=st.booleans(),
    settled_well=st.booleans(),
    gone=st.booleans(),
    calm=st.booleans(),
)
ORDER = {None: 0, State.PROVISIONAL: 1, State.CONFIRMED: 2, State.ACKNOWLEDGED: 3}


class OneAlert(RuleBasedStateMachine):
    """One subject and rule, seen and handled in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.state: State | None = None
        self.steps: list = []

    def _take(self, step) -> None:
        if step is not None:
            assert step.from_state == self.state
            self.steps.append(step)
            self.state = step.to_state

    @rule(seen=observations)
    def assessed(self, seen):
        before = self.state
        self._take(observe(self.state, seen))
        if before is None and self.state is not None:
            assert seen.holds
        if before not in FINAL and self.state is State.RESOLVED:
            assert seen.settled_well or seen.calm
        if before not in FINAL and self.state is State.RETRACTED:
            assert seen.gone

    @rule()
    def acknowledged(self):
        if self.state is None:
            return
        if self.state in FINAL or self.state is State.ACKNOWLEDGED:
            with pytest.raises(TransitionError):
                acknowledge(self.state, None)
            return
        self._take(acknowledge(self.state, "seen"))

    @rule()
    def closed(self):
        if self.state is None:
            return
        if self.state in FINAL:
            with pytest.raises(TransitionError):
                close(self.state, None)
            return
        self._take(close(self.state, "done"))

    @invariant()
    def opens_once_and_only_moves_on(self):
        assert sum(step.from_state is None for step in self.steps) <= 1
        assert sum(step.to_state in FINAL for step in self.steps) <= 1
        ranks = [ORDER.get(step.to_state, 9) for step in self.steps]
        assert ranks == sorted(set(ranks))

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


FORECAST = next(r for r in RULES if r.about_forecast)
SHIPPED = shipped_parameters()


def assessed(p10, p50, p90, limit=100.0, used=10.0):
    """Assessments of one series on consecutive days, complete."""
    n = len(p50)
    columns = [np.broadcast_to(np.asarray(c, dtype=float), n) for c in (used, limit, p10, p50, p90)]
    level = np.zeros(n, dtype=np.int64)
    return Assessments(
        np.zeros(n, dtype=np.int64), np.arange(n), *columns, np.full(n, -1), np.ones(n), level,
        np.full(n, "profile/1", dtype=object),
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


def test_on_the_last_day_of_the_year_nothing_is_left_to_foretell():
    a = assessed([105.0] * 5, [110.0] * 5, [115.0] * 5)
    last = np.array([False] * 4 + [True])
    v = judge(FORECAST, a, last, SHIPPED.levels, SHIPPED.rules[FORECAST.name])
    assert v.holds.tolist() == [False, False, True, True, False]
