"""Which readings are good, which falls are rollovers, what a gap is: what each rule promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from metering.calendar import local_calendar
from metering.dependencies import ON_LOADS, ON_READINGS
from metering.energy import Windows, hourly_energy
from metering.estimation import method_codes
from metering.readings import ACCEPTED, REFUSED, InstalledRegister, RegisterReadings, whole_installation
from metering.registers import Role
from metering.spans import END, HOUR_US, START
from metering.steps import Judged, register_steps

T0 = 1_388_505_600_000_000  # 2014-01-01T00:00+08:00, a Wednesday
REGISTER = InstalledRegister(
    role=Role.TOTAL, factor=2.0, digits=4, decimals=2, interval_s=3600, installed_us=T0
)
WIDE = replace(REGISTER, digits=6, factor=1.0)
FAR = T0 + 100_000 * HOUR_US


def readings_of(
    register: InstalledRegister, values: dict[int, float], verdicts: dict[int, int] | None = None
) -> RegisterReadings:
    return RegisterReadings(
        np.zeros(len(values), dtype=np.int64),
        np.array([T0 + h * HOUR_US for h in values], dtype=np.int64),
        np.array(list(values.values()), dtype=np.float64),
        *whole_installation([register]),
        np.array([(verdicts or {}).get(h, 0) for h in values], dtype=np.int8),
    )


def judge(register: InstalledRegister, values: dict[int, float], now: int = FAR, **more) -> Judged:
    return register_steps([register], readings_of(register, values, **more), now)


def steps_of(register: InstalledRegister, values: dict[int, float], now: int = FAR, **more):
    found = judge(register, values, now, **more).steps
    return [
        ((int(a) - T0) // HOUR_US, (int(b) - T0) // HOUR_US, float(e), bool(x))
        for a, b, e, x in zip(found.start_us, found.end_us, found.energy, found.estimated, strict=True)
    ]


def doubts_of(register: InstalledRegister, values: dict[int, float], **more) -> dict[int, str]:
    found = judge(register, values, **more).doubts
    return {(int(ts) - T0) // HOUR_US: str(kind) for ts, kind in zip(found.ts_us, found.kind, strict=True)}


def findings_of(register: InstalledRegister, values: dict[int, float], **more) -> list[tuple[str, int, int]]:
    return [
        (f.kind, (f.starts_us - T0) // HOUR_US, (f.ends_us - T0) // HOUR_US)
        for f in judge(register, values, **more).findings
    ]


def hours_of(
    register: InstalledRegister, values: dict[int, float], now: int = FAR
) -> dict[int, tuple[float, str]]:
    windows = Windows(np.array([START]), np.array([END]))
    found = hourly_energy(
        [register], [0], readings_of(register, values), windows, local_calendar("Asia/Shanghai"), now
    ).hours
    return {
        (int(h) - T0) // HOUR_US: (float(c), method_codes()[m])
        for h, c, m in zip(found.hour_us, found.consumption, found.method, strict=True)
    }


def line(n: int, a_step: float = 60.0, start: float = 1000.0) -> dict[int, float]:
    """A register that rises evenly."""
    return {h: start + a_step * h for h in range(n)}


# ---------------------------------------------------------------- rollovers, resets, other meters


def test_a_rollover_by_what_the_register_usually_rises_by_counts_on():
    values = {h: (9500 + 60.0 * h) % 10_000 for h in range(20)}
    assert [s[2] for s in steps_of(REGISTER, values)] == pytest.approx([120.0] * 19)
    assert findings_of(REGISTER, values) == [("rollover", 8, 9)]


def test_a_rollover_during_an_outage_is_believed_by_the_rate_around():
    values = {h: (4000 + 60.0 * h) % 10_000 for h in [*range(20), 140, 141]}
    assert steps_of(REGISTER, values)[19] == (19, 140, 60.0 * 121 * 2, True)


def test_a_reset_carries_no_energy_and_the_next_step_counts_again():
    values = {**line(6, 60.0, 5000.0), 6: 0.0, 7: 60.0, 8: 120.0}
    assert [s[:3] for s in steps_of(REGISTER, values)][4:] == [(4, 5, 120.0), (6, 7, 120.0), (7, 8, 120.0)]
    assert findings_of(REGISTER, values) == [("register_reset", 5, 6)]


def test_another_meter_that_shows_less_is_found_and_carries_no_energy():
    values = {**line(6, 60.0, 5000.0), **{h: 2000.0 + 60.0 * h for h in range(6, 12)}}
    assert findings_of(REGISTER, values) == [("meter_replaced", 5, 6)]
    assert sum(s[2] for s in steps_of(REGISTER, values)) == pytest.approx(2 * 60.0 * 10)


@pytest.mark.parametrize(("more", "kind"), [(90_000.0, "above_rated"), (190_000.0, "meter_replaced")])
def test_a_rise_that_cannot_be_carries_no_energy(more, kind):
    """What a point cannot have used in four weeks is another meter's."""
    rated = replace(WIDE, rated_per_hour=100.0)
    values = {**line(40), **{h: more + 60.0 * h for h in range(40, 80)}}
    assert findings_of(rated, values) == [(kind, 39, 40)]
    assert sum(s[2] for s in steps_of(rated, values)) == pytest.approx(60.0 * 78)


