"""The event clock on the database: who is waited for, who is left out, and when a day is over."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import psycopg
import pytest

from alerts.event_clock import event_clock_state
from alerts.rolling import RollingAssessor, RollingOptions
from metering.records import Intake, StatusRecord
from storage.derivation import Deriver
from storage.registry import import_quota_file, import_registry
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import HOUR_US, ZONE, batch

pytestmark = pytest.mark.integration

FIRST = date(2014, 3, 1)
REGISTRY = {
    "sites": (
        "site_code,name,kind,sector,building_type,district_code,floor_area_m2",
        "E1,E1,building,buildings,A,110108,5000",
        "E2,E2,building,buildings,A,110108,5000",
    ),
    "points": (
        "point_code,site_code,item_code,name,parent_point_code,rated_per_hour",
        "E1-P,E1,01,total,,",
        "E2-P,E2,01,total,,",
    ),
    "installations": (
        "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,"
        "start_value,end_value",
        "E1M,E1-P,1.8.0,G1,json,kWh,7,2,1,2014-03-01T00:00:00+08:00,,0,",
        "E2M,E2-P,1.8.0,G2,json,kWh,7,2,1,2014-03-01T00:00:00+08:00,,0,",
    ),
}


class Replay:
    """Two gateways that send hour by hour, and an assessor of the event clock."""

    def __init__(self, database) -> None:
        self._url = database.pipeline_url
        self._owner_url = database.owner_url
        self.assessor = RollingAssessor(
            lambda: psycopg.connect(database.worker_url), RollingOptions(by_event=True)
        )

    def connect(self):
        return psycopg.connect(self._url)

    def send(self, gateway, first_hour, last_hour, final=False):
        """Readings of both hours and between, counted from the first midnight, 10 kWh an hour."""
        hours = np.arange(first_hour, last_hour + 1)
        start = int(datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=ZONE).timestamp()) * 1_000_000
        ts = start + hours * HOUR_US
        meter = {"G1": "E1M", "G2": "E2M"}[gateway]
        readings = (batch(gateway, {meter: (ts, hours * 10.0)}, int(ts[0]), int(ts[-1]) + 1),)
        now_us = int(datetime.now(UTC).timestamp() * 1e6)
        statuses = (StatusRecord(gateway, now_us, "offline", final=True),) if final else ()
        writer = Writer(self.connect)
        writer.write(Intake(readings=readings, statuses=statuses))
        writer.close()
        deriver = Deriver(self.connect)
        deriver.run_all()
        deriver.close()

    def assessed(self):
        """What is assessed after another run: (site, day of March, used)."""
        self.assessor.run_once()
        with self.connect() as conn:
            rows = conn.execute(
                "select site_code, as_of, used from api.quota_assessment order by as_of, site_code"
            ).fetchall()
        return [(site, day.day, used) for site, day, used in rows]

    def forget_an_hour(self):
        """As if the registry had been imported, and the worker started, an hour ago."""
        with psycopg.connect(self._owner_url) as conn:
            conn.execute("update nengliu.registry_version set imported_at = imported_at - interval '1 hour'")
        self.assessor = RollingAssessor(
            self.connect, RollingOptions(by_event=True), lambda: datetime.now(UTC) - timedelta(hours=1)
        )

    def state(self):
        with self.connect() as conn:
            return event_clock_state(conn, 600.0)


@pytest.fixture
def replay(servers, template, tmp_path):
    for name, lines in REGISTRY.items():
        (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    with fresh_database(servers.settings, template) as database:
        made = Replay(database)
        with made.connect() as conn:
            import_registry(conn, tmp_path, "test")
        yield made


def test_a_day_is_over_when_every_gateway_is_past_its_midnight_reading(replay):
    replay.send("G1", 1, 60)
    assert replay.assessed() == [], "G2 was never heard and is waited for"
    assert replay.state().mark.waiting_for == ("G2",)
    replay.send("G2", 1, 23)
    assert replay.assessed() == []
    replay.send("G2", 24, 24)
    assert replay.assessed() == [], "another meter of G2 may still send its reading of midnight"
    replay.send("G2", 25, 25)
    assert replay.assessed() == [("E1", 1, 240.0), ("E2", 1, 240.0)]


def test_a_gateway_that_is_final_is_not_waited_for_and_the_last_midnight_counts(replay):
    replay.send("G2", 1, 24, final=True)
    replay.send("G1", 1, 40)
    assert [r[:2] for r in replay.assessed()] == [("E1", 1), ("E2", 1)]
    replay.send("G1", 41, 48)
    assert len(replay.assessed()) == 2
    replay.send("G1", 48, 48, final=True)
    assert replay.assessed()[2:] == [("E1", 2, 480.0), ("E2", 2, 240.0)]
    replay.send("G2", 25, 60)
    assert len(replay.assessed()) == 4, "late data of days that were assessed change no assessment"


def test_a_gateway_unheard_for_too_long_is_left_out_with_a_warning_and_back_when_it_speaks(replay):
    replay.send("G1", 1, 30)
    assert replay.assessed() == []
    replay.forget_an_hour()
    assert [r[:2] for r in replay.assessed()] == [("E1", 1), ("E2", 1)]
    assert replay.state().mark.left_out == ("G2",)
    replay.send("G2", 1, 26)
    assert replay.state().mark.left_out == ()
    replay.send("G1", 31, 60)
    assert len(replay.assessed()) == 2, "G2 is waited for again; the first day is not assessed again"
    assert replay.state().assessed_through == FIRST


@pytest.mark.parametrize("helpings", [(12,), tuple(range(1, 13))])
def test_an_alert_whose_ground_was_taken_away_comes_back_with_it_at_any_speed(replay, tmp_path, helpings):
    file = tmp_path / "limits.csv"
    file.write_text(
        "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from\n"
        "E1,01,2014,500,manual,,,test,2014-01-01\n"
        "E1,01,2014,2000,manual,,,test,2014-03-05\n",
        encoding="utf-8",
    )
    with replay.connect() as conn:
        import_quota_file(conn, file, "test")
    begin = 1
    for days in helpings:
        for gateway in ("G1", "G2"):
            replay.send(gateway, begin, days * 24 + 1, final=days == helpings[-1])
        replay.assessed()
        begin = days * 24 + 2
    with replay.connect() as conn:
        found = conn.execute(
            "select state, evidence ->> 'as_of', resolved_at from api.alert where rule = 'quota_over' order by alert_id"
        ).fetchall()
    assert found == [
        ("retracted", "2014-03-03", datetime(2014, 3, 6, tzinfo=ZONE)),
        ("confirmed", "2014-03-09", None),
    ]
