"""Scenario files: strict, and what is left out has the defaults of its kind."""

from __future__ import annotations

import re

import pytest

from metering.errors import InputFileError, RejectReason
from metering.findings import finding_kinds
from simulators.scenario.files import parse_scenario, read_scenario, shipped_scenarios
from simulators.scenario.kinds import REJECT, fault_kinds, kind_defaults


def problems_of(text: str) -> list[str]:
    with pytest.raises(InputFileError) as caught:
        parse_scenario(text, "f.toml")
    return caught.value.problems


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ('kind = "spik"', "want one of outage"),
        ('kind = "outage"\nlasts = "3"', "want a duration like 90s"),
        ('kind = "outage"\nlasts = ["5h", "1h"]', r"want a value, \[least, most\]"),
        ('kind = "outage"\non = "site"', "on 'site': want gateway, meter"),
        ('kind = "late_batch"\non = "meter"', "unknown key on"),
        ('kind = "ct_changed"\nfoo = 1', "unknown key foo; ct_changed knows"),
        ('kind = "spike"\ncount = 1\nper_year = 2.0', "want one of the two"),
        ('kind = "spike"\ncount = -1', "count -1: want a number from 0"),
        ('kind = "spike"\ncount = 1000000000', "to 100000"),
        ('kind = "spike"\nper_year = 1e300', "to 100000"),
        ('kind = "spike"\nnth = 0', "nth 0: want a number from 1"),
        ('kind = "spike"\nenergy = inf', "energy inf: want a number"),
        ('kind = "ct_changed"\nfactor = 0', "factor 0: want a number from 0.01"),
        ('kind = "extension"\nfactor = nan', "factor nan: want a number"),
        ('kind = "clock_drift"\nseconds_per_day = 1e14', "want a number from 0 to 86400"),
        ('kind = "clock_jump"\noffset = "9999999d"', "want at most 3660 days"),
        ('kind = "phase_lost"\nphase = true', "phase True: want 1, 2, 3"),
        ('kind = "outage"\non = []', "want one or more of gateway, meter"),
        ('kind = ["outage"]', "want one of outage"),
        ('kind = "spike"\ncount = true', "count True: want int"),
        ('kind = "spike"\nat = "noon"', "at 'noon': want datetime"),
        ('kind = "repeats"\nshare = 2', "want a number from 0 to 1"),
        ('kind = "meter_replaced"\nrecord = "soon"', "want announced, late, never"),
    ],
)
def test_what_is_wrong_is_named_with_its_entry(entry, says):
    (problem,) = problems_of(f"[[fault]]\n{entry}\n")
    assert problem.startswith("f.toml: fault 1 (")
    assert re.search(says, problem), problem


def test_all_that_is_wrong_is_said_at_once():
    text = 'x = 1\n[fleet]\ndays = "3"\n[[fault]]\nkind = "a"\n[[fault]]\nkind = "b"\n'
    assert len(problems_of(text)) == 4


def test_a_file_that_is_none_or_is_no_toml_is_refused(tmp_path):
    with pytest.raises(InputFileError, match="none of every, myems, typical"):
        read_scenario(str(tmp_path / "nothing.toml"))
    assert "is no TOML" in problems_of("[[fault")[0]


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "s.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputFileError, match="cannot be read"):
        read_scenario(str(tmp_path / "s.toml"))


@pytest.mark.parametrize(
    "line", ['name = "../up"', "name = 3", "[fleet]\ntotal = 0", "[fleet]\ndays = 1.5", "fleet = 3"]
)
def test_a_name_that_is_a_path_and_numbers_that_cannot_be_are_refused(line):
    assert len(problems_of(line + "\n")) == 1


def test_what_an_entry_does_not_say_comes_from_the_defaults_of_its_kind():
    (spec,) = parse_scenario('[[fault]]\nkind = "outage"\nlasts = "2h"\n', "f").faults
    assert spec.parameter("lasts") == 7200.0
    assert spec.parameter("on") == ["gateway", "meter"]
    (spec,) = parse_scenario('[[fault]]\nkind = "reorder"\n', "f").faults
    assert spec.parameter("within") == (900.0, 14400.0)


def test_the_ranges_of_the_defaults_hold_the_hard_cases():
    assert kind_defaults()["spike"]["factor"][0] == 1.2
    assert 1.2 in kind_defaults()["ct_changed"]["factor"]
    assert "up" in kind_defaults()["meter_replaced"]["direction"]
    assert kind_defaults()["clock_skew"]["offset"] == ["2m", "45m"]


def test_every_kind_has_defaults_names_and_findings_that_are_in_the_shared_list():
    assert set(kind_defaults()) == set(fault_kinds())
    for kind in fault_kinds().values():
        assert any("\u4e00" <= c <= "\u9fff" for c in kind.name_zh)
        named = {k for k in (*kind.found_by, *kind.may_find) if not k.startswith(REJECT)}
        assert named <= set(finding_kinds()), kind.kind
        reasons = {k.removeprefix(REJECT) for k in (*kind.found_by, *kind.may_find)} - named
        assert reasons <= set(RejectReason), kind.kind
        assert kind.fault or not kind.found_by


def test_shipped_scenarios_hold_every_kind_and_the_peer_s_cases():
    assert shipped_scenarios() == ["every", "myems", "typical"]
    for name in ("every", "typical"):
        assert {s.kind for s in read_scenario(name).faults} == set(fault_kinds())
    myems = read_scenario("myems")
    assert [s.nth for s in myems.faults] == list(range(1, 18))
    assert myems.fleet["total"] == 3000.0