def test_a_rated_power_that_most_steps_exceed_is_not_believed():
    rated = replace(WIDE, rated_per_hour=10.0)
    assert len(steps_of(rated, line(60))) == 59
    assert findings_of(rated, line(60)) == []


@pytest.mark.parametrize(
    ("digits", "standby", "load"),
    [(5, 0.3, 22.0), (5, 0.2, 60.0), (4, 0.1, 6.0)],
    ids=["ev", "oven", "water"],
)
def test_a_load_of_an_hour_a_day_counts_where_no_rated_power_is_known(digits, standby, load):
    """A register holds 1,500 hours of full load: what it rises by in one of them can be."""
    register = replace(REGISTER, digits=digits, factor=1.0)
    values = {0: 100.0}
    for hour in range(240):
        values[hour + 1] = round(values[hour] + (load if hour % 24 == 5 else standby), 1)
    assert findings_of(register, values) == []
    assert sum(s[2] for s in steps_of(register, values)) == pytest.approx(values[240] - 100.0)


def test_a_rise_by_more_than_a_register_is_made_for_carries_no_energy():
    register = replace(REGISTER, digits=5, factor=1.0)
    values = {**line(40, 0.3, 100.0), **{h: 170.0 + 0.3 * h for h in range(40, 80)}}
    assert [kind for kind, *_ in findings_of(register, values)] == ["above_rated"]


# ---------------------------------------------------------------- readings that others take back


@pytest.mark.parametrize(
    ("garbled", "kind"),
    [
        ({30: 0.0}, "zero_reading"),
        ({30: 0.0, 31: 0.0, 32: 0.0}, "zero_reading"),
        ({30: 2930.0}, "spike"),
        ({30: 3100.0}, "spike"),
        ({30: 999_000.0}, "spike"),
        ({30: 8200.0}, "transposed_digits"),
    ],
)
def test_what_later_readings_take_back_is_left_out_and_no_energy_is_lost(garbled, kind):
    values = {**line(60), **garbled}
    assert doubts_of(WIDE, values) == dict.fromkeys(garbled, kind)
    first, last = min(garbled), max(garbled)
    assert findings_of(WIDE, values) == [(kind, first, last + 1)]
    assert sum(s[2] for s in steps_of(WIDE, values)) == pytest.approx(60.0 * 59)
    assert (first - 1, last + 1, 60.0 * (last - first + 2), True) in steps_of(WIDE, values)


def test_a_zero_right_before_a_spike_costs_nothing_either():
    values = {**line(60), 30: 0.0, 31: 500_000.0}
    assert set(doubts_of(WIDE, values)) == {30, 31}
    assert sum(s[2] for s in steps_of(WIDE, values)) == pytest.approx(60.0 * 59)


