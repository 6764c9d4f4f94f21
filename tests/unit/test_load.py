"""A load of messages: what is sent is what is counted, and a broker's queue is never overrun."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from deploy.load.process import Pace, message
from deploy.load.rows import Load
from deploy.simulate_load import load_options, parse_rate
from metering.errors import SettingError


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


def test_at_a_rate_a_message_counts_from_when_it_was_due_not_from_when_there_was_room() -> None:
    pace = Pace(rate=10.0, ahead=100)
    first, second = pace.due(2), pace.due(1)
    assert np.allclose(np.diff([*first, *second]), 0.1)
    assert Pace(rate=0, ahead=100).due(2)[0] > 0


def test_a_load_ends_when_it_is_told_to_or_when_nobody_is_there_any_more() -> None:
    for said in (b"stop\n", b"3\nstop\n", b""):
        pace = Pace(rate=0, ahead=100)
        pace.took(b"5\n")
        assert not pace.stopped()
        pace.took(said)
        assert pace.stopped()
    assert Pace(rate=0, ahead=100, seconds=0.0).stopped()


def test_options_that_cannot_be_are_refused() -> None:
    for rate in ("0", "-1", "inf", "fast", "nan"):
        with pytest.raises(SettingError, match="--rate"):
            parse_rate(rate)
    assert (parse_rate("max"), parse_rate("12.5")) == (0.0, 12.5)
    with pytest.raises(SettingError, match="--seconds"):
        load_options("max", 1, 1.0, 1, None, 1, False)
    with pytest.raises(SettingError, match="--connections 3"):
        load_options("max", 1, None, 2, 3, 1, False)
    assert load_options("max", 10, None, 4, None, 1, False).per_gateway == 3
