"""A simulated fleet as a run: the same bytes in the same order, energy that adds up, and the truth beside it."""

from __future__ import annotations

import copy
import itertools
import json
from collections import defaultdict
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

from deploy.fleet import prepare_fleet
from deploy.run_progress import RunProgress
from deploy.simulation import Simulation, finish_truth, lines, write_beside
from metering.errors import InputFileError, SettingError
from simulators.emission import Emission, RegistryChange
from simulators.fleet.plan import FleetOptions
from simulators.run import Run
from simulators.scenario.files import NO_SCENARIO, Scenario, parse_scenario, read_scenario
from simulators.truth import TruthFile

OPTIONS = FleetOptions(seed=5, sites=4, start=date(2014, 3, 3), days=6)


def made(scenario: Scenario = NO_SCENARIO, options: FleetOptions = OPTIONS) -> Simulation:
    return prepare_fleet(options, scenario)


def readings_of(emissions: list[Emission]) -> dict[tuple[str, str], list[tuple[str, float]]]:
    """(time, value) by meter and register, in order."""
    found = defaultdict(list)
    for e in emissions:
        for r in json.loads(e.payload)["readings"]:
            for register, value in r["values"].items():
                found[r["meter"], register].append((r["ts"], value))
    return found


def test_the_same_options_give_the_same_bytes_in_the_same_order():
    first, again = (list(lines(made(read_scenario("every")), None)) for _ in range(2))
    assert first == again
    assert first != list(lines(made(read_scenario("every"), FleetOptions(6, 4, OPTIONS.start, 6)), None))
    for line in first[:50]:
        message = json.loads(line)
        assert message["topic"] == f"nl/v1/{message['topic'].split('/')[2]}/readings"
        assert {"v", "outbox", "seq", "sent_at", "readings"} <= set(message)


def test_messages_come_by_the_time_they_are_due_and_numbers_count_up_in_an_outbox():
    found = [e for e in made(read_scenario("every")).run.emissions() if isinstance(e, Emission)]
    assert [e.due_us for e in found] == sorted(e.due_us for e in found)
    plain = [e for e in made().run.emissions() if isinstance(e, Emission)]
    for name in {e.outbox for e in plain}:
        numbers = [e.seq for e in plain if e.outbox == name]
        assert numbers == list(range(1, len(numbers) + 1))


def test_registers_advance_by_the_true_energy(tmp_path: Path):
    simulation = made()
    write_beside(simulation, tmp_path)
    found = readings_of([e for e in simulation.run.emissions() if isinstance(e, Emission)])
    finish_truth(simulation)
    truth = TruthFile(tmp_path)
    for n, point in enumerate(truth.points()):
        values = [v for _, v in found[point.meter, point.register]]
        assert len(values) == 6 * 96 + 1
        hours, energy = truth.hours(n)
        assert len(hours) == 6 * 24
        ratio = float(simulation.run.source.points[n].face.ratio)
        assert abs((values[-1] - values[0]) * ratio - energy.sum()) <= point.display_step * 1.001
        shown = np.diff(np.array(values)[::4]) * ratio
        assert np.abs(shown - energy).max() <= point.display_step * 1.001


@pytest.mark.parametrize("seed", [1, 4])
def test_the_truth_has_every_fault_with_place_time_and_what_it_turned_out_as(tmp_path: Path, seed: int):
    simulation = made(read_scenario("myems"), FleetOptions(seed, 18, date(2014, 3, 3), 30))
    write_beside(simulation, tmp_path)
    changes = [e for e in simulation.run.emissions() if isinstance(e, RegistryChange)]
    finish_truth(simulation)
    truth = TruthFile(tmp_path)
    by_label = {f.label: f for f in truth.faults()}
    assert len(by_label) == 17
    totals = [truth.hours(n)[1].sum() for n in range(18)]
    assert totals == pytest.approx([3000.0] * 18, abs=1e-3)
    assert by_label["spike_30"].size == 30.0
    assert by_label["clock_slow_40m"].size == -2400.0
    assert by_label["rollover"].starts < by_label["rollover"].ends
    assert json.loads(truth.run()["labels"])[by_label["zeros_3h"].point_code] == "zeros_3h"
    assert sorted(json.loads(truth.run()["labels"]).values()).count("none") == 1
    (late,) = changes
    ended, begun = late.installations
    assert (ended.ratio * 2, ended.end_value) == (begun.ratio, begun.start_value)
    assert ended.removed_at == begun.installed_at == datetime.fromisoformat("2014-03-18T10:00:00+08:00")
    assert late.due_us == int(datetime.fromisoformat("2014-03-21T10:00:00+08:00").timestamp() * 1e6)


