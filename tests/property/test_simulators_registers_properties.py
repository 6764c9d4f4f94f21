"""What holds for every register of the replay: it conserves energy and never drifts."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from simulators.consumption import UNITS_PER_KWH, Consumption
from simulators.registers import RegisterFace, read_register

hours_of_kwh = st.lists(
    st.integers(0, 9_999).map(lambda n: n * UNITS_PER_KWH // 10), min_size=1, max_size=200
)


@st.composite
def faces(draw):
    digits, decimals = draw(st.integers(5, 8)), draw(st.integers(0, 4))
    start = draw(st.integers(0, 10 ** (digits + decimals) - 1))
    ratio = draw(st.sampled_from(["1", "10", "20", "30", "40", "0.5", "1.5", "7", "120"]))
    return RegisterFace(digits, decimals, Decimal(ratio), Decimal(start).scaleb(-decimals))


def unrolled(values: np.ndarray, face: RegisterFace) -> np.ndarray:
    """Display steps since the first reading, with every rollover undone."""
    steps = np.rint(values * 10**face.decimals).astype(np.int64)
    moved = np.diff(steps)
    moved[moved < 0] += face.capacity_steps
    return np.concatenate([[0], np.cumsum(moved)])


@given(energy=hours_of_kwh, face=faces(), timezone=st.sampled_from(["Asia/Shanghai", "Europe/London", "UTC"]))
def test_the_register_is_never_more_than_one_step_off_the_energy(energy, face, timezone):
    first = int(np.datetime64("2014-03-29T00", "h").astype(np.int64))
    consumption = Consumption("b1", None, first + np.arange(len(energy)), np.array(energy, np.int64))
    series = read_register(consumption, face, timezone)
    step = float(face.step_kwh)
    moved = unrolled(series.value, face) * step
    total = sum(energy) / UNITS_PER_KWH
    assert abs(moved[-1] - total) <= step * (1 + 1e-9)
    if timezone != "Europe/London":
        truth = np.concatenate([[0], np.cumsum(energy)]) / UNITS_PER_KWH
        assert np.all(moved <= truth + 1e-6)
        assert np.all(truth - moved <= step * (1 + 1e-9))


@given(
    energy=hours_of_kwh,
    missing=st.sets(st.integers(0, 199)),
    timezone=st.sampled_from(["UTC", "Europe/London"]),
)
def test_times_ascend_and_the_register_never_goes_back_whatever_is_missing(energy, missing, timezone):
    face = RegisterFace(9, 1, Decimal(1), Decimal(0))
    hours = [h for h in range(len(energy)) if h not in missing] or [0]
    first = int(np.datetime64("2014-10-24T00", "h").astype(np.int64))
    of = np.array([energy[h] for h in hours], np.int64)
    series = read_register(Consumption("b1", None, first + np.array(hours, np.int64), of), face, timezone)
    assert np.all(np.diff(series.ts_us) > 0)
    assert np.all(np.diff(series.value) >= 0)
    assert round(series.value[-1] * 10) == int(of.sum()) * 10 // UNITS_PER_KWH
