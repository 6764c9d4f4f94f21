"""What inputs are made from: the golden payloads, and a message of every hostile class."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cache
from pathlib import Path

from simulators.hostile.cases import Leaf
from simulators.hostile.mix import Plan, Run

from .inputs import RECEIVED_US, Input, Message

GOLDEN = Path(__file__).parent.parent / "golden"
#: Longer payloads are no seeds: their edits would take most of the time. Large inputs are blown up from small ones.
_LONGEST = 2500

PLAN = Plan("f", 0, 1, RECEIVED_US, gateways=3)
_LEAVES = {
    Leaf.NATIVE: "native_json",
    Leaf.ODD: "native_json",
    Leaf.DLT645: "dlt645",
    Leaf.CJT188: "cjt188",
    Leaf.NEURON: "hostile_neuron",
    Leaf.VENDOR: "hostile_vendor",
}


def _payload(file: Path) -> bytes:
    if file.suffix != ".hex":
        return file.read_bytes()
    return bytes.fromhex(" ".join(line.partition("#")[0] for line in file.read_text().splitlines()))


def golden(name: str) -> list[Message]:
    """The golden payloads of a format, with their user properties."""
    out = []
    for file in sorted((GOLDEN / name).glob("*/input.*")):
        told = json.loads((file.parent / "settings.json").read_text())
        out.append(Message(_payload(file), tuple((k, v) for k, v in told["user_properties"])))
    return out


def golden_sequences() -> list[Input]:
    """The golden sequences of Sparkplug B."""
    cases = [json.loads(f.read_text()) for f in sorted((GOLDEN / "sparkplug").glob("*/messages.json"))]
    return [
        tuple(Message(bytes.fromhex(m["payload"]), (), m["topic"]) for m in case["messages"])
        for case in cases
    ]


@cache
def hostile() -> dict[str, list[Message]]:
    """A message of every hostile class, and good ones, by the format that they are sent in."""
    out: dict[str, list[Message]] = defaultdict(list)
    for sent in Run(PLAN).messages():
        told = sent.message
        if len(told.payload) > _LONGEST:
            continue
        parts = told.topic.split("/")
        if parts[0] == "spBv1.0":
            out["sparkplug"].append(Message(told.payload, told.properties, told.topic))
        elif len(parts) > 2 and parts[2] in {leaf.value for leaf in Leaf}:
            out[_LEAVES[Leaf(parts[2])]].append(Message(told.payload, told.properties))
    return dict(out)


def statuses() -> list[Message]:
    """What gateways say of themselves."""
    return [
        Message(b'{"v":1,"state":"online"}'),
        Message(b'{"v":1,"state":"offline","final":true}'),
        Message(
            b'{"v":1,"state":"online","clock_offset_s":-1.5,"outbox_depth":7,"outbox_oldest":"2014-03-01T00:00:00+08:00",'
            b'"meters":{"110108000123":{"ok":true,"last":[1,null,"x"]},"a":{"b":{"c":{"d":{}}}}},"final":false}'
        ),
    ]


def seeds(name: str) -> list[Message]:
    """Every message to begin with of a format, none longer than a few kilobytes."""
    if name.startswith("sparkplug"):
        known = [m for sequence in golden_sequences() for m in sequence] + hostile()["sparkplug"]
    else:
        known = golden(name) + hostile().get(name, [])
    return [m for m in known if len(m.payload) <= _LONGEST]