def test_real_changes_change_the_true_energy_of_a_building_and_keep_its_sums():
    def energy(text: str) -> np.ndarray:
        simulation = made(parse_scenario(text, "f"))

        class Keeper:
            total = 0

            def add(self, stretch, energy):
                self.total = self.total + energy.sum(axis=1)

        simulation.run.truth = keeper = Keeper()
        assert sum(1 for _ in simulation.run.emissions())
        return keeper.total

    plain = energy("")
    for kind, factor in (("extension", "1.5"), ("closed", "0.2"), ("new_chiller", "1.5")):
        changed = energy(
            f'[[fault]]\nkind = "{kind}"\nnth = 1\nfactor = {factor}\nat = 2014-03-03T00:00:00\n'
            + ('lasts = "6d"\n' if kind == "closed" else "")
        )
        points = made().run.source.points
        first = [i for i, p in enumerate(points) if p.site_code == points[0].site_code]
        others = [i for i in range(len(points)) if i not in first]
        assert (changed[others] == plain[others]).all()
        ratio = changed[first].sum() / plain[first].sum()
        assert ratio == pytest.approx(
            1.0 if kind == "new_chiller" else float(factor), rel=1e-6
        )  # not in March
        children = defaultdict(int)
        for i in first:
            if points[i].parent is not None:
                children[points[i].parent] += int(changed[i])
        assert all(total <= changed[p] * (1 + 1e-12) for p, total in children.items())


def test_a_new_chiller_takes_more_power_in_summer_up_to_the_total():
    options = FleetOptions(seed=5, sites=4, start=date(2014, 7, 7), days=2)
    text = '[[fault]]\nkind = "new_chiller"\nnth = 1\nfactor = 1.5\nat = 2014-07-07T00:00:00\n'
    plain, changed = (
        readings_of([e for e in made(s, options).run.emissions() if isinstance(e, Emission)])
        for s in (NO_SCENARIO, parse_scenario(text, "f"))
    )
    points = made(options=options).run.source.points
    for item in ("01B", "01"):
        meter = next(p.meter for p in points if p.item_code == item and p.site_code == points[0].site_code)
        grew = [found[meter, "1.8.0"][-1][1] - found[meter, "1.8.0"][0][1] for found in (plain, changed)]
        assert grew[1] > grew[0]


def truth_of(folder: Path, text: str, options: FleetOptions = OPTIONS) -> TruthFile:
    simulation = made(parse_scenario(text, "f"), options)
    write_beside(simulation, folder)
    assert sum(1 for _ in simulation.run.emissions())
    finish_truth(simulation)
    return TruthFile(folder)


def test_power_and_current_follow_a_real_change():
    text = '[[fault]]\nkind = "closed"\nnth = 1\nfactor = 0.25\nat = 2014-03-04T00:00:00\nlasts = "2d"\n'
    plain, changed = (
        readings_of([e for e in made(s).run.emissions() if isinstance(e, Emission)])
        for s in (NO_SCENARIO, parse_scenario(text, "f"))
    )
    points = made().run.source.points
    meter = next(m for m, r in plain if r == "16.7.0" and m == points[0].meter)
    for register, size in (("16.7.0", 2e-4), ("31.7.0", 2e-3), ("71.7.0", 2e-3)):
        before, after = (dict(found[meter, register]) for found in (plain, changed))
        shut = [ts for ts in before if "2014-03-04T01" <= ts < "2014-03-06"]
        assert all(after[ts] == pytest.approx(before[ts] / 4, rel=0.03, abs=size) for ts in shut)
        assert all(after[ts] == before[ts] for ts in before if ts < "2014-03-04")


def test_a_wiped_gateway_is_known_wrong_from_the_first_reading_that_it_loses(tmp_path: Path):
    text = '[[fault]]\nkind = "gateway_wiped"\nnth = 1\npending = "6h"\nat = 2014-03-05T12:00:00\n'
    (fault,) = truth_of(tmp_path, text).faults()
    assert fault.starts == datetime.fromisoformat("2014-03-05T06:00:00+08:00")
    assert fault.ends == datetime.fromisoformat("2014-03-05T12:15:00+08:00")
    assert (fault.size, fault.size_unit) == (24.0, "messages")


