"""Assessment by the wall clock and by hand, alerts in a person's hands, and events that leave the database."""

from __future__ import annotations

import getpass
import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from alerts.alert_hand import ByPerson, acknowledge_alert, close_alert, reopen_alert, snooze_alert
from alerts.alert_rows import FollowUp
from alerts.by_hand import AsOfError, HandOptions, assess_as_known, assess_by_hand, refresh_limits_by_hand
from alerts.days import DayGrid
from alerts.due import day_has_ended
from alerts.frames import load_energy, load_series
from alerts.lifecycle import TransitionError
from alerts.parameter_file import shipped_parameters
from alerts.rolling import RollingAssessor, RollingOptions
from metering.errors import InputFileError
from storage.derivation import Deriver
from storage.event_outbox import relay_events
from storage.registry import import_quota_file, import_registry
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import ZONE, intakes, registry

pytestmark = pytest.mark.integration

OPTIONS = HandOptions(by_event=False, patience_s=600.0, parameters=shipped_parameters())
NOW = datetime(2014, 1, 20, 23, 30, tzinfo=ZONE)
FOLLOW_UP = FollowUp(OPTIONS.parameters.care, ZONE)


@pytest.fixture(scope="module")
def filled(servers, template, tmp_path_factory):
    """Everything written and derived, nothing assessed."""
    with fresh_database(servers.settings, template) as database:

        def connect():
            return psycopg.connect(database.pipeline_url)

        with connect() as conn:
            import_registry(conn, registry(tmp_path_factory.mktemp("registry")), "test")
        writer, deriver = Writer(connect), Deriver(connect)
        for intake, _ in intakes([2000]):
            if intake.readings:
                writer.write(intake)
        deriver.run_all()
        writer.close()
        deriver.close()
        yield database


@pytest.fixture
def connect(filled):
    """Connections to the filled database, whose alerts and assessments are emptied first."""
    with psycopg.connect(filled.owner_url) as conn:
        conn.execute(
            "truncate nengliu.alert_transition, nengliu.alert, nengliu.quota_assessment, nengliu.event_outbox, "
            "nengliu.quota_limit, nengliu.assessment_due"
        )
        conn.execute("update nengliu.assessment_cursor set marked_on = null")
    return lambda: psycopg.connect(filled.pipeline_url)


def assessed(connect, day, now=NOW):
    with connect() as conn:
        return assess_by_hand(conn, OPTIONS, day, now)


def listed(connect):
    with connect() as conn:
        return conn.execute(
            "select rule, subject, state, alert_id from api.alert order by alert_id"
        ).fetchall()


def test_by_hand_opens_each_alert_once(connect):
    first = assessed(connect, date(2012, 8, 31))
    assert first.written == 3
    opened = [a[:3] for a in listed(connect) if a[1].startswith("S1")]
    assert opened == [("quota_forecast_over", "S1/01/2012", "confirmed")]
    again = assessed(connect, date(2012, 8, 31))
    assert (again.written, again.transitions) == (0, 0)
    assessed(connect, date(2012, 12, 20))
    subjects = [(a[0], a[1]) for a in listed(connect)]
    assert len(subjects) == len(set(subjects))
    assert ("quota_over", "S1/01/2012") in subjects


def test_an_earlier_day_by_hand_takes_nothing_back(connect):
    assessed(connect, date(2012, 12, 20))
    before = listed(connect)
    assessed(connect, date(2012, 3, 1))
    assert set(before) <= set(listed(connect))


def test_a_limit_that_is_raised_retracts_what_it_makes_untrue(connect, filled, tmp_path):
    assessed(connect, date(2012, 8, 31))
    assessed(connect, date(2012, 12, 30))
    file = tmp_path / "quotas.csv"
    file.write_text(
        "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from\n"
        "S1,01,2012,9999999,manual,,,decision,2012-02-01\n",
        encoding="utf-8",
    )
    with connect() as conn:
        import_quota_file(conn, file, "test")
        assert refresh_limits_by_hand(conn, OPTIONS, NOW).written >= 1
    assessed(connect, date(2012, 12, 31))
    states = {a[0]: a[2] for a in listed(connect) if a[1] == "S1/01/2012"}
    assert states["quota_over"] == "retracted"
    assert states["quota_forecast_over"] == "resolved"
    with psycopg.connect(filled.owner_url) as conn:
        conn.execute("delete from nengliu.quota_limit")
        conn.execute("delete from nengliu.quota where method = 'manual'")


