"""When somebody is told: quiet hours, digest, rate, pauses and the last attempt, in any zone and at any moment."""

from __future__ import annotations

from datetime import UTC, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alerts.notify.policy import Policy, QuietHours, Why, parse_clock, parse_quiet
from metering.errors import SettingError

ZONES = st.sampled_from(["Asia/Shanghai", "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu"]).map(
    ZoneInfo
)
TIMES = st.builds(time, st.integers(0, 23), st.integers(0, 59))
MOMENTS = st.datetimes(timezones=st.just(UTC)).map(
    lambda t: t.replace(year=2010 + t.year % 30, day=1 + t.day % 28)
)
POLICIES = st.builds(
    Policy, ZONES, st.builds(QuietHours, TIMES, TIMES), TIMES, st.integers(1, 100),
    st.timedeltas(timedelta(minutes=1), timedelta(days=9)), st.timedeltas(timedelta(seconds=1), timedelta(minutes=5)),
    st.timedeltas(timedelta(minutes=5), timedelta(hours=9)),
)  # fmt: skip


@given(st.builds(QuietHours, TIMES, TIMES), TIMES)
def test_quiet_hours_hold_from_their_begin_up_to_their_end_over_midnight_too(quiet, at):
    def minutes(t: time) -> int:
        return t.hour * 60 + t.minute

    length = (minutes(quiet.end) - minutes(quiet.begin)) % 1440
    assert quiet.holds(at) == ((minutes(at) - minutes(quiet.begin)) % 1440 < length)


@given(POLICIES, MOMENTS, st.integers(0, 200))
def test_critical_passes_quiet_hours_and_nothing_passes_the_rate(policy, now, sent):
    full = sent >= policy.per_hour
    assert policy.hold(now, "critical", sent) == (Why.RATE if full else None)
    for severity in ("warning", "major"):
        why = policy.hold(now, severity, sent)
        assert why == (Why.QUIET if policy.is_quiet(now) else Why.RATE if full else None)


@given(POLICIES, MOMENTS)
def test_quiet_ends_within_a_day_or_so_and_it_is_not_quiet_then(policy, now):
    end = policy.quiet_until(now)
    assert now <= end <= now + timedelta(hours=26)
    assert (end == now) == (not policy.is_quiet(now))
    if end > now and policy.zone.key in ("UTC", "Asia/Shanghai"):  # no clocks are put forward there
        assert not policy.is_quiet(end)


@given(POLICIES, MOMENTS)
def test_the_newest_digest_is_at_its_local_time_and_never_ahead(policy, now):
    cut = policy.digest_cut(now)
    assert now - timedelta(hours=26) < cut <= now
    assert policy.digest_cut(cut) == cut
    assert policy.digest_cut(now + timedelta(hours=26)) > cut
    if policy.zone.key in ("UTC", "Asia/Shanghai"):
        assert cut.astimezone(policy.zone).time() == policy.digest_at


@given(POLICIES, st.integers(1, 200), st.floats(0, 1))
def test_pauses_grow_to_their_longest_and_no_further(policy, attempts, chance):
    pause, later = policy.retry_in(attempts, chance), policy.retry_in(attempts + 1, chance)
    assert 0.79 * policy.first_delay <= pause <= 1.21 * policy.most_delay
    assert later >= pause
    assert policy.retry_in(60, 0.5) == policy.most_delay


@given(POLICIES, MOMENTS, st.timedeltas(timedelta(0), timedelta(days=20)))
def test_it_gives_up_when_the_time_is_over_and_not_before(policy, begun, later):
    assert policy.gives_up(begun, begun + later) == (later >= policy.give_up_after)


def test_hours_are_read_as_people_write_them():
    assert parse_quiet("22:00-07:30", "S") == QuietHours(time(22), time(7, 30))
    assert parse_quiet("", "S") == QuietHours()
    for wrong in (
        "22-7",
        "22:00",
        "24:00-07:00",
        "22:00-07:60",
        "22:00–07:00",
        " 22:00-07:00",
        "２２:00-07:00",
    ):
        with pytest.raises(SettingError, match=r"NENGLIU_X: want"):
            parse_quiet(wrong, "NENGLIU_X")
    with pytest.raises(SettingError, match="NENGLIU_X"):
        parse_clock("8:00", "NENGLIU_X")
