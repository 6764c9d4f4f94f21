"""Steps that are too long, of meters and of gateways whose meters send at different intervals."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metering.silent_steps import LongSteps, Looks, Register, gateway_patience, long_steps, patience_at
from metering.spans import END

times = st.lists(st.integers(0, 400), max_size=30).map(sorted)


def ints(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@st.composite
def looked(draw):
    """A look with readings within it: first, initial, last, shortest patience, readings with repeats."""
    readings = draw(times)
    initial = draw(st.booleans()) or not readings
    first = draw(st.integers(-50, readings[0] if readings else 0)) if initial else readings[0]
    last = draw(st.sampled_from([END, (readings[-1] if readings else first) + draw(st.integers(1, 90))]))
    return first, initial, last, draw(st.integers(1, 60)), readings


@given(st.lists(looked(), min_size=1, max_size=4), st.randoms(use_true_random=False))
def test_long_steps_are_those_between_neighbours_of_one_look_whatever_the_order(found, random):
    rows = [(k, t) for k, (*_, readings) in enumerate(found) for t in readings]
    random.shuffle(rows)
    columns = [np.array(c) for c in list(zip(*found, strict=True))[:4]]
    steps = long_steps(Looks(*columns), ints(*(k for k, _ in rows)), ints(*(t for _, t in rows)))
    expected = []
    for k, (first, initial, last, shortest, readings) in enumerate(found):
        moments = sorted({first, *readings, *([last] if last < END else [])})
        for a, b in pairwise(moments):
            if b - a > shortest:
                expected.append((k, a, b, initial and a == first and a not in readings))
    columns = (steps.look, steps.begin, steps.end, steps.initial)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == expected


@st.composite
def gateways(draw):
    """Registers of a gateway, (installed, removed), patience, readings in it; and a step of the gateway."""
    registers = []
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, 300))
        end = draw(st.integers(begin + 1, 401) | st.just(END))
        readings = [t for t in draw(times) if begin <= t < end]
        registers.append(((begin, end), draw(st.sampled_from([5, 20, 80])), readings))
    return registers


def naive(registers, begin: int, end: int, initial: bool) -> int:
    there = [r for r in registers if r[0][0] <= begin < r[0][1]]
    newest = max((t for _, _, readings in registers for t in readings), default=-1)
    if not there:
        return END
    if initial:
        return min(p for _, p, _ in there)
    counts = [
        p
        for _, p, readings in there
        if any(begin - p <= t <= begin for t in readings)
        and (newest < end + p or any(end <= t <= end + p for t in readings))
    ]
    return min(counts, default=max(p for _, p, _ in there))


def steps_of(registers) -> list[tuple[int, int]]:
    return list(pairwise(sorted({t for _, _, readings in registers for t in readings})))


def patiences(registers, steps: list[tuple[int, int]], initial: bool = False) -> list[int]:
    n = len(steps)
    columns = LongSteps(
        ints(*[0] * n), ints(*(a for a, _ in steps)), ints(*(b for _, b in steps)), np.full(n, initial)
    )
    newest = max((t for _, _, readings in registers for t in readings), default=-1)
    made = [Register(span, patience, ints(*readings)) for span, patience, readings in registers]
    return gateway_patience(columns, made, newest).tolist()


@given(gateways(), st.booleans())
def test_a_gateway_may_be_silent_as_long_as_what_was_heard_around_the_step_says(registers, initial):
    steps = steps_of(registers)
    assert patiences(registers, steps, initial) == [naive(registers, a, b, initial) for a, b in steps]


@given(gateways())
def test_a_step_longer_than_every_patience_is_a_silence_and_one_shorter_than_each_is_none(registers):
    steps = steps_of(registers)
    for (begin, end), patience in zip(steps, patiences(registers, steps), strict=True):
        there = [(span, p) for span, p, _ in registers if span[0] <= begin < span[1]]
        assert patience >= patience_at(there, begin)
        if there:
            assert patience <= max(p for _, p in there)
        if end - begin > 80 and there:
            assert end - begin > patience


@given(st.integers(1, 30), st.lists(st.integers(0, 9), max_size=5))
def test_a_dead_meter_never_makes_a_gateway_silent_whose_others_are_read_in_time(interval, dead):
    """However short its interval is, from some patience after it was read last, in hindsight from its last reading."""
    alive = list(range(10, 400, interval))
    registers = [((0, END), 2 * interval, alive), ((0, END), 1, sorted(set(dead)))]
    steps = [(a, b) for a, b in steps_of(registers) if a >= 10]
    assert all(b - a <= p for (a, b), p in zip(steps, patiences(registers, steps), strict=True))


@given(gateways())
def test_where_all_patiences_are_the_same_it_is_that(registers):
    same = [(span, 20, readings) for span, _, readings in registers]
    steps = steps_of(same)
    assert set(patiences(same, steps)) <= {20}


@given(times, times)
def test_what_comes_later_than_a_patience_after_a_step_says_nothing_of_it(quick, slow):
    """What readings say of a step is final once the gateway was heard long enough after it."""
    registers = [((0, END), 5, quick), ((0, END), 80, slow)]
    cut = 200
    before = [(span, p, [t for t in readings if t <= cut]) for span, p, readings in registers]
    newest = max((t for _, _, readings in before for t in readings), default=-1)
    steps = [(a, b) for a, b in steps_of(before) if b + 80 <= newest]
    assert patiences(before, steps) == patiences(registers, steps)