def test_limits_of_several_dates_in_a_year_and_a_warning_that_comes_back(connect, filled, tmp_path):
    assessed(connect, date(2012, 2, 28))
    (low,) = {r["limit_value"] for r in assessed(connect, date(2012, 2, 29)).rows if r["site_code"] == "S1"}
    file = tmp_path / "quotas.csv"
    file.write_text(
        "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from\n"
        "S1,01,2012,9999999,manual,,,decision,2012-03-01\n"
        f"S1,01,2012,{low},manual,,,decision,2012-05-01\n",
        encoding="utf-8",
    )
    with connect() as conn:
        import_quota_file(conn, file, "test")

    def warnings():
        return [a[2] for a in listed(connect) if a[:2] == ("quota_forecast_over", "S1/01/2012")]

    def limit_on(day):
        return next(r["limit_value"] for r in assessed(connect, day).rows if r["site_code"] == "S1")

    assert warnings() == ["confirmed"]
    assert limit_on(date(2012, 4, 15)) == 9999999
    assert warnings() == ["resolved"]
    assert limit_on(date(2012, 2, 29)) == low
    assert warnings() == ["resolved"], "a day before the warning was resolved opens none"
    assert limit_on(date(2012, 6, 15)) == low
    assert warnings() == ["resolved", "confirmed"]
    alert_id = next(a[3] for a in listed(connect) if a[1:3] == ("S1/01/2012", "confirmed"))
    with connect() as conn:
        close_alert(conn, alert_id, ByPerson("Li", NOW, "agreed"), FOLLOW_UP)
    assessed(connect, date(2012, 7, 15))
    assert warnings() == ["resolved", "resolved"], "what a person closed stays closed"
    with psycopg.connect(filled.owner_url) as conn:
        conn.execute("delete from nengliu.quota_limit")
        conn.execute("delete from nengliu.quota where method = 'manual'")


HEAD = "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from\n"


@pytest.fixture
def limits(connect, filled, tmp_path):
    """Imports quotas, and takes back in the end what that changed."""
    with psycopg.connect(filled.owner_url) as conn:
        conn.execute("create temporary table before as table nengliu.quota")

        def give(*lines):
            file = tmp_path / "quotas.csv"
            file.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
            with connect() as own:
                import_quota_file(own, file, "test")
                refresh_limits_by_hand(own, OPTIONS, NOW)

        yield give
        conn.execute("truncate nengliu.quota_limit")
        conn.execute("delete from nengliu.quota where quota_id not in (select quota_id from before)")
        conn.execute(
            "update nengliu.quota q set method = b.method, base_years = b.base_years from before b "
            "where q.quota_id = b.quota_id"
        )


def test_an_earlier_day_by_hand_closes_nothing_that_stands_on_a_later_one(connect, limits):
    limits(
        "S1,01,2012,1000,manual,,,decision,2012-02-01",
        "S1,01,2012,9999999,manual,,,decision,2012-06-01",
        "S1,01,2012,1000,manual,,,decision,2012-09-01",
    )

    def over():
        return [a[2] for a in listed(connect) if a[:2] == ("quota_over", "S1/01/2012")]

    assessed(connect, date(2012, 3, 1))
    assessed(connect, date(2012, 12, 20))
    assert over() == ["confirmed"]
    assessed(connect, date(2012, 7, 15))
    assert over() == ["confirmed"]


def test_what_was_calm_before_a_person_took_a_warning_up_again_does_not_end_it(connect, limits):
    assessed(connect, date(2012, 2, 29))
    limits("S1,01,2012,9999999,manual,,,decision,2012-03-01")
    assessed(connect, date(2012, 4, 15))
    (alert,) = [a for a in listed(connect) if a[:2] == ("quota_forecast_over", "S1/01/2012")]
    assert alert[2] == "resolved"
    with connect() as conn:
        at = datetime(2012, 4, 16, 9, tzinfo=ZONE)
        reopen_alert(conn, alert[3], ByPerson("Li", at, "I do not believe it"), FOLLOW_UP)

    def state_on(day):
        assessed(connect, day)
        return [a[2] for a in listed(connect) if a[3] == alert[3]]

    assert state_on(date(2012, 4, 17)) == ["confirmed"]
    assert state_on(date(2012, 4, 22)) == ["confirmed"]
    assert state_on(date(2012, 4, 23)) == ["resolved"]


