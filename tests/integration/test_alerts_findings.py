"""Findings become alerts in a real database: one a cause, ended and taken back as findings are."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from psycopg.types.json import Jsonb

from alerts.alert_hand import ByPerson, close_alert
from alerts.alert_rows import FollowUp
from alerts.parameter_file import read_parameters, shipped_parameters
from alerts.rolling import RollingAssessor, RollingOptions
from storage.registry import import_registry
from storage.sql import query as storage_query
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import ZONE, registry

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
        self.options = RollingOptions(by_event=False)
        self.zone = "UTC"
        self.work()

    def work(self, **options):
        """An assessor with other options."""
        self.options = replace(self.options, **options)
        self.assessor = RollingAssessor(
            lambda: psycopg.connect(self.database.worker_url, options=f"-c timezone={self.zone}"),
            self.options,
            lambda: self.now,
        )

    def close(self, subject):
        """A person closes the open alert of a subject."""
        with psycopg.connect(self.database.worker_url) as conn:
            (alert_id,) = conn.execute(
                "select alert_id from nengliu.alert where subject = %s and resolved_at is null", (subject,)
            ).fetchone()
            follow_up = FollowUp(shipped_parameters().care, ZONE)
            close_alert(conn, alert_id, ByPerson("Li", self.now, "known"), follow_up)

    def grow_old(self):
        """As if everything had changed an hour ago."""
        with psycopg.connect(self.database.owner_url) as conn:
            conn.execute("update nengliu.finding set changed_at = changed_at - interval '1 hour'")

    def through(self, day):
        """The event clock has come to the end of a day."""
        with psycopg.connect(self.database.owner_url) as conn:
            conn.execute("update nengliu.assessment_cursor set assessed_through = %s", (day,))

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


def test_a_change_of_level_is_told_of_though_it_names_but_a_meter_or_a_point(database):
    watch = Watch(database)
    with psycopg.connect(database.owner_url) as conn:
        points = dict(conn.execute("select point_code, point_id from nengliu.point").fetchall())
        rows = [
            {"rule_key": name, "kind": kind, "severity": "major", "meter": meter, "point_id": points[name],
             "site_id": None, "starts": (NOW - timedelta(days=3)).isoformat(), "ends": None, "detail": {}}
            for name, kind, meter in (("S1-P1", "ct_changed", "S1M1"), ("S3-P1", "phase_lost", None))
        ]  # fmt: skip
        conn.execute(storage_query("level_put"), {"rows": Jsonb(rows)})
    told = [
        ("lasting_step", "S1M1/ct_changed", "confirmed", "S1"),
        ("lasting_step", "S3-P1/phase_lost", "confirmed", "S3"),
    ]
    assert watch.look() == told
    assert watch.look(days=1) == told


def test_an_end_that_a_fast_clock_put_ahead_ends_the_alert_when_it_comes(database):
    watch = Watch(database)
    found = watch.put("silent_gateway", "G1", NOW - timedelta(hours=2), gateway="G1")
    assert watch.look()[0][2] == "confirmed"
    watch.change(found, ends=NOW + timedelta(minutes=50))
    assert watch.look(minutes=1)[0][2] == "confirmed"
    watch.grow_old()
    assert watch.look(minutes=10)[0][2] == "confirmed"
    assert watch.look(hours=1) == [("gateway_silent", "G1", "resolved", None)]


def test_by_the_event_clock_a_finding_is_told_of_when_the_clock_comes_to_it_however_long_ago_it_was_made(
    database,
):
    watch = Watch(database)
    watch.work(by_event=True)
    watch.put("silent_gateway", "G1", NOW, NOW + timedelta(days=3), gateway="G1")
    watch.through(NOW.date() - timedelta(days=5))
    assert watch.look() == []
    watch.grow_old()
    watch.through(NOW.date() + timedelta(days=1))
    assert watch.look() == [("gateway_silent", "G1", "confirmed", None)]
    watch.grow_old()
    watch.through(NOW.date() + timedelta(days=30))
    assert watch.look() == [("gateway_silent", "G1", "resolved", None)]
    with psycopg.connect(database.owner_url) as conn:
        assert conn.execute("select opened_at, resolved_at from api.alert").fetchone() == (
            NOW + timedelta(hours=1), NOW + timedelta(days=3),
        )  # fmt: skip


def test_a_dead_meter_whose_alert_was_closed_hides_no_other_that_falls_silent(database):
    watch = Watch(database)
    watch.put("silent_meter", "m1", NOW - timedelta(hours=30), gateway="G1", meter="m1")
    watch.look()
    watch.close("G1")
    assert watch.look(days=1) == [("meter_silent", "G1", "resolved", None)]
    other = watch.put("silent_meter", "m2", watch.now, gateway="G1", meter="m2")
    assert watch.look(hours=25)[1:] == [("meter_silent", "G1", "confirmed", None)]
    assert len(watch.look(hours=1)) == 2
    watch.change(other, ends=watch.now)
    assert watch.look(hours=1)[1:] == [("meter_silent", "G1", "resolved", None)]
    assert len(watch.look(days=2)) == 2


def test_a_silence_found_after_the_alert_of_another_had_ended_is_told_of(database):
    watch = Watch(database)
    first = watch.put("silent_meter", "m1", NOW - timedelta(hours=50), gateway="G1", meter="m1")
    watch.look()
    watch.change(first, ends=NOW)
    assert watch.look(hours=1) == [("meter_silent", "G1", "resolved", None)]
    # A meter that is read once a day has been silent since before that, which is known only now.
    watch.put("silent_meter", "m2", NOW - timedelta(hours=30), gateway="G1", meter="m2")
    assert watch.look(hours=20)[1:] == [("meter_silent", "G1", "confirmed", None)]


def test_a_rule_that_was_switched_off_opens_nothing_and_ends_what_it_told_of(database):
    watch = Watch(database)
    found = watch.put("silent_gateway", "G1", NOW - timedelta(hours=2), gateway="G1")
    watch.look()
    p = shipped_parameters()
    off = {name: replace(rule, enabled=False) for name, rule in p.findings.items()}
    watch.work(parameters=replace(p, findings=off))
    watch.put("silent_gateway", "G2", NOW - timedelta(hours=2), gateway="G2")
    watch.change(found, ends=NOW)
    assert watch.look(hours=1) == [("gateway_silent", "G1", "resolved", None)]


def test_an_accepted_dead_meter_hides_no_other_behind_its_gateway(database):
    watch = Watch(database)
    dead = watch.put("silent_meter", "m1", NOW, gateway="G1", meter="m1")
    assert watch.look(hours=25) == [("meter_silent", "G1", "confirmed", None)]
    watch.change(dead, state="accepted")
    assert watch.look(minutes=1) == [("meter_silent", "G1", "acknowledged", None)]
    other = watch.put("silent_meter", "m2", watch.now, gateway="G1", meter="m2")
    assert watch.look(hours=23) == [("meter_silent", "G1", "acknowledged", None)]
    assert watch.look(hours=2) == [("meter_silent", "G1", "confirmed", None)]
    watch.change(other, ends=watch.now)
    assert watch.look(minutes=1) == [("meter_silent", "G1", "acknowledged", None)]


def test_a_site_and_a_building_type_may_wait_longer_sooner_or_not_at_all(database, tmp_path):
    file = tmp_path / "alerts.toml"
    file.write_text(
        """
        [type.A.findings.meter_silent]
        after_h = 72
        severity = "major"
        [site.S2.findings.meter_silent]
        after_h = 2
        [site.S3.findings.meter_silent]
        enabled = false
        """,
        encoding="utf-8",
    )
    watch = Watch(database)
    watch.work(parameters=read_parameters(file))
    with psycopg.connect(database.owner_url) as conn:
        conn.execute("update nengliu.site set building_type = 'A'")
        sites = dict(conn.execute("select site_code, site_id from nengliu.site").fetchall())
    assert {"S1", "S2", "S3"} <= sites.keys()
    for code in ("S1", "S2", "S3"):
        about = {"gateway": f"G{code}", "meter": f"m{code}", "site_id": sites[code]}
        watch.put("silent_meter", f"m{code}", NOW, **about)
    watch.put("silent_meter", "m0", NOW, gateway="G0", meter="m0")
    of_s2, of_none = ("meter_silent", "GS2", "confirmed", "S2"), ("meter_silent", "G0", "confirmed", None)
    assert watch.look(hours=1) == []
    assert watch.look(hours=2) == [of_s2]
    assert watch.look(hours=22) == [of_s2, of_none]
    assert watch.look(hours=48) == [of_s2, of_none, ("meter_silent", "GS1", "confirmed", "S1")]
    with psycopg.connect(database.owner_url) as conn:
        found = dict(conn.execute("select subject, severity from api.alert").fetchall())
    assert found == {"GS1": "major", "GS2": "major", "G0": "warning"}


def test_hours_are_hours_where_the_database_speaks_in_a_zone_that_puts_its_clocks_back(database):
    watch = Watch(database)
    watch.zone = "Europe/London"
    watch.now = datetime(2026, 10, 25, 0, 20, tzinfo=UTC)  # clocks go back at 01:00 UTC
    watch.work()
    watch.put("nothing_received", "platform", datetime(2026, 10, 25, 0, 50, tzinfo=UTC))
    watch.now = datetime(2026, 10, 25, 1, 6, tzinfo=UTC)
    assert watch.look() == [("platform_silent", "platform", "confirmed", None)]
    with psycopg.connect(database.owner_url) as conn:
        opened, due = conn.execute("select opened_at, due_at from nengliu.alert").fetchone()
    assert due - opened == timedelta(hours=4)
