"""A fleet simulated into a real stack: what was printed is what was stored, and a run that was stopped goes on."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from .conftest import Stack, wait_for

FLEET = ("simulate", "fleet", "--sites", "3", "--start", "2014-03-03", "--days", "5")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack that lives by the time of its events."""
    made = Stack(tmp_path_factory.mktemp("simulate"), NENGLIU_CLOCK="event")
    made.run("up")
    yield made
    made.run("down", "--purge")


def stored(stack: Stack, meters: set[str]) -> dict[tuple[str, str, datetime], float]:
    """What the platform has of these meters."""
    rows = stack.rows(
        "select meter, register, ts, value from api.reading where meter = any (%s)", list(meters)
    )
    return {(m, r, ts): v for m, r, ts, v in rows}


def printed(stack: Stack, *words: str) -> dict[tuple[str, str, datetime], float]:
    """What `--stdout` says would be published."""
    return {
        (r["meter"], register, datetime.fromisoformat(r["ts"])): value
        for line in stack.run(*words, "--stdout").splitlines()
        for r in json.loads(line)["readings"]
        for register, value in r["values"].items()
    }


def ledger(stack: Stack) -> int:
    """Values stored so far."""
    return int(stack.rows("select coalesce(sum(stored), 0) from api.ingest_ledger")[0][0])


def test_what_is_printed_is_what_is_stored_and_the_score_of_a_faultless_run_is_clean(stack: Stack):
    words = (*FLEET, "--seed", "1")
    expected = printed(stack, *words)
    result = json.loads(stack.run(*words, "--json"))
    assert (result["readings"], result["rejected"]) == (len(expected), {})
    assert stored(stack, {key[0] for key in expected}) == expected
    score = json.loads(stack.run("simulate", "score", result["out"], "--wait", "--json"))
    for unit, tally in score["totals"].items():
        assert tally["hours_wrong"] == tally["hours_missing"] == 0, unit
        assert tally["completeness"] == 1.0


#: Faults after which the platform must have each reading that was printed, none of them twice.
HARMLESS = """
[[fault]]
kind = "late_batch"
lasts = "6h"
delay = "10h"
[[fault]]
kind = "repeats"
lasts = "1d"
share = 0.5
[[fault]]
kind = "reorder"
lasts = "1d"
share = 0.5
[[fault]]
kind = "meter_replaced"
record = "late"
late_by = "1d"
number = "same"
items = "01"
[[fault]]
kind = "spike"
"""


def test_a_run_that_is_interrupted_goes_on_and_nothing_is_lost_or_doubled(stack: Stack, tmp_path: Path):
    (tmp_path / "harmless.toml").write_text(HARMLESS)
    words = (*FLEET, "--seed", "2", "--scenario", str(tmp_path / "harmless.toml"))
    expected = printed(stack, *words)
    out = tmp_path / "run"
    before = ledger(stack)
    command = [str(Path(sys.executable).parent / "nengliu"), *words, "--out", str(out)]
    slow = subprocess.Popen(  # five days in two minutes: it can be stopped in the middle
        [*command, "--speed", "3600"], env=stack.environment, cwd=stack.folder, stderr=subprocess.PIPE
    )
    try:
        wait_for(
            lambda: ledger(stack) > before + 1000, "readings of the run, and acknowledgements of the first"
        )
        slow.send_signal(signal.SIGINT)
        _, said = slow.communicate(timeout=60)
    finally:
        slow.kill()
        slow.wait()
    assert slow.returncode == 130, said
    assert json.loads((out / "progress.json").read_text())["done"] > 0
    result = json.loads(stack.run(*words, "--out", str(out), "--json"))
    assert 0 < result["readings"] < len(expected)
    assert json.loads((out / "progress.json").read_text())["finished"]
    assert stored(stack, {key[0] for key in expected}) == expected
    score = json.loads(stack.run("simulate", "score", str(out), "--wait", "--json"))
    assert {f["kind"] for f in score["faults"]} == {
        "late_batch", "repeats", "reorder", "meter_replaced", "spike"
    }  # fmt: skip
    replaced = next(f for f in score["faults"] if f["kind"] == "meter_replaced")
    assert replaced["window"]["kWh"]["hours_wrong"] == 0  # the registry was told, a day late


def test_a_run_that_was_killed_goes_on_and_one_that_is_finished_is_sent_again_as_repeats(
    stack: Stack, tmp_path: Path
):
    (tmp_path / "harmless.toml").write_text(HARMLESS)
    words = (*FLEET, "--seed", "3", "--scenario", str(tmp_path / "harmless.toml"))
    expected = printed(stack, *words)
    out = tmp_path / "run"
    command = [str(Path(sys.executable).parent / "nengliu"), *words, "--out", str(out)]
    before = ledger(stack)
    killed = subprocess.Popen(
        [*command, "--speed", "28800"], env=stack.environment, cwd=stack.folder, stderr=subprocess.DEVNULL
    )
    wait_for(lambda: ledger(stack) > before + len(expected) // 2, "half of the run, the late entry included")
    killed.kill()
    assert killed.wait(timeout=30) == -signal.SIGKILL
    stack.run(*words, "--out", str(out), "--json")
    assert stored(stack, {key[0] for key in expected}) == expected
    truth = (out / "truth.sqlite").read_bytes()
    again = json.loads(stack.run(*words, "--out", str(out), "--json"))
    assert (again["readings"], again["rejected"]) == (len(expected), {})
    assert stored(stack, {key[0] for key in expected}) == expected
    assert (out / "truth.sqlite").read_bytes() == truth
    stack.run(*FLEET, "--seed", "4", "--out", str(out), code=2)  # not another run over it
    assert (out / "truth.sqlite").read_bytes() == truth


def test_another_fleet_at_the_same_sites_is_refused_with_what_to_do(stack: Stack):
    said = subprocess.run(
        [str(Path(sys.executable).parent / "nengliu"), *FLEET[:4], "--start", "2014-02-01", "--seed", "1"],
        env=stack.environment,
        cwd=stack.folder,
        capture_output=True,
        text=True,
    )
    assert said.returncode == 2
    assert "another --seed" in said.stderr
