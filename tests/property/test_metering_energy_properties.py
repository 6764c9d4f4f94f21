"""Registers become energy: what holds for any meter, any readings, any order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.calendar import local_calendar
from metering.energy import HourEnergy, OpenEnergy, Windows, hourly_energy
from metering.readings import InstalledRegister, RegisterReadings, whole_installation
from metering.registers import Role
from metering.spans import END, HOUR_US, START
from tests.property.naive_energy import naive_energy

T0 = 1_388_505_600_000_000  # 2014-01-01T00:00+08:00
NOW = T0 + 10_000 * HOUR_US
MINUTE = 60_000_000
CALENDAR = local_calendar("Asia/Shanghai")


@dataclass
class Meter:
    """An installed register and all its readings."""

    register: InstalledRegister
    readings: dict[int, float]


def total(**values) -> InstalledRegister:
    known = {
        "role": Role.TOTAL,
        "factor": 1.0,
        "digits": 6,
        "decimals": 2,
        "interval_s": 3600,
        "installed_us": T0,
        **values,
    }
    return InstalledRegister(**known)


@st.composite
def meters(draw, role=Role.TOTAL, begin=0, end=60):
    """A meter that is read now and then between two minutes, rolls over, and may be removed."""
    digits = draw(st.integers(3, 7))
    decimals = draw(st.integers(0, 2))
    modulus = 10**digits
    minutes = sorted(draw(st.sets(st.integers(begin * 60, end * 60 - 1), max_size=24)))
    rises = draw(
        st.lists(st.integers(0, modulus // 20), min_size=len(minutes) + 2, max_size=len(minutes) + 2)
    )
    shown = draw(st.integers(0, modulus - 1))
    values = [shown := (shown + rise) % modulus for rise in rises]
    removed = draw(st.booleans())
    register = InstalledRegister(
        role=role,
        factor=draw(st.sampled_from([1.0, 0.001, 1000.0, 60.0, 3.6, 0.1])),
        digits=digits,
        decimals=decimals,
        interval_s=draw(st.sampled_from([300, 900, 3600, 86400])),
        installed_us=T0 + begin * 60 * MINUTE,
        removed_us=T0 + end * 60 * MINUTE if removed else None,
        start_value=float(values[0]) if draw(st.booleans()) else None,
        end_value=float(values[-1]) if removed and draw(st.booleans()) else None,
        rated_per_hour=1e12,  # every decrease is a rollover: which ones are is tested by itself
    )
    readings = {T0 + m * MINUTE: float(v) for m, v in zip(minutes, values[1:-1], strict=True)}
    return Meter(register, readings)


@st.composite
def points(draw):
    """The meters of a point: totals one after the other, and tariff registers beside or between them."""
    cut = draw(st.integers(1, 59))
    first = draw(meters(end=cut))
    kinds = draw(st.sampled_from(["one", "two", "tariffs", "tariffs then total", "total then tariffs"]))
    if kinds == "one":
        return [first]
    second = draw(meters(begin=cut))
    if kinds == "two":
        return [replace(first, register=closed(first.register, cut)), second]
    tariffs = [draw(meters(role=Role.TARIFF)), draw(meters(role=Role.TARIFF))]
    if kinds == "tariffs":
        return tariffs
    return (
        [*tariffs, second]
        if kinds == "tariffs then total"
        else [replace(first, register=closed(first.register, cut)), *tariffs]
    )


def closed(register: InstalledRegister, hour: int) -> InstalledRegister:
    return replace(register, removed_us=T0 + hour * HOUR_US)


def derive(
    owners: list[list[Meter]], window: tuple[int, int] = (START, END), order=None
) -> tuple[HourEnergy, OpenEnergy]:
    flat = [m for meters in owners for m in meters]
    owner = [n for n, meters in enumerate(owners) for _ in meters]
    rows = [(n, ts, v) for n, m in enumerate(flat) for ts, v in m.readings.items()]
    if order is not None:
        order.shuffle(rows)
    registers = [m.register for m in flat]
    readings = RegisterReadings(
        np.array([r[0] for r in rows], dtype=np.int64),
        np.array([r[1] for r in rows], dtype=np.int64),
        np.array([r[2] for r in rows], dtype=np.float64),
        *whole_installation(registers),
    )
    windows = Windows(
        np.full(len(owners), window[0], dtype=np.int64), np.full(len(owners), window[1], dtype=np.int64)
    )
    found = hourly_energy(registers, owner, readings, windows, CALENDAR, NOW)
    return found.hours, found.opens


def rows_of(hours: HourEnergy, owner: int = 0) -> dict[int, tuple[float, float, float, float]]:
    mine = hours.owner == owner
    columns = (hours.consumption, hours.estimated, hours.covered_s, hours.installed_s)
    return dict(
        zip(hours.hour_us[mine].tolist(), zip(*(c[mine].tolist() for c in columns), strict=True), strict=True)
    )


@settings(deadline=None, max_examples=250)
@given(st.lists(points(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_hours_are_those_of_the_naive_model_in_any_order_of_arrival(owners, order):
    """Every hour of every point equals the exact model; readings may come in any order."""
    hours, _ = derive(owners, order=order)
    for n, owner in enumerate(owners):
        model = naive_energy([m.register for m in owner], [m.readings for m in owner], NOW)
        found = rows_of(hours, n)
        assert found.keys() == model.hours.keys()
        for hour, want in model.hours.items():
            consumption, estimated, covered, installed = found[hour]
            assert consumption == pytest.approx(float(want.consumption), rel=1e-9, abs=1e-9)
            assert estimated == pytest.approx(float(want.estimated), rel=1e-9, abs=1e-9)
            assert covered == want.covered_us / 1e6
            assert covered <= installed <= 3600


@settings(deadline=None, max_examples=80)
@given(st.lists(points(), min_size=1, max_size=3))
def test_no_hour_is_negative_and_no_part_exceeds_its_whole(owners):
    hours, opens = derive(owners)
    assert (hours.estimated >= 0).all()
    assert (hours.consumption >= hours.estimated).all()
    assert (hours.installed_s >= hours.covered_s).all()
    assert (hours.covered_s >= 0).all()
    assert (opens.consumption >= 0).all()


@settings(deadline=None, max_examples=80)
@given(meters(), st.data())
def test_energy_between_two_readings_is_what_the_register_rose(meter, data):
    """Over any span between readings the hours add up to the register's rise times the factor."""
    meter = Meter(replace(meter.register, start_value=None, end_value=None, removed_us=None), meter.readings)
    times = sorted(meter.readings)
    if len(times) < 2:
        return
    first, last = sorted(data.draw(st.lists(st.sampled_from(times), min_size=2, max_size=2)))
    chosen = {t: v for t, v in meter.readings.items() if first <= t <= last}
    modulus = 10.0**meter.register.digits
    steps = sorted(chosen)
    rise = sum((chosen[b] - chosen[a]) % modulus for a, b in pairwise(steps))
    hours, _ = derive([[Meter(meter.register, chosen)]])
    assert hours.consumption.sum() == pytest.approx(rise * meter.register.factor, rel=1e-9, abs=1e-9)


