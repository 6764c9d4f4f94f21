"""`bench ingest` runs the real chain, counts true, and leaves nothing behind."""

from __future__ import annotations

import secrets

import pytest
from kafka.admin import KafkaAdminClient

from deploy.bench.ingest import IngestOptions, Part, run_ingest
from deploy.bench.rig import bench_rig, metric, write_load_registry
from deploy.clients import connect_database, kafka_server, mqtt_connection
from deploy.gateways import SecurityDesk
from deploy.load.process import message
from deploy.load.rows import Load

from .collectors_support import Gateway, wait_until
from .conftest import Servers

pytestmark = pytest.mark.integration


def test_a_small_run_counts_every_reading_and_cleans_up(servers: Servers) -> None:
    said: list[str] = []
    options = IngestOptions(readings=4000, per_message=50, gateways=2, rounds=1)
    report = run_ingest(servers.settings, options, said.append)
    assert (report["readings"], report["lost"], report["doubled"]) == (4000, 0, 0)
    assert report["readings_per_s"] > 0
    assert report["limit_readings_per_s"] > 0
    assert report["ratio"] > 0
    assert said
    with connect_database(servers.settings, "superuser", database="postgres") as connection:
        assert not connection.execute(
            "select datname from pg_database where datname like 'bench_%'"
        ).fetchall()
    admin = KafkaAdminClient(**kafka_server(servers.settings, "admin").options())
    assert not [t for t in admin.list_topics() if t.startswith("bench-")]
    admin.close()
    with SecurityDesk(mqtt_connection(servers.settings, "admin")) as desk:
        assert not [n for n in desk.known() if n.startswith("bench-")]


def test_repeats_and_a_replay_are_booked_as_such_and_latency_is_measured(servers: Servers) -> None:
    options = IngestOptions(
        readings=2000, per_message=1, gateways=2, rounds=1, repeat_every=10, replay=True, latency=True
    )
    report = run_ingest(servers.settings, options, lambda _: None)
    assert (report["lost"], report["doubled"], report["wrong"]) == (0, 0, [])
    assert report["repeated"] == 200
    assert report["replay_readings_per_s"] > 0
    taken = report["latency"]["publish_to_durable_ack_s"]
    assert 0 < taken["p50"] <= taken["p99"] <= taken["p100"]


@pytest.mark.parametrize(
    ("part", "services"), [(Part.BRIDGE, {"bridge-1"}), (Part.WRITER, {"bridge-1", "writer-1"})]
)
def test_a_part_of_the_way_is_measured_alone(servers: Servers, part: Part, services: set[str]) -> None:
    options = IngestOptions(readings=2000, per_message=10, gateways=2, rounds=1, part=part)
    report = run_ingest(servers.settings, options, lambda _: None)
    assert (report["part"], report["lost"], report["doubled"], report["wrong"]) == (part.value, 0, 0, [])
    assert set(report["peak_rss_mb"]) == services
    assert report["readings_per_s"] > 0


def test_a_benchmark_takes_no_message_of_a_live_gateway(servers: Servers) -> None:
    tag = f"bench-{secrets.token_hex(3)}"
    load = Load(tag, gateways=1, messages=1, per_message=1)
    filters = {f"{tag}/{{gateway}}/readings": "native_json"}
    with bench_rig(
        servers.settings, tag, [f"{tag}-0"], filters, lambda folder: write_load_registry(folder, load)
    ) as rig:
        [bridge] = rig.start("bridge")
        [credential] = rig.credentials
        gateway = Gateway(
            mqtt_connection(servers.settings, "bridge"), credential.gateway, credential.password
        )
        try:
            for topic in (f"nl/v1/{credential.gateway}/readings", f"{tag}/{credential.gateway}/readings"):
                gateway.client.publish(topic, message(load, 0, 0), qos=1).wait_for_publish(10)
            wait_until(lambda: metric(bridge, "nengliu_bridge_messages_total"), "the benchmark's own message")
            assert metric(bridge, "nengliu_bridge_messages_total") == 1
        finally:
            gateway.close()
