"""`bench assess` in small: what it reports, that its rows are right, and that it leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploy.bench.assess import GOALS, AssessBench, run_assess
from deploy.clients import connect_database
from deploy.stack.steps import SilentSteps

from .conftest import Servers

pytestmark = pytest.mark.integration


def databases(servers: Servers) -> set[str]:
    with connect_database(servers.settings, "superuser", database="postgres") as connection:
        return {name for (name,) in connection.execute("select datname from pg_database")}


def test_a_small_city_is_assessed_whole_and_in_part_and_readings_become_alerts(servers: Servers) -> None:
    before = databases(servers)
    options = replace(AssessBench.scaled(0.002, tries=2), rounds=1, turns=2)
    found = run_assess(servers.settings, options, SilentSteps())
    assert databases(servers) <= before
    assert found["sites"] == 23
    assert set(found["wrong"].values()) == {0}
    assert [r["assessed"] for r in found["rounds"]] == [46], "every building, today and yesterday"
    assert [t["assessed"] for t in found["turns"]] == [2, 2], "one building"
    assert found["alerts"] == 2
    for figure in ("seconds", "sites_per_s", "limit_seconds", "ratio", "changed_seconds", "peak_rss_mb"):
        assert found[figure] > 0
    assert 0 < found["alert_p50_s"] <= found["alert_p95_s"]
    assert found["alert_p50_s"] <= found["mail_p50_s"] + 0.1, (
        "mails follow their alerts, by more than a look at both"
    )
    assert 0 < found["mail_p50_s"] <= found["mail_p95_s"]
    assert 0 <= found["after_alert_p50_s"] <= found["after_alert_p95_s"]
    assert found["goals"] == GOALS
