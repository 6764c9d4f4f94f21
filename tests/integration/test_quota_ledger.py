"""The quota ledger on a real database: versions with their months, norms, what was known when, states by area."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import psycopg
import pytest
from typer.testing import CliRunner

from alerts.by_hand import HandOptions, assess_by_hand, refresh_limits_by_hand
from alerts.ledger import site_ledger
from alerts.parameter_file import shipped_parameters
from alerts.percentiles import PercentileRule
from metering.errors import InputFileError
from storage.derivation import Deriver
from storage.registry import import_quota_file, import_registry
from storage.registry_export import export_registry
from storage.writer import Writer
from tests.integration.conftest import fresh_database
from tests.integration.metered_sites import ZONE, intakes, registry

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

    def take(self, *lines, head=HEAD, at=NOW, actor="Zhao"):
        file = self.folder / "quotas.csv"
        file.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")
        with psycopg.connect(self.database.pipeline_url) as conn:
            import_quota_file(conn, file, actor)
            return self.refresh(conn, at or datetime.now(UTC))

    def refresh(self, conn, at=NOW):
        return refresh_limits_by_hand(conn, HandOptions(False, 600.0, self.parameters), at)

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
    for level, code in (("district", "110108"), ("sector", "buildings"), ("building_type", "A")):
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
    assert "1990" in run("rollup", "--year", "1990")
