"""Metrics of the derivation."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

READINGS = Counter("nengliu_derive_readings_total", "Readings that energy was derived from")
HOURS = Counter("nengliu_derive_hours_total", "Hours of points that came out differently and were written")
SITES = Counter("nengliu_derive_sites_total", "Sites derived, once for each batch they were in")
CHANGES = Counter("nengliu_derive_changes_total", "Changes taken up")
BATCH_SECONDS = Histogram(
    "nengliu_derive_batch_seconds",
    "One transaction of the derivation",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
BACKLOG = Gauge("nengliu_derive_backlog_changes", "Changes that wait")
BACKLOG_READINGS = Gauge(
    "nengliu_derive_backlog_readings",
    "About how many changed readings wait, as the meters' intervals have it",
)
OLDEST = Gauge("nengliu_derive_oldest_change_seconds", "How long the oldest change has waited")
OLDEST_LIVE = Gauge(
    "nengliu_derive_oldest_live_change_seconds", "How long the oldest change of the last hours has waited"
)
LAST_SUCCESS = Gauge(
    "nengliu_derive_last_success_seconds", "Unix time of the last pass that found nothing left to do"
)
AWAY = Gauge("nengliu_derive_away", "1 while the worker waits for a server it needs")
