"""Metrics of retention; kept in the database, so that a worker that restarts says the same."""

from __future__ import annotations

from prometheus_client import Gauge

CHUNKS = Gauge("nengliu_retention_chunks_dropped", "Chunks of raw readings dropped so far")
READINGS = Gauge("nengliu_retention_readings_dropped", "Raw readings dropped so far")
FLOOR = Gauge(
    "nengliu_retention_floor_seconds", "Moment before which no hour is derived again, since 1970; 0: none"
)
WAITS = Gauge(
    "nengliu_retention_waits", "1 where readings are old enough to go and something there waits to be derived"
)
