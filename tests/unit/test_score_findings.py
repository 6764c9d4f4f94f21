"""Which findings and rejects are held for which fault: of its own place, of its own meter, of what it is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from simulators.scenario.kinds import fault_kinds
from simulators.score import findings as judged
from simulators.score.faults import Places
from simulators.score.findings import Finding, Findings, Rejected, Verdict
from simulators.truth import TrueFault, TruePoint
from tests.unit.score_case import HOUR, T0, finding, true_fault, true_point

#: Two meters at gateway g, the only meter of gateway g-alone.
POINTS = [true_point("a", gateway="g"), true_point("b", gateway="g"), true_point("alone")]
SILENCE = ("silent_meter", "silent_gateway", "nothing_received")


def judge(
    faults: Sequence[TrueFault],
    found: Sequence[Finding] = (),
    rejects: Sequence[Rejected] = (),
    points: Sequence[TruePoint] = POINTS,
) -> Findings:
    places = Places(points, faults)
    touched = [places.touched_by(f) for f in faults]
    return Findings((T0, T0 + 72 * HOUR), places, touched, found, rejects)


def of_gateway(kind: str, gateway: str | None, site: str | None = "A") -> Finding:
    return Finding(site, None, None, gateway, kind, T0 + 21 * HOUR, T0 + 25 * HOUR, "open")


def of_kind(kind: str, code: str | None = "a", **more: object) -> TrueFault:
    """A fault with what kinds.csv expects of its kind."""
    told = fault_kinds()[kind]
    facts = {"gateway": "g", "found_by": told.found_by, "may_find": told.may_find, "is_fault": told.fault}
    return true_fault(kind, code, 20, 30, **{**facts, **more})


def rejected(gateway: str, reason: str, detail: str = "", hour: float = 25) -> Rejected:
    return Rejected(gateway, reason, detail, T0 + hour * HOUR, T0 + hour * HOUR, 3)


@pytest.mark.parametrize(
    "wide", [of_gateway("silent_gateway", "g"), of_gateway("nothing_received", None, None)]
)
def test_what_names_a_whole_gateway_does_not_find_one_meter_of_several(wide: Finding):
    got = judge([of_kind("outage", found_by=SILENCE)], [wide])
    assert got.of(0).verdict == Verdict.MISSED
    assert got.false_alarms == [wide], "nor is it explained: the gateway was there"
    whole = judge([of_kind("outage", None, found_by=SILENCE)], [wide])
    assert (whole.of(0).verdict, whole.false_alarms) == (Verdict.FOUND, [])


def test_a_gateway_goes_by_the_name_of_the_one_that_was_put_in_its_place():
    fault = of_kind("clock_skew", None, found_by=("clock_offset",), detail={"new_gateway": "g-b"})
    by_new_name = of_gateway("clock_offset", "g-b")
    got = judge([fault], [by_new_name])
    assert (got.of(0).verdict, got.false_alarms) == (Verdict.FOUND, [])
    assert judge([of_kind("clock_skew", None)], [by_new_name]).findings == [], "of no gateway of the run"


def test_a_gateway_that_is_silent_finds_its_only_meter():
    fault = of_kind("outage", "alone", gateway="g-alone")
    got = judge([fault], [of_gateway("silent_gateway", "g-alone")])
    assert (got.of(0).verdict, got.false_alarms) == (Verdict.FOUND, [])


@pytest.mark.parametrize(
    ("kind", "verdict"),
    [
        ("spike", Verdict.CALLED_FAULT),
        ("phase_lost", Verdict.CALLED_FAULT),
        ("sequence_gap", Verdict.LEFT_ALONE),
        ("silent_meter", Verdict.LEFT_ALONE),
        ("clock_offset", Verdict.LEFT_ALONE),
    ],
)
def test_a_real_change_is_called_a_fault_by_what_is_about_values_only(kind: str, verdict: Verdict):
    got = judge([of_kind("extension", None, gateway=None)], [finding(kind, "a", 25, 26)])
    assert got.of(0).verdict == verdict
    assert len(got.false_alarms) == 1


@pytest.mark.parametrize(
    ("kind", "right"),
    [
        ("wrong_bytes", ("sequence_gap", *SILENCE)),
        ("gateway_wiped", SILENCE),
        ("meter_replaced", ("silent_meter",)),
    ],
)
def test_what_a_fault_rightly_makes_is_no_false_alarm(kind: str, right: tuple[str, ...]):
    fault = of_kind(kind, "a" if kind == "meter_replaced" else None)
    found = [
        finding(r, "a", 21, 25) if r == "silent_meter" else of_gateway(r, None if r == SILENCE[2] else "g")
        for r in right
    ]
    assert judge([fault], found).false_alarms == []


def test_a_clock_that_jumped_explains_readings_out_of_range_of_its_gateway():
    got = judge([of_kind("clock_jump", None)], [], [rejected("g", "timestamp_out_of_range")])
    assert got.precision(["reject:timestamp_out_of_range"]) == judged.Precision(1, 1)


def test_a_replaced_meter_explains_rejects_of_its_new_number_and_of_no_other():
    fault = of_kind("meter_replaced", meter="m-a", detail={"meter": "9912", "record": "never"})
    rejects = [rejected("g", "unknown_meter", f"meter {m!r}: none") for m in ("9912", "99123", "77")]
    got = judge([fault], [], rejects)
    assert got.precision(["reject:unknown_meter"]) == judged.Precision(3, 1)
    assert got.of(0).by == (), "it is expected of nobody"


def test_of_the_detail_only_the_new_gateway_is_a_gateway():
    fault = of_kind("gateway_swapped", None, detail={"record": "late", "new_gateway": "g-b"})
    got = judge([fault], [], [rejected("late", "unauthorized"), rejected("g-b", "unauthorized")])
    assert [r.gateway for r in got.rejects] == ["g-b"]
    assert got.of(0).verdict == Verdict.FOUND


def test_a_gateway_that_was_swapped_stands_for_its_meters_under_its_new_name():
    swapped = of_kind("gateway_swapped", None, detail={"new_gateway": "g-b"})
    outage = of_kind("outage", None)
    got = judge([swapped, outage], [of_gateway("silent_gateway", "g-b"), of_gateway("silent_gateway", "g-c")])
    assert got.of(1).verdict == Verdict.FOUND
    assert got.precision(SILENCE) == judged.Precision(1, 1), "g-c is of another run"


def test_a_reject_is_held_against_the_faults_of_its_gateway_only_and_once(monkeypatch: pytest.MonkeyPatch):
    """The work grows with the run, not with its square."""
    count = 300
    asked = 0

    def counting(fault: TrueFault, kind: str, is_right=judged._may_name) -> bool:
        nonlocal asked
        asked += 1
        return is_right(fault, kind)

    monkeypatch.setattr(judged, "_may_name", counting)
    points = [true_point(str(n)) for n in range(count)]
    faults = [of_kind("wrong_bytes", None, gateway=f"g-{n}") for n in range(count)]
    faults = [replace(f, ends=f.ends + timedelta(minutes=n)) for n, f in enumerate(faults)]
    got = judge(faults, [], [rejected(f"g-{n}", "malformed") for n in range(count)], points)
    for _ in range(20):
        assert got.precision(["reject:malformed"]) == judged.Precision(count, count)
    assert {got.of(n).verdict for n in range(count)} == {Verdict.FOUND}
    assert asked == count
