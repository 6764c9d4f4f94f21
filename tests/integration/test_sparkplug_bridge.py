"""Sparkplug B on real servers: births, data by alias, and a bridge that dies and takes what the births said with it."""

from __future__ import annotations

import json
import secrets
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from deploy.clients import connect_database
from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from simulators.sparkplug_payloads import metric, payload
from storage.registry import import_registry
from stream import codec
from stream.topics import READINGS, REJECTS, STATUS

from .collectors_support import Gateway, Running, endpoint_of, records, running, wait_until
from .delivery_support import rows
from .test_collectors_bridge import write_registry

pytestmark = [pytest.mark.integration, pytest.mark.timeout(200)]

FILTERS = {"spBv1.0/+/+/{gateway}/#": "sparkplug"}
NOW_MS = 1_393_604_100_000
CONNECTED = "nengliu_sparkplug_mqtt_connected"


class EdgeNode:
    """An edge node with one device that says its births when it is asked to."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway, self.seq, self.asked = gateway, 0, 0
        topic = f"spBv1.0/plant/NCMD/{gateway.name}"
        gateway.client.message_callback_add(topic, self._told)
        gateway.client.subscribe(topic, qos=1)
        wait_until(lambda: len(gateway.granted) == 2, "the subscription to commands")
        assert gateway.granted[1] == "Granted QoS 1"

    def _told(self, _: object, __: object, message: paho.MQTTMessage) -> None:
        if b"Node Control/Rebirth" in message.payload:
            self.asked += 1
            self.births()

    def births(self) -> None:
        self.seq = 0
        self.say("NBIRTH", "", metric("bdSeq", 0, datatype=8))
        self.say("DBIRTH", "/m1", metric("1.8.0", 10.0, alias=7, datatype=10))

    def data(self, value: float) -> None:
        self.say("DDATA", "/m1", metric(None, value, alias=7, ts_ms=NOW_MS + round(value * 1000)))

    def say(self, kind: str, device: str, told: bytes) -> None:
        topic = f"spBv1.0/plant/{kind}/{self.gateway.name}{device}"
        self.gateway.publish(topic, payload(told, seq=self.seq, ts_ms=NOW_MS))
        self.seq = (self.seq + 1) % 256


@pytest.fixture
def node(settings: Settings) -> Iterator[EdgeNode]:
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"gw-{secrets.token_hex(4)}"], FILTERS)
    made = Gateway(endpoint, credential.gateway, credential.password)
    yield EdgeNode(made)
    made.close()
    remove_gateways(endpoint, [credential.gateway])


def values(settings: Settings, node: EdgeNode) -> set[float]:
    batches = records(settings, READINGS, codec.decode_readings, node.gateway.name)
    assert all(set(b.meters) == {"m1"} and set(b.registers) == {"1.8.0"} for b in batches)
    return {float(v) for b in batches for v in b.value}


def test_a_bridge_that_dies_is_followed_by_another_that_asks_for_the_births(
    settings: Settings, node: EdgeNode
) -> None:
    with ExitStack() as stack:
        environment = {"NENGLIU_MQTT_FILTERS": json.dumps(FILTERS)}
        bridges = [stack.enter_context(running(settings, "collect", n, **environment)) for n in ("a", "b")]

        def the_one() -> Running | None:
            alive = [b for b in bridges if b.process.poll() is None]
            connected = [b for b in alive if b.metric(CONNECTED)]
            return connected[0] if len(connected) == 1 else None

        first = wait_until(the_one, "one bridge to take Sparkplug B")
        node.births()
        node.data(11.0)
        wait_until(lambda: values(settings, node) == {10.0, 11.0}, "births and data to be stored")
        assert not node.asked
        first.kill()
        node.data(12.0)
        second = wait_until(the_one, "the other bridge to take over", 60)
        assert second is not first
        node.data(13.0)
        wait_until(lambda: values(settings, node) == {10.0, 11.0, 12.0, 13.0}, "all data to be stored")
        assert node.asked
    assert not records(settings, REJECTS, codec.decode_reject, node.gateway.name)
    states = records(settings, STATUS, codec.decode_status, node.gateway.name)
    assert {s.state for s in states} == {"online"}


def test_a_paused_bridge_that_wakes_leaves_the_session_to_its_successor(
    settings: Settings, node: EdgeNode
) -> None:
    with ExitStack() as stack:
        environment = {"NENGLIU_MQTT_FILTERS": json.dumps(FILTERS)}
        bridges = [stack.enter_context(running(settings, "collect", n, **environment)) for n in ("a", "b")]
        wait_until(lambda: sum(b.metric(CONNECTED) for b in bridges) == 1, "one bridge to take Sparkplug B")
        first, second = sorted(bridges, key=lambda b: -b.metric(CONNECTED))
        node.births()
        first.process.send_signal(signal.SIGSTOP)
        try:
            wait_until(lambda: second.metric(CONNECTED), "the other bridge to take over", 60)
            node.data(12.0)
            wait_until(lambda: 12.0 in values(settings, node), "data to be stored after the takeover")
        finally:
            first.process.send_signal(signal.SIGCONT)
        answers = "nengliu_bridge_mqtt_connected"
        wait_until(lambda: first.metric(answers) and not first.metric(CONNECTED), "the first to stand by")
        connects = second.metric("nengliu_bridge_mqtt_connects_total")
        node.data(13.0)
        wait_until(lambda: 13.0 in values(settings, node), "data to be stored")
        assert second.metric(CONNECTED)
        assert second.metric("nengliu_bridge_mqtt_connects_total") == connects


def test_a_device_with_names_of_its_own_becomes_rows(
    settings: Settings, node: EdgeNode, tmp_path: Path
) -> None:
    name = node.gateway.name
    write_registry(tmp_path, name, ["EM24-1"])
    with connect_database(settings, "pipeline") as connection:
        import_registry(connection, tmp_path, "test")
    names = tmp_path / "em24.toml"
    names.write_text(
        'kind = "sparkplug"\n[metrics]\n"Energy/In" = { register = "1.8.0", scale = 0.001 }\n'
        '[meters]\nm1 = "EM24-1"\n'
    )
    filters = {"spBv1.0/+/+/{gateway}/#": "em24"}
    environment = {
        "NENGLIU_MQTT_FILTERS": json.dumps(filters),
        "NENGLIU_DECODER_FILES": json.dumps([str(names)]),
    }
    with running(settings, "write"), running(settings, "collect", "names", **environment):
        node.say("NBIRTH", "", metric("bdSeq", 0, datatype=8))
        node.say("DBIRTH", "/m1", metric("Energy/In", 10_000, alias=7, datatype=8, ts_ms=NOW_MS))
        node.say("DDATA", "/m1", metric(None, 11_500, alias=7, ts_ms=NOW_MS + 900_000))
        query = "select register, value from api.reading where meter = 'EM24-1' order by ts"
        wait_until(
            lambda: rows(settings, query) == [("1.8.0", 10.0), ("1.8.0", 11.5)], "rows in the database"
        )
        state = "select state from api.gateway_status where gateway = %s"
        wait_until(lambda: rows(settings, state, name) == [("online",)], "the gateway's state")
    assert not rows(settings, "select * from api.reject where gateway = %s", name)
