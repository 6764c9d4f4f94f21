"""`bench alerts` in small: the platform's own code alerts of what was truly used, and nothing is left behind."""

from __future__ import annotations

import pytest

from deploy.bench.alert_quality import run_alerts
from deploy.bench.alert_truth import QualityOptions
from deploy.stack.steps import SilentSteps

from .conftest import Servers
from .test_bench_assess import databases

pytestmark = pytest.mark.integration


@pytest.mark.parametrize("by_event", [True, False])
def test_limits_that_are_passed_in_truth_have_alerts_and_others_none_that_stands(
    servers: Servers, by_event: bool
) -> None:
    before = databases(servers)
    report = run_alerts(
        servers.settings, QualityOptions(sites=8, judged_days=75), 1, SilentSteps(), by_event=by_event
    )
    assert databases(servers) <= before
    assert report["limits_off"] == []
    assert (report["quota_over"]["right"], report["quota_severe"]["right"]) == (4, 2)
    for rule in ("quota_over", "quota_severe"):
        assert (report[rule]["wrong"], report[rule]["missed"]) == ([], [])
    assert report["missed"] == []