def test_the_last_reading_is_not_doubted_before_another_one_came():
    values = {**line(30), 30: 0.0}
    assert doubts_of(WIDE, values) == {}
    assert findings_of(WIDE, values) == [("register_reset", 29, 30)]


def test_a_reading_that_a_person_accepted_is_good():
    values = {**line(60), 30: 2830.0}
    assert doubts_of(WIDE, values, verdicts={30: ACCEPTED}) == {}


def test_a_reading_that_a_person_refused_never_counts():
    values = line(60)
    assert doubts_of(WIDE, values, verdicts={30: REFUSED}) == {30: "refused"}
    assert (29, 31, 120.0, True) in steps_of(WIDE, values, verdicts={30: REFUSED})
    assert findings_of(WIDE, values, verdicts={30: REFUSED}) == []


def test_a_reading_that_the_register_cannot_show_is_left_out():
    values = {**line(60), 30: 1_000_000.0}
    assert doubts_of(WIDE, values) == {30: "out_of_range"}
    assert findings_of(WIDE, values) == [("out_of_range", 30, 31)]


def test_a_rise_above_the_rated_power_that_a_person_accepted_counts():
    rated = replace(WIDE, rated_per_hour=100.0)
    values = {**line(40), **{h: 90_000.0 + 60.0 * h for h in range(40, 80)}}
    assert (39, 40, 89_060.0, False) in steps_of(rated, values, verdicts={40: ACCEPTED})
    assert findings_of(rated, values, verdicts={40: ACCEPTED}) == []


# ---------------------------------------------------------------- standing still


def daily(hours: int, stuck: range = range(0), catches_up: bool = True) -> dict[int, float]:
    """A register whose load is never still, 2 by night and 10 by day, whose display stands still for a while."""
    shown, value, values = 1000.0, 1000.0, {}
    for h in range(hours):
        value += 10.0 if 8 <= h % 24 < 20 else 2.0
        if h not in stuck:
            shown = value if catches_up or not stuck or h < stuck.start else shown + (value - shown) * 0 + 2.0
        values[h] = shown
    return values


def test_standing_still_is_measured_where_the_load_stood_still_before():
    values = daily(40 * 24, range(900, 906))
    still = {**values, 850: values[849]}
    assert doubts_of(WIDE, still) == {}
    assert all(not s[3] for s in steps_of(WIDE, still))


def test_standing_still_is_measured_before_28_days_are_known():
    assert doubts_of(WIDE, daily(20 * 24, range(300, 306))) == {}


def test_standing_still_is_doubtful_where_the_load_never_did_and_a_jump_fits():
    values = daily(40 * 24, range(900, 906))
    assert doubts_of(WIDE, values) == dict.fromkeys(range(900, 906), "stuck_register")
    assert findings_of(WIDE, values) == [("stuck_register", 900, 906)]
    assert [s for s in steps_of(WIDE, values) if s[3]] == [(899, 906, values[906] - values[899], True)]


def test_standing_still_that_is_soon_over_is_no_finding():
    values = daily(40 * 24, range(900, 904), catches_up=False)
    assert findings_of(WIDE, values) == []


def test_standing_still_for_long_is_a_finding_after_a_week_of_readings():
    assert [k for k, *_ in findings_of(WIDE, daily(20 * 24, range(300, 312)))] == ["stuck_register"]
    assert findings_of(WIDE, daily(20 * 24, range(100, 112))) == []


def test_standing_still_without_a_jump_is_a_finding_only():
    values = daily(40 * 24, range(900, 912), catches_up=False)
    assert doubts_of(WIDE, values) == {}
    assert [kind for kind, *_ in findings_of(WIDE, values)] == ["stuck_register"]
    assert all(not s[3] for s in steps_of(WIDE, values))


# ---------------------------------------------------------------- gaps and how they are filled


def test_only_steps_longer_than_one_and_a_half_intervals_are_gaps():
    readings = {0: 0.0, 1: 1.0, 3: 2.0}
    assert [s[3] for s in steps_of(REGISTER, readings)] == [False, True]
    assert [s[3] for s in steps_of(replace(REGISTER, interval_s=4800), readings)] == [False, False]