@settings(deadline=None, max_examples=80)
@given(meters(), st.data())
def test_a_span_split_at_a_reading_adds_up(meter, data):
    meter = Meter(replace(meter.register, start_value=None, end_value=None, removed_us=None), meter.readings)
    times = sorted(meter.readings)
    if not times:
        return
    cut = data.draw(st.sampled_from(times))
    halves = [
        {t: v for t, v in meter.readings.items() if t <= cut},
        {t: v for t, v in meter.readings.items() if t >= cut},
    ]
    whole, _ = derive([[meter]])
    parts, _ = derive([[Meter(meter.register, half)] for half in halves])
    assert parts.consumption.sum() == pytest.approx(whole.consumption.sum(), rel=1e-9, abs=1e-9)
    assert parts.covered_s.sum() == pytest.approx(whole.covered_s.sum())


@settings(deadline=None, max_examples=60)
@given(meters(), st.integers(0, 10**6))
def test_where_the_register_rolls_over_changes_nothing(meter, offset):
    """A register that starts elsewhere in its range, and so rolls over elsewhere, gives the same hours."""
    modulus = 10.0**meter.register.digits

    def moved(value: float | None) -> float | None:
        return None if value is None else (value + offset) % modulus

    other = Meter(
        replace(
            meter.register,
            start_value=moved(meter.register.start_value),
            end_value=moved(meter.register.end_value),
        ),
        {t: moved(v) for t, v in meter.readings.items()},
    )
    one, two = (derive([[m]])[0] for m in (meter, other))
    rolled = [m.register.removed_us is not None and m.register.end_value is None for m in (meter,)]
    if not any(rolled):  # the rate of an unread end is learnt from rising steps only
        assert one.consumption == pytest.approx(two.consumption, rel=1e-9, abs=1e-9)
        assert one.estimated == pytest.approx(two.estimated, rel=1e-9, abs=1e-9)
    assert (one.hour_us == two.hour_us).all()
    assert (one.covered_s == two.covered_s).all()


