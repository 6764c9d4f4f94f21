"""The quota ledger on a real database: versions with their months, norms, what was known when, states by area."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from alerts.by_hand import AsOfError, HandOptions, assess_as_known, assess_by_hand, refresh_limits_by_hand
from alerts.ledger import site_ledger
from alerts.limit_store import refresh_limits_of_days
from alerts.parameter_file import shipped_parameters
from alerts.percentiles import PercentileRule
from metering.errors import InputFileError
from storage.derivation import Deriver
from storage.factors import load_factors
from storage.registry import import_quota_file, import_registry
from storage.registry_export import export_registry
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import ZONE, intakes, registers, registry

pytestmark = pytest.mark.integration

PARAMETERS = shipped_parameters()
NOW = datetime(2014, 1, 20, 23, 30, tzinfo=ZONE)
HEAD = (
    "site_code,item_code,year,limit_value,method,base_years,reduction_percent,source,effective_from,approved_by,note,"
    "monthly_plan,norm"
)
SHARES = "3;3;2;2;2;2;2;2;2;2;3;3"


@pytest.fixture(scope="module")
def filled(servers, template, tmp_path_factory):
    """Three years of three sites, written and derived; no quotas."""
    with fresh_database(servers.settings, template) as database:
        folder = registry(tmp_path_factory.mktemp("registry"))
        (folder / "quotas.csv").unlink()
        with psycopg.connect(database.pipeline_url) as conn:
            import_registry(conn, folder, "test")
            load_factors(conn)
        writer = Writer(lambda: psycopg.connect(database.pipeline_url))
        deriver = Deriver(lambda: psycopg.connect(database.worker_url))
        for intake, _ in intakes([2000]):
            if intake.readings:
                writer.write(intake)
        deriver.run_all()
        writer.close()
        deriver.close()
        yield database


class Ledger:
    """Imports lines as quotas.csv and computes limits, at times of its own."""

    def __init__(self, database, folder):
        self.database, self.folder, self.parameters = database, folder, PARAMETERS

    def take(self, *lines, head=HEAD, at=NOW, actor="Zhao", options=None):
        file = self.folder / "quotas.csv"
        file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
        with psycopg.connect(self.database.pipeline_url) as conn:
            import_quota_file(conn, file, actor)
            return self.refresh(conn, at or datetime.now(UTC), options)

    def refresh(self, conn, at=NOW, options=None):
        return refresh_limits_by_hand(conn, options or HandOptions(False, 600.0, self.parameters), at)

    def refused(self, *lines):
        with pytest.raises(InputFileError) as e:
            self.take(*lines)
        return e.value.problems

    def rows(self, text):
        with psycopg.connect(self.database.read_url) as conn:
            return conn.execute(text).fetchall()

    def show(self, site, known_at=None):
        with psycopg.connect(self.database.pipeline_url) as conn:
            return site_ledger(conn, site, PARAMETERS.limits, ZONE, NOW, known_at)


@pytest.fixture
def ledger(filled, tmp_path):
    with psycopg.connect(filled.owner_url) as conn:
        conn.execute(
            "truncate nengliu.quota_limit, nengliu.quota, nengliu.quota_assessment, nengliu.alert_transition, "
            "nengliu.alert, nengliu.assessment_due restart identity cascade"
        )
        conn.execute("delete from nengliu.registry_change where kind = 'quota'")
        conn.execute("update nengliu.site set building_type = 'A', floor_area_m2 = 5000")
    return Ledger(filled, tmp_path)


MONTHS = (
    "select month, plan_value, source from api.quota_month where site_code = '{}' and superseded_at is null "
    "order by month"
)


def test_months_of_given_and_of_computed_limits_sum_to_them_exactly(ledger):
    given = ";".join(["100000.5", *["50000"] * 10, "99999.5"])
    ledger.take(
        f"S1,01,2014,700000,manual,,,notice 3,2014-01-01,Wang,,{given},",
        f"S2,01,2014,,base_year,2011,6,notice 3,2014-01-01,Wang,,{SHARES},",
        "S3,01,2014,,base_year,2011,6,notice 3,2014-01-01,Wang,,,",
    )
    taken = ledger.rows(MONTHS.format("S1"))
    assert [float(m[1]) for m in taken] == [100000.5, *[50000.0] * 10, 99999.5]
    assert {m[2] for m in taken} == {"given"}
    shares = ledger.rows(MONTHS.format("S2"))
    assert [m[0] for m in shares] == list(range(1, 13))
    assert {m[2] for m in shares} == {"shares"}
    (limit,) = ledger.rows("select limit_value from api.quota where site_code = 'S2'")[0]
    assert sum(m[1] for m in shares) == Decimal(repr(limit))
    assert float(shares[0][1]) == pytest.approx(limit * 3 / 28)
    assert ledger.rows(MONTHS.format("S3")) == []
    sums = "select sum(plan_value)::float8 from api.quota_month where site_code = 'S2'"
    assert ledger.rows(sums) == [(limit,)]


def test_another_plan_is_another_version_and_the_same_one_is_not(ledger):
    terms = "S1,01,2014,,base_year,2011,6,notice,2014-01-01,,,{},"
    assert ledger.take(terms.format(SHARES)).written == 1
    assert ledger.take(terms.format(SHARES)).written == 0
    assert ledger.take(terms.format(SHARES.replace("3", "4")), at=NOW + timedelta(hours=1)).written == 1
    assert ledger.take(terms.format(""), at=NOW + timedelta(hours=2)).written == 1
    versions = ledger.show("S1")["quotas"][0]["versions"]
    assert [v["months_source"] for v in versions] == ["shares", "shares", None]
    assert len({v["limit_value"] for v in versions}) == 1


def use_between(meter, begin, end):
    """kWh of a meter between two local midnights, from its registers by hand; before the first reading: none."""
    ts, values = registers()[meter]
    at = [datetime(y, 1, 1, tzinfo=ZONE).timestamp() * 1e6 for y in (begin, end)]
    first, last = np.interp(at, ts, values)
    return last - first


def test_limits_of_every_method_worked_out_by_hand(ledger):
    areas = {"S1": 8000.0, "S2": 2000.0, "S3": 5000.0}
    with psycopg.connect(ledger.database.owner_url) as conn:
        for site, area in areas.items():
            conn.execute("update nengliu.site set floor_area_m2 = %s where site_code = %s", (area, site))
    of_2011 = dict(
        ledger.rows("select site_code, consumption from api.site_energy_year where period = '2011-01-01'")
    )
    # The gap over the new year of S2 is shaped by its typical hours: its year is taken as derived.
    used = {
        "S1": use_between("S1M1", 2011, 2012),
        "S2": of_2011["S2"],
        "S3": use_between("S3M1", 2011, 2012) + use_between("S3M2", 2011, 2012),
    }
    assert of_2011 == pytest.approx(used, rel=1e-9)
    ledger.take(
        "S1,01,2012,,base_year,2011,6,x,2012-01-01,,,,",
        "S1,01,2014,,mean_years,2011;2012;2013,5,x,2014-01-01,,,,",  # a leap year counts as any other
        *(f"{site},01,2013,,own_or_peers,2011,10,x,2013-01-01,,,," for site in areas),
        "S1,tce,2012,,base_year,2011,6,x,2012-01-01,,,,",
        "S1,tco2,2012,,base_year,2011,,x,2012-01-01,,,,",
    )
    found = {
        r[:3]: r[3] for r in ledger.rows("select site_code, item_code, year, limit_value from api.quota")
    }
    per_m2 = sum(used[site] / areas[site] for site in areas) / 3
    by_hand = {
        ("S1", "01", 2012): 0.94 * used["S1"],
        ("S1", "01", 2014): 0.95 * use_between("S1M1", 2011, 2014) / 3,
        **{(s, "01", 2013): 0.9 * min(used[s], per_m2 * areas[s]) for s in areas},
        ("S1", "tce", 2012): 0.94 * used["S1"] * 0.00029,
        ("S1", "tco2", 2012): used["S1"] * 0.000604,
    }
    assert found == pytest.approx(by_hand, rel=1e-7)
    smaller = {s: ledger.show(s)["quotas"][-1]["versions"][0]["basis"].get("peers") for s in ("S2", "S3")}
    assert {s: p["smaller"] for s, p in smaller.items()} == {
        s: "own" if used[s] < per_m2 * areas[s] else "peers" for s in smaller
    }


def test_other_terms_are_another_version_also_where_the_limit_is_the_same(ledger):
    """Whoever reads api.quota, or an alert's evidence, sees the document and method in force, not older ones."""
    in_force = (
        "select method, source, approved_by, note, limit_value from api.quota where superseded_at is null"
    )
    computed = "S1,01,2014,,{},2011,6,{},2014-01-01,{},{},,"
    given = "S2,01,2014,1000,{},,,{},2014-01-01,{},{},,"
    said = [
        ("base_year", "manual", "draft", "", ""),
        ("base_year", "manual", "notice 7", "", ""),
        ("base_year", "manual", "notice 7", "Liu", ""),
        ("base_year", "manual", "notice 7", "Liu", "after appeal"),
        ("mean_years", "base_year", "notice 7", "Liu", "after appeal"),
    ]
    for n, (method, method_of_given, *texts) in enumerate(said):
        lines = computed.format(method, *texts), given.format(method_of_given, *texts)
        done = ledger.take(*lines, at=NOW + timedelta(hours=n))
        assert done.written == 2
        assert {m[:2] for m in done.moved} == {("S1", "01"), ("S2", "01")}
        told = tuple(t or None for t in texts[1:])
        rows = ledger.rows(f"{in_force} order by site_code")
        assert [r[:4] for r in rows] == [(method, texts[0], *told), (method_of_given, texts[0], *told)]
        assert ledger.take(*lines, at=NOW + timedelta(hours=n)).written == 0
    assert len({v["limit_value"] for v in ledger.show("S1")["quotas"][0]["versions"]}) == 1


