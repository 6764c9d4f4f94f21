"""Rollover or not, gaps, and the unread end of an installation: what each rule promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metering.registers import Role
from metering.spans import HOUR_US
from metering.steps import (
    InstalledRegister,
    RegisterReadings,
    is_rollover,
    needs_history,
    register_steps,
    whole_installation,
)

T0 = 1_388_505_600_000_000
REGISTER = InstalledRegister(
    role=Role.TOTAL, factor=2.0, digits=4, decimals=2, interval_s=3600, installed_us=T0
)


def steps_of(register: InstalledRegister, values: dict[int, float], now: int = T0 + 1000 * HOUR_US):
    readings = RegisterReadings(
        np.zeros(len(values), dtype=np.int64),
        np.array([T0 + h * HOUR_US for h in values], dtype=np.int64),
        np.array(list(values.values()), dtype=np.float64),
        *whole_installation([register]),
    )
    found = register_steps([register], readings, now)
    return [
        ((int(a) - T0) // HOUR_US, (int(b) - T0) // HOUR_US, float(e), bool(x))
        for a, b, e, x in zip(found.start_us, found.end_us, found.energy, found.estimated, strict=True)
    ]


@pytest.mark.parametrize(
    ("wrapped", "known", "expected"),
    [
        (190.0, {"rated": 100.0}, True),
        (250.0, {"rated": 100.0}, False),
        (900.0, {"rate": 100.0}, True),
        (1100.0, {"rate": 100.0}, False),
        (900.0, {"rate": 0.0}, True),
        (1100.0, {}, False),
        (9.0, {"rate": 0.1}, True),
    ],
)
def test_a_decrease_is_a_rollover_where_the_point_could_have_consumed_it(wrapped, known, expected):
    """By the rated power; else by the rate before; else, or all but at the top, by the register's range."""
    options = {"rated": None, "rate": None, **known}
    assert is_rollover(wrapped, 1.0, modulus=10_000.0, resolution=0.01, **options) is expected


def test_a_rollover_during_an_outage_is_believed_by_the_rate_before():
    values = {h: (4000 + 60.0 * h) % 10_000 for h in [*range(20), 140]}
    assert steps_of(REGISTER, values)[-1] == (19, 140, 60.0 * 121 * 2, True)


def test_a_reset_carries_no_energy_and_the_next_step_counts_again():
    values = {0: 5000.0, 1: 5060.0, 2: 5120.0, 3: 0.0, 4: 60.0}
    assert [s[:3] for s in steps_of(REGISTER, values)] == [(0, 1, 120.0), (1, 2, 120.0), (3, 4, 120.0)]


def test_a_display_that_falls_by_its_last_digit_is_no_rollover():
    assert steps_of(REGISTER, {0: 5000.0, 1: 5060.0, 2: 5059.99, 3: 5120.0})[1] == (
        2,
        3,
        pytest.approx(120.02),
        False,
    )


def test_only_steps_longer_than_one_and_a_half_intervals_are_gaps():
    readings = {0: 0.0, 1: 1.0, 3: 2.0}
    assert [s[3] for s in steps_of(REGISTER, readings)] == [False, True]
    assert [s[3] for s in steps_of(replace(REGISTER, interval_s=4800), readings)] == [False, False]


def test_the_unread_end_follows_the_rate_of_the_steps_before():
    removed = replace(REGISTER, removed_us=T0 + 10 * HOUR_US)
    assert steps_of(removed, {0: 0.0, 1: 10.0, 2: 40.0})[-1] == (2, 10, 20.0 * 8 * 2, True)


def test_nothing_is_estimated_before_the_removal_has_come():
    removed = replace(REGISTER, removed_us=T0 + 10 * HOUR_US)
    assert len(steps_of(removed, {0: 0.0, 1: 10.0}, now=T0 + 9 * HOUR_US)) == 1


def test_an_end_value_recorded_ahead_waits_for_the_removal():
    removed = replace(REGISTER, removed_us=T0 + 10 * HOUR_US, end_value=100.0)
    readings = {0: 0.0, 1: 10.0}
    assert len(steps_of(removed, readings, now=T0 + 9 * HOUR_US)) == 1
    assert steps_of(removed, readings, now=T0 + 10 * HOUR_US)[-1] == (1, 10, 180.0, True)


def test_nothing_is_estimated_from_a_single_reading():
    assert steps_of(replace(REGISTER, removed_us=T0 + 10 * HOUR_US), {0: 0.0}) == []


def test_a_reading_at_the_moment_of_a_start_value_gives_way_to_it():
    started = replace(REGISTER, start_value=10.0)
    assert steps_of(started, {0: 12.0, 1: 15.0}) == [(0, 1, 10.0, False)]


def test_a_void_installation_has_no_steps():
    void = replace(REGISTER, removed_us=T0, start_value=1.0, end_value=2.0)
    assert steps_of(void, {0: 0.0, 1: 10.0}) == []


def test_history_is_asked_for_only_where_a_step_learns_from_it():
    """A decrease, or an unread end, whose earlier readings were not given."""

    def asked(values: list[float], register: InstalledRegister = REGISTER) -> list[int]:
        n = len(values)
        readings = RegisterReadings(
            np.zeros(n, dtype=np.int64),
            T0 + np.arange(n, dtype=np.int64) * HOUR_US,
            np.array(values),
            np.zeros(1, dtype=np.bool_),
            np.ones(1, dtype=np.bool_),
        )
        return needs_history([register], readings, T0 + 1000 * HOUR_US)

    assert asked([1.0, 2.0, 3.0]) == []
    assert asked([1.0, 2.0, 0.0]) == [0]
    assert asked([1.0, 2.0], replace(REGISTER, removed_us=T0 + 9 * HOUR_US)) == [0]
    assert asked([1.0, 2.0], replace(REGISTER, removed_us=T0 + 9 * HOUR_US, end_value=5.0)) == []
