"""Metrics of the bridge."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import Counter, Gauge

MESSAGES = Counter("nengliu_bridge_messages_total", "MQTT messages received, by route", ["route"])
BYTES = Counter("nengliu_bridge_bytes_total", "Payload bytes received")
READINGS = Counter("nengliu_bridge_readings_total", "Readings (meter, register, ts) handed to Kafka")
REJECTS = Counter(
    "nengliu_bridge_rejects_total", "Rejected values, and messages of which nothing was usable", ["reason"]
)
REDELIVERED = Counter(
    "nengliu_bridge_redelivered_total",
    "Messages sent again by the broker that Kafka had, or was getting, already",
)
THROTTLED = Counter(
    "nengliu_bridge_throttled_total",
    "Messages with seq over their gateway's limit: neither stored nor acknowledged, left to their outbox",
)
DROPPED = Counter(
    "nengliu_bridge_dropped_total", "Messages that cannot be named by a gateway: no route, bad topic"
)
IN_FLIGHT = Gauge("nengliu_bridge_in_flight_messages", "Messages received and not yet acknowledged by Kafka")
IN_FLIGHT_BYTES = Gauge("nengliu_bridge_in_flight_bytes", "Their payload bytes")
PAUSED = Gauge(
    "nengliu_bridge_paused", "1 while nothing is read from the broker because too much is in flight"
)
CONNECTED = Gauge("nengliu_bridge_mqtt_connected", "1 while connected to the broker")
CONNECTS = Counter("nengliu_bridge_mqtt_connects_total", "Connections made to the broker")
KAFKA_AWAY = Gauge("nengliu_bridge_kafka_away", "1 while no producer could be made")
ACK_MESSAGES = Counter("nengliu_bridge_ack_messages_total", "Durable acknowledgements published to gateways")
ACK_WAITING = Gauge("nengliu_bridge_ack_waiting", "Sequence numbers waiting to be acknowledged to gateways")
LAST_SUCCESS = Gauge(
    "nengliu_bridge_last_success_seconds", "Unix time when Kafka last acknowledged a message"
)
REBIRTHS = Counter("nengliu_bridge_rebirth_requests_total", "Rebirths asked of Sparkplug edge nodes")


@dataclass(frozen=True, slots=True)
class BridgeGauges:
    """What is set, not counted, of one connection to the broker: a process may have two."""

    connected: Gauge
    in_flight: Gauge
    in_flight_bytes: Gauge
    paused: Gauge
    kafka_away: Gauge


SHARED = BridgeGauges(CONNECTED, IN_FLIGHT, IN_FLIGHT_BYTES, PAUSED, KAFKA_AWAY)
SPARKPLUG = BridgeGauges(
    Gauge("nengliu_sparkplug_mqtt_connected", "1 while this bridge is the one that takes Sparkplug B"),
    Gauge("nengliu_sparkplug_in_flight_messages", "Sparkplug B messages not yet acknowledged by Kafka"),
    Gauge("nengliu_sparkplug_in_flight_bytes", "Their payload bytes"),
    Gauge("nengliu_sparkplug_paused", "1 while nothing is read because too much is in flight"),
    Gauge("nengliu_sparkplug_kafka_away", "1 while no producer could be made"),
)
SPARKPLUG_HELD = Gauge("nengliu_sparkplug_waiting_messages", "Sparkplug B messages that wait for a birth")
