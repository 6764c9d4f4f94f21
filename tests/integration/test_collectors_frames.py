"""Raw frames of meter buses through the real bridge and writer: stored, acknowledged, and what is broken named."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from deploy.clients import connect_database
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from storage.registry import import_registry

from .collectors_support import Gateway, endpoint_of, running, wait_until

pytestmark = pytest.mark.integration

#: Meter 120100000000 shows 1234.56 kWh.
ANSWER = bytes.fromhex("68 00 00 00 00 01 12 68 91 08 33 33 34 33 89 67 45 33 B1 16")
#: Water meter 78330011223344 shows 1234.56 m3.
WATER = bytes.fromhex(
    "68 10 44 33 22 11 00 33 78 81 16 1F 90 00 56 34 12 00 2C 00 00 00 00 2C 30 16 00 01 03 14 20 00 00 85 16"
)
BROKEN = ANSWER[:-2] + b"\xb2\x16"

SITES = (
    "site_code,name,kind,sector,building_type,district_code,floor_area_m2\n"
    "S1,site,building,buildings,A,110108,1000\n"
)
POINTS = (
    "point_code,site_code,item_code,name,parent_point_code,rated_per_hour\n"
    "P-E,S1,01,electricity,,\n"
    "P-W,S1,02,water,,\n"
)
INSTALLATIONS = (
    "meter,point_code,register,gateway,protocol,unit,digits,decimals,ratio,installed_at,removed_at,start_value,end_value\n"
    "120100000000,P-E,1.8.0,{gateway},dlt645,kWh,6,2,1,2010-01-01T00:00:00+08:00,,,\n"
    "78330011223344,P-W,8:1.0.0,{gateway},cjt188,m3,6,2,1,2010-01-01T00:00:00+08:00,,,\n"
)


#: A vendor's topic and format; the file's name is the decoder's.
FILTERS = {"acme/{gateway}/up": "acme"}
ACME = 'kind = "json"\nmeter = "id"\n[registers]\nflow = { register = "8:1.0.0", scale = 0.001 }\n'


@pytest.fixture
def gateway(settings: Settings) -> Iterator[Gateway]:
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"gw-{secrets.token_hex(4)}"], FILTERS)
    made = Gateway(endpoint, credential.gateway, credential.password)
    yield made
    made.close()
    remove_gateways(endpoint, [credential.gateway])


def register(settings: Settings, folder: Path, gateway: str) -> None:
    """Meters that the registry knows behind `gateway`."""
    (folder / "sites.csv").write_text(SITES)
    (folder / "points.csv").write_text(POINTS)
    (folder / "installations.csv").write_text(INSTALLATIONS.format(gateway=gateway))
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, folder, "test")


def send(gateway: Gateway, leaf: str, payload: bytes, **properties: str) -> None:
    """Publish on one of the gateway's own topics, with user properties."""
    publish(gateway, f"nl/v1/{gateway.name}/{leaf}", payload, **properties)


def publish(gateway: Gateway, topic: str, payload: bytes, **properties: str) -> None:
    """Publish with user properties; the broker takes it."""
    given = Properties(PacketTypes.PUBLISH)
    for name, value in properties.items():
        given.UserProperty = (name, value)
    mid = gateway.publish(topic, payload, given)
    assert gateway.answered([mid]) == ["Success"]


def rows(settings: Settings, query: str, *arguments: Any) -> list[tuple[Any, ...]]:
    with connect_database(settings, "owner") as connection, connection.cursor() as cursor:
        return cursor.execute(query, arguments).fetchall()


def test_frames_are_stored_at_their_time_and_acknowledged_and_broken_ones_are_named(
    settings: Settings, gateway: Gateway, tmp_path: Path
) -> None:
    register(settings, tmp_path, gateway.name)
    with running(settings, "collect"), running(settings, "write"):
        ts = "2014-03-01T00:15:00+08:00"
        send(gateway, "dlt645", b"\xfe\xfe" + ANSWER + BROKEN, seq="1", outbox="o", ts=ts)
        send(gateway, "dlt645", b"\xfe" + BROKEN, seq="2", outbox="o", ts=ts)
        send(gateway, "dlt645", ANSWER, seq="3", outbox="o", ts="yesterday")
        send(gateway, "cjt188", WATER + b"\x00", seq="4", outbox="o", ts=ts)
        expected = ({1, 4}, {2: "bad_checksum", 3: "bad_timestamp"})
        wait_until(lambda: gateway.acknowledged() == expected, "the acknowledgements")
    at = datetime(2014, 2, 28, 16, 15, tzinfo=UTC)
    query = "select point_code, meter, register, ts, value from api.reading order by meter"
    assert rows(settings, query) == [
        ("P-E", "120100000000", "1.8.0", at, 1234.56),
        ("P-W", "78330011223344", "8:1.0.0", at, 1234.56),
    ]
    query = "select seq, source_topic, reason, payload from nengliu.reject where gateway = %s order by seq"
    topic = f"nl/v1/{gateway.name}/dlt645"
    assert rows(settings, query, gateway.name) == [
        (1, topic, "bad_checksum", BROKEN),
        (2, topic, "bad_checksum", b"\xfe" + BROKEN),
        (3, topic, "bad_timestamp", ANSWER),
        (4, f"nl/v1/{gateway.name}/cjt188", "junk", b"\x00"),
    ]


def test_a_vendor_s_format_is_a_file_and_a_filter(
    settings: Settings, gateway: Gateway, tmp_path: Path
) -> None:
    (tmp_path / "registry").mkdir()
    register(settings, tmp_path / "registry", gateway.name)
    (tmp_path / "acme.toml").write_text(ACME)
    declared = {
        "NENGLIU_MQTT_FILTERS": json.dumps(FILTERS),
        "NENGLIU_DECODER_FILES": json.dumps([str(tmp_path / "acme.toml")]),
    }
    ts = "2014-03-02T00:15:00+08:00"
    with running(settings, "collect", **declared), running(settings, "write"):
        topic = f"acme/{gateway.name}/up"
        publish(gateway, topic, b'{"id":"78330011223344","flow":1234567}', seq="1", outbox="o", ts=ts)
        publish(gateway, topic, b'{"id":"78330011223344","flaw":1}', seq="2", outbox="o", ts=ts)
        expected = ({1}, {2: "unknown_register"})
        wait_until(lambda: gateway.acknowledged() == expected, "the acknowledgements")
    query = "select meter, register, value from api.reading where ts = %s"
    assert rows(settings, query, ts) == [("78330011223344", "8:1.0.0", 1234.567)]
