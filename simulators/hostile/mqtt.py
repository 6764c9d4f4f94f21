"""Odd uses of MQTT itself: topics, properties, flags, and packets that the broker must refuse.

Source: MQTT 5.0, 1.5.4 (UTF-8), 2.2.2 (properties), 3.3 (PUBLISH).
"""

from __future__ import annotations

import json
import struct
from collections.abc import Callable

from simulators.hostile.cases import (
    NOT_AUTHORIZED,
    Kind,
    Leaf,
    Message,
    Reading,
    Reject,
    Spot,
    shown,
)


def _string(text: str | bytes) -> bytes:
    raw = text if isinstance(text, bytes) else text.encode()
    return struct.pack(">H", len(raw)) + raw


def _good(spot: Spot) -> tuple[bytes, Reading]:
    reading = Reading(spot.names.meter, "1.8.0", spot.ts_us, 11.5)
    text = shown(reading.meter, json.dumps(spot.ts), reading.register, "11.5")
    return f'{{"v":1,"readings":[{text}]}}'.encode(), reading


def _stored(**how: object) -> Callable[[Spot], Message]:
    """A good message, sent in an odd way."""

    def make(spot: Spot) -> Message:
        payload, reading = _good(spot)
        return Message(spot.topic(Leaf.NATIVE), payload, stored=(reading,), **how)  # type: ignore[arg-type]

    return make


def _rejected(**how: object) -> Callable[[Spot], Message]:
    """A broken message, sent in an odd way."""

    def make(spot: Spot) -> Message:
        payload = f"broken {spot.n}".encode()
        return Message(
            spot.topic(Leaf.NATIVE),
            payload,
            rejects=(Reject("malformed", payload),),
            **how,  # type: ignore[arg-type]
        )

    return make


def _below(levels: Callable[[Spot], str]) -> Callable[[Spot], Message]:
    """A topic below the gateway's own that is odd but allowed: good ones are stored, broken ones rejected."""

    def make(spot: Spot) -> Message:
        topic = f"{spot.topic(Leaf.ODD)}/{levels(spot)}"
        if spot.n % 2:
            payload, reading = _good(spot)
            return Message(topic, payload, stored=(reading,))
        payload = f"broken {spot.n}".encode()
        return Message(topic, payload, rejects=(Reject("malformed", payload),))

    return make


def _denied(topic: Callable[[Spot], str]) -> Callable[[Spot], Message]:
    """A topic that is not the gateway's: the broker refuses it, and nothing of it arrives."""
    return lambda spot: Message(topic(spot), _good(spot)[0], refused=NOT_AUTHORIZED)


def _breaking(topic: str | None = None, size: int = 0, **how: object) -> Callable[[Spot], Message]:
    """What MQTT forbids: the broker ends the connection."""

    def make(spot: Spot) -> Message:
        payload = b" " * size or _good(spot)[0]
        where = spot.topic(Leaf.NATIVE) if topic is None else topic
        return Message(where, payload, breaks=True, **how)  # type: ignore[arg-type]

    return make


_MANY = tuple((f"name {i % 7}", "value \u202e\u00e9" * 3) for i in range(60))

KINDS = [
    Kind("mqtt_qos_0_good", _stored(qos=0), 0.5),
    Kind("mqtt_qos_0_broken", _rejected(qos=0), 0.5),
    Kind("mqtt_qos_2", _stored(qos=2), 0.1),
    Kind("mqtt_dup_set_at_first", _stored(dup=True)),
    Kind("mqtt_retained_good", _stored(retain=True)),
    Kind("mqtt_retained_broken", _rejected(retain=True)),
    Kind("mqtt_topic_alias", _stored(alias=1)),
    Kind("mqtt_topic_alias_broken", _rejected(alias=1)),
    Kind("mqtt_user_properties_many", _rejected(properties=_MANY)),
    Kind("mqtt_user_property_huge", _rejected(properties=(("x" * 30_000, "y" * 30_000),)), 0.02),
    Kind("mqtt_user_properties_mean_nothing_in_native", _stored(properties=(("seq", "-1"), ("ts", "never")))),
    Kind("mqtt_payload_said_to_be_text", _rejected(extra=b"\x01\x01")),
    Kind("mqtt_content_type", _stored(extra=b"\x03" + _string("application/x-msdownload; charset=☃"))),
    Kind(
        "mqtt_response_topic",
        _stored(extra=b"\x08" + _string("nl/v1/x/ack") + b"\x09" + _string(b"\x00\xff")),
    ),
    # A client must not send it (3.3.4); Mosquitto lets it pass.
    Kind("mqtt_subscription_identifier", _stored(extra=b"\x0b\x01")),
    Kind("mqtt_expiry_far", _stored(extra=b"\x02\xff\xff\xff\xff")),
    Kind("topic_empty_levels", _below(lambda _: "///")),
    Kind("topic_spaces", _below(lambda _: " / . / .. ")),
    Kind("topic_other_scripts", _below(lambda s: f"电表/💡/\u202e{s.n % 50}")),
    Kind("topic_dollar", _below(lambda _: "$SYS/$share/x")),
    Kind("topic_sql", _below(lambda _: "'; drop table nengliu.reading;--/%s%n")),
    Kind("topic_new_each_time", _below(lambda s: f"{s.n}/{s.n * 7919}")),
    Kind("topic_of_60_kilobytes", _below(lambda s: f"{s.n}/" + "x" * 60_000), 0.05),
    Kind("denied_topic_of_another_gateway", _denied(lambda s: f"{s.names.prefix}/someone-else/readings")),
    Kind("denied_native_topic_of_another", _denied(lambda _: "nl/v1/someone-else/readings")),
    Kind("denied_own_acknowledgements", _denied(lambda s: f"nl/v1/{s.names.gateway}/ack")),
    Kind("denied_control", _denied(lambda _: "$CONTROL/dynamic-security/v1")),
    Kind("denied_system", _denied(lambda _: "$SYS/broker/version")),
    Kind("denied_shared", _denied(lambda _: "$share/nengliu/x")),
    Kind("denied_prefix_of_nobody", _denied(lambda s: f"nowhere/{s.n}")),
    Kind("denied_node_of_another", _denied(lambda s: f"spBv1.0/{s.names.prefix}/NBIRTH/someone-else")),
    Kind("breaking_wildcard_in_topic", _breaking("nl/v1/+/readings"), 0.03),
    Kind("breaking_empty_topic", _breaking(""), 0.03),
    Kind("breaking_nul_in_topic", _breaking("nl/\0/x"), 0.03),
    Kind("breaking_alias_zero", _breaking(extra=b"\x23\x00\x00"), 0.03),
    Kind("breaking_alias_too_great", _breaking(extra=b"\x23\xff\xff"), 0.03),
    Kind("breaking_property_not_utf8", _breaking(extra=b"\x26" + _string(b"\xc3\x28") + _string("x")), 0.03),
    Kind("breaking_unknown_property", _breaking(extra=b"\x7e\x01"), 0.03),
    Kind("breaking_topic_of_thousands_of_levels", _breaking("x" + "/x" * 5_000), 0.03),  # Mosquitto takes 200
    Kind("breaking_qos_3", _breaking(qos=3), 0.03),
    Kind("breaking_over_a_mebibyte", _breaking(size=1_200_000), 0.003),
]