def test_a_fault_that_struck_nothing_is_not_in_the_truth(tmp_path: Path):
    text = '[[fault]]\nkind = "wrong_bytes"\nnth = 1\nshare = {}\nlasts = "1d"\nat = 2014-03-05T12:00:00\n'
    assert truth_of(tmp_path, text.format(0.0)).faults() == []
    (fault,) = truth_of(tmp_path, text.format(0.5)).faults()
    assert 0 < fault.size < 97
    assert fault.detail["count"] == fault.size


def test_a_register_that_had_nothing_to_count_is_not_expected_to_be_found_stuck(tmp_path: Path):
    text = (
        '[[fault]]\nkind = "stuck_register"\nitems = "{}"\nnth = 1\nthen = "jump"\nat = 2014-07-08T08:00:00\n'
    )
    text += 'lasts = "1d"\n'
    summer = FleetOptions(seed=5, sites=4, start=date(2014, 7, 7), days=3)
    (heat,) = truth_of(tmp_path, text.format("04"), summer).faults()
    assert (heat.size, heat.found_by) == (0.0, ())
    (power,) = truth_of(tmp_path, text.format("01"), summer).faults()
    assert power.size > 0
    assert power.found_by == ("stuck_register",)


def test_every_fault_of_a_run_has_a_size_and_a_place(tmp_path: Path):
    simulation = made(read_scenario("every"), FleetOptions(seed=3, sites=12, start=date(2014, 6, 2), days=60))
    write_beside(simulation, tmp_path)
    assert sum(1 for _ in simulation.run.emissions())
    finish_truth(simulation)
    faults = TruthFile(tmp_path).faults()
    assert len({f.kind for f in faults}) == 23
    for f in faults:
        assert f.size is not None, f.kind
        assert f.size_unit
        assert f.point_code or f.gateway or f.kind in ("extension", "closed", "new_chiller")


def test_the_truth_can_be_read_while_the_run_is_made(tmp_path: Path):
    simulation = made()
    write_beside(simulation, tmp_path)
    for n, _ in enumerate(simulation.run.emissions()):
        if n == 1000:
            break
    reader = TruthFile(tmp_path, must_exist=True)
    assert len(reader.points()) == len(simulation.run.source.points)
    assert len(reader.hours(0)[0]) >= 24


def test_what_nobody_entered_is_not_entered_by_those_who_do_not_know_it(tmp_path: Path):
    text = """
[[fault]]
kind = "meter_replaced"
nth = 1
record = "never"
number = "new"
at = 2014-03-04T12:00:00
[[fault]]
kind = "gateway_swapped"
nth = 1
record = "announced"
at = 2014-03-06T00:00:00
"""
    simulation = made(parse_scenario(text, "f"))
    (change,) = [e for e in simulation.run.emissions() if isinstance(e, RegistryChange)]
    first = simulation.run.source.points[0]
    assert {r.point_code for r in change.installations if r.register == first.register} == {
        p.point_code
        for p in simulation.run.source.points
        if p.gateway == first.gateway and p.register == first.register
    } - {first.point_code}
    for row in change.installations:
        assert row.meter in {p.meter for p in simulation.run.source.points}


def test_what_would_be_entered_after_the_run_is_not_entered_and_not_known(tmp_path: Path):
    text = """
[[fault]]
kind = "meter_replaced"
nth = 1
record = "late"
late_by = "10d"
number = "new"
at = 2014-03-04T12:00:00
[[fault]]
kind = "gateway_swapped"
nth = 1
record = "announced"
at = 2014-03-06T00:00:00
"""
    simulation = made(parse_scenario(text, "f"))
    (change,) = [e for e in simulation.run.emissions() if isinstance(e, RegistryChange)]
    meters = {p.meter for p in simulation.run.source.points}
    assert {r.meter for r in change.installations} <= meters - {simulation.run.source.points[0].meter}


def test_zones_whose_days_do_not_begin_on_whole_hours_are_refused():
    with pytest.raises(SettingError, match="whole hours"):
        made(options=FleetOptions(5, 1, OPTIONS.start, 2, timezone="Asia/Kolkata"))


def looked(folder: Path, identity: str, *, fresh: bool = False) -> RunProgress:
    progress = RunProgress(folder, identity)
    progress.look(fresh=fresh)
    return progress


def test_a_stopped_run_goes_on_only_as_itself(tmp_path: Path):
    assert (looked(tmp_path, "a").done, looked(tmp_path, "a").begun) == (0, False)
    looked(tmp_path, "a").note(17)
    assert (looked(tmp_path, "a").done, looked(tmp_path, "a").finished) == (17, False)
    assert (looked(tmp_path, "a", fresh=True).done, looked(tmp_path, "a", fresh=True).begun) == (0, True)
    with pytest.raises(InputFileError, match="holds another run"):
        looked(tmp_path, "b")
    assert looked(tmp_path, "b", fresh=True).begun is False


