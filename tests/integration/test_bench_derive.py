"""`bench derive` in small: what it reports, that its rows are right, and that it leaves nothing behind."""

from __future__ import annotations

import pytest

from deploy.bench.derive import GOALS, DeriveBench, run_derive
from deploy.bench.parts import DerivePart
from deploy.clients import connect_database
from deploy.stack.steps import SilentSteps

from .conftest import Servers

pytestmark = pytest.mark.integration

SMALL = DeriveBench(
    city_sites=4,
    city_points=6,
    sites=2,
    points=5,
    year_days=40,
    few_days=3,
    many_days=30,
    tries=4,
    rounds=2,
)


def databases(servers: Servers) -> set[str]:
    with connect_database(servers.settings, "superuser", database="postgres") as connection:
        return {name for (name,) in connection.execute("select datname from pg_database")}


@pytest.fixture
def measured(servers: Servers):
    """Measures one part; no database is left of it."""

    def measure(part: DerivePart) -> dict:
        before = databases(servers)
        report = run_derive(servers.settings, SMALL, [part], SilentSteps())
        assert databases(servers) <= before
        assert report["goals"] == {part.value: GOALS[part.value]}
        assert report["machine"]["cpu"]["count"] > 0
        return report[part.value]

    return measure


def test_a_city_day_is_derived_at_every_level_and_the_limit_writes_the_same_rows(measured) -> None:
    found = measured(DerivePart.CITY_DAY)
    assert found["readings"] == 4 * 6 * 96
    assert found["changes"] == 24
    assert set(found["wrong"].values()) == {0}
    rows = found["rows"]
    assert rows["point_hour"] == 24 * 24
    assert rows["point_period"] == 24 * 3
    assert rows["site_hour"] == 8 * rows["site_period"] > 0
    for figure in (
        "seconds",
        "limit_seconds",
        "ratio",
        "hours_per_s",
        "readings_per_s",
        "cpu_s",
        "cpu_ratio",
        "packed_ratio",
        "packed_cpu_ratio",
    ):
        assert found[figure] > 0


def test_a_late_reading_is_derived_and_the_rows_that_it_costs_are_listed(measured) -> None:
    found = measured(DerivePart.LATE)
    assert (found["points"], found["tries"], found["wrong"]) == (10, 4, 0)
    assert 0 < found["median_ms"] <= found["p95_ms"] <= found["max_ms"]
    written = found["rows_written"]
    assert written["reading"] == {"inserted": 1.0, "updated": 0.0, "deleted": 0.0, "most": 1}
    assert written["change"]["deleted"] == 1.0
    # The two hours beside it and the day, and no more; month and year may be as they were, or not by a rounding.
    assert written["point_hour"]["updated"] == 2.0
    assert 1 <= written["point_period"]["most"] <= 4
    assert {"site_hour", "site_period"} <= set(written)


def test_a_further_day_is_derived_with_few_and_with_many_days_stored(measured) -> None:
    found = measured(DerivePart.STORED)
    assert found["days_stored"] == [3, 30]
    assert [len(rounds) for rounds in found["rounds_ms"]] == [2, 2]
    assert found["wrong"] == 0, "every point has 24 hours of every day"
    assert found["ratio"] > 0


def test_a_real_worker_derives_both_backlogs_and_its_memory_is_known(measured) -> None:
    found = measured(DerivePart.MEMORY)
    assert found["points"] == [12, 12]
    # Without a start value the hour before the first reading is not known.
    assert found["hours"] == 12 * (24 * 30 - 1) + 12 * 24
    assert found["peak_rss_mb"] > 0