def test_a_warning_goes_with_its_limit(connect, limits):
    def warnings():
        return [a[2] for a in listed(connect) if a[:2] == ("quota_forecast_over", "S1/01/2012")]

    assessed(connect, date(2012, 8, 31))
    assert warnings() == ["confirmed"]
    limits("S1,01,2012,,base_year,2005,3,test,2012-01-01")
    assert [r["level"] for r in assessed(connect, date(2012, 9, 1)).rows if r["site_code"] == "S1"] == [
        "undetermined"
    ]
    assert warnings() == ["retracted"]
    limits("S1,01,2012,,base_year,2011,3,test,2012-01-01")
    assessed(connect, date(2012, 9, 3))
    assert warnings() == ["retracted", "confirmed"]


def test_an_assessor_that_looked_before_somebody_assessed_by_hand_begins_again(connect, monkeypatch):
    by_hand = []

    def meanwhile(conn, today):
        found = day_has_ended(conn, today)
        if not by_hand:
            by_hand.append(assessed(connect, today))
        return found

    monkeypatch.setattr("alerts.rolling.day_has_ended", meanwhile)
    assessor = RollingAssessor(connect, RollingOptions(by_event=False, debounce_s=0.0), lambda: NOW)
    assert assessor.run_once().assessed == 0
    before = listed(connect)
    assert [a for a in before if a[0] == "quota_forecast_over"]
    assert assessor.run_once().assessed > 0
    assert set(before) <= set(listed(connect))


def test_a_rule_that_was_switched_off_for_a_site_ends_what_it_told_of_and_opens_nothing(connect, limits):
    p = OPTIONS.parameters
    off = {("S1", name): {"enabled": False} for name in ("quota_over", "quota_severe")}
    without = replace(OPTIONS, parameters=replace(p, of_sites=off))
    limits("S1,01,2012,1000,manual,,,decision,2012-02-01")
    assessed(connect, date(2012, 2, 5))

    def over():
        return [a[2] for a in listed(connect) if a[:2] == ("quota_over", "S1/01/2012")]

    assert over() == ["confirmed"]
    limits("S1,01,2012,9999999,manual,,,decision,2012-03-01", "S1,01,2012,1000,manual,,,decision,2012-04-01")
    for day, states in ((date(2012, 3, 5), ["retracted"]), (date(2012, 4, 5), ["retracted"])):
        with connect() as conn:
            assess_by_hand(conn, without, day, NOW)
        assert over() == states
    assessed(connect, date(2012, 4, 6))
    assert over() == ["retracted", "confirmed"]


def test_a_tail_waits_as_long_as_its_next_reading_is_not_overdue(connect, filled):
    def waits(interval_s):
        with psycopg.connect(filled.owner_url) as conn:
            conn.execute(
                "update nengliu.installation set interval_s = %s where meter = 'S1M1'", (interval_s,)
            )
            (series,) = load_series(conn, ["S1"])
            days = DayGrid(date(2011, 1, 1), 310, ZONE)
            asked = np.zeros((1, days.size), dtype=np.bool_)
            asked[0, [301, 309]] = (
                True  # day 300 was not read from 5 o'clock on, nor 301, and 302 until seven
            )
            found = load_energy(conn, [series], days, asked, None, hindsight=False)
            conn.rollback()
        tails = found.silence.as_of >= 0
        return dict(
            zip(found.silence.as_of[tails].tolist(), found.silence.waits[tails].tolist(), strict=True)
        )

    assert waits(3600) == {301: False, 309: True}
    assert waits(30 * 86400) == {301: True, 309: True}


def test_enforcement_needs_no_assessment_of_the_year_before(connect):
    levels = {r["site_code"]: r["level"] for r in assessed(connect, date(2013, 12, 31)).rows}
    assert levels["S1"] == "enforcement"
    assert {a[0] for a in listed(connect) if a[1] == "S1/01/2013"} >= {"quota_severe", "quota_enforcement"}
    levels = {r["site_code"]: r["level"] for r in assessed(connect, date(2012, 12, 31)).rows}
    assert levels["S1"] == "severe"