def test_a_limit_with_a_plan_may_become_zero(ledger):
    terms = "S1,01,2014,{},manual,,,x,2014-01-01,,,{},"
    ledger.take(terms.format(1200, ";".join(["100"] * 12)))
    ledger.take(terms.format(0, ";".join(["0"] * 12)), at=NOW + timedelta(hours=1))
    assert ledger.rows("select limit_value from api.quota where superseded_at is null") == [(0.0,)]


def test_by_the_event_clock_other_terms_are_known_from_when_they_are_taken_in(ledger):
    """The open step over the year's end closes on 1 January 2012, a day of knowledge that is long past."""
    limits = "select recorded_at, limit_value from api.quota order by recorded_at"

    def through(day):
        with psycopg.connect(ledger.database.pipeline_url) as conn:
            refresh_limits_of_days(conn, PARAMETERS.limits, ZONE, day, NOW)
        return ledger.rows(limits)

    options = HandOptions(True, 600.0, PARAMETERS)
    ledger.take("S1,01,2012,,base_year,2011,6,x,2012-01-01,,,,", options=options)
    ((known_at, limit),) = through(date(2012, 5, 31))
    assert known_at == datetime(2012, 1, 1, tzinfo=ZONE)
    ledger.take("S1,01,2012,,base_year,2011,12,x,2012-01-01,,,,", options=options)
    before, after = through(date(2012, 6, 30))
    assert before == (known_at, limit)
    assert after == (datetime(2012, 7, 1, tzinfo=ZONE), pytest.approx(limit * 0.88 / 0.94, rel=1e-4))
    assert through(date(2012, 7, 31)) == [before, after]


