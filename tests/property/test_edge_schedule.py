"""Rounds go on whatever the wall clock does, and dead meters cost the living at most one time-out."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from collectors.edge.schedule import DEAD_AFTER, BackOff, Schedule, order

START = 1_393_603_200.0


@given(st.sampled_from([60.0, 900.0]), st.lists(st.floats(-100_000, 100_000), max_size=30))
def test_rounds_go_on_however_the_wall_clock_jumps(interval_s: float, jumps: list[float]):
    schedule, mono, jumped = Schedule(interval_s), 0.0, 0.0
    schedule.begin(START, mono)
    begun = mono
    for jump in jumps:
        jumped += jump
        for _ in range(3):
            mono += interval_s / 2
            if schedule.left_s(START + jumped + mono, mono) <= 0:
                schedule.begin(START + jumped + mono, mono)
                begun = mono
            assert mono - begun <= 2 * interval_s


@given(
    st.sampled_from([1.0, 60.0, 900.0]),
    st.floats(0, 5000),
    st.lists(st.floats(0, 2), min_size=1, max_size=20),
)
def test_with_a_good_clock_rounds_begin_at_multiples_of_the_interval(
    interval_s: float, offset_s: float, lasting: list[float]
):
    schedule, now = Schedule(interval_s), START + offset_s
    assert schedule.left_s(now, now) == 0
    for intervals in lasting:
        schedule.begin(now, now)
        over = now + intervals * interval_s
        left = schedule.left_s(over, over)
        next_multiple = (math.floor(now / interval_s) + 1) * interval_s
        assert math.isclose(max(over, next_multiple), over + max(left, 0), abs_tol=1e-3)
        now = over + max(left, 0)


@dataclass
class _Meter:
    answers: bool
    silent_rounds: int = 0
    asked_at: float = -math.inf


@given(
    st.lists(st.booleans(), min_size=1, max_size=40),
    st.floats(0.01, 5),
    st.floats(0.2, 60),
)
def test_the_dead_cost_the_living_one_time_out_a_round_and_none_waits_for_ever(
    answering: list[bool], timeout_s: float, interval_s: float
):
    """The poller's way through a round, with an answer in no time and a time-out for silence."""
    meters = [_Meter(a, 0 if a else DEAD_AFTER) for a in answering]
    now = 0.0
    for _ in range(len(meters) + 1):
        due, begun = now + interval_s, now
        live, dead = order(meters)
        assert [m.answers for m in live] == [True] * sum(answering)
        for meter in live:
            meter.asked_at = now
        for n, meter in enumerate(dead):
            if n and due - now < timeout_s:
                break
            now += timeout_s
            meter.asked_at = now
        assert now - begun <= max(interval_s, timeout_s) + 1e-6
        now = max(now, due)
    assert all(m.asked_at > -math.inf for m in meters)


@given(st.integers(1, 50))
def test_a_lost_line_is_tried_again_ever_more_rarely_up_to_a_bound(tries: int):
    back_off = BackOff()
    waits = [back_off.next_s() for _ in range(tries)]
    assert waits == sorted(waits)
    assert waits[-1] <= 30
    back_off.reset()
    assert back_off.next_s() == waits[0]
