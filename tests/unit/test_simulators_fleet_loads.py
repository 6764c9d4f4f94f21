"""Loads of a fleet follow the Chinese calendar, the season and the weather, the same whenever they are asked for."""

from __future__ import annotations

import tracemalloc
from datetime import date, timedelta

import numpy as np
import pytest

from metering.records import Floats, Ints
from simulators.fleet.days import day_kind
from simulators.fleet.instant_values import HEAT_OF_WATER_GJ
from simulators.fleet.plan import FleetOptions, FleetPlan
from simulators.fleet.planning import plan_fleet
from simulators.fleet.simulated_loads import SimulatedLoads
from simulators.fleet.tables import HOLIDAY, SATURDAY, SUNDAY, WORKDAY, meter_ratios

WORKDAYS = [date(2014, 4, d) for d in (14, 15, 16, 17, 18)]
JULY = [date(2014, 7, d) for d in range(7, 12)]
JANUARY = [date(2014, 1, d) for d in range(6, 11)]


@pytest.fixture(scope="module")
def plan() -> FleetPlan:
    return plan_fleet(FleetOptions(seed=1, sites=80))


@pytest.fixture(scope="module")
def loads(plan: FleetPlan) -> SimulatedLoads:
    return SimulatedLoads(plan)


def used(loads: SimulatedLoads, days: list[date]) -> Floats:
    """float64[points]: mean use of a day of `days`."""
    return np.mean([loads.energy(d).sum(axis=1) / 1e9 for d in days], axis=0)


def of(plan: FleetPlan, *kinds: str, item: str = "01", use: str | None = None) -> Ints:
    """Points of sites of these kinds: heads of `item`, or those with a use."""
    found = [
        i
        for i, p in enumerate(plan.points)
        if plan.sites[p.site].site_kind in kinds
        and (p.use == use if use else p.parent is None and p.item_code.startswith(item))
    ]
    assert found
    return np.array(found)


def test_a_day_is_the_same_in_any_order_and_any_run(plan: FleetPlan, loads: SimulatedLoads) -> None:
    again = SimulatedLoads(plan_fleet(plan.options))
    later = again.energy(date(2015, 2, 3))
    first = again.energy(date(2014, 7, 1))
    assert first.tobytes() == loads.energy(date(2014, 7, 1)).tobytes()
    assert later.tobytes() == loads.energy(date(2015, 2, 3)).tobytes()
    ours, theirs = loads.instants(date(2014, 7, 1), first), again.instants(date(2014, 7, 1), first)
    assert [i.register for i in ours] == [i.register for i in theirs]
    assert all(a.values.tobytes() == b.values.tobytes() for a, b in zip(ours, theirs, strict=True))


def test_a_site_takes_the_same_alone_or_among_many(plan: FleetPlan, loads: SimulatedLoads) -> None:
    day = date(2014, 7, 1)
    few = plan_fleet(FleetOptions(seed=1, sites=9))
    assert np.array_equal(SimulatedLoads(few).energy(day), loads.energy(day)[: len(few.points)])
    part = SimulatedLoads(plan.only([20, 50]))
    rows = [i for i, p in enumerate(plan.points) if p.site in (20, 50)]
    assert np.array_equal(part.energy(day), loads.energy(day)[rows])


def test_another_seed_is_another_year(plan: FleetPlan) -> None:
    day = date(2014, 7, 1)
    one, other = (SimulatedLoads(plan_fleet(FleetOptions(seed=s, sites=3))).energy(day).sum() for s in (1, 2))
    assert one != other


@pytest.mark.parametrize(
    ("day", "kind"),
    [
        (date(2014, 1, 31), HOLIDAY),  # Spring Festival, a Friday
        (date(2014, 1, 26), WORKDAY),  # a Sunday, made up for it
        (date(2014, 9, 28), WORKDAY),  # a Sunday, made up for National Day
        (date(2014, 10, 4), HOLIDAY),
        (date(2014, 4, 12), SATURDAY),
        (date(2014, 4, 13), SUNDAY),
        (date(1999, 5, 3), WORKDAY),  # before the years that the calendar knows
        (date(1999, 5, 2), SUNDAY),
    ],
)
def test_days_are_what_the_state_council_announced(day: date, kind: int) -> None:
    assert day_kind(day) == kind


def test_offices_rest_at_weekends_and_holidays_and_work_on_make_up_days(
    plan: FleetPlan, loads: SimulatedLoads
) -> None:
    points = of(plan, "government", "office")
    workday = used(loads, [date(2014, 9, d) for d in (22, 23, 24, 25, 26)])[points].sum()
    sunday, holiday, made_up = (
        used(loads, [d])[points].sum() for d in (date(2014, 9, 21), date(2014, 10, 3), date(2014, 9, 28))
    )
    assert sunday < 0.75 * workday
    assert holiday < 0.75 * workday
    assert 0.85 * workday < made_up < 1.15 * workday


def test_malls_do_not_rest_at_weekends(plan: FleetPlan, loads: SimulatedLoads) -> None:
    points = of(plan, "mall", use="escalator")
    weekend = used(loads, [date(2014, 4, 12), date(2014, 4, 13)])[points].sum()
    assert weekend > 0.95 * used(loads, WORKDAYS)[points].sum()


