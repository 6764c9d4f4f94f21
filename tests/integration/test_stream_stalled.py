"""A Kafka that neither works nor ends: its clients wait, and fill no memory meanwhile."""

from __future__ import annotations

import secrets
import time

import pytest

from deploy.clients import kafka_server
from stream.group_consumer import LEAST_WAIT_S, group_consumer
from stream.rights import grant, revoke
from stream.topics import READINGS, delete_topics, ensure_topics

from .collectors_support import wait_until
from .conftest import Servers
from .test_collectors_faults import pid_of, stalled

pytestmark = pytest.mark.integration

_HEARTBEAT_S = 0.3


def test_a_consumer_looks_at_a_stalled_kafka_now_and_then_and_not_all_the_time(servers: Servers) -> None:
    prefix = f"s{secrets.token_hex(4)}."
    admin = kafka_server(servers.settings, "admin")
    ensure_topics(admin, prefix, 1, 1)
    grant(admin, prefix)
    consumer = group_consumer(
        kafka_server(servers.settings, "writer"),
        prefix + READINGS,
        group_id=f"{prefix}nengliu-writer",
        enable_auto_commit=False,
        heartbeat_interval_ms=int(_HEARTBEAT_S * 1000),
        metadata_max_age_ms=1000,  # of a topic made this moment nothing may be known yet
    )
    looks = 0
    look = consumer._fetcher.fetch_records

    def counted(*args: object, **more: object) -> object:
        nonlocal looks
        looks += 1
        return look(*args, **more)

    try:
        wait_until(lambda: consumer.poll(timeout_ms=100) or consumer.assignment(), "a partition", 30)
        consumer._fetcher.fetch_records = counted
        with stalled(pid_of(servers.settings, "kafka")):
            began = time.monotonic()
            while time.monotonic() - began < 10 * _HEARTBEAT_S:  # what it does while its heartbeats are late
                consumer.poll(timeout_ms=500)
            most = (time.monotonic() - began) / LEAST_WAIT_S
        assert 1 < looks <= 1.5 * most
    finally:
        consumer.close(timeout_ms=1_000)
        revoke(admin, prefix)
        delete_topics(admin, prefix)
