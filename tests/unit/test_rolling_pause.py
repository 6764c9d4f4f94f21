"""The pause between two assessments by the wall clock."""

from __future__ import annotations

from alerts.rolling import RollingOptions


def test_the_pause_follows_what_a_run_took_but_no_alert_waits_for_a_whole_citys_run() -> None:
    options = RollingOptions(by_event=False)
    assert options.pause_s(0.01) == 5.0
    assert options.pause_s(2.0) == 20.0
    assert options.pause_s(45.0) == 30.0
    assert RollingOptions(by_event=False, debounce_s=60.0).pause_s(45.0) == 60.0