def test_what_was_known_then_is_what_was_stored_then(connect):
    earlier = NOW - timedelta(days=1)
    assessed(connect, date(2013, 6, 30), earlier)
    with connect() as conn:
        known = assess_as_known(conn, OPTIONS, date(2013, 6, 30), NOW, NOW)
        before = assess_as_known(conn, OPTIONS, date(2013, 6, 30), earlier - timedelta(days=1), NOW)
    assert {r["basis"] for r in known.rows} == {"stored"}
    assert {r["basis"] for r in before.rows} == {"recomputed"}
    assert {r["level"] for r in before.rows} == {"undetermined"}, "no limit was known then"


def test_a_day_that_has_not_come_is_refused(connect):
    with connect() as conn, pytest.raises(AsOfError, match="has not come"):
        assess_by_hand(conn, OPTIONS, date(2014, 1, 21), NOW)


def test_the_worker_assesses_today_when_energy_changed_and_yesterday_when_a_day_ended(connect):
    clock = [NOW]
    assessor = RollingAssessor(connect, RollingOptions(by_event=False, debounce_s=0.0), lambda: clock[0])
    first = assessor.run_once()
    # Today and yesterday; and as of their last days the two years whose limits were computed just now.
    assert (first.assessed, first.written, first.through) == (6 + 6, 6 + 6, date(2014, 1, 20))
    assert assessor.run_once().assessed == 0
    clock[0] = NOW + timedelta(hours=2)
    after_midnight = assessor.run_once()
    assert (after_midnight.assessed, after_midnight.through) == (6, date(2014, 1, 21))
    with connect() as conn:
        rows = conn.execute(
            "select completeness from api.quota_assessment where as_of = '2014-01-20' and site_code = 'S1'"
        ).fetchall()
    assert rows[0][0] == pytest.approx(1 - 2 / 3 / 480, abs=1e-6), "40 minutes of 20 days are not read"


def test_an_alert_is_acknowledged_and_closed_by_people_and_not_opened_again(connect):
    assessed(connect, date(2012, 12, 20))
    alert_id = next(a[3] for a in listed(connect) if a[0] == "quota_over")
    with connect() as conn:
        acknowledge_alert(conn, alert_id, ByPerson("Li", NOW, "chillers are serviced"), FOLLOW_UP)
    with connect() as conn, pytest.raises(TransitionError, match="already"):
        acknowledge_alert(conn, alert_id, ByPerson("Li", NOW), FOLLOW_UP)
    with connect() as conn:
        close_alert(conn, alert_id, ByPerson("Li", NOW, "audited"), FOLLOW_UP)
    assert assessed(connect, date(2012, 12, 21)).transitions == 0
    with connect() as conn:
        steps = conn.execute(
            "select from_state, to_state, actor, note from api.alert_transition where alert_id = %s",
            (alert_id,),
        ).fetchall()
    assert (None, "confirmed", "nengliu", None) in steps
    assert ("confirmed", "acknowledged", "Li", "chillers are serviced") in steps
    assert ("acknowledged", "resolved", "Li", "audited") in steps


def test_every_transition_leaves_as_an_event_in_order_and_once(connect):
    assessed(connect, date(2012, 12, 20))
    with connect() as conn:
        transitions = conn.execute("select count(*) from nengliu.alert_transition").fetchone()[0]
    published = []

    def broken(events):
        published.extend(events[:1])
        raise OSError("Kafka is away")

    with pytest.raises(OSError, match="away"):
        relay_events(connect, broken)
    published.clear()
    assert relay_events(connect, published.extend, limit=1) == 1
    while relay_events(connect, published.extend):
        pass
    assert [e.event_id for e in published] == sorted({e.event_id for e in published})
    assert len(published) == transitions
    assert {e.key for e in published} <= {"S1", "S2", "S3"}
    # S3's sum is over with energy of a gap that was closed in January: provisional.
    assert {(e.key, e.value["to_state"]) for e in published} >= {("S1", "confirmed"), ("S3", "provisional")}


