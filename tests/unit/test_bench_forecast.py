"""`bench forecast` and `bench warnings` on a small archive: figures, picture and tables."""

from __future__ import annotations

import json
import math
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from alerts import backtest_honest
from deploy.bench.forecast_chart import forecast_chart
from deploy.bench.warnings import warnings_table
from deploy.cli.bench_commands import bench


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """Ten buildings of 2009 to 2015, of a row a day; b1 grows by a tenth a year, b9 lacks 2012."""
    monkeypatch.setattr(backtest_honest, "CHOICES", ((0.6, 10.0, 30.0, 60.0, 0.0),))
    rng = np.random.default_rng(1)
    for i in range(10):
        folder = tmp_path / f"UCam_Building_b{i}" / "electricity"
        folder.mkdir(parents=True)
        for year in range(2009, 2016):
            if (i, year) == (9, 2012):
                continue
            days = pd.date_range(f"{year}-01-01", f"{year}-12-31")
            level = 1.1 ** (year - 2009) if i == 1 else rng.uniform(0.85, 1.0)
            load = 100.0 * level * np.exp(rng.normal(0.0, 0.05, len(days)))
            pd.DataFrame({"datetime": days, "equipment load [kWh]": load}).to_csv(
                folder / f"{year}.csv", index=False
            )
    areas = pd.DataFrame({"GIA (m2)": [1000.0 * i for i in range(10)]}, [f"b{i}" for i in range(10)])
    areas.to_csv(tmp_path / "building_floor_roof_areas.csv", index_label="Building ID")
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(bench, [str(a) for a in arguments])


def test_the_forecast_is_told_by_month_year_and_size_with_plain_ones_beside_it(archive):
    chart = archive / "chart.svg"
    found = run(
        "forecast", archive, "--from-year", 2012, "--to-year", 2013, "--no-cases", "--chart", chart, "--json"
    )
    report = json.loads(found.stdout)
    assert (report["buildings"], report["years"]) == (9, [2012, 2013])
    assert list(report["honest"]["by_month"]) == [str(m) for m in range(1, 12)]
    assert set(report["honest"]["by_year"]) == {"2012", "2013"}
    assert set(report["honest"]["by_size"]) == {"large", "small"}
    figures = report["honest"]["all"]
    assert 0 < figures["forecast"] < 0.1
    assert 0 <= figures["inside"] <= 1
    assert found.exit_code == (1 if report["missed"] else 0)
    assert all(math.isfinite(v) for v in figures.values())
    assert len(ElementTree.parse(chart).getroot().findall(".//{*}polyline")) == 7
    assert forecast_chart(report) == chart.read_text(encoding="utf-8")


def test_the_table_of_bands_is_printed_as_it_is_shipped(archive):
    found = run("forecast", archive, "--to-year", 2013, "--bands")
    lines = found.stdout.splitlines()
    assert lines[0] == "method,missing_share,q10,q90"
    assert {line.split(",")[0] for line in lines[1:]} == {"profile", "run_rate"}


def test_who_was_over_is_told_with_and_without_the_reduction_and_for_a_building_with_a_hole(archive):
    found = run("warnings", archive, "--json")
    assert found.exit_code == 0, found.output
    report = json.loads(found.stdout)
    base, reduced = report["limits"]["base"], report["limits"]["reduced"]
    assert base["all"]["building_years"] == 20
    assert base["large"]["building_years"] == 14
    assert base["all"]["severe_twice"] == ["b1"]
    assert base["large"]["severe_twice"] == []
    assert reduced["all"]["over"] >= base["all"]["over"]
    assert {y["building"] for y in base["years"]} == {f"b{i}" for i in range(10)}
    (row,) = (y for y in base["years"] if (y["building"], y["year"]) == ("b1", 2015))
    assert row["warned"].startswith("2015-01")
    assert row["passed"] > row["warned"]
    assert "| b1 | 1,000 | 2015 |" in warnings_table(report)
