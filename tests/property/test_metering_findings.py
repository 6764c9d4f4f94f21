"""Silence that lasts: found when it is longer than may be. Of the past: test_metering_silences.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.findings import (
    SilenceRule,
    begin_of_silence,
    finding_kinds,
    is_silent,
)

T0 = datetime(2014, 3, 1, tzinfo=UTC)
minutes = st.integers(0, 3000)
moments = minutes.map(lambda m: T0 + timedelta(minutes=m))


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


def test_every_kind_has_names_in_both_languages_and_a_severity_of_alerts():
    kinds = finding_kinds()
    assert {"silent_meter", "silent_gateway", "nothing_received", "sequence_gap"} <= set(kinds)
    for kind in kinds.values():
        assert kind.severity in ("warning", "major", "critical")
        assert kind.about in ("delivery", "clock", "values", "balance")
        assert kind.name_en
        assert kind.meaning
        assert any("\u4e00" <= c <= "\u9fff" for c in kind.name_zh)
