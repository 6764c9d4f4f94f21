"""Silences of the past are what the readings say, whatever findings there were before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from metering.silences import (
    Judged,
    Known,
    Silence,
    Step,
    Subject,
    is_unexplained,
    settle_silences,
    silences,
)

T0 = datetime(2014, 3, 1, tzinfo=UTC)
PATIENCE = timedelta(minutes=60)


def at(minute: int) -> datetime:
    return T0 + timedelta(minutes=minute)


minutes = st.integers(0, 3000)
times = st.lists(minutes, min_size=1, max_size=40, unique=True).map(sorted)


def steps_of(moments: Sequence[int]) -> list[Step]:
    return [Step(at(a), at(b)) for a, b in pairwise(moments) if at(b) - at(a) > PATIENCE]


def meter(moments: Sequence[int], now: int | None = None) -> Subject:
    return Subject(PATIENCE, at(moments[-1]), None if now is None else at(now), joined=True)


def settled(
    known: list[Known], wanted: list[Silence], subject: Subject
) -> list[tuple[datetime, datetime | None]]:
    """The findings that stand after settling."""
    done = settle_silences(known, wanted, subject)
    left = {k.finding_id: (k.anchor, k.ends) for k in known}
    for k, s in done.moved:
        left[k.finding_id] = (s.anchor, s.ends)
    for k in done.withdrawn:
        del left[k.finding_id]
    return sorted([*left.values(), *((s.anchor, s.ends) for s in done.opened)], key=str)


@given(times)
def test_every_long_step_is_in_one_silence_and_no_short_one_is(moments):
    found = silences(steps_of(moments), [], meter(moments))
    for a, b in pairwise(moments):
        inside = [s for s in found if s.anchor <= at(a) and (s.ends is None or at(b) <= s.ends)]
        assert len(inside) == (at(b) - at(a) > PATIENCE)
    for one, other in pairwise(found):
        assert one.ends is not None, "only the newest can last"
        assert one.ends < other.anchor


@given(times, st.randoms(use_true_random=False))
def test_the_order_in_which_steps_are_known_changes_nothing(moments, random):
    steps = steps_of(moments)
    shuffled = random.sample(steps, len(steps))
    assert silences(shuffled, [], meter(moments)) == silences(steps, [], meter(moments))


@given(times, minutes)
def test_one_reading_does_not_end_a_silence_and_none_since_lasts(moments, now):
    found = silences(steps_of(moments), [], meter(moments, now))
    lasting = [s for s in found if s.ends is None]
    last_step_long = len(moments) > 1 and at(moments[-1]) - at(moments[-2]) > PATIENCE
    assert len(lasting) == (last_step_long or at(now) - at(moments[-1]) > PATIENCE)
    assert all(s.proved == last_step_long for s in lasting)


@given(st.integers(61, 600), st.integers(2, 20))
def test_a_meter_that_is_read_less_often_than_it_may_be_silent_is_one_silence(step, count):
    moments = [step * n for n in range(count)]
    assert silences(steps_of(moments), [], meter(moments)) == [Silence(T0, None)]
    again = [*moments, moments[-1] + 1]
    assert silences(steps_of(again), [], meter(again)) == [Silence(T0, at(moments[-1]))]


@given(times, times)
def test_what_a_gateway_explains_is_no_silence_of_its_meters(moments, heard):
    excuses = steps_of(heard)
    for step in steps_of(moments):
        # Minute by minute: the longest stretch of the step that no excuse covers.
        covered = [
            any(e.begin <= t < e.end for e in excuses)
            for t in (step.begin + timedelta(minutes=m) for m in range((step.end - step.begin).seconds // 60))
        ]
        assume((step.end - step.begin).days == 0)
        longest = run = 0
        for c in covered:
            run = 0 if c else run + 1
            longest = max(longest, run)
        assert is_unexplained(step, excuses, PATIENCE) == (timedelta(minutes=longest) > PATIENCE)


@given(st.lists(times, min_size=1, max_size=6))
def test_findings_that_were_right_before_become_those_of_the_readings_now(batches):
    """Readings in batches, findings settled after each: the same stand as if all had come at once."""
    known: list[Known] = []
    seen: set[int] = set()
    for batch in batches:
        seen |= set(batch)
        moments = sorted(seen)
        subject = meter(moments, moments[-1])
        standing = settled(known, silences(steps_of(moments), [], subject), subject)
        known = [Known(n, a, e) for n, (a, e) in enumerate(standing)]
    moments = sorted(seen)
    subject = meter(moments, moments[-1])
    assert standing == settled([], silences(steps_of(moments), [], subject), subject)


@given(times, minutes, st.none() | st.integers(1, 500))
def test_what_a_person_judged_stays_and_is_not_opened_again(moments, anchor, long):
    judged = Known(1, at(anchor), None if long is None else at(anchor + long), Judged.CLOSED)
    subject = meter(moments)
    done = settle_silences([judged], silences(steps_of(moments), [], subject), subject)
    assert (done.moved, done.withdrawn) == ([], [])
    for s in done.opened:
        ended = judged.ends is not None and judged.ends <= s.anchor
        assert ended or (s.ends is not None and s.ends <= judged.anchor)


def test_a_gateways_connection_is_not_for_its_readings_to_say():
    gateway = Subject(PATIENCE, at(500), at(1000), joined=False)
    lasting, later = Known(1, at(100), None), Known(2, at(300), at(600))
    assert settle_silences([lasting, later], [], gateway).withdrawn == []
    assert settle_silences([Known(3, at(100), at(300))], [], gateway).withdrawn == [
        Known(3, at(100), at(300))
    ]
