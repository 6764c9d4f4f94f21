"""The load of a benchmark: what is sent is what is counted, and a broker's queue is never overrun."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from deploy.load.process import Pace, message
from deploy.load.rows import Load


def test_every_reading_is_one_identity_and_the_limit_copies_the_same_values() -> None:
    load = Load("t", gateways=2, messages=60, per_message=2, cycle=25)
    meter, ts, value = load.columns()
    assert len(set(zip(meter.tolist(), ts.tolist(), strict=True))) == load.readings == 240
    assert b'"000100000001"' in message(load, 1, 0)
    assert len(load.all_meters(0)) == 50
    sent = {(m, load.ts_us(step)) for g in range(2) for step in range(60) for m in load.meters(g, step)}
    assert len(sent) == load.readings
    assert np.unique(value).size > 1


@pytest.mark.parametrize("every", [2, 10, 7])
def test_repeats_come_once_more_after_they_came_and_are_counted(every: int) -> None:
    load = Load("t", gateways=3, messages=100, per_message=5, repeat_every=every)
    steps = list(load.steps())
    count = Counter(steps)
    assert set(count) == set(range(100))
    assert load.repeated == 3 * 5 * (len(steps) - 100)
    assert max(count.values()) == 2
    seen: set[int] = set()
    for step in steps:
        assert step in seen or step == len(seen)
        seen.add(step)


def test_no_more_is_sent_than_the_platform_has_taken_and_a_bit() -> None:
    pace = Pace(rate=0, ahead=100)
    assert pace.allowed() == 100
    pace.took(b"5\n17\n")
    assert pace.allowed() == 117
    pace.took(b"9")  # half a line
    assert pace.allowed() == 117
