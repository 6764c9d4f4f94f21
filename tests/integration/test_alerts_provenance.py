"""An alert can be explained: what was known then comes out again when what came since is taken away."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import psycopg
import pytest
from psycopg.rows import dict_row
from typer.testing import CliRunner

from alerts.by_hand import HandOptions, assess_by_hand, refresh_limits_by_hand
from alerts.parameter_file import shipped_parameters
from alerts.provenance import same, trace, verify
from storage.derivation import Deriver
from storage.factors import load_factors
from storage.registry import import_quota_file, import_registry
from storage.remark import mark_points
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import intakes, registry

pytestmark = pytest.mark.integration

OPTIONS = HandOptions(by_event=False, patience_s=600.0, parameters=shipped_parameters())
AS_OF = date(2012, 12, 20)
LATE = """r.ts >= '2012-11-20T00:00+08' and r.ts < '2012-12-30T00:00+08' and r.series_id in (
    select e.series_id
    from nengliu.series e join nengliu.installation i using (meter, register)
    join nengliu.point p using (point_id) join nengliu.site s using (site_id) where s.site_code = 'S1')"""


@pytest.fixture
def filled(servers, template, tmp_path):
    """Everything written and derived, but for a month of S1, which is kept in nengliu_late."""
    with fresh_database(servers.settings, template) as database:

        def connect():
            return psycopg.connect(database.pipeline_url)

        with connect() as conn:
            import_registry(conn, registry(tmp_path), "test")
        writer, deriver = Writer(connect), Deriver(connect)
        for intake, _ in intakes([2000]):
            if intake.readings:
                writer.write(intake)
        with psycopg.connect(database.owner_url) as conn:
            conn.execute(f"create table public.late as select * from nengliu.reading r where {LATE}")
            assert conn.execute(f"delete from nengliu.reading r where {LATE}").rowcount > 300
        deriver.run_all()
        yield database, deriver
        writer.close()
        deriver.close()


HEAD = "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from\n"


def given(database, file, *lines, as_of=AS_OF):
    """Quotas imported, and all assessed by hand as of a day."""
    file.write_text(HEAD + "\n".join(lines) + "\n", encoding="utf-8")
    with psycopg.connect(database.pipeline_url) as conn:
        import_quota_file(conn, file, "test")
        refresh_limits_by_hand(conn, OPTIONS, datetime.now(UTC))
        assess_by_hand(conn, OPTIONS, as_of, datetime.now(UTC))


def alert_of(database, subject, rule="quota_over"):
    with psycopg.connect(database.pipeline_url, row_factory=dict_row) as conn:
        return conn.execute(
            "select * from api.alert where rule = %s and subject = %s order by alert_id", (rule, subject)
        ).fetchone()


def traced_now(database, alert):
    with psycopg.connect(database.pipeline_url) as conn:
        return trace(conn, alert, OPTIONS, datetime.now(UTC))


def test_registry_and_factors_that_changed_since_are_put_back(filled, tmp_path):
    database, deriver = filled
    with psycopg.connect(database.owner_url) as conn:
        load_factors(conn)
    given(
        database,
        tmp_path / "q.csv",
        "S1,01,2012,20000,manual,,,decision,2012-01-01",
        "S1,tce,2012,5,manual,,,decision,2012-01-01",
    )
    energy, tonnes = alert_of(database, "S1/01/2012"), alert_of(database, "S1/tce/2012")
    folder = tmp_path / "later"
    folder.mkdir()
    rows = {
        "points": (
            "point_code,site_code,item_code,name,parent_point_code,rated_per_hour",
            "S1-T,S1,01,main,,",
            "S1-P1,S1,01,moved below,S1-T,",
        ),
        "installations": (
            "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
            "start_value,end_value,interval_s",
            "S1M1,S1-P1,1.8.0,G1,json,kWh,7,2,3,2011-01-01T00:00:00+08:00,,,,7200",
            "S1MT,S1-T,1.8.0,G1,json,kWh,7,2,1,2011-01-01T00:00:00+08:00,,,,",
        ),
        "rules": ("scope,key,rule,value,note", "item,01,rate_margin,9,test"),
    }
    for name, lines in rows.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with psycopg.connect(database.pipeline_url) as conn:
        import_registry(conn, folder, "test")
    with psycopg.connect(database.owner_url) as conn:
        conn.execute(
            "with old as (update nengliu.factor_version set superseded_at = clock_timestamp() "
            "where item_code = '01' and quantity = 'tce' and superseded_at is null returning *) "
            "insert into nengliu.factor_version "
            "(item_code, quantity, value, unit, valid_from, valid_to, source, confidence) "
            "select item_code, quantity, value * 2, unit, valid_from, valid_to, source, confidence from old"
        )
    deriver.run_all()
    before = alerts_and_registry(database)
    for alert, factors in ((energy, 0), (tonnes, 1)):
        after = traced_now(database, alert)
        assert after.since.registry == 5
        assert bool(after.since.factors) is bool(factors)
        assert not same(after.then, after.now)
        assert same(after.then, verify(deriver, alert, after, OPTIONS))
    assert alerts_and_registry(database) == before, "looking changes nothing"


def alerts_and_registry(database):
    with psycopg.connect(database.pipeline_url) as conn:
        return [
            conn.execute(f"select to_jsonb(x) from nengliu.{table} x order by 1").fetchall()
            for table in (
                "alert",
                "point",
                "installation",
                "validation_rule",
                "root_span",
                "factor_version",
                "change",
            )
        ]


def test_an_alert_is_held_against_the_assessment_that_opened_it_not_one_that_used_the_same(filled, tmp_path):
    database, _ = filled
    # The warning waits for a forecast that later comes of better data of the year before: what was used is the same.
    given(
        database,
        tmp_path / "q.csv",
        "S1,01,2012,9999999,manual,,,decision,2012-01-01",
        as_of=date(2012, 3, 1),
    )
    with psycopg.connect(database.owner_url) as conn:
        (used,) = conn.execute(
            "select used from nengliu.quota_assessment a join nengliu.site s using (site_id) "
            "where s.site_code = 'S1' and as_of = '2012-03-01'"
        ).fetchone()
        conn.execute(
            "update nengliu.quota_assessment set limit_value = 250000, assessed_at = assessed_at - interval '1 day', "
            "forecast_p10 = 1, forecast_p50 = 2, forecast_p90 = 3, level = 'normal' where as_of = '2012-03-01'"
        )
    given(
        database, tmp_path / "q.csv", "S1,01,2012,250000,manual,,,decision,2012-01-01", as_of=date(2012, 3, 1)
    )
    alert = alert_of(database, "S1/01/2012", "quota_forecast_over")
    assert alert["evidence"]["used"] == used
    assert abs((traced_now(database, alert).known_at - datetime.now(UTC)).total_seconds()) < 3600


def test_what_came_since_is_named_and_without_it_the_verdict_is_the_same(
    filled, monkeypatch, servers, tmp_path
):
    database, deriver = filled

    def alert_now():
        with psycopg.connect(database.pipeline_url, row_factory=dict_row) as conn:
            return conn.execute(
                "select * from api.alert where rule = 'quota_over' and site_code = 'S1' order by alert_id"
            ).fetchone()

    def traced(alert):
        with psycopg.connect(database.pipeline_url) as conn:
            return trace(conn, alert, OPTIONS, datetime.now(UTC))

    file = tmp_path / "low.csv"
    head = "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from\n"
    file.write_text(head + "S1,01,2012,20000,manual,,,decision,2012-01-01\n", encoding="utf-8")
    with psycopg.connect(database.pipeline_url) as conn:
        import_quota_file(conn, file, "test")
        refresh_limits_by_hand(conn, OPTIONS, datetime.now(UTC))
        assess_by_hand(conn, OPTIONS, AS_OF, datetime.now(UTC))
    alert = alert_now()
    before = traced(alert)
    assert before.since.nothing
    assert same(before.then, before.now)

    with psycopg.connect(database.owner_url) as conn:
        late = conn.execute(
            "insert into nengliu.reading select series_id, ts, value, clock_timestamp() from public.late"
        ).rowcount
        up_to_as_of = conn.execute(
            "select count(*) from public.late where ts <= '2012-12-21T00:00+08'"
        ).fetchone()[0]
        mark_points(conn, ["S1"])
    assert late > up_to_as_of > 0
    file.write_text(head + "S1,01,2012,21000,manual,,,decision,2012-01-01\n", encoding="utf-8")
    with psycopg.connect(database.pipeline_url) as conn:
        import_quota_file(conn, file, "test")
        refresh_limits_by_hand(conn, OPTIONS, datetime.now(UTC))
    deriver.run_all()

    after = traced(alert)
    assert after.since.readings == up_to_as_of
    assert after.since.limits >= 1
    assert after.then == before.then
    assert after.now["used"] != after.then["used"], "a gap that was estimated is measured now"
    assert (after.then["limit_value"], after.now["limit_value"]) == (20000, 21000)
    again = verify(deriver, alert, after, OPTIONS)
    assert same(after.then, again)
    assert traced(alert) == after, "looking changes nothing"

    from deploy.cli.alert_commands import alerts

    monkeypatch.setenv("NENGLIU_DATABASE_URL", database.pipeline_url)
    monkeypatch.setenv("NENGLIU_STATE_DIR", str(servers.settings.state_dir))
    run, number = CliRunner().invoke, str(alert["alert_id"])
    shown = run(alerts, ["show", number])
    assert (shown.exit_code, f"readings {up_to_as_of}" in shown.stdout or "读数" in shown.stdout) == (0, True)
    assert json.loads(run(alerts, ["verify", number, "--json"]).stdout)["same"] is True
    with psycopg.connect(database.owner_url) as conn:
        conn.execute(
            "update nengliu.alert set evidence = jsonb_set(evidence, '{used}', '1') where alert_id = %s",
            (number,),
        )
    assert run(alerts, ["verify", number]).exit_code == 1
