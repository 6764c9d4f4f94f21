"""Versions of conversion factors: what is known when, what they change, and what is refused."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta, timezone

import psycopg
import pytest

from metering.errors import InputFileError
from storage.derivation import Deriver
from storage.factors import check_factors, import_factors, known_factors, load_factors
from tests.integration.energy_support import Town, empty_database

pytestmark = pytest.mark.integration

HEAD = "item_code,quantity,value,unit,valid_from,valid_to,source,confidence,approved_by\n"
CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 30, tzinfo=CST)
YEARS = (
    "01,tce,0.0004,tce/kWh,2014-04-01,2014-05-01,notice 7,published,li\n"
    "01,tce,0.0005,tce/kWh,2014-05-01,2014-05-03,notice 8,published,li\n"
)


@pytest.fixture
def town(database):
    """A site with a meter, the shipped factors, no assessment due."""
    with (
        empty_database(database.superuser_url),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        connection.execute("delete from nengliu.quota")
        connection.execute("delete from nengliu.assessment_due")
        load_factors(connection)
        yield Town(connection, database.worker_url, database.superuser_url)


@pytest.fixture
def metered(town):
    """50 days of one kWh an hour, derived."""
    town.install("m", town.point("P", town.site("S")), T0)
    town.place()
    town.read("m", [(T0 + timedelta(hours=n), float(n)) for n in range(50 * 24 + 1)])
    deriver = Deriver(lambda: psycopg.connect(town.url))
    deriver.run_all()
    deriver.close()
    town.connection.execute("delete from nengliu.assessment_due")
    return town


def file(tmp_path, rows: str, name: str = "f.csv"):
    path = tmp_path / name
    path.write_text(HEAD + rows, encoding="utf-8")
    return path


def tonnes(town, view="site_energy_day", columns="tce, tce_calorific, tco2"):
    rows = town.rows(f"select period, {columns} from api.{view} where item_code = '01' order by period")
    return {row[0]: row[1:] for row in rows}


def test_tonnes_change_for_the_covered_days_only(metered, tmp_path):
    before = tonnes(metered)
    import_factors(metered.connection, file(tmp_path, YEARS), "li")
    after = tonnes(metered)
    covered = {day for day in before if date(2014, 4, 1) <= day < date(2014, 5, 3)}
    assert {day for day in before if after[day] != before[day]} == covered
    assert [after[day][1:] for day in before] == [before[day][1:] for day in before]
    assert after[date(2014, 4, 30)][0] == pytest.approx(24 * 0.0004)
    assert after[date(2014, 5, 1)][0] == pytest.approx(24 * 0.0005)
    assert after[date(2014, 5, 3)][0] == pytest.approx(24 * 0.00029)


@pytest.mark.parametrize("view", ["site_energy_month", "area_energy_month", "site_energy_year"])
def test_a_month_in_which_the_factor_changes_is_the_sum_of_its_days(metered, tmp_path, view):
    import_factors(metered.connection, file(tmp_path, YEARS), "li")
    days = tonnes(metered)
    columns = "tce, tce_calorific, tco2"
    for period, row in tonnes(metered, view, columns).items():
        of = [d for d in days if d.year == period.year and (view.endswith("year") or d.month == period.month)]
        assert row == pytest.approx(tuple(sum(days[d][n] for d in of) for n in range(3)))


def test_a_year_with_a_day_that_no_factor_covers_has_no_tonnes(metered, tmp_path):
    with metered.superuser() as superuser:
        superuser.execute("truncate nengliu.factor_version")
    rows = "01,tce,0.0004,tce/kWh,2014-01-01,2014-05-01,notice,published,li\n"
    import_factors(metered.connection, file(tmp_path, rows), "li")
    assert tonnes(metered, "site_energy_year", "tce") == {date(2014, 1, 1): (None,)}
    assert tonnes(metered, "site_energy_month", "tce")[date(2014, 5, 1)] == (None,)
    assert tonnes(metered, "site_energy_month", "tce")[date(2014, 4, 1)] != (None,)


def test_nothing_is_overwritten_and_each_version_says_since_when_it_is_known(town, tmp_path):
    then = town.rows("select clock_timestamp()")[0][0]
    change = import_factors(town.connection, file(tmp_path, YEARS), "li")
    assert (change.recorded, change.superseded) == (4, 1)
    assert change.days == {("01", "tce"): [(date(2014, 4, 1), date(2014, 5, 3))]}

    def known(day, at=None):
        found = known_factors(town.connection, "01", day, at)
        return [(f["value"], f["approved_by"]) for f in found if f["quantity"] == "tce"]

    assert known(date(2014, 4, 1)) == [(0.0004, "li")]
    assert known(date(2014, 3, 31)) == known(date(2014, 5, 3)) == [(0.00029, None)]
    assert known(date(2014, 4, 1), then) == [(0.00029, None)]
    assert known(date(1999, 1, 1)) == []
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        town.connection.execute("update nengliu.factor_version set value = 1")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        town.connection.execute("delete from nengliu.factor_version")


def test_a_second_identical_import_records_nothing_and_the_shipped_table_takes_nothing_away(town, tmp_path):
    path = file(tmp_path, YEARS)
    import_factors(town.connection, path, "li")
    stored = town.rows("select to_jsonb(f) from nengliu.factor f order by factor_id")
    assert import_factors(town.connection, path, "wang").recorded == 0
    assert load_factors(town.connection) == 0
    assert town.rows("select to_jsonb(f) from nengliu.factor f order by factor_id") == stored


def test_quotas_in_tonnes_are_marked_for_the_covered_years_only(metered, tmp_path):
    site = metered.rows("select site_id from nengliu.site")[0][0]
    for item in ("tce", "tco2", "01"):
        metered.connection.execute(
            "insert into nengliu.quota (site_id, item_code, year, limit_value, method, source, effective_from)"
            " values (%s, %s, 2014, 1, 'manual', '', '2014-01-01')",
            (site, item),
        )
    metered.site("without a quota")
    rows = (
        "01,tce,0.0004,tce/kWh,2012-06-01,2013-06-01,n,published,li\n"
        "01,tce,0.0004,tce/kWh,2013-06-01,2015-06-01,n,published,li\n"
    )
    import_factors(metered.connection, file(tmp_path, rows), "li")
    due = "select item_code, year, terms from nengliu.assessment_due order by 1, 2"
    assert metered.rows(due) == [("tce", 2014, True), ("tce", 2015, True)]
    metered.connection.execute("delete from nengliu.assessment_due")
    import_factors(metered.connection, file(tmp_path, rows.replace("n,published", "n,better")), "li")
    assert metered.rows(due) == []


REFUSED = {
    "a gap": (
        "01,tce,1,tce/kWh,2014-01-01,2015-01-01,n,c,\n01,tce,1,tce/kWh,2015-02-01,,n,c,\n",
        ["f.csv:3: no factor covers 2015-01-01 to 2015-02-01, see f.csv:2"],
    ),
    "an overlap": (
        "01,tce,1,tce/kWh,2014-01-01,2015-01-01,n,c,\n01,tce,1,tce/kWh,2014-12-01,,n,c,\n",
        ["f.csv:3: two factors cover 2014-12-01 to 2015-01-01, see f.csv:2"],
    ),
    "a gap to what is known": (
        "01,tce,1,tce/kWh,1990-01-01,1995-01-01,n,c,\n",
        ["f.csv:2: no factor covers 1995-01-01 to 2000-01-01 (with what is known already)"],
    ),
    "bad values": (
        "01,tce,-1,tce/kWh,2014-01-01,,n,c,\n01,tco2,NaN,tCO2/kWh,2014-01-01,,n,c,\n"
        "99,tce,1,tce/kWh,2014-01-01,,n,c,\n01,joy,1,tce/kWh,2014-01-01,,n,c,\n"
        "04,tce,1,tce/kWh,2014-01-01,,n,c,\n03,tce,1,tce/m3,2014-02-30,,n,c,\n"
        "03,tco2,1,tCO2/m3,2014-02-01,2014-02-01,n,c,\n03,tco2,1,tCO2/m3,2014-02-01,,,c,\n",
        [
            "f.csv:2: value -1.0 must be a number of zero or more",
            "f.csv:3: value: 'NaN' is no number such as 1234.5",
            "f.csv:4: item_code '99' is no energy carrier; known are",
            "f.csv:5: quantity 'joy' is not one of tce, tce_calorific, tco2",
            "f.csv:6: unit 'tce/kWh' must be tce/GJ for tce of item 04",
            "f.csv:7: valid_from: '2014-02-30' is no date that exists",
            "f.csv:8: valid_to 2014-02-01 is not after valid_from 2014-02-01",
            "f.csv:9: source is empty",
        ],
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_file_and_line_and_nothing_is_taken_in(town, tmp_path, case):
    rows, expected = REFUSED[case]
    stored = town.rows("select to_jsonb(f) from nengliu.factor_version f order by factor_id")
    for take_in in (
        lambda path: import_factors(town.connection, path, "li"),
        lambda p: check_factors(None, p),
    ):
        with pytest.raises(InputFileError) as caught:
            take_in(file(tmp_path, rows))
        assert len(caught.value.problems) == len(expected)
        for found, wanted in zip(caught.value.problems, expected, strict=True):
            assert found.startswith(wanted)
    assert town.rows("select to_jsonb(f) from nengliu.factor_version f order by factor_id") == stored


def test_the_command_imports_shows_and_checks(town, tmp_path, nengliu):
    bad = file(tmp_path, REFUSED["a gap"][0], "bad.csv")
    assert nengliu("factors", "check", bad).returncode == 1
    refused = nengliu("factors", "import", bad)
    assert refused.returncode == 2
    assert "bad.csv:3: no factor covers" in refused.stderr
    good = file(tmp_path, YEARS, "good.csv")
    checked = json.loads(nengliu("factors", "check", good, "--json").stdout)
    assert checked == json.loads(nengliu("factors", "import", good, "--json").stdout)
    assert checked["changed"] == [
        {"item_code": "01", "quantity": "tce", "from": "2014-04-01", "to": "2014-05-03"}
    ]
    shown = nengliu("factors", "show", "--item", "01", "--on", "2014-04-02", "--json")
    assert [f["value"] for f in json.loads(shown.stdout) if f["quantity"] == "tce"] == [0.0004]
    then = nengliu("factors", "show", "--item", "01", "--known-at", "2014-01-01", "--json")
    assert json.loads(then.stdout) == []
    table = nengliu("factors", "show")
    assert table.returncode == 0
    assert "notice 7" in table.stdout
    assert nengliu("factors", "show", "--on", "yesterday").returncode == 2
