"""Silence: found when it is longer than may be, never twice for a threshold, and withdrawn when late data fill it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.findings import (
    FindingState,
    Heard,
    SilenceRule,
    begin_of_silence,
    finding_kinds,
    is_silent,
    judge_silence,
)

T0 = datetime(2014, 3, 1, tzinfo=UTC)
INTERVAL_S = 900
RULE = SilenceRule()
PATIENCE = RULE.meter(INTERVAL_S)

minutes = st.integers(0, 3000)
moments = minutes.map(lambda m: T0 + timedelta(minutes=m))


def heard(times: list[datetime], anchor: datetime, ends: datetime | None, now: datetime) -> Heard:
    """What the database would say of readings at `times`, worked out the plain way."""
    inside = sorted({anchor, *(t for t in times if anchor < t <= (ends or now))})
    long = [(a, b) for a, b in pairwise(inside) if b - a > PATIENCE]
    lasting = now - inside[-1] > PATIENCE
    firsts = [a for a, _ in long] + ([inside[-1]] if lasting and ends is None else [])
    recent = sum(1 for t in inside[1:] if t > now - PATIENCE)
    return Heard(min(firsts, default=None), max((b for _, b in long), default=None), lasting, recent)


@given(st.none() | moments, moments, st.none() | moments, st.integers(1, 100_000), moments)
def test_silence_is_longer_than_the_patience_since_the_last_thing_that_excuses_it(
    last, since, watched_from, s, now
):
    patience = timedelta(seconds=s)
    silent = is_silent(last, since, watched_from, patience, now)
    assert silent == all(now - m > patience for m in (last, since, watched_from) if m is not None)
    if silent:
        starts = begin_of_silence(last, since, min(s, 900))
        assert starts < now
        assert starts >= since
        assert is_silent(last, since, watched_from, patience, now + timedelta(seconds=1))


@given(st.floats(1, 100_000), st.floats(3, 100), st.floats(1, 10_000))
def test_a_gateway_is_found_before_its_meters(interval_s, intervals, floor_s):
    rule = SilenceRule(intervals, floor_s, min(900, floor_s))
    assert rule.gateway(interval_s) <= rule.meter(interval_s)


def test_a_rule_that_would_find_meters_first_is_refused():
    with pytest.raises(ValueError, match="gateway_floor_s"):
        SilenceRule(4, 600, 900)
    with pytest.raises(ValueError, match="meter_intervals"):
        SilenceRule(2.5)


@given(st.lists(moments, max_size=40), moments)
def test_a_silence_becomes_the_hull_of_what_was_silent(times, now):
    verdict = judge_silence(heard(times, T0, None, now), T0, None, now)
    seen = sorted({T0, *(t for t in times if T0 < t <= now)})
    long = [(a, b) for a, b in pairwise(seen) if b - a > PATIENCE]
    fresh = [t for t in seen[1:] if t > now - PATIENCE]
    if len(fresh) < 2:
        assert (verdict.state, verdict.ends) == (FindingState.OPEN, None)
    elif not long:
        assert (verdict.state, verdict.ends) == (FindingState.WITHDRAWN, now)
    else:
        assert verdict == (verdict.__class__(FindingState.OPEN, long[0][0], long[-1][1]))


@given(st.lists(moments, max_size=30), st.lists(moments, max_size=30), moments)
def test_a_silence_that_ended_is_the_same_whether_late_readings_came_before_or_after_its_end(
    early, late, now
):
    first = judge_silence(heard(early, T0, None, now), T0, None, now)
    if first.ends is None or first.state is FindingState.WITHDRAWN:
        return
    again = judge_silence(
        heard([*early, *late], first.anchor, first.ends, now), first.anchor, first.ends, now
    )
    inside = [t for t in (*early, *late) if first.anchor < t <= first.ends]
    filled = heard(inside, first.anchor, first.ends, first.ends)
    assert (again.state is FindingState.WITHDRAWN) == (filled.last_to is None)
    assert again.anchor >= first.anchor
    assert again.ends is not None
    assert again.ends <= first.ends


@given(st.integers(61, 600), st.integers(1, 60))
def test_a_meter_that_is_read_less_often_than_it_may_be_silent_is_one_silence(step, looks):
    """No flapping: readings `step` minutes apart, the patience is 60."""
    times = [T0 + timedelta(minutes=step * n) for n in range(1, 20)]
    ends = [
        judge_silence(heard([t for t in times if t <= now], T0, None, now), T0, None, now).ends
        for now in (T0 + timedelta(minutes=61 + looks * n) for n in range(20 * step // looks))
    ]
    assert set(ends) == {None}


def test_every_kind_has_names_in_both_languages_and_a_severity_of_alerts():
    kinds = finding_kinds()
    assert {"silent_meter", "silent_gateway", "nothing_received", "sequence_gap"} <= set(kinds)
    for kind in kinds.values():
        assert kind.severity in ("warning", "major", "critical")
        assert kind.about in ("delivery", "clock", "values")
        assert kind.name_en
        assert kind.meaning
        assert any("\u4e00" <= c <= "\u9fff" for c in kind.name_zh)
