"""What meters with faults show: energy is measured exactly, whatever the register does, and in whatever stretches."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.registers import RegisterFace
from simulators.scenario.draw import Fault
from simulators.scenario.meter_run import MeterRun, clock_error_us
from simulators.scenario.points import MeteredPoint

STEP_US = 900_000_000
UNITS = 10**9
ENERGY = st.lists(st.integers(0, 30 * UNITS), min_size=40, max_size=40)


def meter(start: str = "1234.56", ratio: int = 40, digits: int = 6) -> MeteredPoint:
    face = RegisterFace(digits, 2, Decimal(ratio), Decimal(start))
    return MeteredPoint("P", "S", "01", None, "gw", "000000000001", "1.8.0", "kWh", face, 100.0, 40.0)


def fault(kind: str, first: int = 10, last: int = 20, **values: object) -> Fault:
    salt = {"salt": 7, **values}
    return Fault(kind, kind, "meter", "S", "gw", (0,), first * STEP_US, last * STEP_US, salt)


def run(
    point: MeteredPoint, faults: list[Fault], energy: list[int], cuts: Sequence[int] = ()
) -> tuple[MeterRun, list]:
    """Readings at 1, 2, … n steps: (ts, meter, value) of those that are taken."""
    made, shown, begun = MeterRun(point, faults), [], 0
    bounds = sorted({0, *cuts, len(energy)})
    for a, b in itertools.pairwise(bounds):
        ts = (np.arange(a, b, dtype=np.int64) + 1) * STEP_US
        part = made.advance(ts, np.array(energy[a:b], np.int64), begun)
        begun += sum(energy[a:b])
        shown += [
            (int(t), part.meters[m], float(v))
            for t, m, v, k in zip(part.ts_us, part.meter, part.value, part.kept, strict=True)
            if k
        ]
    return made, shown


def plain(point: MeteredPoint, energy: list[int]) -> list[float]:
    return point.face.show(np.cumsum(np.array(energy, np.int64))).tolist()


FAULTS = [
    [],
    [fault("outage")],
    [fault("zeros")],
    [fault("spike", 10, 11, energy=30.0)],
    [fault("spike", 10, 11, factor=1.2)],
    [fault("stuck_register", then="jump")],
    [fault("stuck_register", then="lost")],
    [fault("phase_lost", share=0.33, phase=2)],
    [fault("transposed_digits", 10, 11)],
    [fault("reset", 10, 11)],
    [fault("meter_replaced", record="never", direction="up", number="same")],
    [fault("meter_replaced", record="never", direction="down", number="new")],
    [fault("ct_changed", factor=1.2, record="never")],
    [fault("clock_skew", offset=2400.0, direction="fast")],
    [fault("clock_drift", seconds_per_day=60.0, direction="slow")],
    [
        fault("reset", 5, 6),
        fault("stuck_register", 12, 18, then="jump"),
        fault("ct_changed", 25, 40, factor=2.0),
    ],
]


@pytest.mark.parametrize("faults", FAULTS, ids=lambda fs: "+".join(f.kind for f in fs) or "none")
@given(energy=ENERGY, cuts=st.lists(st.integers(1, 39), max_size=4))
def test_the_same_readings_whatever_stretches_they_are_made_in(faults, energy, cuts):
    assert run(meter(), faults, energy, cuts)[1] == run(meter(), faults, energy)[1]


@given(ENERGY)
def test_outside_its_time_a_passing_fault_changes_nothing(energy):
    right = plain(meter(), energy)
    for faults in FAULTS[:6]:
        shown = {t // STEP_US: v for t, _, v in run(meter(), faults, energy)[1]}
        assert all(shown[n] == right[n - 1] for n in range(1, 41) if not 10 <= n < 20)


@given(ENERGY)
def test_a_reset_and_a_replacement_keep_the_energy_between_them(energy):
    """The old register to its end value and the new one from its start value measure all, to a step."""
    for faults in (FAULTS[9], FAULTS[10], FAULTS[11]):
        made, shown = run(meter(), faults, energy)
        happened = made.happened[0]
        last = shown[-1][2]
        moved = (last - happened["start_value"]) % 10**6 + (happened["end_value"] - 1234.56) % 10**6
        assert abs(moved * 40 - sum(energy) / UNITS) <= 2 * 0.01 * 40 + 1e-6
        assert {m for t, m, _ in shown if t >= 10 * STEP_US} == {happened["meter"]}


@given(ENERGY, st.floats(-1e9, 1e9))
def test_the_size_of_a_spike_is_what_the_reading_shows_of_it(energy, size):
    made, shown = run(meter(), [fault("spike", 10, 11, energy=size)], energy)
    value = plain(meter(), energy)[9]
    assert 0 <= shown[9][2] < 10**6
    assert made.happened[0]["energy"] == pytest.approx((shown[9][2] - value) * 40, abs=1e-6)


@given(ENERGY)
def test_a_register_that_stands_still_shows_nothing_of_it_in_its_power(energy):
    ts = (np.arange(40, dtype=np.int64) + 1) * STEP_US
    shown = MeterRun(meter(), [fault("stuck_register", then="lost")]).advance(ts, np.array(energy), 0)
    assert (shown.measured == 1.0).all()


@given(ENERGY, st.sampled_from([1.2, 2.0, 0.5, 0.6667]))
def test_after_new_transformers_the_register_moves_by_the_new_ratio(energy, factor):
    made, shown = run(meter(), [fault("ct_changed", 10, 40, factor=factor, record="never")], energy)
    happened = made.happened[0]
    assert Decimal(happened["ratio"]) == Decimal(40) * Decimal(str(factor))
    moved = (shown[-1][2] - happened["start_value"]) % 10**6
    assert abs(moved * 40 * factor - sum(energy[10:]) / UNITS) <= 0.01 * 40 * (factor + 1) + 1e-6


@given(ENERGY)
def test_a_stuck_register_jumps_to_where_it_should_be_or_has_lost_what_it_missed(energy):
    right = plain(meter(), energy)
    _, jumps = run(meter(), [fault("stuck_register", then="jump")], energy)
    assert [v for _, _, v in jumps[9:19]] == [right[8]] * 10
    assert jumps[-1][2] == right[-1]
    made, _ = run(meter(), [fault("stuck_register", then="lost")], energy)
    assert made.measured == sum(energy) - sum(energy[9:19])


@given(ENERGY)
def test_a_lost_phase_takes_its_share_and_zeros_its_phase(energy):
    ts = (np.arange(40, dtype=np.int64) + 1) * STEP_US
    shown = MeterRun(meter(), [fault("phase_lost", share=0.25, phase=3)]).advance(ts, np.array(energy), 0)
    assert shown.measured.tolist() == [1.0] * 10 + [0.75] * 10 + [1.0] * 20
    assert shown.transformed.tolist() == [1.0] * 40
    assert shown.lost_phase.tolist() == [0] * 10 + [3] * 10 + [0] * 20


@given(st.integers(0, 2**32), st.integers(1, 10**7))
def test_transposed_digits_are_two_neighbours_of_the_right_reading(salt, steps):
    point = meter(start="0.00", ratio=1, digits=8)
    made, shown = run(point, [fault("transposed_digits", 1, 2, salt=salt)], [steps * UNITS // 100, 0])
    if happened := made.happened.get(0):
        wrong, right = f"{round(shown[0][2] * 100):010d}", f"{round(happened['right'] * 100):010d}"
        differ = [i for i in range(10) if wrong[i] != right[i]]
        assert len(differ) == 2
        assert differ[1] == differ[0] + 1
        assert sorted(wrong) == sorted(right)
    else:
        assert len(set(f"{steps:010d}")) == 1


@given(ENERGY)
def test_a_rollover_is_noted_where_it_happens(energy):
    point = meter(start="999999.00")
    made, shown = run(point, [fault("rollover", 10, 11)], energy)
    values = [v for _, _, v in shown]
    fell = [(n + 2) * STEP_US for n in range(39) if values[n + 1] < values[n]]
    first = [STEP_US] if values[0] < 999999.0 else []
    assert made.rolled_us == first + fell


def test_current_follows_new_transformers_and_a_lost_phase_changes_nothing_about_that():
    ts = (np.arange(40, dtype=np.int64) + 1) * STEP_US
    faults = [fault("ct_changed", 5, 40, factor=2.0), fault("phase_lost", share=0.25, phase=3)]
    shown = MeterRun(meter(), faults).advance(ts, np.full(40, UNITS), 0)
    assert shown.transformed.tolist() == [1.0] * 4 + [0.5] * 36
    assert shown.measured[12] == 0.75


def test_clock_errors():
    ts = np.array([9, 10, 19, 20], np.int64) * STEP_US
    assert clock_error_us(fault("clock_skew", offset=2400.0, direction="fast"), ts).tolist() == [
        0, 2_400_000_000, 2_400_000_000, 0
    ]  # fmt: skip
    assert clock_error_us(fault("clock_jump", offset=28800.0, direction="slow"), ts)[1] == -28_800_000_000
    drift = clock_error_us(
        fault("clock_drift", 0, 200, seconds_per_day=96.0, direction="fast"), ts * 9 + STEP_US
    )
    assert drift.tolist() == [82_000_000, 91_000_000, 172_000_000, 181_000_000]
