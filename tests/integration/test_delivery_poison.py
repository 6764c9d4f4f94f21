"""Records that nobody can use, in every topic that services read: into the dead letters with their bytes, and on."""

from __future__ import annotations

import secrets
from collections import Counter
from pathlib import Path

import msgpack
import pytest

from deploy.gateways import add_gateways, remove_gateways
from deploy.settings import Settings
from metering.records import AckRecord, RejectRecord, StatusRecord
from stream import codec
from stream.topics import ACKS, READINGS, REJECTS, STATUS

from .collectors_support import Gateway, endpoint_of, running, wait_until
from .delivery_support import GATEWAY, message, producing, put, register_meter, rows, stored

pytestmark = pytest.mark.integration

UNDECODABLE = [
    b"",
    b"\xc1",
    b"not msgpack at all",
    b"\x00" * 1000,
    b"\xdf\xff\xff\xff\xff",
    b"\x91" * 5000,
    msgpack.packb([1, 2]),
    msgpack.packb({"v": 1}),
    msgpack.packb({"v": 1, "z": b"no zlib"}),
    msgpack.packb({"v": 1, "gateway": 7, "m": {}, "stored": None, "rejected": "x"}),
    message(1)[:-9],
    secrets.token_bytes(3_900_000),
]
NEWER = [msgpack.packb({"v": 2, "m": []}), msgpack.packb({"v": True}), msgpack.packb({"v": "1"})]


#: Of the odd records below, those whose times no calendar has: dead letters too.
TIMELESS = {READINGS: 4, REJECTS: 2, STATUS: 3}


def odd_readings() -> list[bytes]:
    """Records that decode, with what no clock, meter or counter says."""
    made = []
    for change in (
        {"ts": (2**63 - 1).to_bytes(8, "little")},
        {"ts": (-(2**63)).to_bytes(8, "little", signed=True)},
        {"meters": ["m\x00" * 4000]},
        {"meters": [""], "registers": [""]},
        {"registers": ["\x00"]},
        {"m": [["g\x00", "t" * 70_000, -(2**63), 1, "o" * 9000, 2**63 - 1, -(2**63), []]]},
        {"m": [["", "", 2**63 - 1, 1, "", -(2**63), 2**63 - 1, [["\x00", "\x00", b"\x00"]]]]},
    ):
        made.append(msgpack.packb({**msgpack.unpackb(message(1)), **change}))
    return made


def odd_others() -> tuple[list[bytes], list[bytes]]:
    rejects = [
        RejectRecord(
            "r\x00" * 2000, "d\x00", "g\x00", "t", 2**63 - 1, b"x", "o", 2**63 - 1, (("\x00", "k"),)
        ),
        RejectRecord("", "", "", "", -(2**63), b"", "", -1),
    ]
    statuses = [
        StatusRecord("g\x00", 2**63 - 1, "x\x00", float("nan"), -1, -(2**63), {"\x00": "\x00"}),
        StatusRecord("", 0, "online", 1e300, 2**63 - 1, 2**63 - 1),
        StatusRecord("g2", -(2**63), "on" * 9000, float("inf")),
    ]
    return [codec.encode_reject(r) for r in rejects], [codec.encode_status(s) for s in statuses]


def test_what_cannot_be_read_is_in_the_dead_letters_with_its_bytes_and_the_rest_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    register_meter(settings, tmp_path)
    rejects, statuses = odd_others()
    with producing(settings) as producer, running(settings, "write") as writer:
        put(settings, producer, READINGS, [message(1), *UNDECODABLE, *NEWER, *odd_readings(), message(2)])
        put(settings, producer, REJECTS, [*UNDECODABLE, *NEWER, *rejects])
        put(settings, producer, STATUS, [*UNDECODABLE, *NEWER, *statuses])
        for topic in (READINGS, REJECTS, STATUS):
            producer._kafka.send(settings.kafka_topic_prefix + topic, value=None, key=GATEWAY.encode())
        put(settings, producer, READINGS, [message(3)])
        wait_until(lambda: stored(settings)[-1:] == [3.0], "the reading behind all of it")
        expected = 3 * (len(UNDECODABLE) + len(NEWER) + 1) + sum(TIMELESS.values())
        count = "select count(*) from nengliu.reject where source_topic like %s"
        wait_until(
            lambda: rows(settings, count, "kafka:%")[0][0] >= expected, "every poison record to be kept"
        )
        assert writer.alive()
    assert {1.0, 2.0, 3.0} <= set(stored(settings))
    for topic in (READINGS, REJECTS, STATUS):
        found = rows(
            settings,
            "select reason, payload, gateway, received_at is not null from nengliu.reject where source_topic = %s",
            f"kafka:{settings.kafka_topic_prefix}{topic}",
        )
        expected = [
            *(("malformed", p) for p in [*UNDECODABLE, b""]),
            *(("unknown_version", p) for p in NEWER),
        ]
        kept = Counter((reason, bytes(payload)) for reason, payload, _, _ in found)
        assert not Counter(expected) - kept
        assert len(found) == len(expected) + TIMELESS[topic]
        assert {(g, at) for _, _, g, at in found} == {(GATEWAY, True)}


def test_acknowledgements_that_cannot_be_read_cost_no_other(settings: Settings) -> None:
    endpoint = endpoint_of(settings)
    [credential] = add_gateways(endpoint, [f"gw-{secrets.token_hex(4)}"])
    gateway = Gateway(endpoint, credential.gateway, credential.password)
    nowhere = [
        codec.encode_ack(AckRecord(g, "o", (1,))) for g in ("", "a/b", "+", "#", "g\x00", "x" * 70_000)
    ]
    good = codec.encode_ack(AckRecord(gateway.name, "o", (2**63 - 1,)))
    try:
        with (
            producing(settings) as producer,
            running(settings, "collect") as bridge,
            running(settings, "write"),
        ):
            put(settings, producer, ACKS, [*UNDECODABLE, *NEWER, *nowhere])
            producer._kafka.send(settings.kafka_topic_prefix + ACKS, value=None, key=GATEWAY.encode())
            put(settings, producer, ACKS, [good])
            wait_until(lambda: gateway.acknowledged()[0] == {2**63 - 1}, "the good one")

            def kept() -> int:
                source = f"kafka:{settings.kafka_topic_prefix}{ACKS}"
                [(n,)] = rows(settings, "select count(*) from nengliu.reject where source_topic = %s", source)
                return int(n)

            wait_until(
                lambda: kept() == len(UNDECODABLE) + len(NEWER) + len(nowhere) + 1, "the others to be kept"
            )
            assert bridge.alive()
    finally:
        gateway.close()
        remove_gateways(endpoint, [credential.gateway])
