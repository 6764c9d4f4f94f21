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
