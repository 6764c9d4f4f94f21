"""What few readings say of a window is what all of them say, or the window is not calm."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st

from metering.calendar import local_calendar
from metering.energy import Windows, hourly_energy
from metering.reach import CALM_AFTER, CALM_BEFORE, nights, restless
from metering.readings import InstalledRegister, RegisterReadings
from metering.registers import Role
from metering.spans import HOUR_US
from metering.steps import register_steps

T0 = 1_388_505_600_000_000  # 2014-01-01T00:00+08:00
CALENDAR = local_calendar("Asia/Shanghai")
DAYS = 16
NOW = T0 + (DAYS + 1) * 24 * HOUR_US
REGISTER = InstalledRegister(
    role=Role.TOTAL, factor=1.0, digits=6, decimals=1, interval_s=3600, installed_us=T0 - HOUR_US
)


@dataclass(frozen=True)
class Case:
    """Hourly values of some days, and a window of hours, both ends by index."""

    values: list[float]
    window: tuple[int, int]


@st.composite
def cases(draw):
    """Points that stand still on most nights, some longer, with odd readings here and there."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    count = DAYS * 24
    hour = np.arange(count) % 24
    still_night = rng.random(DAYS) < draw(st.sampled_from([0.0, 0.2, 0.9]))
    still = (hour < draw(st.integers(2, 7))) & np.repeat(still_night, 24)
    rise = np.where(still, 0.0, np.round(rng.uniform(0.5, 3.0, count), 1))
    for _ in range(draw(st.integers(0, 2))):  # stuck, with or without a jump at the end
        at, length = draw(st.integers(0, count - 1)), draw(st.integers(2, 12))
        kept = rise[at : at + length].sum() if draw(st.booleans()) else 0.0
        rise[at : at + length] = 0.0
        if at + length < count:
            rise[at + length] += kept
    values = np.round(1000 + np.cumsum(rise), 1)
    for _ in range(draw(st.integers(0, 2))):
        values[draw(st.integers(0, count - 1))] += draw(st.sampled_from([-900.0, -2.0, 2.0, 40.0, 900.0]))
    values = np.maximum(values, 0.0)  # a register shows nothing below
    begin = draw(st.integers(0, count - 2))
    return Case(values.tolist(), (begin, min(begin + draw(st.integers(1, 30)), count)))


def readings_of(case, before, after):
    """Those in the window, and so many either side."""
    begin, end = case.window
    low, high = max(begin - before, 0), min(end + after, len(case.values) - 1)
    at = np.arange(low, high + 1)
    return RegisterReadings(
        np.zeros(len(at), dtype=np.int64),
        T0 + at * HOUR_US,
        np.array(case.values)[at],
        np.array([low == 0]),
        np.array([high == len(case.values) - 1]),
    )


def said(case, readings):
    """Hours and open ends of the window, doubts, findings and dependencies in it."""
    begin, end = (T0 + n * HOUR_US for n in case.window)
    windows = Windows(np.array([begin]), np.array([end]))
    found = hourly_energy([REGISTER], [0], readings, windows, CALENDAR, NOW)
    judged, hours, opens = found.judged, found.hours, found.opens
    hangs = judged.dependencies.joined(found.hangs)
    rows = zip(*(getattr(hangs, name).tolist() for name in hangs.__slots__), strict=True)
    doubts = zip(judged.doubts.ts_us.tolist(), judged.doubts.kind.tolist(), strict=True)
    return {
        "hours": [getattr(hours, name).tolist() for name in hours.__slots__],
        "opens": [getattr(opens, name).tolist() for name in opens.__slots__],
        "doubts": [(ts, kind) for ts, kind in doubts if begin < ts < end],
        "findings": [f for f in judged.findings if f.starts_us < end and f.ends_us > begin],
        "hangs": [row for row in rows if row[2] < end and row[3] > begin],
    }


#: The reading before the window, or the window's first one, is doubtful: which of them, only more readings tell.
FALL_BEFORE_THE_WINDOW = Case([1000.0 + 2 * n - 2.7 * (n == 25) for n in range(DAYS * 24)], (25, 48))


@settings(max_examples=400, deadline=None)
@given(cases())
@example(FALL_BEFORE_THE_WINDOW)
def test_calm_windows_are_calm_whatever_else_was_read(case):
    within = tuple(np.array([T0 + n * HOUR_US]) for n in case.window)
    everything = readings_of(case, len(case.values), len(case.values))
    for before, after in ((CALM_BEFORE, CALM_AFTER), nights([REGISTER])):
        few = readings_of(case, before, after)
        judged = register_steps([REGISTER], few, NOW)
        if not restless([REGISTER], few, judged, within, NOW).any():
            assert said(case, few) == said(case, everything)


def test_standing_still_night_by_night_is_calm():
    hour = np.arange(DAYS * 24)
    values = (1000 + np.cumsum(np.where(hour % 24 < 6, 0.0, 1.0))).tolist()
    case = Case(values, (10 * 24 + 2, 10 * 24 + 4))
    within = tuple(np.array([T0 + n * HOUR_US]) for n in case.window)

    def is_restless(before, after):
        few = readings_of(case, before, after)
        return restless([REGISTER], few, register_steps([REGISTER], few, NOW), within, NOW).any()

    assert is_restless(CALM_BEFORE, CALM_AFTER)
    assert not is_restless(*nights([REGISTER]))
