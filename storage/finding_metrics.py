"""Metrics of findings."""

from __future__ import annotations

from prometheus_client import Gauge, Histogram

OPEN = Gauge("nengliu_findings_open", "Findings that are open and last, by kind", ["kind"])
SECONDS = Histogram(
    "nengliu_findings_seconds",
    "One look for what is silent or missing",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
LEVEL_SECONDS = Histogram(
    "nengliu_level_findings_seconds",
    "One look for lasting changes of level",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2.5, 5, 10, 30),
)
