"""`bench ingest` runs the real chain, counts true, and leaves nothing behind."""

from __future__ import annotations

import pytest
from kafka.admin import KafkaAdminClient

from deploy.bench.ingest import IngestOptions, run_ingest
from deploy.clients import connect_database, kafka_server, mqtt_connection
from deploy.gateways import SecurityDesk

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
