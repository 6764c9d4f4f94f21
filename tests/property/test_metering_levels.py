"""A wrong scale is found by the balance, at its point and from its hour on; a real change of load never is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.level_balance import LevelRule
from metering.levels import Shift, find_shifts
from metering.phases import apparent_off, lost_phases, power_off
from metering.scale_kinds import CT_CHANGED, PHASE_LOST, PLAIN_FACTORS, name_scale, plain_factor

RULE = LevelRule()
HOURS = RULE.before_h + RULE.block_h + RULE.after_h
BLOCK = RULE.before_h, RULE.before_h + RULE.block_h
#: A total 0 with 1, 2, 3 below it, and 4, 5 below 2.
PARENT = np.array([-1, 0, 0, 0, 2, 2])
SCALES = [0.5, 0.6667, 0.8, 1.25, 1.5, 2.0]

seeds = st.integers(0, 10_000)
onsets = st.integers(BLOCK[0] + 24, BLOCK[1] - 24)
few = settings(max_examples=15, deadline=None)


def loads(seed: int, load: np.ndarray | None = None) -> np.ndarray:
    """float64[6, HOURS] of true energy: days, weeks, weather and chance of each leaf, a loss above them.

    load: float64[leaves, HOURS] or [HOURS], by which the true loads of leaves 1, 3, 4, 5 are changed.
    """
    rng = np.random.default_rng(seed)
    hour = np.arange(HOURS)
    leaves = []
    for n in range(4):
        day = 0.3 + np.clip(np.sin((hour % 24 - 6 - n) / 24 * 2 * np.pi), 0, 1) * rng.uniform(0.5, 1.5)
        week = np.where(hour // 24 % 7 < 5, 1.0, rng.uniform(0.3, 1.0))
        season = 1 + 0.3 * np.sin(hour / HOURS * np.pi * rng.uniform(0.5, 2))
        noise = 1 + 0.08 * rng.standard_normal(HOURS)
        leaves.append(rng.uniform(10, 40) * day * week * season * np.maximum(noise, 0.3))
    true = np.array(leaves) * (1.0 if load is None else load)
    middle = (true[2] + true[3]) * (1.01 + 0.02 * (true[2] + true[3]) / 100)
    below = true[0] + true[1] + middle
    return np.array([below * (1.015 + 0.02 * below / 300), true[0], middle, true[1], true[2], true[3]])


def shown(energy: np.ndarray, point: int, scale: float, begin: int, end: int = HOURS) -> np.ndarray:
    measured = energy.copy()
    measured[point, begin:end] *= scale
    return measured


def found(energy: np.ndarray, parent: np.ndarray = PARENT) -> list[Shift]:
    return find_shifts(energy, parent, BLOCK, RULE)


@few
@given(seeds, st.integers(0, 5), st.sampled_from(SCALES), onsets)
def test_a_lasting_wrong_scale_is_found_at_its_point_from_its_hour_on(seed, point, scale, onset):
    [shift] = found(shown(loads(seed), point, scale, onset))
    assert shift.point == point
    assert shift.lasting
    assert abs(shift.from_ix - onset) <= 3
    assert shift.scale == pytest.approx(scale, rel=0.01)
    assert shift.explained > 0.8


@few
@given(seeds, st.integers(0, 5), st.floats(0.6, 0.73), onsets, st.integers(30, 400))
def test_a_passing_one_is_found_with_its_end(seed, point, scale, onset, hours):
    [shift] = found(shown(loads(seed), point, scale, onset, onset + hours))
    assert (shift.point, shift.lasting) == (point, False)
    assert abs(shift.from_ix - onset) <= 3
    assert abs(shift.to_ix - onset - hours) <= 3
    assert (
        name_scale(shift.scale, shift.hours, lasting=False, rival=shift.rival, phases_alive=None).kind
        == PHASE_LOST
    )


@few
@given(
    seeds, st.sampled_from(["step", "closed", "growth", "tenant", "holiday"]), st.floats(0.05, 2.5), onsets
)
def test_a_real_change_of_load_is_none_whatever_it_is(seed, what, factor, onset):
    load = np.ones((4, HOURS))
    match what:
        case "step":
            load[:, onset:] *= factor
        case "closed":
            load[:, onset : onset + 14 * 24] *= min(factor, 0.3)
        case "growth":
            load *= np.linspace(1, 1 + factor, HOURS)
        case "tenant":
            load[seed % 4, onset:] *= min(factor, 0.2)
        case "holiday":
            load[:3, onset : onset + 7 * 24] *= 0.4
    assert found(loads(seed, load)) == []


@few
@given(seeds, st.integers(0, 3), onsets, st.floats(0.002, 0.05), st.sampled_from([0.1, 0.5, 2.0]))
def test_a_plant_that_starts_with_its_season_is_none_on_coarse_displays(seed, plant, onset, rest, step):
    load = np.ones((4, HOURS))
    load[plant, :onset] = rest
    energy = loads(seed, load)
    shown_sums = np.floor(np.cumsum(energy, axis=1) / step) * step
    assert found(np.diff(shown_sums, axis=1, prepend=0)) == []


@few
@given(seeds, st.integers(0, 5), st.sampled_from(SCALES), onsets, st.floats(1e-3, 1e4))
def test_the_unit_does_not_matter(seed, point, scale, onset, unit):
    energy = shown(loads(seed), point, scale, onset)
    [one], [other] = found(energy), found(energy * unit)
    assert (one.point, one.from_ix, one.to_ix) == (other.point, other.from_ix, other.to_ix)
    assert one.scale == pytest.approx(other.scale, rel=1e-3)


@few
@given(seeds, st.integers(0, 5), st.sampled_from(SCALES), onsets, st.permutations(range(6)))
def test_the_order_of_points_does_not_matter(seed, point, scale, onset, order):
    energy = shown(loads(seed), point, scale, onset)
    place = {old: new for new, old in enumerate(order)}
    parent = np.array([place.get(PARENT[old], -1) for old in order])
    [one], [other] = found(energy), found(energy[list(order)], parent)
    assert place[one.point] == other.point
    assert (one.from_ix, one.to_ix) == (other.from_ix, other.to_ix)


@few
@given(seeds, onsets, st.integers(1, 40))
def test_gaps_and_wild_hours_are_no_change_and_hide_none(seed, onset, wild):
    rng = np.random.default_rng(seed)
    energy = shown(loads(seed), 4, 0.5, onset)
    energy[rng.integers(0, 6, wild), rng.integers(0, HOURS, wild)] *= 1e5
    energy[rng.integers(0, 6), 200:260] = np.nan
    assert [(s.point, abs(s.from_ix - onset) <= 6) for s in found(energy)] == [(4, True)]


def test_what_came_first_is_held_to_be_right_where_the_data_begins_shortly_before():
    energy = loads(7)
    begin = BLOCK[0] + 48
    energy[:, :begin] = np.nan
    [shift] = found(shown(energy, 4, 0.5, begin + 150))
    assert (shift.point, shift.lasting) == (4, True)
    assert abs(shift.from_ix - begin - 150) <= 3
    assert shift.scale == pytest.approx(0.5, rel=0.1), "not as exact as where there is more to learn from"


def test_two_at_once_are_each_found():
    energy = shown(shown(loads(3), 1, 0.8, BLOCK[0] + 100), 5, 2.0, BLOCK[0] + 200)
    assert [(s.point, round(s.scale, 1)) for s in found(energy)] == [(1, 0.8), (5, 2.0)]


def test_changes_of_other_blocks_and_points_without_a_balance_are_left_alone():
    energy = loads(5)
    assert found(shown(energy, 4, 0.5, BLOCK[0] - 300)) == []
    assert found(shown(energy, 4, 0.5, BLOCK[1] + 48)) == []
    alone = np.full(6, -1)
    assert found(shown(energy, 4, 0.5, BLOCK[0] + 200), alone) == []


def test_less_of_a_change_than_is_told_is_none():
    assert found(shown(loads(5), 4, 0.95, BLOCK[0] + 200)) == []
    small = replace(RULE, least_change=0.03)
    [shift] = find_shifts(shown(loads(5), 4, 0.95, BLOCK[0] + 200), PARENT, BLOCK, small)
    assert shift.point == 4


# ---------------------------------------------------------------- names


@given(st.sampled_from(PLAIN_FACTORS), st.floats(-0.015, 0.015))
def test_a_plain_factor_is_known_near_by(factor, off):
    assert plain_factor(float(factor) * (1 + off), 0.02) == factor


def test_a_third_that_comes_back_is_a_phase_and_one_that_stays_may_be_either():
    def named(scale, hours, lasting, alive=None, rival=0.1):
        return name_scale(scale, hours, lasting=lasting, rival=rival, phases_alive=alive)

    assert named(0.66, 100, False).kind == PHASE_LOST
    assert (named(0.62, 200, True).kind, named(0.62, 200, True).instead) == (PHASE_LOST, CT_CHANGED)
    lasting = named(0.667, 600, True)
    assert (lasting.kind, lasting.instead, lasting.factor) == (CT_CHANGED, PHASE_LOST, "2/3")
    assert lasting.confidence < 0.7
    assert named(0.667, 100, True, alive=True).kind == CT_CHANGED
    assert named(0.667, 100, False, alive=True) is None
    assert named(0.5, 100, True).confidence > 0.9
    assert named(0.55, 400, True).confidence < 0.5
    assert named(0.55, 100, True) is None
    assert named(0.5, 100, False) is None
    assert named(0.5, 100, True, rival=0.99) is None


# ---------------------------------------------------------------- instants


def _instants(hours: int = 240) -> tuple[np.ndarray, np.ndarray]:
    hour = np.arange(hours)
    amps = np.array([1.0, 1.1, 0.9])[:, None] * (1 + 0.5 * np.sin(hour / 24 * 2 * np.pi))
    return np.full((3, hours), 230.0), amps


@given(st.integers(0, 2), st.integers(30, 150), st.integers(4, 80))
def test_a_phase_without_voltage_and_current_is_lost_for_just_that_time(phase, begin, hours):
    volts, amps = _instants()
    volts[phase, begin : begin + hours] = amps[phase, begin : begin + hours] = 0
    volts[:, begin + 1] = amps[:, begin + 1] = np.nan
    [lost] = lost_phases(volts, amps)
    assert (lost.phase, lost.from_ix, lost.to_ix) == (phase + 1, begin, begin + hours)
    assert (lost.volts, lost.amps, lost.lasting) == (True, True, False)
    assert lost.share == pytest.approx([1.0, 1.1, 0.9][phase] / 3, rel=1e-6)


def test_a_power_cut_a_phase_that_never_carried_anything_and_no_instants_are_none():
    volts, amps = _instants()
    volts[:, 50:80] = amps[:, 50:80] = 0
    amps[2] = 0
    assert lost_phases(volts, amps) == []
    assert lost_phases(volts * np.nan, amps * np.nan) == []


@given(st.sampled_from([0.5, 0.6667, 1.25, 2.0]), st.integers(1, 8), st.floats(0.3, 3))
def test_energy_that_does_not_fit_power_is_found_and_a_change_of_load_is_not(scale, day, change):
    rng = np.random.default_rng(1)
    power = rng.uniform(20, 100, 20 * 24)
    power[200:] *= change
    energy = power * rng.normal(1, 0.01, len(power))
    assert power_off(energy, power) == []
    energy[day * 24 :] *= scale
    [off] = power_off(energy, power)
    assert (off.from_ix, off.to_ix, off.lasting) == (day * 24, len(power), True)
    assert off.scale == pytest.approx(scale, rel=0.02)


def _three_phases(
    seed: int, factor: float, hours: int = 30 * 24
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Energy in kWh, voltages and currents of a load with a power factor about this."""
    rng = np.random.default_rng(seed)
    amps = rng.uniform(20, 200, hours) * rng.uniform(0.8, 1.2, (3, 1)) * rng.uniform(0.95, 1.05, (3, hours))
    volts = 230 * rng.uniform(0.97, 1.03, (3, hours))
    return (volts * amps).sum(axis=0) / 1000 * factor * rng.normal(1, 0.02, hours), volts, amps


