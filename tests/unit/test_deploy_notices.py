"""`status` says what a person should know although everything runs."""

from __future__ import annotations

import prometheus_client

import alerts.notify.metrics
import collectors.metrics
import storage.derive_metrics
import stream.metrics
from deploy.stack.notices import NOTICES, notices
from deploy.stack.steps import Steps


def test_every_metric_that_is_told_exists() -> None:
    assert all((alerts.notify.metrics, collectors.metrics, storage.derive_metrics, stream.metrics))
    names = prometheus_client.REGISTRY._names_to_collectors
    assert all(n.metric in names for told in NOTICES.values() for n in told)


def test_what_is_not_0_is_told_with_its_count_and_where() -> None:
    samples = {
        "nengliu_stream_sink_away": {"": 1.0},
        "nengliu_stream_poison_records_total": {"meter.status": 0.0},
        "nengliu_stream_offsets_skipped_total": {"meter.readings": 1200.0, "meter.status": 0.0},
    }
    away, gone = notices("writer", samples, Steps("en"))
    assert away == "the writer waits for the database; readings stay in Kafka"
    assert gone == "Kafka's retention passed the writer: 1,200 records are gone (meter.readings)"
    assert "1,200 条" in notices("writer", samples, Steps("zh"))[1]


def test_nothing_is_told_while_all_is_well() -> None:
    assert notices("writer", {"nengliu_stream_sink_away": {"": 0.0}}, Steps("en")) == []
    assert notices("mosquitto", {}, Steps("en")) == []