def test_the_commands_speak_json_and_tables(connect, filled, servers, monkeypatch):
    from deploy.cli.alert_commands import alerts
    from deploy.cli.quota_commands import quota

    monkeypatch.setenv("NENGLIU_DATABASE_URL", filled.pipeline_url)
    monkeypatch.setenv("NENGLIU_STATE_DIR", str(servers.settings.state_dir))
    run = CliRunner().invoke
    assert run(quota, ["assess", "--as-of", "2012-08-31"]).exit_code == 0
    rows = json.loads(run(quota, ["assess", "--as-of", "2012-12-20", "--json"]).stdout)
    assert {r["site_code"] for r in rows} == {"S1", "S2", "S3"}
    assert next(r for r in rows if r["site_code"] == "S1")["level"] in ("over", "severe")
    found = json.loads(run(alerts, ["list", "--json", "--state", "open", "--site", "S1"]).stdout)
    assert {a["rule"] for a in found} >= {"quota_forecast_over", "quota_over"}
    number = str(found[0]["alert_id"])
    assert run(alerts, ["ack", number, "--by", "Li", "--note", "seen"]).exit_code == 0
    shown = json.loads(run(alerts, ["show", number, "--json"]).stdout)
    assert [t["to_state"] for t in shown["transitions"]] == ["confirmed", "acknowledged"]
    assert shown["evidence"]["quota"]["basis"]["base_years"]["2011"]["coverage"] > 0.9
    assert run(alerts, ["close", number]).exit_code == 0, "who is logged in does it, where nobody is named"
    shown = json.loads(run(alerts, ["show", number, "--json"]).stdout)
    assert shown["transitions"][-1]["actor"] == getpass.getuser()
    site = json.loads(run(quota, ["show", "S1", "--json"]).stdout)
    assert [q["year"] for q in site["quotas"]] == [2012, 2013, 2014]
    for command, arguments in (
        (quota, ["show", "S1"]),
        (quota, ["assess"]),
        (alerts, ["list"]),
        (alerts, ["show", number]),
    ):
        result = run(command, arguments)
        assert result.exit_code == 0, result.output
        assert "S1" in result.stdout
    assert run(quota, ["show", "nowhere"]).exit_code == 2
    assert run(quota, ["assess", "--as-of", "soon"]).exit_code == 2
    assert run(quota, ["assess", "--as-of", "2014-02-30"]).exit_code == 2
    assert run(alerts, ["list", "--state", "angry"]).exit_code == 2
    assert run(alerts, ["list", "--site", "nowhere"]).exit_code == 2
    assert run(alerts, ["show", "999999"]).exit_code == 2
    for command, arguments, message in (
        (alerts, ["ack", "999999", "--by", "Li"], "no alert 999999"),
        (alerts, ["close", "999999", "--by", "Li"], "no alert 999999"),
        (quota, ["assess", "--as-of", "2012-08-31", "--site", "nowhere"], "no site 'nowhere'"),
        (quota, ["assess", "--as-of", "2999-01-01"], "has not come"),
    ):
        refused = run(command, arguments).exception
        # What the command's entry turns into a message and exit code 2.
        assert isinstance(refused, InputFileError)
        assert message in str(refused)
    assert datetime.now(UTC) > NOW


def test_one_assessor_works_at_a_time_and_another_skips(connect):
    assessor = RollingAssessor(connect, RollingOptions(by_event=False, debounce_s=0.0), lambda: NOW)
    with connect() as conn:
        conn.execute("select 1 from nengliu.assessment_cursor for update")
        assert assessor.run_once().assessed == 0
    assert assessor.run_once().assessed > 0


def steps_of(connect, alert_id):
    with connect() as conn:
        found = conn.execute(
            "select action, from_state, to_state, at from api.alert_transition where alert_id = %s order by at",
            (alert_id,),
        ).fetchall()
    return [(action, to_state, at - NOW) for action, _, to_state, at in found]