def test_a_gap_lies_as_the_load_usually_does_and_its_sum_is_what_the_register_rose_by():
    values = daily(40 * 24)
    gap = {h: v for h, v in values.items() if not 900 < h < 930}
    hours = hours_of(WIDE, gap)
    assert sum(hours[h][0] for h in range(900, 930)) == pytest.approx(values[930] - values[900], rel=1e-12)
    assert {hours[h][1] for h in range(900, 930)} == {"profile"}
    for h in range(900, 930):
        assert hours[h][0] == pytest.approx(values[h + 1] - values[h], rel=1e-9)


def test_a_gap_of_an_hour_is_a_straight_line():
    quick = replace(WIDE, interval_s=900)
    values = {h: 1000.0 + 10 * h for h in range(20)}
    assert {m for _, m in hours_of(quick, values).values()} == {"interpolated"}


def test_a_gap_soon_after_the_beginning_learns_from_the_weeks_after():
    values = {h: v for h, v in daily(40 * 24).items() if not 30 < h < 60}
    assert {hours_of(WIDE, values)[h][1] for h in range(30, 60)} == {"profile_after"}


def test_a_gap_of_a_register_that_was_hardly_read_is_flat():
    hours = hours_of(WIDE, {0: 0.0, 10: 100.0})
    assert {h: e for h, (e, _) in hours.items()} == pytest.approx(dict.fromkeys(range(10), 10.0))
    assert {m for _, m in hours.values()} == {"flat"}


def test_a_holiday_takes_the_hours_of_days_off():
    """1 May 2014 was a Thursday: its gap is shaped as the Saturdays and Sundays before."""
    first = (120 * 24) % 24  # whole days since Wednesday, 1 January
    values, shown = {}, 0.0
    for h in range(125 * 24):
        values[h] = shown
        day = h // 24
        works = (day + 2) % 7 < 5 and day != 120
        shown += (10.0 if 8 <= h % 24 < 20 else 1.0) if works else 3.0
    gap = range(120 * 24 + 2, 120 * 24 + 22)
    hours = hours_of(WIDE, {h: v for h, v in values.items() if h not in gap})
    assert first == 0
    for h in gap:
        assert hours[h][0] == pytest.approx(3.0, rel=1e-9)


# ---------------------------------------------------------------- ends of installations


def test_the_unread_end_follows_the_rate_of_the_steps_before():
    removed = replace(REGISTER, removed_us=T0 + 10 * HOUR_US)
    hours = hours_of(removed, {0: 0.0, 1: 10.0, 2: 40.0})
    assert [hours[h] for h in range(2, 10)] == [(pytest.approx(40.0), "end_rate")] * 8


def test_the_unread_end_follows_the_usual_load_where_it_is_known():
    values = daily(40 * 24)
    removed = replace(WIDE, removed_us=T0 + 990 * HOUR_US)
    hours = hours_of(removed, values)
    for h in range(960, 989):
        assert hours[h] == (pytest.approx(10.0 if 8 <= (h + 1) % 24 < 20 else 2.0), "end_profile")


def test_nothing_is_estimated_before_the_removal_has_come():
    removed = replace(REGISTER, removed_us=T0 + 10 * HOUR_US)
    assert set(hours_of(removed, {0: 0.0, 1: 10.0}, now=T0 + 9 * HOUR_US)) == {0}


def test_an_end_value_recorded_ahead_waits_for_the_removal():
    removed = replace(REGISTER, removed_us=T0 + 10 * HOUR_US, end_value=100.0)
    readings = {0: 0.0, 1: 10.0}
    assert len(steps_of(removed, readings, now=T0 + 9 * HOUR_US)) == 1
    assert steps_of(removed, readings, now=T0 + 10 * HOUR_US)[-1] == (1, 10, 180.0, True)