def test_schools_rest_in_the_summer_vacation(plan: FleetPlan, loads: SimulatedLoads) -> None:
    points = of(plan, "school")
    vacation = used(loads, [date(2014, 8, d) for d in range(4, 9)])[points].sum()
    assert vacation < 0.75 * used(loads, WORKDAYS)[points].sum()


def test_cooling_is_for_summer_and_heat_for_the_heating_season(
    plan: FleetPlan, loads: SimulatedLoads
) -> None:
    chillers = of(plan, "office", "mall", "hotel", "mixed", use="chiller")
    assert used(loads, JULY)[chillers].sum() > 10 * used(loads, JANUARY)[chillers].sum()
    heat = np.array([i for i, p in enumerate(plan.points) if p.item_code == "04"])
    before, after = (used(loads, [date(2014, 11, d)])[heat] for d in (14, 15))
    assert before.sum() == 0
    assert (after > 0).all()
    assert used(loads, JULY)[heat].sum() == 0


def test_colder_days_take_more_heat(plan: FleetPlan, loads: SimulatedLoads) -> None:
    heat = of(plan, "heat_station", item="04")
    days = [date(2014, 1, 1) + timedelta(days=n) for n in range(0, 70, 3)]
    use = np.array([loads.energy(d)[heat].sum() / 1e9 for d in days])
    weather = np.array([_mean_air_c(plan, d) for d in days])
    assert np.corrcoef(use, weather)[0, 1] < -0.7


def _mean_air_c(plan: FleetPlan, day: date) -> float:
    from zoneinfo import ZoneInfo

    from simulators.fleet.days import day_times
    from simulators.fleet.weather import day_weather

    times = day_times(day, 3600, ZoneInfo("Asia/Shanghai"))
    return float(day_weather(plan.options.seed, times).air_c.mean())


def test_the_weather_is_beijings(plan: FleetPlan) -> None:
    january, july = (
        np.mean([_mean_air_c(plan, date(y, m, d)) for y in range(2010, 2020) for d in (3, 13, 23)])
        for m in (1, 7)
    )
    assert -6 < january < 1
    assert 24 < july < 30


def test_energy_follows_the_clock_where_clocks_change() -> None:
    options = FleetOptions(seed=1, sites=1, timezone="Europe/London")
    loads = SimulatedLoads(plan_fleet(options))
    assert [loads.energy(d).shape[1] for d in (date(2014, 3, 30), date(2014, 10, 26), date(2014, 6, 1))] == [
        92,
        100,
        96,
    ]


def test_electric_instants_fit_the_energy_as_the_meter_shows_them(
    plan: FleetPlan, loads: SimulatedLoads
) -> None:
    day = date(2014, 7, 9)
    energy = loads.energy(day)
    found = {i.register: i for i in loads.instants(day, energy)}
    heads = found["16.7.0"].points
    assert heads.tolist() == [i for i, p in enumerate(plan.points) if "16.7.0" in p.instants]
    ratio = np.array([float(plan.points[i].face.ratio) for i in heads])[:, None]
    kw = energy[heads] / 1e9 * 4
    assert np.abs(found["16.7.0"].values * ratio / kw - 1).max() < 0.06
    pt = {float(r.ratio): r.pt for r in meter_ratios()}
    low_voltage = np.array([pt[r] == 1 for r in ratio[:, 0]])
    volts = [found[r].values for r in ("32.7.0", "52.7.0", "72.7.0")]
    amps = [found[r].values for r in ("31.7.0", "51.7.0", "71.7.0")]
    for v in volts:
        assert 212 < v[low_voltage].min() <= v[low_voltage].max() < 240
        assert not (~low_voltage).any() or 55 < v[~low_voltage].min() <= v[~low_voltage].max() < 63
    behind_ct = ratio[:, 0] > 1
    assert max(a[behind_ct].max() for a in amps) < 6.5
    factor = found["16.7.0"].values * 1000 / sum(v * a for v, a in zip(volts, amps, strict=True))
    assert 0.8 < factor.min() <= factor.max() < 1


def test_heat_is_flow_times_difference(plan: FleetPlan, loads: SimulatedLoads) -> None:
    day = date(2014, 1, 9)
    energy = loads.energy(day)
    found = {i.register: i for i in loads.instants(day, energy)}
    points = found["6:9.0.0"].points
    flow, supply, back = (
        np.round(found[r].values, found[r].decimals) for r in ("6:9.0.0", "6:10.0.0", "6:11.0.0")
    )
    gj_h = energy[points] / 1e9 * 4
    shown = flow * (supply - back) * HEAT_OF_WATER_GJ
    assert np.abs(shown - gj_h).max() < 0.03 * gj_h.max()
    assert np.abs(shown.sum(axis=1) / gj_h.sum(axis=1) - 1).max() < 0.02
    assert np.abs(found["6:8.0.0"].values * 0.0036 / gj_h - 1).max() < 1e-9
    assert 40 < supply.min() <= supply.max() < 100
    assert (supply > back).all()


def test_memory_stays_flat_with_the_days(loads: SimulatedLoads) -> None:
    def run(first: int, days: int) -> int:
        for n in range(days):
            day = date(2014, 1, 1) + timedelta(days=first + n)
            loads.instants(day, loads.energy(day))
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        before = run(0, 3)
        after = run(3, 40)
    finally:
        tracemalloc.stop()
    assert after - before < 200_000
