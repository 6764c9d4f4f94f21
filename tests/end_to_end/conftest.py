"""A whole stack as a user starts it, spoken to as its users speak to it: commands, MQTT, and the api views.

Nothing here imports the product's code.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psycopg
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PORTS = ("MQTT", "KAFKA", "POSTGRES", "PROMETHEUS")


def wait_for(condition: Callable[[], Any], what: str, limit_s: float = 90) -> Any:
    """The first true answer of `condition`; fails naming `what` where none comes in time."""
    end = time.monotonic() + limit_s
    tick = queue.Queue[None]()
    while time.monotonic() < end:
        if found := condition():
            return found
        try:
            tick.get(timeout=0.1)
        except queue.Empty:
            continue
    raise AssertionError(f"waited {limit_s} s in vain for: {what}")


class Stack:
    """A local stack in a state directory of its own."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")} | {
            "NENGLIU_STATE_DIR": str(folder / "state"),
            **{f"NENGLIU_{p}_PORT": "0" for p in PORTS},
            **environment,
        }

    def run(self, *words: str, code: int = 0, timeout: float = 240) -> str:
        """Run `nengliu …`, check its exit code, return its standard output."""
        command = [str(Path(sys.executable).parent / "nengliu"), *words]
        done = subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == code, (words, done.returncode, done.stdout[-3000:], done.stderr[-3000:])
        return done.stdout

    def status(self) -> dict[str, Any]:
        """What `status --json` says."""
        return json.loads(self.run("status", "--json"))

    def server(self, name: str) -> tuple[str, int]:
        """Host and port of a server."""
        found = next(s for s in self.status()["servers"] if s["name"] == name)
        host, port = found["address"].rsplit(":", 1)
        return host, int(port)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Rows as the read-only role sees them."""
        if not hasattr(self, "_url"):
            self._url = self.status()["read_url"]
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(query, parameters).fetchall()

    def import_registry(self, name: str, **files: str) -> None:
        """Import CSV texts, a file each."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        for file, text in files.items():
            (folder / f"{file}.csv").write_text(text, encoding="utf-8")
        self.run("registry", "import", str(folder))

    def add_gateways(self, *names: str) -> dict[str, str]:
        """Passwords of new gateways."""
        return {g["gateway"]: g["password"] for g in json.loads(self.run("gateway", "add", *names, "--json"))}


class Gateway:
    """A gateway with credentials: publishes QoS 1 and keeps what comes down."""

    def __init__(self, stack: Stack, name: str, password: str) -> None:
        self.name = name
        self.acks: list[dict[str, Any]] = []
        self.puback: queue.Queue[Any] = queue.Queue()
        connected: queue.Queue[Any] = queue.Queue()
        subscribed: queue.Queue[Any] = queue.Queue()
        self.client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id=name, protocol=mqtt.MQTTv5)
        self.client.username_pw_set(name, password)
        self.client.on_connect = lambda c, u, f, reason, p: connected.put(reason)
        self.client.on_subscribe = lambda c, u, mid, reasons, p: subscribed.put(reasons)
        self.client.on_publish = lambda c, u, mid, reason, p: self.puback.put(reason)
        self.client.on_message = lambda c, u, message: self.acks.append(json.loads(message.payload))
        host, port = stack.server("mosquitto")
        self.client.connect(host, port, clean_start=True)
        self.client.loop_start()
        self.connack = connected.get(timeout=10)
        if not self.connack.is_failure:
            self.client.subscribe(f"nl/v1/{name}/ack", qos=1)
            self.suback = subscribed.get(timeout=10)[0]

    def publish(self, payload: Any, topic: str | None = None, **user_properties: str) -> Any:
        """Publish bytes, or a document as JSON; the reason in the broker's PUBACK."""
        properties = Properties(PacketTypes.PUBLISH)
        for name, value in user_properties.items():
            properties.UserProperty = (name, value)
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self.client.publish(topic or f"nl/v1/{self.name}/readings", data, qos=1, properties=properties)
        return self.puback.get(timeout=20)

    def send(self, outbox: str, seq: int, *readings: dict[str, Any], **more: Any) -> None:
        """Publish a v1 message and wait until the database has it for good."""
        self.publish({"v": 1, "outbox": outbox, "seq": seq, "readings": list(readings)} | more)
        self.acked(outbox, seq)

    def acked(self, outbox: str, seq: int) -> tuple[str, str | None]:
        """("stored", None) or ("rejected", reason), once the ack has come."""

        def look() -> tuple[str, str | None] | None:
            for ack in self.acks:
                if ack["outbox"] == outbox and seq in ack["stored"]:
                    return "stored", None
                for item in ack["rejected"]:
                    if ack["outbox"] == outbox and item["seq"] == seq:
                        return "rejected", item["reason"]
            return None

        return wait_for(look, f"the ack of {outbox}/{seq} to {self.name}")

    def close(self) -> None:
        """Disconnect."""
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack with all its services, removed afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="nengliu-e2e-"))
    made = Stack(folder)
    try:
        made.run("up")
        yield made
    finally:
        made.run("down", "--purge")
        shutil.rmtree(folder)
