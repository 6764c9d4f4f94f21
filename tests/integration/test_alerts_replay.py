"""The event clock: a replay gives the same assessments and alerts at whatever speed it comes and is worked on."""

from __future__ import annotations

import random
from contextlib import contextmanager
from datetime import datetime, timedelta

import psycopg
import pytest

from alerts.rolling import RollingAssessor, RollingOptions
from storage.derivation import Deriver
from storage.factors import load_factors
from storage.registry import import_registry
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import FIRST, LAST, ZONE, intakes, registry

pytestmark = pytest.mark.integration


@contextmanager
def replayed(servers, template, folder, days_at_once, assess_every):
    """A database after the replay; derivation and assessment run after every `assess_every`-th helping."""
    with fresh_database(servers.settings, template) as database:

        def connect():
            return psycopg.connect(database.worker_url)

        with psycopg.connect(database.owner_url) as conn:
            load_factors(conn)
        with psycopg.connect(database.pipeline_url) as conn:
            import_registry(conn, folder, "test")
        writer = Writer(lambda: psycopg.connect(database.writer_url))
        deriver = Deriver(connect)
        assessor = RollingAssessor(connect, RollingOptions(by_event=True))
        helpings = 0
        for intake, complete in intakes(days_at_once):
            if intake.readings or intake.statuses:
                writer.write(intake)
            if complete:
                helpings += 1
                if helpings % assess_every == 0:
                    deriver.run_all()
                    assessor.run_once()
        deriver.run_all()
        assessor.run_once()
        writer.close()
        deriver.close()
        with psycopg.connect(database.read_url, autocommit=True) as conn:
            yield conn


ASSESSMENTS = """
select site_code, item_code, year, as_of, used, limit_value, forecast_p10, forecast_p50, forecast_p90,
       exhaustion_date, level, completeness
from api.quota_assessment order by 1, 2, 3, 4"""
ALERTS = """
select case when rule like 'quota%' then row_number() over (partition by rule like 'quota%' order by alert_id) end,
       site_code, rule, severity, state, subject, opened_at, confirmed_at,
       acknowledged_at, resolved_at, evidence
from api.alert order by opened_at, rule, subject"""
#: Rules of which there is one alert a quota, if any; the others tell of states, which come and go.
ABOUT_SUMS = {"quota_forecast_over", "quota_over", "quota_severe", "quota_enforcement"}
LIMITS = (
    "select site_code, year, limit_value, effective_from, superseded_at from api.quota order by 1, 2, 4, 5"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Limits computed from base years, one of them in tonnes; and one as given: known at once, whatever the speed."""
    folder = registry(tmp_path_factory.mktemp("registry"))
    with (folder / "quotas.csv").open("a", encoding="utf-8") as file:
        file.write("S3,01,2014,9999999,manual,,,test,2014-01-15\n")
        file.write("S3,tce,2012,,base_year,2011,3,test,2012-01-01\n")
    return folder


@pytest.fixture(scope="module")
def at_once(servers, template, folder):
    """Everything written first, assessed at the end in the largest sets."""
    with replayed(servers, template, folder, [2000], 1000) as conn:
        yield {q: conn.execute(q).fetchall() for q in (ASSESSMENTS, ALERTS, LIMITS)}


def test_every_local_day_is_assessed_once_for_every_site(at_once):
    days = [(r[0], r[3]) for r in at_once[ASSESSMENTS] if r[1] == "01"]
    # The last reading is of 23:20 of the last day: its end is not reached.
    assert len(days) == len(set(days)) == 3 * ((LAST - FIRST).days)
    assert {d for _, d in days} == {FIRST + timedelta(days=n) for n in range((LAST - FIRST).days)}


def test_tonnes_are_assessed_every_day_as_the_electricity_that_they_are_made_of(at_once):
    rows = {(r[1], r[3]): r for r in at_once[ASSESSMENTS] if r[0] == "S3"}
    tonnes = {day: r for (item, day), r in rows.items() if item == "tce"}
    assert len(tonnes) == (LAST - FIRST).days
    for day, row in tonnes.items():
        power = rows["01", day]
        assert row[4] == pytest.approx(power[4] * 0.00029, abs=1e-5)
        assert row[11] == power[11]
        if day.year == 2012:
            assert row[5] == pytest.approx(power[5] * 0.00029, abs=1e-5) if power[5] else row[5] is None


def test_alerts_open_for_the_site_that_is_over_and_once(at_once):
    over = [(r[1], r[2], r[5]) for r in at_once[ALERTS] if r[2] in ABOUT_SUMS]
    assert len(over) == len(set(over))
    assert ("S1", "quota_forecast_over", "S1/01/2012") in over
    assert ("S1", "quota_over", "S1/01/2012") in over
    assert {o[1] for o in over if o[0] == "S2"} <= {"quota_forecast_over"}
    by_rule = {r[2]: r for r in at_once[ALERTS] if r[5] == "S1/01/2012"}
    assert by_rule["quota_forecast_over"][6] < by_rule["quota_over"][6]


@pytest.mark.parametrize("seed", [1, 2])
def test_any_speed_gives_the_same_assessments_and_alerts(servers, template, folder, at_once, seed):
    rng = random.Random(seed)
    sizes = [rng.choice([9, 30, 90]) for _ in range(200)]
    with replayed(servers, template, folder, sizes, rng.choice([1, 2])) as conn:
        for query in (LIMITS, ASSESSMENTS, ALERTS):
            found = conn.execute(query).fetchall()
            differing = [(a, b) for a, b in zip(at_once[query], found, strict=False) if a != b]
            assert differing == []
            assert len(found) == len(at_once[query])


def test_over_by_more_than_a_fifth_in_two_years_running_is_a_case_for_enforcement(at_once):
    rules = {(r[5], r[2]) for r in at_once[ALERTS]}
    assert ("S1/01/2012", "quota_severe") in rules
    assert ("S1/01/2012", "quota_enforcement") not in rules
    assert ("S1/01/2013", "quota_enforcement") in rules
    levels = {(r[0], r[3].year): r[10] for r in at_once[ASSESSMENTS]}
    assert (levels["S1", 2012], levels["S1", 2013]) == ("severe", "enforcement")


def test_a_fear_that_has_passed_is_resolved_long_before_the_year_ends(at_once):
    feared = [r for r in at_once[ALERTS] if r[5] == "S2/01/2012"]
    assert ("quota_forecast_over", "resolved") in [(r[2], r[4]) for r in feared]
    feared = [r for r in feared if r[2] == "quota_forecast_over"]
    assert (
        feared[0][6] < datetime(2012, 3, 1, tzinfo=ZONE) < feared[0][9] < datetime(2012, 12, 15, tzinfo=ZONE)
    )
