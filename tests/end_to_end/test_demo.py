"""The main job on the shipped buildings: nothing lost, nothing doubled, energy exact, the same alerts at any speed."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests.end_to_end.conftest import Stack, wait_for

pytestmark = pytest.mark.integration

ALERTS = """select site_code, rule, severity, state, subject, opened_at, confirmed_at, resolved_at,
                   evidence #- '{quota,quota_limit_id}'
            from api.alert order by opened_at, rule, subject"""
ASSESSMENTS = """select site_code, item_code, year, as_of, used, limit_value, forecast_p10, forecast_p50, forecast_p90,
                        exhaustion_date, level, completeness
                 from api.quota_assessment order by 1, 2, 3, 4"""


@contextmanager
def event_stack() -> Iterator[Stack]:
    """A state directory of its own, removed afterwards; the demonstration starts its stack."""
    folder = Path(tempfile.mkdtemp(prefix="nengliu-demo-"))
    made = Stack(folder, NENGLIU_LANGUAGE="en")
    try:
        yield made
    finally:
        made.run("down", "--purge")
        shutil.rmtree(folder)


def demo(stack: Stack, *words: str) -> dict[str, Any]:
    """What `demo --json` says; it exits 0 only when its own check is well."""
    return json.loads(stack.run("demo", "--json", *words))


@pytest.fixture(scope="module")
def at_full_speed() -> Iterator[tuple[Stack, dict[str, Any]]]:
    """The demonstration as `make demo` runs it."""
    with event_stack() as stack:
        yield stack, demo(stack)


def test_every_reading_arrives_once_and_energy_is_that_of_the_csv(at_full_speed):
    _, said = at_full_speed
    check = said["check"]
    assert said["ok"]
    assert check["readings"] == check["books"]["stored"] == 175_300
    assert [check[k] for k in ("lost", "doubled", "wrong", "strange")] == [0, 0, 0, 0]
    assert check["books"]["rejected"] == check["books"]["conflicting"] == 0
    assert check["months"] == 240
    assert abs(check["worst"]["stored_kwh"] - check["worst"]["csv_kwh"]) <= 0.01
    assert check["stored_kwh"] == pytest.approx(check["csv_kwh"], abs=0.01)
    assert check["estimated_kwh"] == 0


def test_two_buildings_pass_their_limit_and_are_alerted_before_they_do(at_full_speed):
    _, said = at_full_speed
    passed = {
        (q["site_code"], q["year"]): q["alert_days_ahead"] for q in said["quotas"] if q["limit_passed_on"]
    }
    assert set(passed) == {(site, year) for site in ("110108D041", "110108D096") for year in (2014, 2015)}
    assert min(passed.values()) > 0
    levels = {(q["site_code"], q["year"]): q["level"] for q in said["quotas"]}
    assert levels["110108D096", 2015] == "severe"
    assert {level for (site, _), level in levels.items() if site.startswith("110105")} == {"normal"}


def test_of_the_years_that_kept_their_limit_at_most_one_is_warned_of_and_not_to_the_end(at_full_speed):
    stack, said = at_full_speed
    kept = [f"{q['site_code']}/01/{q['year']}" for q in said["quotas"] if not q["limit_passed_on"]]
    warned = [a for a in stack.rows(ALERTS) if a[4] in kept]
    assert len(warned) <= 1
    for _, rule, _, state, subject, _, _, resolved_at, _ in warned:
        assert (rule, state) == ("quota_forecast_over", "resolved")
        assert resolved_at < datetime(int(subject[-4:]), 12, 31, tzinfo=ZoneInfo("Asia/Shanghai"))


def test_every_day_with_a_quota_is_assessed_once(at_full_speed):
    stack, _ = at_full_speed
    ((days, rows),) = stack.rows(
        "select count(distinct (site_code, as_of)), count(*) from api.quota_assessment"
    )
    assert days == rows >= 4 * 730


def test_the_page_is_there(at_full_speed):
    _, said = at_full_speed
    page = Path(said["report"]).read_text(encoding="utf-8")
    assert page.count("<svg viewBox") == 16
    assert page.count("alert-bar") > 8, "the time lines of the alerts"


def test_a_second_run_counts_everything_as_repeated_and_changes_nothing(at_full_speed):
    stack, first = at_full_speed
    before = stack.rows(ALERTS), stack.rows(ASSESSMENTS)
    again = demo(stack)
    assert again["ok"]
    assert again["kept_data"]
    books = again["check"]["books"]
    assert (books["stored"], books["repeated"]) == (175_300, first["check"]["books"]["repeated"] + 175_300)
    assert (stack.rows(ALERTS), stack.rows(ASSESSMENTS)) == before


REPLAY_PLAN = """\
building,site_code,name,kind,sector,building_type,district_code,meter,gateway,digits,decimals,ratio,start_value
b900,110106C900,九百,building,buildings,C,110106,110106000900,gw-b900,3,1,30,990.0
"""


def write_building(data: Path, building: str, rows: list[str]) -> None:
    """A building's year, a row an hour."""
    path = data / f"UCam_Building_{building}" / "electricity"
    path.mkdir(parents=True)
    (path / "2014.csv").write_text("\n".join(["datetime,load [kWh]", *rows]) + "\n", encoding="utf-8")