@pytest.mark.parametrize(("end_value", "kind"), [(31_600.0, "above_rated"), (9_999.0, "meter_replaced")])
def test_an_end_value_that_cannot_be_bounds_no_energy_and_is_told(end_value, kind):
    """A digit too many, or the display of another meter: nobody must find it by its energy."""
    removed = replace(WIDE, removed_us=T0 + 31 * HOUR_US, end_value=end_value)
    readings = {h: 30_000.0 + 2 * h for h in range(31)}
    assert steps_of(removed, readings)[-1] == (29, 30, 2.0, False)
    assert findings_of(removed, readings) == [(kind, 30, 31)]


def test_an_end_value_that_catches_up_with_a_long_silence_is_believed():
    removed = replace(WIDE, removed_us=T0 + 1000 * HOUR_US, end_value=32_000.0)
    readings = {h: 30_000.0 + 2 * h for h in range(31)}
    assert steps_of(removed, readings)[-1] == (30, 1000, 1940.0, True)
    assert findings_of(removed, readings) == []


def test_an_unread_end_of_which_nothing_is_known_yet_hangs_on_what_comes():
    """Else readings that come later would never be learnt from."""
    removed = replace(REGISTER, removed_us=T0 + 10 * HOUR_US)
    windows, readings = Windows(np.array([START]), np.array([END])), readings_of(removed, {4: 10.0})
    hangs = hourly_energy([removed], [0], readings, windows, local_calendar("Asia/Shanghai"), FAR).hangs
    assert hangs.level.tolist() == [ON_LOADS]
    assert (hangs.from_us.tolist(), hangs.to_us.tolist()) == ([T0 + 4 * HOUR_US], [T0 + 10 * HOUR_US])


def test_nothing_is_estimated_from_a_single_reading():
    assert hours_of(replace(REGISTER, removed_us=T0 + 10 * HOUR_US), {0: 0.0}) == {}


def test_a_reading_at_the_moment_of_a_start_value_gives_way_to_it():
    started = replace(REGISTER, start_value=10.0)
    assert steps_of(started, {0: 12.0, 1: 15.0}) == [(0, 1, 10.0, False)]


def test_a_void_installation_has_no_steps():
    void = replace(REGISTER, removed_us=T0, start_value=1.0, end_value=2.0)
    assert steps_of(void, {0: 0.0, 1: 10.0}) == []


# ---------------------------------------------------------------- what verdicts hang on


def test_calm_readings_hang_on_nothing():
    assert len(judge(WIDE, line(200)).dependencies) == 0


def test_a_fall_hangs_on_the_readings_within_reach():
    found = judge(WIDE, {**line(1000), 500: 0.0}).dependencies
    assert set(found.level.tolist()) == {ON_READINGS}
    assert (int(found.from_us.min()) - T0) // HOUR_US == 499 - 4 * 24
    assert (int(found.to_us.max()) - T0) // HOUR_US == 501 + 4 * 24


def test_a_transposed_reading_that_is_not_far_off_is_the_one_that_is_left_out():
    values = {**line(60, 20.0, 1151.0), 30: 1715.0}
    assert values[29] == 1731.0
    assert line(60, 20.0, 1151.0)[30] == 1751.0
    assert doubts_of(WIDE, values) == {30: "transposed_digits"}


def test_a_reading_amid_ones_off_the_grid_is_its_clocks_fault_and_no_finding_of_values():
    n = 100
    ts = T0 + np.arange(n) * HOUR_US
    ts[50] += 13 * 60_000_000
    value = 1000.0 + 60.0 * np.arange(n)
    value[50] = value[51] + 5.0
    readings = RegisterReadings(np.zeros(n, dtype=np.int64), ts, value, *whole_installation([WIDE]))
    found = register_steps([WIDE], readings, FAR)
    assert found.doubts.kind.tolist() == ["off_grid"]
    assert found.findings == []


def test_a_zero_while_the_register_stands_still_is_one_doubtful_reading():
    values = daily(40 * 24, range(900, 910))
    values[904] = 0.0
    found = judge(WIDE, values).doubts
    assert len(set(found.ts_us.tolist())) == len(found.ts_us) == 10
    assert doubts_of(WIDE, values)[904] == "zero_reading"