@given(seeds, st.floats(0.45, 1.0), st.integers(2, 12))
def test_energy_is_held_against_volts_and_amperes_and_no_usual_power_factor_is_odd(seed, factor, day):
    energy, volts, amps = _three_phases(seed, factor)
    assert apparent_off(energy, volts, amps) == []
    assert apparent_off(energy, np.where(np.arange(3)[:, None] == 1, np.nan, volts), amps) == []
    wrong = energy.copy()
    reversed_share = (volts * amps)[amps.sum(axis=1).argmax()] / 1000 * factor * 2
    wrong[day * 24 :] -= reversed_share[day * 24 :]
    [off] = apparent_off(wrong, volts, amps)
    assert (off.from_ix, off.lasting) == (day * 24, True)
    assert 0.05 < off.scale < 0.4
    wrong = energy.copy()
    wrong[day * 24 :] *= 2.5
    assert [o.from_ix for o in apparent_off(wrong, volts, amps)] == [day * 24]


def test_voltages_of_the_primary_side_and_days_of_little_load_say_nothing():
    energy, volts, amps = _three_phases(1, 0.9)
    assert apparent_off(energy, volts * 45, amps) == []
    assert apparent_off(energy * 100, volts / 4, amps * 4) == []
    idle = energy.copy()
    idle[5 * 24 : 14 * 24] *= 0.2
    assert apparent_off(idle, volts, amps) == []
