"""`bench derive`: which goals count as missed, and what the command refuses."""

from __future__ import annotations

from typer.testing import CliRunner

from deploy.bench.derive import missed
from deploy.cli.bench_commands import bench


def test_a_goal_that_is_missed_and_a_wrong_figure_are_told() -> None:
    good = {"ratio": 0.4, "hours_per_s": 117_500, "wrong": {"points": 0}}
    assert missed("city-day", good) == []
    assert len(missed("city-day", {"ratio": 0.39, "hours_per_s": 117_499, "wrong": {"points": 1}})) == 3
    assert missed("stored", {"ratio": 1.2, "wrong": 0}) == []
    assert len(missed("stored", {"ratio": 1.21, "wrong": 1})) == 2
    assert missed("memory", {"peak_rss_mb": 500.0}) == []
    assert len(missed("late", {"p95_ms": 200.1, "wrong": 0})) == 1


def test_the_command_refuses_an_interval_that_makes_no_hours() -> None:
    result = CliRunner().invoke(bench, ["derive", "--interval", "700"])
    assert result.exit_code == 2
    assert "--interval" in result.output
