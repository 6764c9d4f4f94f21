"""The bridge's own way of reading PUBLISH packets says what paho says, however the bytes arrive."""

from __future__ import annotations

import socket
import time

import paho.mqtt.client as paho
import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt._packet import decode_publish
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from collectors.mqtt_link import (
    PRIVATE_NAMES,
    LinkOptions,
    MqttLink,
    ProtocolError,
    read_publish,
    split_packets,
    why_disconnected,
)
from deploy import mqtt5

topics = st.text(st.characters(codec="utf-8", exclude_characters="\x00+#"), min_size=1, max_size=20)
payloads = st.binary(max_size=300)


def publish(topic: str, payload: bytes, mid: int, dup: bool, properties: list[tuple[str, str]]) -> bytes:
    packed = Properties(PacketTypes.PUBLISH)
    if properties:
        packed.UserProperty = properties
    name = topic.encode()
    head = len(name).to_bytes(2, "big") + name + (mid.to_bytes(2, "big") if mid else b"")
    return mqtt5.packet(0x30 | (0x08 if dup else 0) | (0x02 if mid else 0), head + packed.pack() + payload)


def test_paho_has_the_private_names_that_the_link_rests_on() -> None:
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=paho.MQTTv5)
    for name in (*PRIVATE_NAMES, "_sock_close"):
        assert hasattr(client, name), name


@given(
    topics,
    payloads,
    st.integers(0, 65535),
    st.booleans(),
    st.lists(
        st.tuples(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5), st.just("x")),
        max_size=2,
    ),
)
def test_a_publish_reads_as_paho_reads_it(
    topic: str, payload: bytes, mid: int, dup: bool, properties: list
) -> None:
    [(first, body)], _ = split_packets(publish(topic, payload, mid, dup, properties))
    ours = read_publish(first, body)
    theirs = decode_publish(first, body, paho.MQTTv5)
    assert (ours.topic.encode(), ours.payload, ours.mid, ours.dup) == (
        theirs.topic,
        theirs.payload,
        theirs.mid,
        theirs.dup,
    )
    assert list(ours.user_properties) == list(getattr(theirs.properties, "UserProperty", []))


@given(st.lists(st.tuples(topics, payloads), min_size=1, max_size=5), st.data())
def test_packets_come_whole_however_the_bytes_are_cut(
    messages: list[tuple[str, bytes]], data: st.DataObject
) -> None:
    stream = b"".join(mqtt5.publish(t, p, i + 1) for i, (t, p) in enumerate(messages))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    buffer, got = bytearray(), []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        buffer += stream[start:end]
        packets, used = split_packets(buffer)
        del buffer[:used]
        got += [(m.topic, m.payload) for m in (read_publish(f, b) for f, b in packets)]
    assert got == messages
    assert not buffer


@given(st.integers(0, 255), st.binary(max_size=60))
def test_no_bytes_make_reading_raise_anything_but_its_own_error(first: int, body: bytes) -> None:
    try:
        read_publish(first, body)
    except ProtocolError:
        return


def test_a_length_of_five_bytes_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        split_packets(b"\x30\xff\xff\xff\xff\x01")


def test_two_bridges_of_one_id_are_told_what_to_set() -> None:
    taken = ReasonCode(PacketTypes.DISCONNECT, identifier=0x8E)
    assert "NENGLIU_BRIDGE_ID" in why_disconnected(taken)
    assert why_disconnected(ReasonCode(PacketTypes.DISCONNECT, "Server shutting down")) == (
        "disconnected: Server shutting down"
    )


@pytest.mark.parametrize("reading", [True, False])
def test_a_silent_broker_is_given_up_unless_we_are_the_ones_who_do_not_read(
    reading: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.monotonic()
    monkeypatch.setattr("paho.mqtt.client.time_func", lambda: now)
    monkeypatch.setattr("collectors.mqtt_link.time.monotonic", lambda: now)
    with socket.create_server(("127.0.0.1", 0)) as broker:
        options = LinkOptions("127.0.0.1", broker.getsockname()[1], None, None, "a-bridge", ("a/#",))
        link = MqttLink(options, lambda message: None)
        link.connect()
        connection, _ = broker.accept()
        with connection:
            connection.sendall(b"\x20\x03\x00\x00\x00")
            assert link.fileno() is not None
            while not link._client.is_connected():
                link.read()
            for _ in range(5):
                now += options.keepalive_s + 1
                link.misc(reading)
            assert (link.lost is None) is not reading
            link.drop("the test is over")
