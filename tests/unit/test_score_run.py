"""A run scored from end to end: by point, kind, label and item, its findings, its text, its JSON and its picture."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from deploy.score_show import show_score
from metering.errors import InputFileError, SettingError
from metering.findings import finding_kinds
from simulators.score.chart import score_chart
from simulators.score.hours import Tolerance
from simulators.score.peers import beside, peer_figures
from simulators.score.run import score_run
from simulators.truth import TruthFile
from tests.unit.score_case import (
    CODES,
    HOUR,
    HOURS,
    T0,
    PlatformOfATest,
    made_platform,
    made_score,
    write_truth,
)

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "score"


@pytest.fixture(autouse=True)
def nobody_finds_resets(monkeypatch):
    """So that some kinds that no rule finds are among those of the run."""
    for kind in ("register_reset", "rollover"):
        monkeypatch.setitem(finding_kinds(), kind, replace(finding_kinds()[kind], found_by=""))


def by_name(groups):
    return {g["name"]: g for g in groups}


def test_a_platform_that_is_right_has_no_error_and_no_false_alarm(tmp_path):
    score = made_score(tmp_path, PlatformOfATest({code: np.full(HOURS, 10.0) for code in CODES}), strips=6)
    data = score.as_json()
    for tally in (*data["totals"].values(), *data["undisturbed"].values(), *data["outside_windows"].values()):
        assert [
            tally[k] for k in ("error", "gross_error", "hourly_error", "hours_missing", "hours_wrong")
        ] == [0] * 5
    assert data["findings"]["false_alarms"] == []
    assert score.worst(10) == score.strips == []


def test_energy_and_hours_are_told_by_point_unit_item_and_year(tmp_path):
    data = made_score(tmp_path).as_json()
    points = {p["point_code"]: p for p in data["points"]}
    assert points["gap"]["error"] == 0
    assert (points["gap"]["hours_wrong"], points["gap"]["hours_wrong_unflagged"]) == (6, 0)
    assert (points["reset"]["error"], points["reset"]["hours_wrong_unflagged"]) == (-10, 1)
    assert (points["late"]["error"], points["late"]["hours_missing"], points["late"]["hours_wrong"]) == (
        -240,
        24,
        0,
    )
    assert points["late"]["completeness"] == pytest.approx(48 / 72)
    assert points["none"]["hours_flagged_without_fault"] == 1
    assert points["gap"]["hours_flagged_without_fault"] == 0
    assert points["water"]["labels"] == ["outage"]
    assert data["totals"]["kWh"]["true"] == 6 * 72 * 10
    assert data["totals"]["kWh"]["error"] == -250
    assert data["totals"]["m3"]["error"] == pytest.approx(0.5)
    assert data["items"]["02"]["m3"]["hours_wrong"] == 1
    assert data["years"]["2013"]["kWh"]["hours"] == 24 * 6
    assert data["years"]["2014"]["kWh"]["error"] == -104, "the reset, the rest of the late day, of the gap"
    assert data["undisturbed"]["kWh"]["points"] == 3, "a real change disturbs no point"
    assert data["outside_windows"]["m3"]["hours_wrong"] == 1


def test_faults_are_told_by_kind_and_label_in_their_windows_and_over_the_run(tmp_path):
    data = made_score(tmp_path).as_json()
    kinds, labels = by_name(data["kinds"]), by_name(data["labels"])
    outage = kinds["outage"]
    assert (outage["faults"], outage["faults_judged"], outage["faults_found"], outage["recall"]) == (
        2,
        2,
        1,
        0.5,
    )
    assert outage["window"]["kWh"]["hours"] == 9, "with an hour on either side"
    assert outage["whole_run"]["kWh"]["hours"] == 72
    assert (outage["findings"], outage["findings_explained"]) == (3, 2)
    assert labels["outage_7h"]["recall"] == 1
    assert labels["none"]["whole_run"]["kWh"]["hours_flagged_without_fault"] == 1
    reset = kinds["reset"]
    assert (reset["faults_expecting_finding"], reset["faults_judged"], reset["recall"]) == (1, 0, None)
    assert reset["window"]["kWh"]["error"] == -10
    assert kinds["late_batch"]["faults_expecting_finding"] == 0
    assert kinds["extension"]["real_changes_called_fault"] == 1
    assert kinds["unknown_meter"]["recall"] == 1
    verdicts = {f["label"]: f["verdict"] for f in data["faults"]}
    assert verdicts == {
        "outage_7h": "found",
        "outage": "missed",
        "reset": "not_judged",
        "late_batch": "none_expected",
        "extension": "called_fault",
        "unknown_meter": "found",
    }


def test_findings_are_judged_within_the_run_and_false_alarms_named(tmp_path):
    found = made_score(tmp_path).as_json()["findings"]
    assert found["kinds"]["silent_meter"] == {
        "findings": 3,
        "explained": 2,
        "false_alarms": 1,
        "precision": 2 / 3,
    }
    assert [a["point_code"] for a in found["false_alarms"]] == ["larger", "larger"]
    assert found["outside_run"] == 1, "the silence after the end of the run"
    assert "register_reset" in found["not_judged"]
    assert found["rejects"] == {"unknown_meter": 16}


def test_a_reject_of_another_gateway_or_meter_or_of_another_time_of_a_live_run_finds_nothing(tmp_path):
    for change in (
        {"gateway": "g-gap"},
        {"detail": "meter 'mY'"},
        {"first": T0 + 30 * HOUR, "last": T0 + 31 * HOUR},
    ):
        platform = made_platform()
        [was] = platform.rejected
        facts = {
            n: getattr(was, n) for n in ("gateway", "reason", "detail", "first", "last", "count")
        } | change
        platform.rejected = [type(was)(**facts)]
        (tmp_path / "truth.sqlite").unlink(missing_ok=True)
        assert (
            by_name(made_score(tmp_path, platform).as_json()["kinds"])["unknown_meter"]["faults_found"] == 0
        )


def test_points_that_the_platform_lacks_or_is_behind_with_are_counted(tmp_path):
    platform = made_platform()
    del platform.energy["water"]
    platform.energy["well"][70:] = np.nan
    platform.beyond["well"] = (3, 30.0)
    data = made_score(tmp_path, platform).as_json()
    assert (data["run"]["points_without_energy"], data["run"]["points_behind"]) == (1, 1)
    assert data["points"][0]["outside_energy"] == 30
    assert data["totals"]["m3"]["error_percent"] == -100
    (tmp_path / "truth.sqlite").unlink()
    assert made_score(tmp_path, PlatformOfATest({})).is_empty


def test_the_run_says_which_of_its_hours_were_published(tmp_path):
    truth = write_truth(tmp_path / "truth.sqlite")
    first, _ = truth.hour_bounds()
    truth.set_run(from_hour=first + 1, to_hour=first + 40)
    score = score_run(made_platform(), truth)
    assert score.as_json()["run"]["hours"] == 39
    assert score.as_json()["totals"]["kWh"]["error"] == -240, "without the hour of the reset"
    truth.set_run(from_hour=first + 500)
    with pytest.raises(InputFileError, match="from_hour"):
        score_run(made_platform(), truth)
    truth.close()
    empty = TruthFile(tmp_path / "empty.sqlite")
    with pytest.raises(InputFileError, match="no hours yet"):
        score_run(made_platform(), empty)
    empty.close()


def test_the_worst_come_first_and_the_strips_are_theirs(tmp_path):
    score = made_score(tmp_path, strips=2)
    assert [p.point.point_code for p in score.worst(3)] == ["late", "gap", "reset"]
    assert [s.score.point.point_code for s in score.strips] == ["late", "gap"]


def test_wrong_options_are_refused_by_name():
    with pytest.raises(SettingError, match="--tolerance"):
        Tolerance(percent=-1)
    with pytest.raises(SettingError, match="--beside"):
        peer_figures("nobody")


def test_a_peer_is_joined_by_the_label(tmp_path):
    joined = {b.peer.label: b.as_json() for b in beside(made_score(tmp_path), "myems")}
    assert joined["outage_7h"]["hours_wrong"] == 6
    assert joined["outage_7h"]["peer_loose_hours_wrong"] == 8
    assert joined["outage_7h"]["peer_tight_error_percent"] == pytest.approx(-75.47 / 30)
    assert joined["none"]["error_percent"] == 0
    assert joined["stuck_6h"]["meters"] == 0
    assert joined["stuck_6h"]["error_percent"] is None


@pytest.mark.parametrize("language", ["en", "zh"])
def test_what_is_printed(tmp_path, language):
    score = made_score(tmp_path)
    out = io.StringIO()
    console = Console(file=out, width=100, highlight=False, color_system=None)
    show_score(score, language, worst=3, peer="myems", joined=beside(score, "myems")[:4], console=console)
    lines = [line.rstrip() for line in out.getvalue().splitlines()]
    assert "\n".join(lines) + "\n" == (GOLDEN / f"{language}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_picture_is_well_formed_and_has_every_kind_and_strip(tmp_path, language):
    score = made_score(tmp_path, strips=6)
    picture = ElementTree.fromstring(score_chart(score, language))
    texts = ["".join(t.itertext()) for t in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert sum("×" in t for t in texts) == 5
    assert {"late · late_batch", "gap · outage_7h"} <= set(texts)
    assert {"尚未判定", "未登记表计 ×1"} <= set(texts) if language == "zh" else "not judged yet" in texts


@pytest.mark.parametrize("name", ["truth.md", "truth.zh.md"])
def test_every_key_of_the_json_is_documented(tmp_path, name):
    score = made_score(tmp_path)
    data = score.as_json()
    data["beside"] = {"peer": "myems", "labels": [b.as_json() for b in beside(score, "myems")]}
    told = set(re.findall(r"`([a-z_0-9]+)`", (ROOT / "docs" / name).read_text(encoding="utf-8")))
    assert keys(data) - told == set()
    assert json.loads(json.dumps(data)) == data


#: Keys that are names of the run's own, not ours.
NAMES = {
    "facts",
    "totals",
    "undisturbed",
    "outside_windows",
    "items",
    "years",
    "window",
    "whole_run",
    "rejects",
    "kinds",
}


def keys(data) -> set[str]:
    if isinstance(data, list):
        return set().union(*map(keys, data))
    if not isinstance(data, dict):
        return set()
    found = set(data)
    for name, value in data.items():
        inner = keys(value)
        found |= inner - set(value) if name in NAMES and isinstance(value, dict) else inner
    return {k for k in found if not k[:1].isdigit() and k not in ("kWh", "m3")}
