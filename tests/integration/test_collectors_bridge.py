"""The bridge and the writer on real servers: everything arrives, bad values with their reason, in order,
acknowledged.
"""

from __future__ import annotations

import csv
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from deploy.clients import connect_database
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from storage.registry import import_registry
from stream import codec
from stream.topics import READINGS, REJECTS, STATUS

from .collectors_support import Gateway, Outbox, Running, endpoint_of, records, running, wait_until

pytestmark = pytest.mark.integration

HEADERS = {
    "sites.csv": "site_code,name,kind,sector,building_type,district_code,floor_area_m2",
    "points.csv": "point_code,site_code,item_code,name,parent_point_code,rated_per_hour",
    "installations.csv": "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,"
    "installed_at,removed_at,start_value,end_value",
}


def write_registry(folder: Path, gateway: str, meters: list[str]) -> None:
    """A site with a point and a meter each."""
    rows: dict[str, list[list[Any]]] = {
        "sites.csv": [["S1", "site", "building", "buildings", "A", "110108", 1000]],
        "points.csv": [[m, "S1", "01A", m, "", ""] for m in meters],
        "installations.csv": [
            [m, m, "1.8.0", gateway, "json", "kWh", 9, 2, 1, "2010-01-01T00:00:00+08:00", "", 0, ""]
            for m in meters
        ],
    }
    for name, header in HEADERS.items():
        with (folder / name).open("w", newline="", encoding="utf-8") as f:
            f.write(header + "\n")
            csv.writer(f).writerows(rows[name])


@pytest.fixture(scope="module")
def bridge(settings: Settings) -> Iterator[Running]:
    with running(settings, "collect") as service:
        yield service


@pytest.fixture(scope="module")
def writer(settings: Settings) -> Iterator[Running]:
    with running(settings, "write") as service:
        yield service


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Gateway]:
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"gw-{secrets.token_hex(4)}"])
    made = Gateway(endpoint, credential.gateway, credential.password)
    yield made
    made.close()
    remove_gateways(endpoint, [credential.gateway])


@pytest.fixture
def meters(settings: Settings, gateway: Gateway, tmp_path: Path) -> list[str]:
    """Meters that the registry knows behind `gateway`."""
    names = [f"{gateway.name}-{i}" for i in range(4)]
    write_registry(tmp_path, gateway.name, names)
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, tmp_path, "test")
    return names


def reading(meter: str, ts: Any, value: Any, register: str = "1.8.0") -> dict[str, Any]:
    return {"meter": meter, "ts": ts, "values": {register: value}}