def test_a_finished_run_begins_again_and_is_not_replaced_by_another(tmp_path: Path):
    looked(tmp_path, "a").note(99, finished=True)
    again = looked(tmp_path, "a")
    assert (again.done, again.begun, again.finished) == (0, True, True)
    with pytest.raises(InputFileError, match="holds another run"):
        looked(tmp_path, "b")


def test_progress_that_cannot_be_read_is_said_and_fresh_passes_over_it(tmp_path: Path):
    (tmp_path / "progress.json").write_text("{")
    with pytest.raises(InputFileError, match="--fresh"):
        looked(tmp_path, "a")
    assert looked(tmp_path, "a", fresh=True).done == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"sites": 0},
        {"days": 0},
        {"days": 100_000},
        {"interval_s": 7},
        {"interval_s": 7200},
        {"start": date(1, 1, 1)},
        {"start": date(9999, 12, 30)},
    ],
)
def test_options_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(SettingError, match="--"):
        FleetOptions(**wrong)


def test_a_fault_of_a_gateway_that_was_swapped_names_the_one_in_its_place(tmp_path: Path):
    text = """
[[fault]]
kind = "gateway_swapped"
nth = 1
record = "announced"
at = 2014-03-04T00:00:00
[[fault]]
kind = "unknown_meter"
nth = 1
lasts = "1d"
at = 2014-03-06T00:00:00
"""
    swapped, unknown = truth_of(tmp_path, text).faults()
    assert swapped.detail["new_gateway"] == unknown.detail["new_gateway"] == f"{swapped.gateway}-b"


@pytest.mark.parametrize(
    ("number", "found_by"), [("new", ("silent_meter", "reject:unknown_meter")), ("same", ("meter_replaced",))]
)
def test_another_meter_is_to_be_found_by_what_is_seen_of_it(tmp_path: Path, number, found_by):
    text = f"""
[[fault]]
kind = "meter_replaced"
nth = 1
record = "never"
number = "{number}"
at = 2014-03-04T12:00:00
"""
    (fault,) = truth_of(tmp_path, text).faults()
    assert fault.found_by == found_by
    assert set(fault.may_find) >= set(found_by) - {"meter_replaced"}


def test_digits_that_swap_within_what_the_register_rises_by_are_expected_of_nobody(tmp_path: Path):
    text = """
[[fault]]
kind = "transposed_digits"
count = 40
items = "01*"
"""
    faults = truth_of(tmp_path, text).faults()
    judged = {abs(f.size) > f.detail["used"]: f.found_by for f in faults}
    assert judged[True] == ("transposed_digits",)
    assert all(bool(f.found_by) == (abs(f.size) > f.detail["used"]) for f in faults)


@pytest.mark.parametrize("other", ["", "phase_lost"])
def test_a_register_that_is_full_rolls_over_in_the_truth_too_once(tmp_path: Path, other: str):
    """Also where something else strikes the meter; the readings themselves are the arbiter."""
    fault = f'[[fault]]\nkind = "{other}"\nnth = 1\nat = 2014-03-03T10:00:00\n' if other else ""
    simulation = made(parse_scenario(fault, "f") if other else NO_SCENARIO)
    run = simulation.run
    points = [
        replace(p, face=replace(p.face, start_value=10 ** Decimal(p.face.digits) - 20 - n))
        for n, p in enumerate(run.source.points)
    ]
    source = copy.copy(run.source)
    source.points = points
    run = Run(source, run.faults, "s")
    simulation = replace(simulation, run=run)
    write_beside(simulation, tmp_path)
    shown = readings_of([e for e in simulation.run.emissions() if isinstance(e, Emission)])
    finish_truth(simulation)
    rolled = {f.meter: f for f in TruthFile(tmp_path).faults() if f.kind == "rollover"}
    found = {}
    for p in run.source.points:
        series = shown[p.meter, p.register]
        half = 10**p.face.digits / 2
        found[p.meter] = [b for (_, x), (b, y) in itertools.pairwise(series) if x - y > half]
    assert sum(map(len, found.values())) > 5
    assert {m for m, falls in found.items() if falls} == set(rolled)
    for meter, fault in rolled.items():
        assert [fault.ends] == [datetime.fromisoformat(t) for t in found[meter]][:1]
        assert fault.ends - fault.starts == timedelta(minutes=15)
