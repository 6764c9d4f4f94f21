"""Every panel's SQL runs against the real database, as the read-only role, and finds what was put there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row

from deploy.grafana import city_overview

pytestmark = pytest.mark.integration

SEED = Path(__file__).parent / "seeds" / "city.sql"
DASHBOARDS = sorted((Path(city_overview.__file__).parent / "dashboards").glob("*.json"))
FROM, TO = "'2014-01-01T00:00:00Z'", "'2015-12-31T15:59:59Z'"
PANEL_TYPES = [
    "timeseries", "stat", "gauge", "bargauge", "barchart", "table", "state-timeline", "heatmap", "piechart",
    "xychart", "text", "alertlist", "geomap",
]  # fmt: skip


@pytest.fixture(scope="module")
def seeded(database):
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(SEED.read_text(encoding="utf-8"))
    with psycopg.connect(database.read_url, row_factory=dict_row, autocommit=True) as connection:
        yield connection


def substituted(sql: str) -> str:
    """What Grafana makes of a query: macros and variables put in."""
    sql = re.sub(r"\$__timeFilter\(([^()]+)\)", rf"\1 BETWEEN {FROM} AND {TO}", sql)
    sql = sql.replace("$__timeFrom()", FROM).replace("$__timeTo()", TO)
    sql = sql.replace("${district:sqlstring}", "'110108','-'")
    sql = re.sub(r"\$\{?item\}?", "01", sql)
    sql = re.sub(r"\$\{?zone\}?", "Asia/Shanghai", sql)
    assert "$" not in sql, sql
    return sql


def panels(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8"))["panels"]


ALL = [pytest.param(p, id=f"{path.stem}-{p['title']}") for path in DASHBOARDS for p in panels(path)]


@pytest.mark.parametrize("panel", ALL)
def test_every_panel_finds_rows_of_the_shape_that_it_shows(seeded, panel):
    for target in panel["targets"]:
        rows = seeded.execute(substituted(target["rawSql"])).fetchall()
        assert rows, "no row"
        columns = list(rows[0])
        if target["format"] == "time_series":
            assert columns == ["time", "metric", "value"]
            assert [r["time"] for r in rows] == sorted(r["time"] for r in rows)
            assert all(isinstance(r["metric"], str) and r["value"] is not None for r in rows)
        elif panel["type"] == "stat":
            assert columns == ["value"]
            assert len(rows) == 1
            assert rows[0]["value"] is not None
        elif panel["type"] == "barchart":
            assert panel["options"]["xField"] == columns[0]
        for override in panel["fieldConfig"]["overrides"]:
            assert override["matcher"]["options"] in columns


def value_of(connection, title: str) -> object:
    (panel,) = [p.values[0] for p in ALL if p.values[0]["title"].startswith(title)]
    return connection.execute(substituted(panel["targets"][0]["rawSql"])).fetchall()


def test_the_figures_are_those_that_were_put_there(seeded):
    assert value_of(seeded, "已超限额")[0]["value"] == 1
    assert value_of(seeded, "离线网关")[0]["value"] == 1
    assert value_of(seeded, "未关闭预警")[0]["value"] == 1
    quotas = value_of(seeded, "限额状态")
    assert [(q["编码 site"], q["级别 level"]) for q in quotas] == [
        ("110108A001", "over"),
        ("110105B002", "normal"),
    ]
    levels = {r["district"]: r for r in value_of(seeded, "各区限额等级")}
    assert (levels["110108"]["超限额 over"], levels["-"]["正常 normal"]) == (1, 1)
    rejects = value_of(seeded, "拒收原因")
    assert [(r["原因 reason"], r["数量 count"]) for r in rejects] == [("bad_value", 2), ("malformed", 1)]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda p: p.stem)
def test_dashboards_keep_to_what_older_and_newer_grafana_load(path):
    board = json.loads(path.read_text(encoding="utf-8"))
    assert board["schemaVersion"] <= 41
    for panel in board["panels"]:
        assert panel["type"] in PANEL_TYPES
        assert panel["datasource"] == {"type": "postgres", "uid": "nengliu"}
        assert "transformations" not in panel
    for variable in board["templating"]["list"]:
        assert isinstance(variable["query"], str)


def test_the_shipped_json_is_what_the_code_makes():
    assert city_overview.FILE.read_text(encoding="utf-8") == city_overview.as_text()


def test_variables_list_what_there_is(seeded):
    for variable in city_overview.dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            assert seeded.execute(variable["query"]).fetchall()


def test_every_api_view_can_be_read_by_the_read_only_role(seeded):
    views = seeded.execute(
        "select table_name from information_schema.views where table_schema = 'api'"
    ).fetchall()
    assert len(views) >= 20
    for view in views:
        seeded.execute(f"select * from api.{view['table_name']} limit 5").fetchall()