def test_an_export_gives_back_what_was_imported(ledger, tmp_path):
    lines = [
        f"S1,01,2014,,base_year,2011,6,notice 3,2014-01-01,Wang,first draft,{SHARES},",
        "S2,01,2014,1200,manual,,,notice 3,2014-01-01,,,100;100;100;100;100;100;100;100;100;100;100;100,",
        "S3,01,2014,,norm,,,GB/T 51161,2014-01-01,,,,commercial_office_B;guide;hours=3000",
    ]
    ledger.take(*lines)
    with psycopg.connect(ledger.database.pipeline_url) as conn:
        export_registry(conn, tmp_path / "out")
    assert (tmp_path / "out" / "quotas.csv").read_text(encoding="utf-8").splitlines() == [HEAD, *lines]


def test_files_without_the_further_columns_are_taken_as_before(ledger):
    head = HEAD.split(",approved_by")[0]
    ledger.take("S1,01,2014,5000,manual,,,notice,2014-01-01", head=head)
    assert ledger.rows("select limit_value from api.quota") == [(5000.0,)]


def test_a_norm_is_a_limit_that_names_it_and_a_type_without_one_is_undetermined(ledger):
    with psycopg.connect(ledger.database.owner_url) as conn:
        conn.execute("update nengliu.site set building_type = 'D' where site_code = 'S2'")
        conn.execute("update nengliu.site set floor_area_m2 = null where site_code = 'S3'")
    done = ledger.take(
        "S1,01,2014,,norm,,10,GB/T 51161,2014-01-01,,,,government_office_B",
        "S2,01,2014,,norm,,,GB/T 51161,2014-01-01,,,,",
        "S3,01,2014,,norm,,,GB/T 51161,2014-01-01,,,,government_office_B",
    )
    assert {(u.site_code, u.reason.split(" ")[0]) for u in done.undetermined} == {
        ("S2", "there"),
        ("S3", "method"),
    }
    quotas = {s: ledger.show(s)["quotas"][0] for s in ("S1", "S2", "S3")}
    assert quotas["S1"]["limit_value"] == 5000 * 70 * 0.9
    assert quotas["S1"]["versions"][0]["basis"]["norm"]["norm"] == "government_office_B"
    assert (quotas["S2"]["limit_value"], quotas["S3"]["limit_value"]) == (None, None)
    assert "类型 D" in quotas["S2"]["reason_zh"]


