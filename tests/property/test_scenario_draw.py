"""Drawing faults: the same for the same seed, inside the run, on its grid, and none on top of another."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metering.errors import InputFileError
from simulators.registers import RegisterFace
from simulators.scenario.draw import Fault, RunWindow, draw_faults
from simulators.scenario.files import parse_scenario, read_scenario
from simulators.scenario.kinds import fault_kinds
from simulators.scenario.points import MeteredPoint

DAY_US = 86_400_000_000
GRID_US = 900_000_000
FROM_US = int(datetime(2014, 2, 28, 16, tzinfo=UTC).timestamp() * 1e6)


def window(days: int) -> RunWindow:
    return RunWindow(FROM_US, FROM_US + days * DAY_US, GRID_US, "Asia/Shanghai")


def points(sites: int = 12, each: int = 4) -> list[MeteredPoint]:
    items = ["01", "01B", "01A", "02"]
    face = RegisterFace(6, 2, Decimal(40), Decimal("1234.56"))
    return [
        MeteredPoint(
            f"S{s}-{i}", f"S{s}", items[i % 4], None if i % 4 in (0, 3) else s * each, f"gw-{s}",
            f"{s * each + i:012}", "1.8.0" if i % 4 < 3 else "8:1.0.0", "kWh", face, 100.0, 40.0,
        )
        for s in range(sites)
        for i in range(each)
    ]  # fmt: skip


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.integers(10, 400))
def test_every_fault_is_in_the_run_on_its_grid_and_strikes_what_its_kind_may(seed, days):
    run = window(days)
    drawn = draw_faults(read_scenario("every"), points(), run, seed)
    assert drawn.faults
    all_points = points()
    for f in drawn.faults:
        assert run.from_us <= f.from_us < f.to_us <= run.to_us
        assert f.from_us % GRID_US == f.to_us % GRID_US == 0
        assert f.on in fault_kinds()[f.kind].scope
        if f.kind in ("ct_changed", "phase_lost"):
            assert all(all_points[p].item_code.startswith("01") for p in f.points)
    assert [f.from_us for f in drawn.faults] == sorted(f.from_us for f in drawn.faults)


@given(st.integers(0, 2**31))
def test_no_fault_strikes_what_another_strikes_within_a_day(seed):
    drawn = draw_faults(read_scenario("every"), points(), window(120), seed)
    for n, f in enumerate(drawn.faults):
        for g in drawn.faults[n + 1 :]:
            if set(f.points) & set(g.points):
                apart = min(max(b[0] - a[1], a[0] - b[1]) for a in spoilt(f) for b in spoilt(g))
                assert apart >= DAY_US, (f, g)


def spoilt(fault: Fault) -> list[tuple[int, int]]:
    """Its time, and the one that a clock that jumps stamps instead."""
    spans = [(fault.from_us, fault.to_us)]
    if fault.kind == "clock_jump":
        error = fault.us("offset") * (-1 if fault.values["direction"] == "slow" else 1)
        spans.append((fault.from_us + error, fault.to_us + error))
    return spans


@settings(max_examples=10)
@given(st.integers(0, 2**31), st.integers(0, 2**31))
def test_the_same_seed_draws_the_same_and_another_seed_another(seed, other):
    def drawn(n):
        return draw_faults(read_scenario("every"), points(), window(90), n).faults

    assert drawn(seed) == drawn(seed)
    assert seed == other or drawn(seed) != drawn(other)


def test_a_rate_is_of_each_candidate_and_year():
    scenario = parse_scenario('[[fault]]\nkind = "spike"\nper_year = 3.0\n', "f")
    counts = [len(draw_faults(scenario, points(), window(365), seed).faults) for seed in range(20)]
    assert 48 * 3 * 0.9 < sum(counts) / 20 < 48 * 3 * 1.1


def test_a_place_and_a_time_that_are_named_are_taken_at_their_word():
    text = '[[fault]]\nkind = "spike"\npoint = "S3-1"\nat = 2014-03-12T10:05:00\nenergy = 30\n'
    (fault,) = draw_faults(parse_scenario(text, "f"), points(), window(30), 1).faults
    assert fault.points == (3 * 4 + 1,)
    assert datetime.fromtimestamp(fault.from_us / 1e6, UTC) == datetime(2014, 3, 12, 2, 15, tzinfo=UTC)
    assert fault.values["energy"] == 30.0


def test_a_fault_of_a_gateway_strikes_all_its_meters():
    (fault,) = draw_faults(
        parse_scenario('[[fault]]\nkind = "repeats"\n', "f"), points(), window(30), 1
    ).faults
    assert [points()[p].gateway for p in fault.points] == [fault.gateway] * 4


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('point = "S99-0"', "there is no such meter"),
        ("nth = 49", "there is no such meter"),
        ("at = 2015-01-01T00:00:00", "is not in the run"),
    ],
)
def test_what_is_not_there_is_refused(entry, says):
    scenario = parse_scenario(f'[[fault]]\nkind = "spike"\n{entry}\n', "f.toml")
    with pytest.raises(InputFileError, match=says):
        draw_faults(scenario, points(), window(30), 1)


@pytest.mark.parametrize("kind", ["meter_replaced", "ct_changed", "gateway_swapped"])
def test_what_the_registry_is_told_of_does_not_begin_with_the_run(kind):
    text = f'[[fault]]\nkind = "{kind}"\nat = 2014-03-01T00:00:00\n'
    with pytest.raises(InputFileError, match="must have begun before"):
        draw_faults(parse_scenario(text, "f.toml"), points(), window(30), 1)


@given(st.integers(0, 1000))
def test_a_gateway_is_swapped_at_a_midnight_within_the_run_or_not_at_all(seed):
    scenario = parse_scenario('[[fault]]\nkind = "gateway_swapped"\n', "f")
    drawn = draw_faults(scenario, points(), window(2), seed)
    assert len(drawn.faults) + drawn.left_out.get("gateway_swapped", 0) == 1
    assert all(f.from_us == FROM_US + DAY_US for f in drawn.faults)


def test_the_same_text_draws_the_same_wherever_its_file_lies():
    text = '[[fault]]\nkind = "spike"\n'
    one, other = (
        draw_faults(parse_scenario(text, n), points(), window(30), 1) for n in ("a/s.toml", "./b.toml")
    )
    assert one == other


def test_a_start_value_that_no_register_of_the_meter_can_show_is_refused():
    text = '[[fault]]\nkind = "meter_replaced"\nstart_value = 12345678901.5\n'
    with pytest.raises(InputFileError, match="the register has 6 digits"):
        draw_faults(parse_scenario(text, "f.toml"), points(), window(30), 1)


def test_what_finds_no_room_is_counted():
    scenario = parse_scenario('[[fault]]\nkind = "closed"\ncount = 200\n', "f")
    drawn = draw_faults(scenario, points(sites=2), window(30), 1)
    assert drawn.left_out == {"closed": 200 - len(drawn.faults)}
