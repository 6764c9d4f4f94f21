"""What sub-meters tell of their total: gaps keep their energy, silences follow the usual loss."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from metering.children import FILLING_SHARE, SHAPING_SHARE, ChildHours, fill, shape
from metering.spans import END, HOUR_US

FIRST = 390_000


def hours(
    energy: list[float], missing: set[int] = frozenset(), family: int = 2, own: list[float] | None = None
) -> ChildHours:
    """own: what the total measured in the first hours."""
    kept = [n for n in range(len(energy)) if n not in missing]
    hour = np.array([FIRST + n for n in kept], dtype=np.int64)
    n = len(kept)
    total = [*(own or []), *[np.nan] * len(energy)]
    return ChildHours(
        np.zeros(n, dtype=np.int64),
        hour,
        np.array([energy[k] for k in kept], dtype=np.float64),
        np.array([total[k] for k in kept], dtype=np.float64),
        np.full(n, family, dtype=np.int64),
        (hour + 1) * HOUR_US,
    )


minutes = st.integers(0, 59)
energies = st.lists(st.floats(0.01, 1000), min_size=4, max_size=40)


@given(energies, st.integers(0, 3), minutes, minutes, st.floats(0.01, 1e5))
def test_a_gap_keeps_its_energy_and_the_proportions_of_its_children(energy, first, begin_min, end_min, total):
    begin = (FIRST + first) * HOUR_US + begin_min * 60_000_000
    end = (FIRST + len(energy)) * HOUR_US - end_min * 60_000_000
    if end <= begin:
        return
    shaped = shape(hours(energy), begin, end, total, typical=False)
    assert shaped is not None
    assert np.isclose(shaped.sum(), total)
    inner = shaped[1:-1]
    own = np.array(energy)[first + 1 : first + 1 + len(inner)]
    assert np.allclose(inner * own[:1].sum(), own * inner[:1].sum())


@given(energies, st.data())
def test_a_gap_of_which_an_hour_is_missing_is_not_shaped(energy, data):
    gone = data.draw(st.integers(0, len(energy) - 1))
    end = (FIRST + len(energy)) * HOUR_US
    assert shape(hours(energy, {gone}), FIRST * HOUR_US, end, 10.0, typical=False) is None


@given(energies, st.floats(1.01, 100))
def test_children_that_are_a_small_part_leave_a_gap_to_typical_hours(energy, factor):
    end = (FIRST + len(energy)) * HOUR_US
    total = factor * sum(energy) / SHAPING_SHARE
    asked = hours(energy), FIRST * HOUR_US, end, total
    assert shape(*asked, typical=True) is None
    assert shape(*asked, typical=False) is not None


@given(energies, st.floats(0.5, 5), st.floats(1800, 7200))
def test_a_silence_is_its_children_and_the_usual_loss(energy, usual, gap_s):
    """The first half is known of both; from then on the total is silent."""
    known = len(energy) // 2
    children = hours(energy, own=[usual * kwh for kwh in energy[:known]])
    read_to = (FIRST + known) * HOUR_US
    found = fill(children, read_to, END, gap_s * 1e6)
    near = int((read_to + gap_s * 1e6) // HOUR_US) - FIRST
    if near >= len(energy):
        assert found is None  # just the last reading may be on its way
        return
    assert found is not None
    assert found.begin_us[0] == read_to
    assert np.allclose(found.energy, usual * children.energy[known:])
    assert (found.known_us >= found.end_us).all()
    assert (found.known_us[: near - known + 1] == (FIRST + near + 1) * HOUR_US).all()


@given(energies, st.data())
def test_an_hour_that_is_missing_is_not_filled_and_spoils_no_other(energy, data):
    gone = data.draw(st.integers(2, len(energy) - 1))
    read_to = FIRST * HOUR_US + 600_000_000
    found = fill(hours(energy, {gone}), read_to, END, 1.35e9)
    assert found is not None
    filled = set((found.begin_us // HOUR_US - FIRST).tolist())
    assert filled == set(range(len(energy))) - {gone}
    assert np.isclose(found.energy[0], energy[0] * 5 / 6), (
        "the part after the last reading, with no loss known"
    )


def test_losses_are_learnt_from_hours_of_the_same_children():
    few = hours([10.0] * 5, family=1, own=[20.0] * 5)
    many = hours([0.0] * 5 + [15.0] * 5, set(range(5)), family=2, own=[20.0] * 7)
    both = ChildHours(*(np.concatenate([getattr(few, n), getattr(many, n)]) for n in ChildHours.__slots__))
    found = fill(both, (FIRST + 7) * HOUR_US, END, 1.35e9)
    assert found is not None
    assert np.allclose(found.energy, 20.0)


@given(st.floats(1.01, 50))
def test_silence_is_not_told_from_a_tiny_part(factor):
    children = hours([1.0] * 10, own=[factor / FILLING_SHARE] * 5)
    assert fill(children, (FIRST + 5) * HOUR_US, END, 1.35e9) is None


def test_silence_is_not_told_from_children_that_stood_still_while_the_total_did_not():
    assert fill(hours([0.0] * 10, own=[30.0] * 5), (FIRST + 5) * HOUR_US, END, 1.35e9) is None
    assert fill(hours([0.0] * 10, own=[0.0] * 5), (FIRST + 5) * HOUR_US, END, 1.35e9) is not None


def test_losses_are_learnt_from_eight_weeks_before_the_silence_alone():
    weeks = 8 * 7 * 24
    children = hours([1.0] * (weeks + 20), own=[9.0] * 10 + [2.0] * weeks)
    found = fill(children, (FIRST + weeks + 10) * HOUR_US, END, 1.35e9)
    assert found is not None
    assert np.allclose(found.energy, 2.0)