def test_bad_rows_are_named_by_line_and_nothing_is_taken(ledger):
    with psycopg.connect(ledger.database.owner_url) as conn:
        conn.execute("update nengliu.site set building_type = 'office' where site_code = 'S2'")
    problems = ledger.refused(
        "S1,01,2014,-5,manual,,,x,2014-01-01,,,,",
        "S1,01,2015,100,manual,,,x,2015-01-01,,,,",
        "S1,01,2015,100,manual,,,x,2015-01-01,,,,",
        "S1,01,2016,100,manual,,,x,2016-01-01,,,1;2;3,",
        "S1,01,2017,100,manual,,,x,2017-01-01,,,10;10;10;10;10;10;10;10;10;10;10;90,",
        "S2,01,2014,,norm,,,x,2014-01-01,,,,",
        "S1,01,2018,,norm,,,x,2018-01-01,,,,ministry_A",
        "S1,01,2019,,norm,,,x,2019-01-01,,,,hotel_5star_A",
        "S1,01,2020,,base_year,2011,,x,2020-01-01,,,,hotel_5star_A",
    )
    assert [p.split(":")[1] for p in problems] == ["2", "4", "5", "6", "7", "8", "9", "10"]
    said = dict(zip(["2", "4", "5", "6", "7", "8", "9", "10"], problems, strict=True))
    assert "-5" in said["2"]
    assert "there already, see quotas.csv:3" in said["4"]
    assert "3 values, expected 12" in said["5"]
    assert "sums to 200, not to the limit_value 100" in said["6"]
    assert "'office' is not one of A, B" in said["7"]
    assert "'ministry_A' is not one of" in said["8"]
    assert "not of building type A" in said["9"]
    assert "method norm only" in said["10"]
    assert ledger.rows("select * from api.quota") == []


def test_a_base_year_without_data_is_undetermined_and_never_zero(ledger):
    done = ledger.take("S1,01,2014,,base_year,2009,6,x,2014-01-01,,,,")
    assert (done.written, len(done.undetermined)) == (0, 1)
    assert ledger.rows("select limit_value from api.quota") == [(None,)]


def test_a_limit_that_falls_away_leaves_a_quota_without_one(ledger):
    terms = "S1,01,2014,,base_year,{},6,x,2014-01-01,,,,"
    ledger.take(terms.format(2011))
    ledger.take(terms.format(2009), at=NOW + timedelta(hours=1))
    said = "select limit_value is null, superseded_at is null, method from api.quota order by recorded_at"
    assert ledger.rows(said) == [(False, False, "base_year"), (True, True, "base_year")]


def test_large_public_buildings_are_a_class_of_their_own(ledger):
    with psycopg.connect(ledger.database.owner_url) as conn:
        conn.execute("update nengliu.site set floor_area_m2 = 20001 where site_code = 'S1'")
        conn.execute("update nengliu.site set floor_area_m2 = null where site_code = 'S2'")
    with psycopg.connect(ledger.database.pipeline_url) as conn:
        assess_by_hand(conn, HandOptions(False, 600.0, PARAMETERS), date(2013, 12, 31), NOW)
    found = "select code, sites, floor_area_m2 from api.quota_state_area where level = 'size' order by 1"
    assert ledger.rows(found) == [("large_public", 1, 20001.0), ("other", 1, 5000.0)]


