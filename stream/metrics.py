"""Metrics of the way through Kafka."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

PRODUCED = Counter("nengliu_stream_produced_records_total", "Records that Kafka has acknowledged", ["topic"])
PRODUCE_FAILED = Counter(
    "nengliu_stream_produce_failed_total", "Records that Kafka refused for good", ["topic"]
)
PRODUCE_SECONDS = Histogram(
    "nengliu_stream_produce_seconds",
    "From handing a record to the producer to Kafka's acknowledgement",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
CONSUMED = Counter(
    "nengliu_stream_consumed_records_total", "Records that were taken and committed", ["topic"]
)
POISON = Counter("nengliu_stream_poison_records_total", "Records that could not be decoded", ["topic"])
SKIPPED = Counter(
    "nengliu_stream_offsets_skipped_total",
    "Offsets that Kafka no longer had when they were wanted",
    ["topic"],
)
SHORTENED = Counter(
    "nengliu_stream_log_shortened_total",
    "Times that a partition's log ended before the stored offset: Kafka lost what it had acknowledged",
    ["topic"],
)
RECREATED = Counter(
    "nengliu_stream_topic_recreated_total",
    "Times that a topic was found to be another one by its id",
    ["topic"],
)
LAG = Gauge("nengliu_stream_lag_records", "Records behind the end of the partition", ["topic", "partition"])
BATCH_SECONDS = Histogram(
    "nengliu_stream_batch_seconds",
    "One transaction of the sink",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
BATCH_RECORDS = Histogram(
    "nengliu_stream_batch_records",
    "Records in one transaction",
    buckets=(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000),
)
LAST_SUCCESS = Gauge("nengliu_stream_last_success_seconds", "Unix time of the last committed batch")
READY = Gauge("nengliu_stream_ready", "1 while a member of the group that knows its positions")
ASSIGNED = Gauge("nengliu_stream_assigned_partitions", "Partitions that are ours and whose position is known")
SINK_AWAY = Gauge("nengliu_stream_sink_away", "1 while the sink (the database) cannot be reached")
REBALANCES = Counter("nengliu_stream_rebalances_total", "Times that partitions were taken or given")
OWNERSHIP_LOST = Counter(
    "nengliu_stream_ownership_lost_total", "Transactions given up: another writer was further"
)
ACKS_PUBLISHED = Counter("nengliu_stream_acks_total", "Sequence numbers acknowledged to outboxes", ["kind"])
