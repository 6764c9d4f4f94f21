"""Findings become alerts in a real database: one a cause, ended and taken back as findings are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from alerts.rolling import RollingAssessor, RollingOptions
from storage.registry import import_registry
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import registry

pytestmark = pytest.mark.integration

NOW = datetime(2026, 5, 20, 12, tzinfo=UTC)


@pytest.fixture
def database(servers, template, tmp_path):
    with fresh_database(servers.settings, template) as database:
        with psycopg.connect(database.pipeline_url) as conn:
            import_registry(conn, registry(tmp_path), "test")
        yield database


class Watch:
    """Findings put in by hand, and an assessor with a clock of its own."""

    def __init__(self, database):
        self.database = database
        self.now = NOW
        self.assessor = RollingAssessor(
            lambda: psycopg.connect(database.worker_url), RollingOptions(by_event=False), lambda: self.now
        )

    def put(self, kind, subject, starts, ends=None, **about):
        row = {"gateway": None, "meter": None, "point_id": None, "site_id": None, **about}
        with psycopg.connect(self.database.owner_url) as conn:
            found = conn.execute(
                "insert into nengliu.finding (kind, subject, starts, ends, severity, state, detail, gateway, meter, "
                "point_id, site_id) values (%s, %s, %s, %s, 'warning', 'open', %s, %s, %s, %s, %s) "
                "returning finding_id",
                (kind, subject, starts, ends, Jsonb({}), *row.values()),
            ).fetchone()
        return found[0]

    def change(self, finding_id, **columns):
        sets = ", ".join(f"{name} = %s" for name in columns)
        with psycopg.connect(self.database.owner_url) as conn:
            conn.execute(
                f"update nengliu.finding set {sets}, changed_at = clock_timestamp() where finding_id = %s",
                (*columns.values(), finding_id),
            )

    def look(self, **later):
        self.now += timedelta(**later)
        self.assessor.run_once()
        with psycopg.connect(self.database.owner_url) as conn:
            return conn.execute(
                "select rule, subject, state, site_code from api.alert where rule not like 'quota%%' order by alert_id"
            ).fetchall()


def test_meters_behind_one_gateway_are_one_alert_that_ends_with_the_last_of_them(database):
    watch = Watch(database)
    with psycopg.connect(database.owner_url) as conn:
        site = conn.execute("select site_id from nengliu.site where site_code = 'S1'").fetchone()[0]
    found = [
        watch.put(
            "silent_meter", f"m{n}", NOW - timedelta(hours=20), gateway="G1", meter=f"m{n}", site_id=site
        )
        for n in range(200)
    ]
    assert watch.look() == []
    assert watch.look(hours=5) == [("meter_silent", "G1", "confirmed", "S1")]
    with psycopg.connect(database.owner_url) as conn:
        evidence = conn.execute("select evidence from api.alert").fetchone()[0]
        assert (evidence["findings"], len(evidence["members"])) == (200, 50)
        (event,) = conn.execute("select key, value ->> 'action' from nengliu.event_outbox").fetchall()
        assert event == ("S1", "opened")
    for n in found[:-1]:
        watch.change(n, ends=watch.now)
    assert watch.look(hours=1) == [("meter_silent", "G1", "confirmed", "S1")]
    watch.change(found[-1], ends=watch.now)
    assert watch.look(hours=1) == [("meter_silent", "G1", "resolved", "S1")]
    watch.put("silent_meter", "m7", watch.now, gateway="G1", meter="m7", site_id=site)
    assert watch.look(hours=25)[1:] == [("meter_silent", "G1", "confirmed", "S1")]


def test_what_turns_out_not_to_be_so_is_retracted_and_may_come_back(database):
    watch = Watch(database)
    gone = watch.put("silent_gateway", "G9", NOW - timedelta(hours=2), gateway="G9")
    assert watch.look() == [("gateway_silent", "G9", "confirmed", None)]
    watch.change(gone, state="withdrawn", ends=NOW)
    assert watch.look(minutes=1) == [("gateway_silent", "G9", "retracted", None)]
    watch.change(gone, state="open", ends=None)
    assert watch.look(minutes=1)[1:] == [("gateway_silent", "G9", "confirmed", None)]
    watch.change(gone, state="refused")
    assert watch.look(minutes=1)[1:] == [("gateway_silent", "G9", "retracted", None)]


def test_the_platform_hears_nothing_and_months_of_long_ago_are_nobodys_alert(database):
    watch = Watch(database)
    watch.put("nothing_received", "platform", NOW - timedelta(minutes=20))
    watch.put("imbalance", "P1", NOW - timedelta(days=400), NOW - timedelta(days=390))
    watch.put("imbalance", "P1", NOW - timedelta(days=30), NOW - timedelta(days=21))
    day = (NOW - timedelta(days=30)).date()
    assert watch.look() == [
        ("platform_silent", "platform", "confirmed", None),
        ("imbalance", f"P1/{day}", "confirmed", None),
    ]
    assert watch.look(days=100) == watch.look(days=1)