def test_what_was_known_when_is_shown_with_who_and_why(ledger):
    before = datetime.now(UTC) - timedelta(seconds=1)
    terms = "S1,01,2014,{},manual,,,{},2014-01-01,{},{},,"
    ledger.take(terms.format(1000, "draft", "Wang", "to be confirmed"), at=None)
    between = datetime.now(UTC)
    ledger.take(terms.format(1200, "notice 7", "Liu", "after appeal"), at=None, actor="Qian")
    assert ledger.show("S1", before)["quotas"] == []
    (then,) = ledger.show("S1", between)["quotas"]
    assert (then["limit_value"], then["approved_by"], then["note"]) == (1000, "Wang", "to be confirmed")
    assert [v["superseded_at"] for v in then["versions"]] == [None]
    (now,) = ledger.show("S1")["quotas"]
    assert (now["limit_value"], now["approved_by"], now["source"]) == (1200, "Liu", "notice 7")
    assert [(v["limit_value"], v["approved_by"], v["imported_by"], v["source"]) for v in now["versions"]] == [
        (1000, "Wang", "Zhao", "draft"),
        (1200, "Liu", "Qian", "notice 7"),
    ]
    assert now["versions"][0]["superseded_at"] == now["versions"][1]["recorded_at"]
    said = "select limit_value, approved_by, note, superseded_at is null from api.quota order by recorded_at"
    assert ledger.rows(said) == [
        (1000, "Wang", "to be confirmed", False),
        (1200, "Liu", "after appeal", True),
    ]


def test_the_best_of_a_type_are_exempt_where_the_rule_is_on(ledger):
    lines = [f"{s},01,2014,,base_year,2011,6,x,2014-01-01,,,," for s in ("S1", "S2", "S3")]
    ledger.take(*lines)
    plain = dict(ledger.rows("select site_code, limit_value from api.quota"))
    rule = PercentileRule(True, 34.0, 34.0, 2.0)
    ledger.parameters = replace(PARAMETERS, limits=replace(PARAMETERS.limits, percentiles=rule))
    with psycopg.connect(ledger.database.pipeline_url) as conn:
        ledger.refresh(conn, NOW + timedelta(hours=1))
    found = {}
    for site in plain:
        newest = ledger.show(site)["quotas"][0]["versions"][-1]
        found[site] = newest["basis"].get("percentile", {}).get("band"), newest["limit_value"] / plain[site]
    order = sorted(plain, key=plain.__getitem__)
    assert found[order[0]] == ("best", pytest.approx(1 / 0.94))
    # The limit of the one in the middle did not move: it keeps the version without the rule.
    assert found[order[1]] == (None, 1.0)
    assert found[order[2]] == ("worst", pytest.approx(0.92 / 0.94))


def test_states_by_area_are_those_of_the_newest_assessments(ledger):
    ledger.take(
        "S1,01,2013,1000,manual,,,x,2013-01-01,,,,",
        "S2,01,2013,99999999,manual,,,x,2013-01-01,,,,",
    )
    options = HandOptions(False, 600.0, PARAMETERS)
    for day in (date(2013, 12, 31), date(2013, 6, 30)):
        with psycopg.connect(ledger.database.pipeline_url) as conn:
            assess_by_hand(conn, options, day, NOW)
    state = ledger.rows("select site_code, year, as_of, level from api.quota_state order by 1, 2")
    assert state == [
        ("S1", 2013, date(2013, 12, 31), "severe"),
        ("S2", 2013, date(2013, 12, 31), "normal"),
        ("S3", 2013, date(2013, 12, 31), "undetermined"),
    ]
    used = dict(ledger.rows("select site_code, used from api.quota_state"))
    areas = ("district", "110108"), ("sector", "buildings"), ("building_type", "A"), ("size", "other")
    for level, code in areas:
        rows = ledger.rows(
            "select quota_level, sites, sites_share, used_share, floor_area_share from api.quota_state_area "
            f"where level = '{level}' and code = '{code}' and item_code = '01' and year = 2013 order by sites, 1"
        )
        assert [r[0] for r in rows] == ["normal", "severe", "undetermined"]
        assert {r[1:3] for r in rows} == {(1, 1 / 3)}
        assert [r[3] for r in rows] == [
            pytest.approx(used[s] / sum(used.values())) for s in ("S2", "S1", "S3")
        ]
        assert {r[4] for r in rows} == {1 / 3}
    (city,) = ledger.rows("select distinct code from api.quota_state_area where level = 'city'")
    with psycopg.connect(ledger.database.owner_url) as conn:
        assert conn.execute("select name from nengliu.node").fetchone() == city