def rows(settings: Settings, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connect_database(settings, "owner") as connection, connection.cursor() as cursor:
        cursor.execute(query, arguments)
        return cursor.fetchall()


def test_what_is_published_is_in_kafka_when_the_broker_is_told_so(
    settings: Settings, bridge: Running, gateway: Gateway
) -> None:
    good = {
        "v": 1,
        "outbox": "o",
        "seq": 1,
        "readings": [reading("m", 1393603200, 1.5), reading("m", "yesterday", 2)],
    }
    gateway.send(good)
    gateway.send("not json")
    gateway.send({"v": 1, "seq": 2, "readings": [reading("m", 1393603200, None)]})
    gateway.publish(f"nl/v1/{gateway.name}/status", '{"v":1,"state":"online","outbox_depth":3}')
    gateway.publish(f"nl/v1/{gateway.name}/status", "what?")

    def found() -> Any:
        all_of = [
            records(settings, topic, decode, gateway.name)
            for topic, decode in (
                (READINGS, codec.decode_readings),
                (REJECTS, codec.decode_reject),
                (STATUS, codec.decode_status),
            )
        ]
        return all_of if [len(x) for x in all_of] == [1, 3, 1] else None

    [batch], rejects, [status] = wait_until(found, "the records")
    assert [(m.gateway, m.outbox, m.seq, m.count) for m in batch.messages] == [(gateway.name, "o", 1, 1)]
    assert batch.value.tolist() == [1.5]
    assert [r.reason for r in batch.messages[0].rejected] == ["bad_timestamp"]
    by_topic = [(r.reason, r.topic.rsplit("/", 1)[1], r.payload, r.seq) for r in rejects]
    assert by_topic[0] == ("malformed", "readings", b"not json", None)
    assert (by_topic[1][0], by_topic[1][3]) == ("bad_value", 2)
    assert [json.loads(i.payload)["readings"] for i in rejects[1].items] == [[reading("m", 1393603200, None)]]
    assert by_topic[2] == ("malformed", "status", b"what?", None)
    assert (status.state, status.outbox_depth) == ("online", 3)


def test_readings_of_a_gateway_stay_in_order(settings: Settings, bridge: Running, gateway: Gateway) -> None:
    for seq in range(2000):
        gateway.send({"v": 1, "outbox": "o", "seq": seq, "readings": [reading("m", 1393603200 + seq, seq)]})

    def complete() -> Any:
        batches = records(settings, READINGS, codec.decode_readings, gateway.name)
        seqs = [m.seq for b in batches for m in b.messages]
        return (batches, seqs) if len(seqs) >= 2000 else None

    batches, seqs = wait_until(complete, "all messages in Kafka")
    assert seqs == list(range(2000))
    assert [v for b in batches for v in b.value.tolist()] == [float(s) for s in range(2000)]
    assert len(batches) < 2000, "several waiting messages share a record"


def test_an_outbox_hears_what_is_stored_and_what_is_rejected_and_why(
    settings: Settings, bridge: Running, writer: Running, gateway: Gateway, meters: list[str]
) -> None:
    gateway.send({"v": 1, "outbox": "o", "seq": 1, "readings": [reading(meters[0], 1393603200, 1)]})
    gateway.send({"v": 1, "outbox": "o", "seq": 2, "readings": [reading(meters[0], 1393603300, "x")]})
    gateway.send({"v": 1, "outbox": "o", "seq": 3, "readings": [reading("nobody", 1393603200, 1)]})
    gateway.send(
        {
            "v": 1,
            "outbox": "o",
            "seq": 4,
            "readings": [reading(meters[1], 1393603200, 1), reading("nobody", 1, 1)],
        }
    )
    gateway.send({"v": 7, "outbox": "o", "seq": 5, "readings": []})
    gateway.send({"v": 1, "outbox": "o", "seq": 6, "readings": [], "pad": "x" * 600_000})
    expected = ({1, 4}, {2: "bad_value", 3: "unknown_meter", 5: "unknown_version", 6: "too_large"})
    wait_until(lambda: gateway.acknowledged() == expected, f"acks; came: {gateway.acknowledged()}")
    assert {topic for topic, _ in gateway.received} == {f"nl/v1/{gateway.name}/ack"}
    assert all(m["v"] == 1 and m["outbox"] == "o" and m["at"].endswith("Z") for _, m in gateway.received)
    found = rows(settings, "select reason from api.reject where gateway = %s order by 1", gateway.name)
    assert [r for (r,) in found] == [
        *("bad_value", "timestamp_out_of_range", "too_large", "unknown_meter", "unknown_version"),
    ]


def test_a_killed_bridge_and_a_killed_writer_lose_and_double_nothing(
    settings: Settings, bridge: Running, writer: Running, gateway: Gateway, meters: list[str]
) -> None:
    messages = {seq: [reading(m, 1393603200 + seq * 60, seq) for m in meters] for seq in range(1, 601)}
    outbox = Outbox(gateway, "killed", messages)
    stored = (
        "select count(*) from nengliu.reading join nengliu.series using (series_id) where meter = any(%s)"
    )
    for victim, at in ((bridge, 200), (writer, 600), (bridge, 1000), (writer, 1600)):
        wait_until(lambda at=at: rows(settings, stored, meters)[0][0] >= at, f"{at} rows", 60)
        victim.kill()
        victim.start()
    outbox.finish(90)
    values = rows(
        settings,
        "select meter, extract(epoch from ts)::bigint, value from nengliu.reading"
        " join nengliu.series using (series_id) where meter = any(%s)",
        meters,
    )
    assert len(values) == len(set(values)) == 2400
    assert set(values) == {(m, 1393603200 + s * 60, float(s)) for s in messages for m in meters}
    [ledger] = rows(
        settings,
        "select sum(received), sum(stored), sum(conflicting), sum(rejected), sum(repeated)"
        " from api.ingest_ledger where gateway = %s",
        gateway.name,
    )
    assert ledger[1:4] == (2400, 0, 0)
    assert ledger[0] == 2400 + ledger[4]


def test_a_stopped_bridge_leaves_cleanly_and_the_broker_keeps_its_messages(
    settings: Settings, bridge: Running, gateway: Gateway
) -> None:
    assert bridge.stop() == 0
    mids = [gateway.send({"v": 1, "readings": [reading("m", 1393603200 + i, i)]}) for i in range(50)]
    assert gateway.answered(mids) == ["Success"] * 50
    bridge.start()

    def complete() -> bool:
        batches = records(settings, READINGS, codec.decode_readings, gateway.name)
        return [v for b in batches for v in b.value.tolist()] == [float(i) for i in range(50)]

    wait_until(complete, "the messages that waited at the broker")


def test_a_database_that_is_away_is_waited_for_without_losing_place(
    settings: Settings, bridge: Running, writer: Running, gateway: Gateway, meters: list[str], database: Any
) -> None:
    before = time.time()
    with psycopg.connect(database.superuser_url.rsplit("/", 1)[0] + "/postgres", autocommit=True) as server:
        server.execute(f"alter database {database.name} with allow_connections false")
        server.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = %s", [database.name]
        )
        gateway.send({"v": 1, "outbox": "o", "seq": 1, "readings": [reading(meters[0], 1393700000, 5)]})
        wait_until(lambda: writer.metric("nengliu_stream_sink_away") == 1, "the writer to see it")
        server.execute(f"alter database {database.name} with allow_connections true")
    wait_until(lambda: gateway.acknowledged()[0] == {1}, "the durable acknowledgement")
    assert writer.metric("nengliu_stream_sink_away") == 0
    assert writer.metric("nengliu_stream_last_success_seconds") > before