@settings(deadline=None, max_examples=60)
@given(meters(), st.integers(1, 59), st.floats(0, 900))
def test_a_replacement_recorded_with_both_values_changes_nothing(meter, hour, start):
    """Where end and start value are known, a meter replaced at a reading gives the same energy as one that stayed."""
    at = T0 + hour * HOUR_US
    r = replace(meter.register, removed_us=None, end_value=None, digits=9, start_value=None)
    value = 500.0 * hour
    readings = {**{t: (t - T0) / HOUR_US * 500.0 for t in meter.readings}, at: value}
    stayed, _ = derive([[Meter(r, readings)]])
    before = Meter(replace(r, removed_us=at, end_value=value), {t: v for t, v in readings.items() if t < at})
    after = Meter(
        replace(r, installed_us=at, start_value=start),
        {t: v - value + start for t, v in readings.items() if t > at},
    )
    replaced, _ = derive([[before, after]])
    assert (stayed.hour_us == replaced.hour_us).all()
    assert stayed.consumption == pytest.approx(replaced.consumption, rel=1e-9, abs=1e-6)
    assert stayed.estimated == pytest.approx(replaced.estimated, rel=1e-9, abs=1e-6)
    assert (stayed.covered_s == replaced.covered_s).all()


@settings(deadline=None, max_examples=80)
@given(points(), st.integers(0, 60), st.integers(1, 24))
def test_a_window_gives_exactly_the_rows_that_the_whole_gives(owner, begin, length):
    """Deriving a window of hours alone gives bit for bit what deriving everything gives there."""
    window = (T0 + begin * HOUR_US, T0 + (begin + length) * HOUR_US)
    whole, _ = derive([owner])
    part, _ = derive([owner], window)
    want = {h: row for h, row in rows_of(whole).items() if window[0] <= h < window[1]}
    assert rows_of(part) == want


@settings(deadline=None, max_examples=80)
@given(meters())
def test_as_of_a_day_only_readings_up_to_its_end_count(meter):
    """The day's sum up to its end, less what is open there, is what the readings up to its end alone give."""
    meter = Meter(replace(meter.register, removed_us=None, end_value=None), meter.readings)
    hours, opens = derive([[meter]])
    for day in (1, 2):
        end = T0 + day * 24 * HOUR_US
        known, _ = derive([[Meter(meter.register, {t: v for t, v in meter.readings.items() if t <= end})]])
        day_ix = int(np.searchsorted(CALENDAR.day_start_us, end)) - 1
        still = opens.day_ix == day_ix
        before = hours.hour_us < end
        assert hours.consumption[before].sum() - opens.consumption[still].sum() == pytest.approx(
            known.consumption.sum(), rel=1e-9, abs=1e-6
        )
        assert hours.covered_s[before].sum() - opens.covered_s[still].sum() == pytest.approx(
            known.covered_s.sum()
        )
