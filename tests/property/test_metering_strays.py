"""Readings of another time between those of the right one, as a clock that jumped stamps them, cost nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.doubts import OFF_GRID
from metering.readings import InstalledRegister, RegisterReadings, whole_installation
from metering.registers import Role
from metering.steps import Judged, register_steps

S = 1_000_000
T0 = 1_388_505_600 * S
STEP_S = 900
DAYS = 20
REGISTER = InstalledRegister(
    role=Role.TOTAL,
    factor=30.0,
    digits=6,
    decimals=2,
    interval_s=STEP_S,
    installed_us=T0,
    rated_per_hour=90.0,
)


def shown(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Stamps on the quarter and the register that counts a load, int64[n] and float64[n]."""
    rng = np.random.default_rng(seed)
    n = DAYS * 86_400 // STEP_S
    hour = np.arange(n) * STEP_S / 3600
    kwh = (8 + 40 * np.clip(np.sin((hour % 24 - 7) / 24 * 2 * np.pi), 0, 1)) * rng.uniform(0.7, 1.3, n)
    return T0 + (np.arange(n) + 1) * STEP_S * S, np.floor(np.cumsum(kwh * STEP_S / 3600) / 0.3) / 100 + 5000.0


def judged(register: InstalledRegister, ts: np.ndarray, value: np.ndarray) -> Judged:
    readings = RegisterReadings(np.zeros(len(ts), np.int64), ts, value, *whole_installation([register]))
    return register_steps([register], readings, T0 + 1000 * 86_400 * S)


jumps = st.integers(2 * 86_400, 8 * 86_400).filter(lambda s: 60 <= s % STEP_S <= STEP_S - 60)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 999), jumps, st.integers(4, 90), st.booleans(), st.sampled_from([90.0, None]))
def test_a_clock_that_jumped_to_another_day_costs_nothing_there(seed, offset, readings, fast, rated):
    register = replace(REGISTER, rated_per_hour=rated)
    ts, value = shown(seed)
    begin = 4 * 96 if fast else 15 * 96
    away = np.zeros(len(ts), bool)
    away[begin : begin + readings] = True
    stamped = np.where(away, ts + (1 if fast else -1) * offset * S, ts)
    found = judged(register, stamped, value)
    assert found.steps.energy.sum() == pytest.approx((value[-1] - value[0]) * 30)
    assert [f.kind for f in found.findings if f.kind != "stuck_register"] == []
    strays = set(stamped[away].tolist())
    assert set(found.doubts.ts_us.tolist()) == strays
    assert set(found.doubts.kind.tolist()) == {OFF_GRID}


@given(st.integers(10, 1000), st.floats(30, 900))
def test_a_spike_on_the_grid_is_still_one_and_a_zero_is_zero(at, height):
    ts, value = shown(1)
    wrong = value.copy()
    wrong[at] += height
    [finding] = judged(REGISTER, ts, wrong).findings
    assert finding.kind in ("spike", "transposed_digits")
    wrong[at] = 0.0
    assert [f.kind for f in judged(REGISTER, ts, wrong).findings] == ["zero_reading"]


@given(st.integers(2, 30), st.integers(2, 30), st.integers(1, 30))
def test_two_times_of_zeros_do_not_make_what_lies_between_a_spike(first, second, between):
    ts, value = shown(2)
    wrong, begin = value.copy(), 500
    wrong[begin : begin + first] = 0.0
    wrong[begin + first + between : begin + first + between + second] = 0.0
    found = judged(REGISTER, ts, wrong)
    assert [f.kind for f in found.findings] == ["zero_reading"] * 2
    assert found.steps.energy.sum() == pytest.approx((value[-1] - value[0]) * 30)
