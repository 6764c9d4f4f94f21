"""The score says what is so: nothing of perfect figures, every hour that is off, every fault found or missed."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.findings import finding_kinds
from simulators.score.faults import MARGIN, Places, hours_of, windows_of
from simulators.score.findings import Finding, Findings, Verdict
from simulators.score.hours import PlatformHours, Tally, Tolerance, judge_hours, within
from simulators.truth import TrueFault, TruePoint

T0 = datetime(2014, 3, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
FIRST = int(T0.timestamp()) // 3600
STEP = 0.01

energies = st.lists(st.floats(0, 1000, allow_subnormal=False), min_size=1, max_size=48).map(np.array)


@pytest.fixture(autouse=True, scope="module")
def nobody_finds_stuck_registers():
    """So that some faults are of a kind that no rule finds."""
    with pytest.MonkeyPatch.context() as patch:
        kind = "stuck_register"
        patch.setitem(finding_kinds(), kind, replace(finding_kinds()[kind], found_by=""))
        yield


def judged(truth, platform, estimated=None, near=None, tolerance=Tolerance()):
    n = len(truth)
    known = PlatformHours(np.asarray(platform), np.zeros(n) if estimated is None else estimated, np.ones(n))
    near = np.zeros(n, np.bool_) if near is None else near
    return judge_hours(truth, known, tolerance.of(truth, STEP), near)


def tally(hours) -> Tally:
    made = Tally()
    made.add(hours)
    return made


@given(energies)
def test_of_perfect_figures_nothing_is_wrong(truth):
    data = tally(judged(truth, truth)).as_json()
    assert data["hours"] == len(truth)
    assert data["completeness"] == 1
    off = {
        k: v
        for k, v in data.items()
        if ("error" in k or "wrong" in k or "missing" in k or "flagged" in k) and v
    }
    assert not off


@st.composite
def known_hours(draw):
    truth = draw(energies)
    n = len(truth)
    rows = st.lists(st.one_of(st.just(np.nan), st.floats(-50, 1500), st.none()), min_size=n, max_size=n)
    platform = np.array([t if v is None else v for t, v in zip(truth, draw(rows), strict=True)])
    estimated = np.array(draw(st.lists(st.sampled_from([0.0, 0.5]), min_size=n, max_size=n)))
    near = np.array(draw(st.lists(st.booleans(), min_size=n, max_size=n)))
    return truth, platform, estimated, near


@given(known_hours(), st.floats(0, 10))
def test_hours_are_counted_as_one_by_one(known, percent):
    truth, platform, estimated, near = known
    want = dict.fromkeys(("missing", "wrong_unflagged", "wrong_flagged", "strange"), 0)
    for t, p, e, n in zip(truth, platform, estimated, near, strict=True):
        if np.isnan(p):
            want["missing"] += 1
            continue
        if abs(p - t) > 2 * STEP + percent / 100 * t + 1e-9:
            want["wrong_flagged" if e else "wrong_unflagged"] += 1
        if e and not n:
            want["strange"] += 1
    got = tally(judged(truth, platform, estimated, near, Tolerance(percent=percent)))
    assert {name: getattr(got, name) for name in want} == want
    assert np.isclose(got.error, np.nansum(platform) - truth.sum())


@given(energies.filter(lambda e: len(e) > 1), st.data(), st.floats(0.1, 500))
def test_energy_in_the_wrong_hour_is_two_hours_wrong_and_no_error(truth, data, moved):
    source, target = data.draw(st.permutations(range(len(truth))).map(lambda order: order[:2]))
    moved += 0.01 * float(truth.max())
    platform = truth.copy()
    platform[source] -= moved
    platform[target] += moved
    got = tally(judged(truth, platform))
    assert got.wrong == got.wrong_unflagged == 2
    assert np.isclose(got.error, 0, atol=1e-6)
    assert np.isclose(got.hourly_error, 2 * moved)


moments = st.integers(-600, 4000).map(lambda minutes: T0 + timedelta(minutes=minutes))
KINDS = ("silent_meter", "silent_gateway", "stuck_register")
kinds = st.lists(st.sampled_from(KINDS), max_size=2, unique=True).map(tuple)
POINTS = [
    TruePoint(f"P{n}", f"S{n // 4}", "01", "kWh", None, f"m{n}", "1.8.0", f"g{min(n // 2, n - 4)}", STEP)
    for n in (0, 1, 2, 3, 5, 6, 7, 8)
]


@st.composite
def faults(draw):
    begin, length = draw(moments), draw(st.integers(0, 600))
    at = draw(st.sampled_from(POINTS))
    scope = draw(st.sampled_from(["point", "meter", "gateway", "site"]))
    return TrueFault(
        draw(st.sampled_from(["outage", "clock_skew"])), "a", draw(st.booleans()), at.site_code,
        at.point_code if scope == "point" else None, at.meter if scope in ("point", "meter") else None,
        None if scope == "site" else at.gateway, begin, begin + timedelta(minutes=length),
        draw(st.sampled_from([None, -40.0, 90.0])), "min", draw(kinds), draw(kinds),
    )  # fmt: skip


@st.composite
def findings(draw):
    begin, length = draw(moments), draw(st.none() | st.integers(0, 600))
    at = draw(st.sampled_from(POINTS))
    scope = draw(st.sampled_from(["point", "meter", "gateway", "site", "nothing"]))
    return Finding(
        None if scope == "nothing" else at.site_code, at.point_code if scope == "point" else None,
        at.meter if scope in ("point", "meter") else None, at.gateway if scope == "gateway" else None,
        draw(st.sampled_from(KINDS)), begin, None if length is None else begin + timedelta(minutes=length),
        draw(st.sampled_from(["open", "accepted", "withdrawn"])),
    )  # fmt: skip


def meets(fault: TrueFault, finding: Finding) -> bool:
    """Whether they share a place and a time, said in the plainest way."""
    end = finding.ends or datetime.max.replace(tzinfo=UTC)
    windows = [(fault.starts, fault.ends)]
    if fault.kind == "clock_skew" and fault.size is not None:
        off = timedelta(minutes=fault.size)
        windows.append((fault.starts + off, fault.ends + off))
    if not any(max(a - MARGIN, finding.starts) <= min(b + MARGIN, end) for a, b in windows):
        return False
    if fault.point_code:
        touched = [p for p in POINTS if p.point_code == fault.point_code]
    elif fault.meter:
        touched = [p for p in POINTS if p.meter == fault.meter]
    elif fault.gateway:
        touched = [p for p in POINTS if p.gateway == fault.gateway]
    else:
        touched = [p for p in POINTS if p.site_code == fault.site_code]
    if finding.point_code or finding.meter:
        return any(finding.point_code == p.point_code or finding.meter == p.meter for p in touched)
    of_meter = bool(fault.point_code or fault.meter)
    alone_at_gateway = [p.gateway for p in POINTS].count(touched[0].gateway) == 1
    alone_at_site = [p.site_code for p in POINTS].count(touched[0].site_code) == 1
    if finding.gateway:
        return any(finding.gateway == p.gateway for p in touched) and (not of_meter or alone_at_gateway)
    if finding.site_code:
        return finding.site_code == fault.site_code and (not of_meter or alone_at_site)
    return not of_meter or alone_at_gateway or alone_at_site


@given(st.lists(faults(), max_size=6), st.lists(findings(), max_size=10))
def test_faults_found_and_false_alarms_are_counted_as_pair_by_pair(made, shown):
    places, run = Places(POINTS), (T0 - 20 * HOUR, T0 + 100 * HOUR)
    got = Findings(run, places, [places.touched_by(f) for f in made], shown, [])
    standing = [f for f in shown if f.state != "withdrawn" and (f.ends is None or f.ends > run[0])]
    explained = [
        any(t.is_fault and f.kind in t.found_by + t.may_find and meets(t, f) for t in made) for f in standing
    ]
    assert got.false_alarms == [f for f, e in zip(standing, explained, strict=True) if not e]
    for kind in KINDS:
        of_kind = [e for f, e in zip(standing, explained, strict=True) if f.kind == kind]
        assert (got.precision([kind]).findings, got.precision([kind]).explained) == (
            len(of_kind),
            sum(of_kind),
        )
    for n, fault in enumerate(made):
        named = {f.kind for f in standing if f.kind in fault.found_by and meets(fault, f)}
        blamed = [
            f for f, e in zip(standing, explained, strict=True)
            if not e and f.kind == "stuck_register" and f.kind not in fault.may_find and meets(fault, f)
        ]  # fmt: skip
        if not fault.is_fault:
            want = Verdict.CALLED_FAULT if blamed else Verdict.LEFT_ALONE
        elif not fault.found_by:
            want = Verdict.NONE_EXPECTED
        elif named:
            want = Verdict.FOUND
        else:
            want = Verdict.NOT_JUDGED if set(fault.found_by) == {"stuck_register"} else Verdict.MISSED
        assert got.of(n).verdict == want


@given(faults())
def test_the_hours_of_a_fault_are_those_within_an_hour_of_it(fault):
    near = within(FIRST - 20, 120, hours_of(fault))
    for n, is_near in enumerate(near):
        begin = T0 + (n - 20) * HOUR
        touches = any(a - MARGIN < begin + HOUR and b + MARGIN > begin for a, b in windows_of(fault))
        assert is_near == touches