def test_any_folder_can_be_replayed_and_each_hour_is_that_of_its_csv_to_a_step_of_the_display(at_full_speed):
    stack, _ = at_full_speed
    data = stack.folder / "data"
    kwh = [round(40 + 13.7 * (n % 24) + n / 7, 1) for n in range(72)]
    for building in ("b900", "b901"):
        write_building(
            data, building, [f"2014-03-{1 + n // 24:02} {n % 24:02}:00:00,{v}" for n, v in enumerate(kwh)]
        )
    (data / "replay.csv").write_text(REPLAY_PLAN, encoding="utf-8")
    said = json.loads(stack.run("simulate", "replay", "--data", str(data), "--json", "--per-message", "7"))
    assert (said["readings"], said["gateways"], said["rejected"]) == (146, 2, {})
    hours = """select extract(epoch from period)::bigint, consumption, estimated from api.energy_hour
               where site_code = %s order by period"""
    first = int(datetime(2014, 3, 1, tzinfo=ZoneInfo("Asia/Shanghai")).timestamp())
    for site, step in (("110106C900", 3.0), ("110108D901", 0.0)):
        rows = wait_for(
            lambda site=site: len(r := stack.rows(hours, site)) == 72 and r, f"72 hours of {site}"
        )
        assert [r[0] for r in rows] == [first + 3600 * n for n in range(72)]
        assert [r[1] for r in rows] == pytest.approx(kwh, abs=step + 1e-6)
        assert sum(r[1] for r in rows) == pytest.approx(sum(kwh), abs=step + 1e-6)
        assert {r[2] for r in rows} == {0}


def test_a_row_that_does_not_parse_is_named_and_nothing_is_sent_or_imported(at_full_speed):
    stack, _ = at_full_speed
    data = stack.folder / "bad"
    write_building(data, "b950", ["2014-03-01 00:00:00,1", "2014-03-01 01:00:00,oops"])
    before = stack.rows("select sum(received) from api.ingest_ledger")
    command = [Path(sys.executable).parent / "nengliu", "simulate", "replay", "--data", data]
    done = subprocess.run(command, env=stack.environment, cwd=stack.folder, capture_output=True, text=True)
    assert done.returncode == 2
    assert "UCam_Building_b950/electricity/2014.csv:3: " in done.stderr
    assert "Traceback" not in done.stderr
    assert stack.rows("select sum(received) from api.ingest_ledger") == before
    assert stack.rows("select * from api.site where site_code = '110108D950'") == []


def test_another_speed_gives_the_same_assessments_and_alerts(at_full_speed):
    fast, _ = at_full_speed
    with event_stack() as slow:
        demo(slow, "--speed", "25000000")
        assert slow.rows(ASSESSMENTS) == fast.rows(ASSESSMENTS)
        assert slow.rows(ALERTS) == fast.rows(ALERTS)
