"""Services as processes, gateways as paho clients with an outbox, and what Kafka holds: for tests on real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import paho.mqtt.client as paho
from kafka import KafkaConsumer, TopicPartition
from paho.mqtt.properties import Properties

from deploy.bench.rig import free_port
from deploy.clients import MqttEndpoint, database_url, kafka_server, mqtt_connection
from deploy.settings import Settings

ROOT = Path(__file__).resolve().parents[2]


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 30.0) -> Any:
    """The condition's first true value; fails naming `what` after the time."""
    deadline = time.monotonic() + timeout_s
    pause = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"still waiting for {what}"
        pause.wait(0.05)


class Running:
    """A service of ours as a process."""

    def __init__(self, settings: Settings, command: str, bridge_id: str, **environment: str) -> None:
        self.port = free_port(settings.host)
        kind = {"collect": "BRIDGE", "write": "WRITER", "edge": "EDGE"}[command]
        database = settings.database_url
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")},
            "NENGLIU_STATE_DIR": str(settings.state_dir.absolute()),
            "NENGLIU_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
            "NENGLIU_BRIDGE_ID": bridge_id,
            f"NENGLIU_{kind}_METRICS_PORT": str(self.port),
            "NENGLIU_GATEWAY_MESSAGES_PER_S": str(settings.gateway_messages_per_s),
            "NENGLIU_GATEWAY_READINGS_PER_S": str(settings.gateway_readings_per_s),
            "NENGLIU_WRITER_SESSION_TIMEOUT": str(settings.writer_session_timeout),
            "PYTHONPATH": str(ROOT),
            **environment,
        }
        if database is not None and command == "write":
            name = urlsplit(database.get_secret_value()).path.lstrip("/")
            local = settings.model_copy(update={"database_url": None})
            self._environment["NENGLIU_DATABASE_URL"] = database_url(local, "writer", name)
        self._command = [sys.executable, "-m", "deploy.cli.app", command]
        self._ready = {
            "BRIDGE": "nengliu_bridge_mqtt_connected",
            "WRITER": "nengliu_stream_ready",
            "EDGE": "nengliu_edge_mqtt_connected",
        }[kind]
        self.start()

    def start(self) -> None:
        self.process = subprocess.Popen(self._command, env=self._environment, cwd=ROOT)
        wait_until(lambda: self.alive() and self.metric(self._ready), "the service to be ready", 60)

    def alive(self) -> bool:
        assert self.process.poll() is None, f"the service ended with {self.process.returncode}"
        return True

    def metric(self, name: str) -> float:
        """Sum of a metric over its labels; 0 while the service does not answer."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        return sum(float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith((name + "{", name + " ")))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)


@contextmanager
def running(settings: Settings, command: str, bridge_id: str = "1", **environment: str) -> Iterator[Running]:
    """`nengliu collect`, `write` or `edge`, ready, with further settings; stopped afterwards."""
    service = Running(settings, command, f"{settings.kafka_topic_prefix}{bridge_id}", **environment)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.stop()


class Gateway:
    """A gateway's MQTT connection, MQTT 5 with QoS 1. Keeps what the broker said and what came down."""

    def __init__(
        self, endpoint: MqttEndpoint, name: str, password: str, connect: bool = True, client_id: str = ""
    ) -> None:
        self.name = name
        self.connected: str | None = None
        self.reasons: dict[int, str] = {}
        self.granted: list[str] = []
        self.received: list[tuple[str, dict[str, Any]]] = []
        self.disconnects = 0
        self.refusals: list[str] = []
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=paho.MQTTv5)
        client.username_pw_set(name, password)
        if endpoint.tls is not None:
            client.tls_set_context(endpoint.tls)
        client.reconnect_delay_set(1, 1)
        client.max_inflight_messages_set(1000)
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self.client = client
        client.connect(endpoint.host, endpoint.port, keepalive=20)
        client.loop_start()
        if connect:
            wait_until(lambda: self.connected == "Success", f"{name} to connect")

    def _on_connect(self, client: paho.Client, _: Any, __: Any, reason: Any, ___: Any) -> None:
        self.connected = str(reason)
        if reason.is_failure:
            self.refusals.append(str(reason))
        if not reason.is_failure:
            client.subscribe(f"nl/v1/{self.name}/ack", qos=1)

    def _on_disconnect(self, *_: Any) -> None:
        self.connected = None
        self.disconnects += 1

    def _on_publish(self, _: Any, __: Any, mid: int, reason: Any, ___: Any) -> None:
        self.reasons[mid] = str(reason)

    def _on_subscribe(self, _: Any, __: Any, ___: int, reasons: list[Any], ____: Any) -> None:
        self.granted += [str(r) for r in reasons]

    def _on_message(self, _: Any, __: Any, message: paho.MQTTMessage) -> None:
        self.received.append((message.topic, json.loads(message.payload)))

    def publish(
        self, topic: str, payload: bytes | str | dict[str, Any], properties: Properties | None = None
    ) -> int:
        """Publish with QoS 1 and return the packet id."""
        data = json.dumps(payload) if isinstance(payload, dict) else payload
        return self.client.publish(topic, data, qos=1, properties=properties).mid

    def send(self, payload: bytes | str | dict[str, Any]) -> int:
        """Publish on the gateway's own readings topic."""
        return self.publish(f"nl/v1/{self.name}/readings", payload)

    def answered(self, mids: list[int]) -> list[str]:
        """Wait for the broker's answers to these publishes."""
        wait_until(lambda: all(m in self.reasons for m in mids), "PUBACKs")
        return [self.reasons[m] for m in mids]

    def acknowledged(self) -> tuple[set[int], dict[int, str]]:
        """Sequence numbers acknowledged for good: (stored, rejected with reason)."""
        stored = {s for _, m in self.received for s in m["stored"]}
        rejected = {r["seq"]: r["reason"] for _, m in self.received for r in m["rejected"]}
        return stored, rejected

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Outbox:
    """Messages with seq that are sent again until they are acknowledged for good."""

    def __init__(self, gateway: Gateway, name: str, messages: dict[int, list[dict[str, Any]]]) -> None:
        self.gateway, self.name = gateway, name
        self.waiting = dict(messages)
        self.sent_again = 0
        self.failure: BaseException | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"outbox-{name}")
        self._thread.start()

    def _run(self) -> None:
        try:
            self._drain()
        except BaseException as e:
            self.failure = e
            raise

    def _drain(self) -> None:
        sent_at: dict[int, float] = {}
        while self.waiting and not self._stop.is_set():
            now = time.monotonic()
            due = [s for s in self.waiting if now - sent_at.get(s, -1e9) > 3.0]
            for seq in due[:50]:
                self.sent_again += seq in sent_at
                sent_at[seq] = now
                self.gateway.send({"v": 1, "outbox": self.name, "seq": seq, "readings": self.waiting[seq]})
            self._stop.wait(0.02)
            for _, ack in list(self.gateway.received):
                if ack["outbox"] == self.name:
                    for seq in [*ack["stored"], *(r["seq"] for r in ack["rejected"])]:
                        self.waiting.pop(seq, None)

    def finish(self, timeout_s: float) -> None:
        """Wait until nothing is waiting any more."""
        self._thread.join(timeout_s)
        self._stop.set()
        self._thread.join()
        assert self.failure is None
        assert not self.waiting, f"{len(self.waiting)} messages were never acknowledged for good"


def endpoint_of(settings: Settings) -> MqttEndpoint:
    """Where the broker is."""
    return mqtt_connection(settings, "admin")


def records(settings: Settings, topic: str, decode: Callable[[bytes], Any], gateway: str) -> list[Any]:
    """Everything that Kafka holds of a gateway in a topic, in order of its partition."""
    name = settings.kafka_topic_prefix + topic
    consumer = KafkaConsumer(**kafka_server(settings, "admin").options(), enable_auto_commit=False)
    try:
        partitions = [TopicPartition(name, p) for p in sorted(consumer.partitions_for_topic(name) or ())]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        found: list[Any] = []
        while any(consumer.position(tp) < ends[tp] for tp in partitions):
            for batch in consumer.poll(timeout_ms=500).values():
                found += [decode(r.value) for r in batch if r.key == gateway.encode()]
        return found
    finally:
        consumer.close()
