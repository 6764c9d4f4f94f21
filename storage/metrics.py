"""Metrics of what the database took in."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

VALUES = Counter("nengliu_writer_values_total", "Values received, by what became of them", ["outcome"])
REJECTS = Counter("nengliu_writer_rejects_total", "Values that were rejected, by reason", ["reason"])
MESSAGES = Counter("nengliu_writer_messages_total", "Messages taken in, with readings or without")
REDELIVERED = Counter(
    "nengliu_writer_redelivered_total",
    "Messages without seq that a broker delivered again: they count nothing",
)
TRANSACTION_SECONDS = Histogram(
    "nengliu_writer_transaction_seconds",
    "One transaction of the writer, retries included",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
TRANSACTION_VALUES = Histogram(
    "nengliu_writer_transaction_values",
    "Values in one transaction of the writer",
    buckets=(1, 10, 50, 100, 500, 1000, 5000, 10_000, 50_000, 100_000, 500_000),
)
RETRIES = Counter("nengliu_writer_retries_total", "Transactions that were tried again after a deadlock")
LAST_SUCCESS = Gauge("nengliu_writer_last_success_seconds", "Unix time of the last commit")
REGISTRY_VERSION = Gauge("nengliu_writer_registry_version", "Version of the registry that is in force")
