"""Months over their plan become alerts: by the event clock when they became known, by the wall clock while new."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import psycopg
import pytest

from alerts.by_hand import HandOptions, assess_by_hand
from alerts.parameter_file import read_parameters, shipped_parameters
from alerts.rolling import RollingAssessor, RollingOptions
from metering.records import Intake, StatusRecord
from storage.derivation import Deriver
from storage.factors import load_factors
from storage.registry import import_quota_file, import_registry
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import HOUR_US, batch

pytestmark = pytest.mark.integration

ZONE = ZoneInfo("Asia/Shanghai")
BEGIN = datetime(2014, 3, 1, tzinfo=ZONE)
HEAD = "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from,monthly_plan"
#: Meter -> hours (counted from BEGIN) of which readings are missing. Each reads twenty past, 10 kWh an hour.
GAPS = {"E1M": (), "E2M": (), "E3M": range(26 * 24, 32 * 24), "E4M": range(30 * 24, 32 * 24 + 5)}
REGISTRY = {
    "sites": [
        "site_code,name,kind,sector,building_type,district_code,floor_area_m2",
        *(f"E{n},E{n},building,buildings,A,110108,5000" for n in range(1, 5)),
    ],
    "points": [
        "point_code,site_code,item_code,name,parent_point_code,rated_per_hour",
        *(f"E{n}-P,E{n},01,total,," for n in range(1, 5)),
    ],
    "installations": [
        "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,start_value,"
        "end_value",
        *(f"E{n}M,E{n}-P,1.8.0,G1,json,kWh,7,2,1,2014-03-01T00:00:00+08:00,,0," for n in range(1, 5)),
    ],
}


def plan(site, march, april=9000, year=2014):
    """A line of quotas.csv: so much for March and for April, nothing else."""
    months = ";".join(map(str, [0, 0, march, april, *[0] * 8]))
    return f"{site},01,{year},{march + april},manual,,,test,{year}-01-01,{months}"


#: March has 744 h, 7440 kWh. E1 is over at its end; E2 only with what is open then, 6.67 kWh; E3 is read too badly;
#: E4 is over with the energy of a gap that ends on 2 April.
PLANS = [plan("E1", 6000), plan("E2", 6761), plan("E3", 6000), plan("E4", 6700, 1000)]


class Town:
    """A database whose meters send, and an assessor."""

    def __init__(self, database, by_event):
        self._database = database
        self.now = datetime(2014, 5, 2, 12, tzinfo=ZONE)
        self._by_event = by_event
        self.work()

    def work(self, **options):
        """An assessor with these options."""
        self.assessor = RollingAssessor(
            lambda: psycopg.connect(self._database.worker_url),
            RollingOptions(by_event=self._by_event, debounce_s=0.0, **options),
            (lambda: datetime.now(UTC)) if self._by_event else (lambda: self.now),
        )

    def send(self, first_hour, stop_hour, final=False):
        data = {}
        for meter, gap in GAPS.items():
            hours = np.array([h for h in range(first_hour, stop_hour) if h not in gap], dtype=np.int64)
            ts = int(BEGIN.timestamp()) * 1_000_000 + hours * HOUR_US + HOUR_US // 3
            data[meter] = (ts, np.round(10.0 * (hours + 1 / 3), 2))
        everything = (batch("G1", data, 0, 2**62),)
        statuses = (StatusRecord("G1", int(datetime.now(UTC).timestamp() * 1e6), "offline", final=True),)
        writer = Writer(lambda: psycopg.connect(self._database.writer_url))
        writer.write(Intake(readings=everything, statuses=statuses if final else ()))
        writer.close()
        deriver = Deriver(lambda: psycopg.connect(self._database.worker_url))
        deriver.run_all()
        deriver.close()

    def quotas(self, folder, *lines, head=HEAD):
        (folder / "q.csv").write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
        with psycopg.connect(self._database.pipeline_url) as conn:
            import_quota_file(conn, folder / "q.csv", "test")

    def run(self):
        self.assessor._next = float("-inf")
        self.assessor.run_once()

    def by_hand(self, day):
        options = HandOptions(by_event=True, patience_s=600.0, parameters=shipped_parameters())
        with psycopg.connect(self._database.pipeline_url) as conn:
            assess_by_hand(conn, options, day, datetime.now(UTC))

    def rows(self, text):
        with psycopg.connect(self._database.read_url) as conn:
            return conn.execute(text).fetchall()

    def alerts(self, *columns):
        return self.rows(
            f"select {', '.join(columns)} from api.alert where rule = 'quota_monthly_over' order by subject, alert_id"
        )


@pytest.fixture
def town(servers, template, tmp_path):
    made = []

    def make(by_event):
        manager = fresh_database(servers.settings, template)
        database = manager.__enter__()
        made.append(manager)
        for name, lines in REGISTRY.items():
            (tmp_path / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
        with psycopg.connect(database.owner_url) as conn:
            load_factors(conn)
        with psycopg.connect(database.pipeline_url) as conn:
            import_registry(conn, tmp_path, "test")
        return Town(database, by_event)

    yield make
    for manager in made:
        manager.__exit__(None, None, None)


HOURS = 33 * 24
COLUMNS = ("subject", "state", "opened_at", "severity", "evidence")


def day_end(month, day):
    return datetime(2014, month, day, tzinfo=ZONE) + timedelta(days=1)


@pytest.mark.parametrize("helpings", [(HOURS + 48,), (700, 744, 745, 760, 780, 800, 830, HOURS + 48)])
def test_by_the_event_clock_an_alert_opens_at_the_end_of_the_day_on_which_the_month_became_known(
    town, tmp_path, helpings
):
    t = town(by_event=True)
    # 0.29 kgce a kWh: 2.16 tce.
    t.quotas(tmp_path, *PLANS, plan("E2", 1.9, 100).replace(",01,", ",tce,"))
    begin = 0
    for stop in helpings:
        t.send(begin, stop, final=stop == helpings[-1])
        t.run()
        begin = stop
    found = t.alerts(*COLUMNS)
    assert [(f[0], f[1], f[2]) for f in found] == [
        ("E1/01/2014-03", "confirmed", day_end(3, 31)),
        ("E2/01/2014-03", "confirmed", day_end(4, 1)),
        ("E2/tce/2014-03", "confirmed", day_end(3, 31)),
        ("E4/01/2014-03", "confirmed", day_end(4, 2)),
    ]
    evidence = {f[0][:2]: f[4] for f in found if "/01/" in f[0]}
    assert evidence["E1"]["used"] == pytest.approx(7440 - 20 / 3, abs=0.01)
    assert evidence["E2"]["used"] == pytest.approx(7440, abs=0.01)
    assert (evidence["E1"]["plan_value"], evidence["E1"]["month"], evidence["E1"]["margin"]) == (
        6000,
        "2014-03",
        0.1,
    )
    assert evidence["E1"]["completeness"] == pytest.approx(1, abs=0.01)
    assert 0.9 < evidence["E4"]["completeness"] < 0.98
    assert evidence["E1"]["quota"]["method"] == "manual"


def test_an_earlier_day_by_hand_takes_no_month_back(town, tmp_path):
    t = town(by_event=True)
    t.quotas(tmp_path, plan("E4", 6700, 1000))
    t.send(0, HOURS + 48, final=True)
    t.run()
    found = t.alerts("subject", "state", "opened_at")
    assert found[0] == ("E4/01/2014-03", "confirmed", day_end(4, 2))
    t.by_hand(date(2014, 4, 1))  # when the gap that ends on 2 April was not known yet
    assert t.alerts("subject", "state", "opened_at") == found


def test_by_the_event_clock_limits_follow_terms_that_a_person_changes(town, tmp_path):
    t = town(by_event=True)
    head = HEAD.replace("monthly_plan", "norm")
    given, norm = (
        "E1,01,2014,1000,manual,,,test,2014-01-01,",
        "{},01,2014,,norm,,,test,2014-01-01,commercial_office_A{}",
    )

    def limits(*lines):
        if lines:
            t.quotas(tmp_path, *lines, head=head)
        t.run()
        return dict(
            t.rows(
                "select distinct on (site_code) site_code, limit_value from api.quota_assessment "
                "where site_code < 'E3' and item_code = '01' order by site_code, as_of desc"
            )
        )

    t.send(0, 100)
    assert limits(given, norm.format("E2", "")) == {"E1": 1000, "E2": 65 * 5000}
    t.quotas(tmp_path, norm.format("E1", ""), norm.format("E2", ";guide"), head=head)
    t.send(100, 200)
    assert limits() == {"E1": 65 * 5000, "E2": 55 * 5000}
    versions = t.rows("select count(*) from api.quota")
    t.send(200, 300)
    assert limits() == {"E1": 65 * 5000, "E2": 55 * 5000}
    assert t.rows("select count(*) from api.quota") == versions == [(4,)]


def test_by_the_wall_clock_a_month_is_told_of_once_and_taken_back_with_its_ground(town, tmp_path):
    t = town(by_event=False)
    t.quotas(tmp_path, *PLANS)
    t.send(0, 61 * 24)
    t.run()
    told = [("E1/01/2014-03", "confirmed"), ("E2/01/2014-03", "confirmed")]
    # April's plan of E4 is 1000 kWh; of both months its completeness is below the gap's.
    assert [a for a in t.alerts("subject", "state") if a[0] < "E3"] == told
    assert ("E4/01/2014-04", "confirmed") in t.alerts("subject", "state")
    t.now += timedelta(minutes=1)
    t.run()
    assert [a for a in t.alerts("subject", "state") if a[0] < "E3"] == told
    assert {a[0] for a in t.alerts("opened_at")} == {t.now - timedelta(minutes=1)}
    t.now += timedelta(minutes=1)
    t.quotas(tmp_path, plan("E1", 7000), plan("E2", 6700))
    t.run()
    assert [a for a in t.alerts("subject", "state") if a[0] < "E3"] == [
        ("E1/01/2014-03", "retracted"), ("E2/01/2014-03", "confirmed"),
    ]  # fmt: skip
    t.now += timedelta(minutes=1)
    t.quotas(tmp_path, plan("E1", 6500))
    t.run()
    assert ("E1/01/2014-03", "confirmed") in t.alerts("subject", "state"), "its ground came back"
    # A plan that falls away takes the ground away, however long ago the month was.
    t.now += timedelta(days=200)
    t.quotas(tmp_path, "E2,01,2014,15000,manual,,,test,2014-01-01,")
    t.run()
    assert [a for a in t.alerts("subject", "state") if a[0] == "E2/01/2014-03"] == [
        ("E2/01/2014-03", "retracted")
    ]


def test_a_site_may_be_judged_by_another_margin_or_not_at_all(town, tmp_path):
    t = town(by_event=False)
    file = tmp_path / "alerts.toml"
    file.write_text(
        "[type.A.months]\nmargin = 0.05\n[site.E1.months]\nenabled = false\n[site.E2.months]\nmargin = 0.2\n",
        encoding="utf-8",
    )
    t.work(parameters=read_parameters(file))
    # 7440 kWh in March, 7200 in April.
    t.quotas(tmp_path, plan("E1", 1), plan("E2", 6500), plan("E4", 9000, 6800))
    t.send(0, 61 * 24)
    t.run()
    assert t.alerts("subject", "state") == [("E4/01/2014-04", "confirmed")]


def test_nobody_is_told_of_months_of_long_ago(town, tmp_path):
    t = town(by_event=False)
    t.now = datetime(2014, 7, 9, 12, tzinfo=ZONE)
    t.quotas(tmp_path, plan("E1", 6000, 1000))
    t.send(0, 61 * 24)
    t.run()
    assert t.alerts("subject") == []
