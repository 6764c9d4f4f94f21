"""Golden sequences of Sparkplug B messages. A new case is a new folder and needs no code.

tests/golden/sparkplug/<case>/messages.json: received_at, and messages with topic, payload (hexadecimal) and
then_wait_s; names.toml, where the case has one: a declared naming; outcome.json: readings, reasons (with what was
rejected), states and rebirths asked for, in order.
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from collectors.decoders.declared_formats import load_formats
from collectors.inflight import Fate, InFlight
from collectors.mqtt_link import Incoming
from collectors.routes import Routes
from collectors.sparkplug_intake import SparkplugIntake
from metering.instants import from_us, parse_instant, to_us
from stream import codec

GOLDEN = Path(__file__).parent.parent / "golden" / "sparkplug"
CASES = sorted(p.parent for p in GOLDEN.glob("*/messages.json"))


def routes_of(folder: Path) -> Routes:
    names = folder / "names.toml"
    if not names.is_file():
        return Routes({"spBv1.0/+/+/{gateway}/#": "sparkplug"})
    return Routes({"spBv1.0/+/+/{gateway}/#": "names"}, load_formats([names]))


def outcome(case: dict[str, Any], routes: Routes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    now = [0.0]
    received_us = to_us(parse_instant(case["received_at"]))
    monkeypatch.setattr(time, "time_ns", lambda: received_us * 1000)
    window = InFlight()
    intake = SparkplugIntake(routes, window, "", clock=lambda: now[0])
    out: dict[str, Any] = {"readings": [], "rejected": [], "states": [], "rebirths": []}
    for mid, m in enumerate(case["messages"], 1):
        intake.take(Incoming(m["topic"], bytes.fromhex(m["payload"]), mid, False, False))
        now[0] += m.get("then_wait_s", 0)
        intake.tick()
        out["rebirths"] += [topic for topic, _ in intake.requests()]
        for record in intake.outgoing():
            describe(record.topic, record.value, out)
            window.settled(record.entries, Fate.STORED)
    assert window.to_acknowledge() == list(range(1, len(case["messages"]) + 1))
    return out


def describe(topic: str, value: bytes, out: dict[str, Any]) -> None:
    if topic == "meter.status":
        out["states"].append(codec.decode_status(value).state)
        return
    if topic == "meter.rejects":
        record = codec.decode_reject(value)
        kept = [(r.reason, r.payload.decode()) for r in record.items] or [
            (record.reason, record.payload.hex())
        ]
        out["rejected"] += map(list, kept)
        return
    batch = codec.decode_readings(value)
    for m, r, t, v in zip(batch.meter_ix, batch.register_ix, batch.ts_us, batch.value, strict=True):
        out["readings"].append([batch.meters[m], batch.registers[r], from_us(int(t)).isoformat(), float(v)])
    out["rejected"] += [[r.reason, r.payload.decode()] for h in batch.messages for r in h.rejected]


@pytest.mark.parametrize("folder", CASES, ids=lambda p: p.name)
def test_messages_become_what_was_agreed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = json.loads((folder / "messages.json").read_text())
    assert outcome(case, routes_of(folder), monkeypatch) == json.loads((folder / "outcome.json").read_text())


def test_there_are_golden_sequences() -> None:
    assert CASES
