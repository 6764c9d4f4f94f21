"""Clocks that are wrong are told by the stamps and the empty places that they leave; nothing else is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.clocks import (
    CLOCK_DRIFT,
    CLOCK_JUMP,
    CLOCK_OFFSET,
    ClockFault,
    ClockRule,
    Stamps,
    judge_clocks,
    keeps_rhythm,
)
from metering.records import Ints

S = 1_000_000
HOUR, DAY = 3600 * S, 86_400 * S
#: A local midnight in Beijing in 2014, on the grid.
T0 = 1_388_505_600 * S

Clock = Callable[[Ints], Ints]


def times(days: float, interval_s: int = 900, phase_s: int = 0, begins: int = T0) -> Ints:
    """When a meter is read."""
    step = interval_s * S
    return np.arange(begins + phase_s * S, begins + int(days * DAY), step, dtype=np.int64)


def off(by_s: int, begin: float, end: float) -> Clock:
    """A clock that is off by the same between two days of the run."""
    return lambda ts: ts + by_s * S * _inside(ts, begin, end)


def drifting(seconds_per_day: float, begin: float, end: float) -> Clock:
    """A clock that goes off from one day of the run to another; whole seconds."""
    return lambda ts: (
        ts
        + _inside(ts, begin, end) * (((ts - T0 - begin * DAY) / DAY * seconds_per_day).astype(np.int64) * S)
    )


def _inside(ts: Ints, begin: float, end: float) -> Ints:
    return ((ts >= T0 + int(begin * DAY)) & (ts < T0 + int(end * DAY))).astype(np.int64)


def judged(*stamps: Ints, interval_s: int = 900, gateway: str = "g") -> list[ClockFault]:
    return judge_clocks({f"m{n}": Stamps(ts, interval_s, gateway) for n, ts in enumerate(stamps)})


def days_of(fault: ClockFault) -> tuple[float, float | None]:
    """Begin and end in days of the run."""
    return (fault.starts_us - T0) / DAY, None if fault.ends_us is None else (fault.ends_us - T0) / DAY


# ---------------------------------------------------------------- faults


@pytest.mark.parametrize("by_s", [2400, -2400, 420, -420, 905, -3590, 60])
@pytest.mark.parametrize("phase_s", [0, 200])
def test_a_clock_that_is_off_for_a_time_is_told_with_how_far_and_when(by_s, phase_s):
    ts = times(20, phase_s=phase_s)
    [fault] = judged(off(by_s, 4, 6.5)(ts))
    assert (fault.kind, fault.offset_s, fault.meter) == (CLOCK_OFFSET, by_s, "m0")
    assert days_of(fault) == pytest.approx((4, 6.5), abs=0.01)
    assert fault.stamped_from_us == ts[ts >= T0 + 4 * DAY][0] + by_s * S


@pytest.mark.parametrize("by_s", [-8 * 86_400 - 223, 9 * 86_400 + 223])
@pytest.mark.parametrize("counts", [True, False])
def test_of_two_holes_of_one_size_readings_belong_into_the_one_that_their_values_fit(by_s, counts):
    ts = times(40)
    value = np.arange(len(ts)) * 0.25
    stamped = off(by_s, 20, 20.25)(ts)
    outage = (
        _inside(ts, 13, 13.25) if by_s < 0 else _inside(ts, 27, 27.25)
    )  # nearer to where they are stamped
    kept = outage == 0
    stamps = Stamps(stamped[kept], 900, "g", value[kept] if counts else None)
    [fault] = judge_clocks({"m": stamps})
    assert (fault.offset_s == by_s) is counts


@pytest.mark.parametrize("by_s", [-31_000_007, -90_061, 400_003, 12_345_678])
def test_a_clock_that_stamps_another_day_or_year_jumped_when_its_readings_are_missing(by_s):
    [fault] = judged(off(by_s, 15, 15.25)(times(30)))
    assert (fault.kind, fault.offset_s, fault.stamps) == (CLOCK_JUMP, by_s, 24)
    assert days_of(fault) == pytest.approx((15, 15.25))


@pytest.mark.parametrize("steps", [1, 2, 4, 32, -2, -4, -32])
def test_a_clock_that_is_off_by_whole_steps_shows_by_places_read_twice_and_places_not_read(steps):
    ts = times(12)
    told = judged(off(900 * steps, 4, 6.5)(ts))
    if abs(steps) < 2:
        assert told == [], "one value too many and one too few tell too little"
        return
    [fault] = told
    assert (fault.kind, fault.offset_s) == (CLOCK_JUMP if abs(steps) >= 4 else CLOCK_OFFSET, 900 * steps)
    assert days_of(fault) == pytest.approx((4, 6.5))
    assert fault.stamped_from_us == T0 + 4 * DAY + 900 * steps * S


def test_places_read_twice_are_no_fault_where_nothing_is_missing_or_something_else_is():
    ts = times(12)
    twice = ts[(ts >= T0 + 3 * DAY) & (ts < T0 + 3 * DAY + 2 * HOUR)]
    assert judged(np.concatenate([ts, twice])) == []
    gone = (ts >= T0 + 5 * DAY) & (ts < T0 + 5 * DAY + 3 * HOUR)
    assert judged(np.concatenate([ts[~gone], twice])) == []
    assert judged(np.concatenate([ts, ts])) == [], "two gateways that read one meter"


@pytest.mark.parametrize("rate", [10, -10, 120, -120])
def test_a_clock_that_drifts_is_told_with_its_rate_also_beyond_an_interval(rate):
    [fault] = judged(drifting(rate, 3, 25)(times(30)))
    assert fault.kind == CLOCK_DRIFT
    assert fault.seconds_per_day == pytest.approx(rate, rel=0.02)
    assert fault.offset_s == pytest.approx(22 * rate, rel=0.05)
    assert days_of(fault) == pytest.approx((3, 25), abs=0.1)


def test_what_most_meters_of_a_gateway_share_is_the_gateways_and_else_the_meters():
    clock, clean = off(600, 4, 5), times(10)
    [shared] = judged(clock(clean), clock(clean), clock(times(10, 3600)), clean)
    assert (shared.gateway, shared.meter, shared.meters) == ("g", None, ("m0", "m1", "m2"))
    own = judged(clock(clean), clock(clean), clean, clean)
    assert [f.meter for f in own] == ["m0", "m1"]


def test_meters_that_left_the_gateway_before_do_not_count_among_those_that_it_reads():
    clock = off(600, 8, 9)
    [shared] = judged(clock(times(12)), clock(times(12)), times(3), times(3), times(3))
    assert shared.meter is None


#: Not so far that the stamps are those of a meter that is read two to four times as often.
between_places = st.integers(60, 840).filter(lambda s: all(abs(s * n % 900 - 450) < 400 for n in (2, 3, 4)))


@given(between_places, st.integers(1, 96), st.integers(40, 120))
def test_readings_of_another_day_in_between_never_look_like_no_rhythm_at_all(by_s, readings, around):
    grid = times(4.0)
    stray = times(2.0)[96 : 96 + readings] + by_s * 1_000_000
    both = np.unique(np.concatenate([grid, stray]))
    first = int(np.searchsorted(both, stray[0]))
    assert not keeps_rhythm(both[max(first - around, 0) : first + around + 1], 900, ClockRule())


def test_two_gateways_are_judged_apart():
    clock = off(600, 4, 5)
    meters = {f"m{n}": Stamps(clock(times(10)), 900, f"g{n}") for n in range(2)}
    assert [f.meter for f in judge_clocks(meters)] == ["m0", "m1"]


def test_an_offset_is_told_while_it_lasts_and_ends_when_the_clock_is_set():
    ts = off(420, 4, 8)(times(8))
    assert judged(ts[ts < T0 + 4 * DAY + HOUR]) == [], "not yet for long"
    [lasting] = judged(ts)
    assert (lasting.kind, lasting.ends_us) == (CLOCK_OFFSET, None)
    [over] = judged(off(420, 4, 8)(times(10)))
    assert days_of(over) == (4, 8)
    assert (over.starts_us, over.offset_s) == (lasting.starts_us, lasting.offset_s)


def test_a_drift_is_told_while_it_lasts():
    [fault] = judged(drifting(60, 3, 99)(times(9)))
    assert (fault.kind, fault.ends_us) == (CLOCK_DRIFT, None)


# ---------------------------------------------------------------- no faults


def test_stamps_that_never_were_on_the_grid_are_no_fault():
    generator = np.random.default_rng(1)
    for interval_s in (60, 300, 900, 3600):
        ts = times(20, interval_s)
        assert judged(ts + 437 * S, interval_s=interval_s) == []
        jitter = generator.integers(0, interval_s * S, len(ts))
        assert judged(ts + jitter, interval_s=interval_s) == [], "at any time of the interval"
        assert judged(ts + jitter // interval_s * 20, interval_s=interval_s) == [], "seconds later"
        own = T0 + (np.arange(len(ts)) * (interval_s + 0.7) * S).astype(np.int64)
        assert judged(own, interval_s=interval_s) == [], "by a clock of its own that nobody sets"


def test_readings_a_few_seconds_late_are_no_fault_however_few_there_are():
    for seed in range(200):
        late = np.random.default_rng(seed).integers(0, 20, 50)
        ts = times(50 / 24, 3600) + late * S
        assert judged(np.delete(ts, slice(37, 44)), interval_s=3600) == []
        assert judged(np.delete(ts, slice(20, 24)), interval_s=3600) == []


def test_an_offset_of_a_meter_that_is_read_a_few_seconds_late_is_told_while_it_lasts():
    ts = off(420, 4, 8)(times(8)) + np.random.default_rng(1).integers(0, 20, 768) * S
    [fault] = judged(ts)
    assert fault.offset_s == pytest.approx(420, abs=20)
    assert fault.ends_us is None


def test_one_odd_reading_among_late_ones_is_no_drift():
    ts = times(4, 3600) + np.random.default_rng(3).integers(0, 20, 96) * S
    late = ts // (3600 * S) * 3600 * S
    for odd in range(2, 90):
        shifted = ts.copy()
        shifted[odd], shifted[odd + 2], shifted[odd + 4] = (
            late[odd] + 93 * S,
            late[odd + 2] + 19 * S,
            late[odd + 4] + 19 * S,
        )
        assert judged(shifted, interval_s=3600) == []


def test_readings_in_between_and_a_history_read_otherwise_are_no_fault():
    ts = times(20)
    between = ts[(ts > T0 + 4 * DAY) & (ts < T0 + 6 * DAY)] + 300 * S
    assert judged(np.concatenate([ts, between])) == [], "a second reader, nothing missing"
    old = times(60, 3600, 420, T0 - 60 * DAY)
    assert judged(np.concatenate([old, ts])) == [], "before it was connected it was read by another"


def test_a_rhythm_that_changes_for_good_is_no_fault_for_ever():
    assert judged(np.concatenate([times(30), times(50, 900, 420, T0 + 30 * DAY)])) == []


def test_too_little_says_nothing():
    assert judged(np.array([], dtype=np.int64)) == []
    assert judged(times(0.04)) == []
    assert judged(off(420, 0, 1)(times(6))) == [], "nothing before it"


@dataclass(frozen=True)
class Fleet:
    """Stamps of a gateway's meters without a fault of a clock, as they arrive."""

    interval_s: int
    meters: Sequence[Ints]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    """Meters with outages of any length at any time, put in late, taken out early, read seldom or a little late."""
    interval_s = draw(st.sampled_from([300, 900, 1800, 3600]))
    phase_s = draw(st.sampled_from([0, 0, 7, 200]))
    days = draw(st.integers(3, 12))
    meters = []
    for _ in range(draw(st.integers(1, 4))):
        ts = times(days, interval_s * draw(st.sampled_from([1, 1, 1, 4])), phase_s)
        keep = np.ones(len(ts), bool)
        for _ in range(draw(st.integers(0, 4))):
            begin, length = draw(st.integers(0, len(ts))), draw(st.integers(1, 200))
            keep[begin : begin + length] = False
        first, last = draw(st.integers(0, len(ts) // 3)), draw(st.integers(len(ts) * 2 // 3, len(ts)))
        keep[:first] = keep[last:] = False
        late = draw(st.integers(0, 2**32 - 1))
        generator = np.random.default_rng(late)
        ts = ts[keep] + generator.integers(0, draw(st.sampled_from([1, 1, 20])), int(keep.sum())) * S
        extra = draw(st.lists(st.integers(0, days * 86_400), max_size=2))
        meters.append(generator.permutation(np.concatenate([ts, T0 + np.array(extra, dtype=np.int64) * S])))
    return Fleet(interval_s, meters)


@given(fleets())
def test_no_clean_fleet_has_a_clock_that_is_wrong(fleet):
    assert judged(*fleet.meters, interval_s=fleet.interval_s) == []


@given(fleets(), st.sampled_from(["fast", "slow"]), st.integers(120, 2700), st.integers(0, 2**32 - 1))
def test_the_order_of_arrival_changes_nothing(fleet, direction, by_s, seed):
    clock = off(by_s if direction == "fast" else -by_s, 1.5, 2)
    stamps = [clock(ts) for ts in fleet.meters]
    generator = np.random.default_rng(seed)
    told = judged(*stamps, interval_s=fleet.interval_s)
    assert told == judged(*(generator.permutation(ts) for ts in stamps), interval_s=fleet.interval_s)


@given(
    st.integers(120, 2700).filter(lambda s: s % 900 not in (*range(31), *range(870, 900))),
    st.sampled_from([1, -1]),
    st.integers(100, 200),
    st.integers(24, 384),
    st.lists(st.tuples(st.integers(300, 400), st.integers(1, 60)), max_size=3),
)
def test_every_offset_between_clean_days_is_told(by_s, sign, first, length, outages):
    ts = times(14)
    begin, end = first / 96, (first + length) / 96
    stamped = off(sign * by_s, begin, end)(ts)
    keep = np.ones(len(ts), bool)
    for n, size in outages:
        keep[n + first + length : n + first + length + size] = False
    [fault] = judged(stamped[keep])
    assert (fault.kind, fault.offset_s) == (CLOCK_OFFSET, sign * by_s)
    assert days_of(fault) == pytest.approx((begin, end))