def test_what_was_known_is_of_a_day_that_had_come_then(ledger):
    """Else it would count use that came after."""
    ledger.take("S1,01,2013,1000,manual,,,x,2013-01-01,,,,", at=datetime(2013, 5, 1, tzinfo=ZONE))
    options = HandOptions(False, 600.0, PARAMETERS, ["S1"])
    known_at = datetime(2013, 7, 1, tzinfo=ZONE)  # the end of 30 June
    with psycopg.connect(ledger.database.pipeline_url) as conn:
        found = assess_as_known(conn, options, None, known_at, NOW)
        assert found.as_of == date(2013, 6, 30)
        assert [(r["basis"], r["level"]) for r in found.rows] == [("recomputed", "severe")]
        assert assess_as_known(conn, options, date(2013, 6, 30), known_at, NOW).rows == found.rows
        with pytest.raises(AsOfError, match="--as-of 2013-07-01 had not come at --known-at 2013-07-01T00"):
            assess_as_known(conn, options, date(2013, 7, 1), known_at, NOW)


def test_a_quota_that_was_not_known_then_hides_no_limit_that_was(ledger):
    """Of two quotas of a year the later one is in force; one that nobody had imported yet is not."""
    options, day = HandOptions(False, 600.0, PARAMETERS, ["S1"]), date(2013, 6, 30)

    def limit(known_at):
        with psycopg.connect(ledger.database.pipeline_url) as conn:
            (row,) = assess_as_known(conn, options, day, known_at, known_at).rows
        return row["limit_value"]

    ledger.take("S1,01,2013,1000,manual,,,x,2013-01-01,,,,", at=None)
    first = datetime.now(UTC)
    ledger.take("S1,01,2013,,base_year,2009,6,x,2013-03-01,,,,", at=None)
    second = datetime.now(UTC)
    ledger.take("S1,01,2013,,base_year,2011,6,x,2013-03-01,,,,", at=None)
    assert (limit(first), limit(second)) == (1000, None)
    assert limit(datetime.now(UTC)) > 100_000


@pytest.fixture
def nengliu(ledger, servers, monkeypatch):
    """Runs a command of the ledger's groups as a user does, on its database."""
    from deploy.cli.quota_commands import quota
    from deploy.cli.registry_commands import registry as registry_group

    monkeypatch.setenv("NENGLIU_DATABASE_URL", ledger.database.pipeline_url)
    monkeypatch.setenv("NENGLIU_STATE_DIR", str(servers.settings.state_dir))
    monkeypatch.setenv("NENGLIU_LANGUAGE", "en")
    groups = {"quota": quota, "registry": registry_group}

    def run(group, *arguments):
        result = CliRunner().invoke(groups[group], [str(a) for a in arguments])
        assert result.exit_code == 0, result.output
        return result.stdout

    return run


@pytest.mark.parametrize("clock", ["wall", "event"])
def test_an_import_tells_of_the_limits_of_its_own_file(ledger, nengliu, monkeypatch, tmp_path, clock):
    ledger.take("S2,01,2014,,base_year,2009,6,x,2014-01-01,,,,")
    monkeypatch.setenv("NENGLIU_CLOCK", clock)
    file = tmp_path / "mine.csv"
    file.write_text(f"{HEAD}\nS1,01,2014,1000,manual,,,x,2014-01-01,,,,\n", encoding="utf-8")
    told = json.loads(nengliu("quota", "import", file, "--json"))
    assert (told["quota"]["new"], told["limits"], told["undetermined"]) == (1, 1, [])
    file.write_text(f"{HEAD}\nS1,01,2015,,base_year,2009,6,x,2015-01-01,,,,\n", encoding="utf-8")
    (why,) = json.loads(nengliu("quota", "import", file, "--json"))["undetermined"]
    assert (why["site_code"], why["year"], why["reason"]) == (
        "S1",
        2015,
        "nothing is known of the base year 2009",
    )
    assert "S1 01 2015: nothing is known of the base year 2009" in nengliu("quota", "import", file)
    shown = nengliu("quota", "show", "S1")
    assert "nothing is known of the base year 2009; x" in shown, "the reason hides no document"
    file.write_text(HEAD + "\n", encoding="utf-8")
    assert json.loads(nengliu("quota", "import", file, "--json"))["undetermined"] == []


