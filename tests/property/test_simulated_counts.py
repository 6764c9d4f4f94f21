"""What simulated meters count: it adds up, and it never goes back."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulators.meters.counts import ElectricityCounts, HeatCounts, Load, VolumeCounts, Wiring
from simulators.meters.frames import bcd_number

START = datetime(2014, 3, 1, 6, 59, tzinfo=timezone(timedelta(hours=8)))
FACE = 10**8

steps = st.lists(st.floats(0, 40_000), min_size=1, max_size=12)
loads = st.builds(Load, st.floats(0, 66), st.floats(600, 1200), st.floats(0, 6.3))
starts = st.integers(0, FACE - 1).map(lambda n: n / 100)


def hundredths(value: float) -> int:
    return round(value * 100)


@given(starts, loads, steps, st.integers(1, 63), st.tuples(*[st.sampled_from([-1, 0, 1])] * 3))
@settings(max_examples=150, deadline=None)
def test_tariffs_add_up_to_their_total_and_only_rollover_takes_a_total_down(
    start, load, waits, tariffs, factors
):
    moment = [START]
    counts = ElectricityCounts(start, load, lambda: moment[0], Wiring(factors), tariffs)
    before = counts()
    assert before["2.8.0" if sum(factors) < 0 else "1.8.0"] == pytest.approx(
        start if sum(factors) >= 0 else 0
    )
    for wait in waits:
        moment[0] += timedelta(seconds=wait)
        now = counts()
        for direction in ("1", "2"):
            total = hundredths(now[f"{direction}.8.0"])
            parts = sum(hundredths(now[f"{direction}.8.{k}"]) for k in range(1, tariffs + 1))
            assert parts % FACE == total
            advance = (total - hundredths(before[f"{direction}.8.0"])) % FACE
            limit = load.mean * 1.2 * abs(sum(factors)) / 3 * wait / 3600 * 100
            assert advance <= limit + 2, "never back, never faster than the load"
        phases = [now[f"{n}.7.0"] for n in (36, 56, 76)]
        assert now["16.7.0"] == pytest.approx(sum(phases), abs=1e-3)
        before = now


@given(starts, loads, steps)
@settings(max_examples=100, deadline=None)
def test_water_and_heat_count_what_flows(start, load, waits):
    moment = [START]
    water = VolumeCounts("8:1.0.0", start, load, lambda: moment[0])
    heat = HeatCounts("6:1.0.0", start, load, lambda: moment[0], 0.0036)
    for wait in waits:
        moment[0] += timedelta(seconds=wait)
        s = (moment[0] - START).total_seconds()
        for counts, scale in ((water, 1.0), (heat, 0.0036)):
            now = counts()
            wanted = hundredths(start) + load.until(s) * scale * 100
            assert abs((hundredths(now["total"]) - wanted + FACE / 2) % FACE - FACE / 2) <= 1.01
            assert now["settled"] == start
        shown = heat()
        assert shown["power"] == pytest.approx(shown["flow"] * 1.163 * 20, abs=0.01)


def test_a_load_of_nothing_stands_still():
    moment = [START]
    counts = ElectricityCounts(5.0, Load(0.0), lambda: moment[0])
    moment[0] += timedelta(days=3)
    assert counts()["1.8.0"] == 5.0


@given(st.floats(-79.9999, 79.9999), st.integers(2, 4))
def test_bcd_says_the_number_with_its_sign_in_the_highest_bit(value, decimals):
    data = bcd_number(value, 3, decimals, signed=True)
    digits = bytes([data[2] & 0x7F, data[1], data[0]]).hex()
    sign = -1 if data[2] & 0x80 else 1
    assert sign * int(digits) == round(value * 10**decimals)