def test_an_alert_that_nobody_takes_up_is_followed_up_by_a_worker_once_a_turn(connect):
    assessed(connect, date(2012, 12, 20))
    alert_id = next(a[3] for a in listed(connect) if a[0] == "quota_over" and a[1] == "S1/01/2012")
    clock = [NOW + timedelta(hours=47)]
    assessor = RollingAssessor(connect, RollingOptions(by_event=False), clock=lambda: clock[0])
    assessor.run_once()
    assert [s[0] for s in steps_of(connect, alert_id)] == ["opened"]
    clock[0] += timedelta(hours=2)
    assessor.run_once()
    assessor.run_once()
    assert steps_of(connect, alert_id)[1:] == [("escalated", "confirmed", timedelta(hours=49))]
    # A month without any worker: what was missed is made up for once.
    clock[0] += timedelta(days=30)
    assessor.run_once()
    assessor.run_once()
    assert [s[0] for s in steps_of(connect, alert_id)] == ["opened", "escalated", "escalated"]
    with connect() as conn:
        events = conn.execute(
            "select value ->> 'action' from nengliu.event_outbox order by event_id"
        ).fetchall()
        assert events.count(("escalated",)) >= 2
        ack = acknowledge_alert(conn, alert_id, ByPerson("Li", clock[0]), FOLLOW_UP, date(2014, 3, 1))
        assert ack.promised_on == date(2014, 3, 1)
        with pytest.raises(TransitionError, match="passed"):
            acknowledge_alert(conn, alert_id, ByPerson("Li", clock[0]), FOLLOW_UP, date(2014, 2, 1))
    clock[0] = datetime(2014, 3, 1, 23, 59, tzinfo=ZONE)
    assessor.run_once()
    assert steps_of(connect, alert_id)[-1][0] == "acknowledged"
    clock[0] += timedelta(minutes=2)
    assessor.run_once()
    assert steps_of(connect, alert_id)[-1][0] == "reminded"
    with connect() as conn:
        snooze_alert(conn, alert_id, ByPerson("Li", clock[0]), FOLLOW_UP, clock[0] + timedelta(days=40))
    clock[0] += timedelta(days=39)
    assessor.run_once()
    assert steps_of(connect, alert_id)[-1][0] == "snoozed"
    clock[0] += timedelta(days=2)
    assessor.run_once()
    assert steps_of(connect, alert_id)[-1][0] == "reminded"


def test_another_care_holds_for_alerts_that_there_are_from_a_workers_start_on(connect):
    assessed(connect, date(2012, 12, 20))
    alert_id = next(a[3] for a in listed(connect) if a[0] == "quota_over" and a[1] == "S1/01/2012")
    p = OPTIONS.parameters
    sooner = replace(p, care={**p.care, "major": replace(p.care["major"], escalate_after_h=2)})
    now = NOW + timedelta(hours=3)
    RollingAssessor(connect, RollingOptions(by_event=False), lambda: now).run_once()
    assert [s[0] for s in steps_of(connect, alert_id)] == ["opened"]
    RollingAssessor(connect, RollingOptions(by_event=False, parameters=sooner), lambda: now).run_once()
    assert [s[0] for s in steps_of(connect, alert_id)] == ["opened", "escalated"]


def test_a_resolved_alert_is_reopened_by_a_person_unless_a_newer_one_stands(connect):
    assessed(connect, date(2012, 12, 20))
    alert_id = next(a[3] for a in listed(connect) if a[0] == "quota_over" and a[1] == "S1/01/2012")
    by = ByPerson("Li", NOW, "not settled after all")
    with connect() as conn:
        close_alert(conn, alert_id, by, FOLLOW_UP)
        assert (
            conn.execute("select resolved_at from api.alert where alert_id = %s", (alert_id,)).fetchone()[0]
            == NOW
        )
        assert reopen_alert(conn, alert_id, by, FOLLOW_UP).to_state == "confirmed"
        state = "select state, resolved_at, acknowledged_at from api.alert where alert_id = %s"
        assert conn.execute(state, (alert_id,)).fetchone() == ("confirmed", None, None)
    with connect() as conn:
        close_alert(conn, alert_id, by, FOLLOW_UP)
        conn.execute(
            "insert into nengliu.alert "
            "(site_id, item_code, year, rule, severity, state, subject, opened_at, told_at, evidence) "
            "select site_id, item_code, year, rule, severity, 'confirmed', subject, now(), now(), evidence "
            "from nengliu.alert where alert_id = %s",
            (alert_id,),
        )
    with connect() as conn, pytest.raises(TransitionError, match="newer"):
        reopen_alert(conn, alert_id, by, FOLLOW_UP)