def test_a_limit_by_norm_is_there_when_the_import_of_its_floor_area_returns(ledger, nengliu, tmp_path):
    with psycopg.connect(ledger.database.owner_url) as conn:
        conn.execute("update nengliu.site set floor_area_m2 = null where site_code = 'S1'")
    ledger.take("S1,01,2014,,norm,,,GB/T 51161,2014-01-01,,,,commercial_office_A", at=None)
    assert ledger.rows("select limit_value from api.quota") == [(None,)]
    head = "site_code,name,kind,sector,building_type,district_code,floor_area_m2"
    (tmp_path / "quotas.csv").unlink()
    (tmp_path / "sites.csv").write_text(f"{head}\nS1,S1,building,buildings,A,110108,4000\n", encoding="utf-8")
    nengliu("registry", "import", tmp_path)
    assert ledger.rows("select limit_value from api.quota") == [(65 * 4000.0,)]


def test_today_as_a_date_is_known_up_to_now(nengliu):
    today = datetime.now(ZONE).date().isoformat()
    assert json.loads(nengliu("quota", "assess", "--known-at", today, "--json"))


@pytest.mark.parametrize("language", ["zh", "en"])
def test_the_commands_of_the_ledger(ledger, servers, monkeypatch, language):
    from deploy.cli.quota_commands import quota

    monkeypatch.setenv("NENGLIU_DATABASE_URL", ledger.database.pipeline_url)
    monkeypatch.setenv("NENGLIU_STATE_DIR", str(servers.settings.state_dir))
    monkeypatch.setenv("NENGLIU_LANGUAGE", language)
    ledger.take(
        f"S1,01,2013,,base_year,2011,6,notice 3,2013-01-01,Wang,first,{SHARES},",
        "S1,01,2014,,norm,,,GB/T 51161,2014-01-01,Wang,,,commercial_office_B;hours=3000",
        at=datetime.now(UTC),
    )
    with psycopg.connect(ledger.database.pipeline_url) as conn:
        assess_by_hand(conn, HandOptions(False, 600.0, PARAMETERS), date(2013, 12, 31), NOW)

    def run(*arguments):
        result = CliRunner().invoke(quota, list(arguments))
        assert result.exit_code == 0, result.output
        return result.stdout

    shown = run("show", "S1")
    for word in ("Wang", "first", "notice 3", "commercial_office_B", "2011: "):
        assert word in shown
    assert ("月度计划" if language == "zh" else "Monthly plans") in shown
    assert "2013" not in run("show", "S1", "--known-at", "2012-12-31")
    told = json.loads(run("history", "S1", "--year", "2013", "--json"))
    assert [q["year"] for q in told["quotas"]] == [2013]
    assert [(i["actor"], i["new"]) for i in told["imports"]] == [("Zhao", True)]
    assert "monthly_plan 3;3;2" in run("history", "S1", "--item", "01")
    assert json.loads(run("history", "S1", "--item", "02", "--json"))["quotas"] == []
    assert len(json.loads(run("norms", "--json"))["norms"]) == 10
    assert "hotel_5star_A" in run("norms")
    rolled = json.loads(run("rollup", "--by", "type", "--year", "2013", "--json"))
    assert [(r["code"], r["quota_level"], r["sites"]) for r in rolled] == [
        ("A", "undetermined", 2),
        ("A", "severe", 1),
    ]
    assert ("A 办公" if language == "zh" else "A Office") in run("rollup", "--by", "type", "--year", "2013")
    assert "110108" in run("rollup", "--year", "2013", "--of", "energy")
    assert ("其他" if language == "zh" else "other") in run("rollup", "--by", "size", "--year", "2013")
    assert "1990" in run("rollup", "--year", "1990")
