"""A gateway of the campaign as a process: takes its plan's steps one by one into a durable outbox, and publishes it.

Run as ``python -m tests.campaign.gateway TASK.json``. SIGTERM ends it. A step that the outbox does not take, its disk
being full, is tried again; a step that it took is never taken again, also not by a successor of a killed process.
"""

from __future__ import annotations

import json
import logging
import queue
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from collectors.routes import ack_topic

from .truth import Plan

_SCHEMA = """
create table if not exists message (seq integer primary key autoincrement, readings text not null)
"""
_RESEND_S = 5.0
_TURN_S = 0.05
log = logging.getLogger(__name__)


class Outbox:
    """Messages in SQLite until they are acknowledged for good. A number is never given twice."""

    def __init__(self, path: Path) -> None:
        self._database = sqlite3.connect(path, isolation_level=None, timeout=10)
        for statement in ("pragma journal_mode = wal", "pragma synchronous = full", _SCHEMA):
            self._database.execute(statement)

    @property
    def last(self) -> int:
        """The last number given."""
        return _last(self._database)

    def put(self, readings: list[dict[str, Any]]) -> None:
        """Keep a message. Raises sqlite3.OperationalError where the disk is full."""
        self._database.execute("insert into message (readings) values (?)", [json.dumps(readings)])

    def waiting(self) -> list[tuple[int, str]]:
        """The oldest messages."""
        return self._database.execute("select seq, readings from message order by seq limit 200").fetchall()

    def forget(self, seqs: list[int]) -> None:
        """Forget messages. Raises sqlite3.OperationalError where the disk is full."""
        self._database.executemany("delete from message where seq = ?", [[seq] for seq in seqs])


def outbox_state(path: Path) -> tuple[int, int]:
    """How many messages wait in an outbox file, and the last number given."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as database:
        [(waiting,)] = database.execute("select count(*) from message").fetchall()
        return int(waiting), _last(database)


def _last(database: sqlite3.Connection) -> int:
    row = database.execute("select seq from sqlite_sequence where name = 'message'").fetchone()
    return int(row[0]) if row else 0


class Gateway:
    """The outbox, and a connection that is made again whenever it breaks."""

    def __init__(self, plan: Plan, password: str, port: int, outbox: Outbox) -> None:
        self._plan, self._outbox = plan, outbox
        self._acks: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._sent: dict[int, float] = {}
        client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
        client.username_pw_set(plan.gateway, password)
        client.reconnect_delay_set(1, 2)
        client.on_connect = lambda client, *_: client.subscribe(ack_topic(plan.gateway), qos=1)
        client.on_message = lambda _, __, message: self._acks.put(json.loads(message.payload))
        client.connect_async("127.0.0.1", port, keepalive=10)
        self._client = client

    def run(self, stop: threading.Event) -> None:
        """Until `stop`."""
        self._client.loop_start()
        due = time.monotonic()
        while not stop.wait(_TURN_S):
            now = time.monotonic()
            try:
                if now >= due and self._outbox.last < self._plan.steps:
                    self._take(self._outbox.last + 1)
                    due = now + self._plan.interval_s
                self._forget()
            except sqlite3.OperationalError as e:
                log.warning("the outbox does not take a change: %s", e)
            self._send(now)
        self._client.disconnect()
        self._client.loop_stop()

    def _take(self, step: int) -> None:
        readings = self._plan.readings(step)
        self._outbox.put([{"meter": m, "ts": ts.isoformat(), "values": values} for m, ts, values in readings])

    def _forget(self) -> None:
        while not self._acks.empty():
            ack = self._acks.get()
            self._outbox.forget([*ack["stored"], *(r["seq"] for r in ack["rejected"])])

    def _send(self, now: float) -> None:
        if not self._client.is_connected():
            return
        for seq, readings in self._outbox.waiting():
            if now - self._sent.get(seq, -_RESEND_S) >= _RESEND_S:
                self._sent[seq] = now
                message = {"v": 1, "outbox": "campaign", "seq": seq, "readings": json.loads(readings)}
                self._client.publish(f"nl/v1/{self._plan.gateway}/readings", json.dumps(message), qos=1)


def main() -> None:
    """Run the gateway of a task."""
    task = json.loads(Path(sys.argv[1]).read_text())
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    outbox = Outbox(Path(task["outbox"]))
    Gateway(Plan(*task["plan"]), task["password"], task["port"], outbox).run(stop)


if __name__ == "__main__":
    main()
