"""Metrics of the edge collector."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

DEPTH = Gauge("nengliu_edge_outbox_messages", "Messages that wait in the outbox.")
CONNECTED = Gauge("nengliu_edge_mqtt_connected", "1 while messages can be published.")
CLOCK_OFFSET = Gauge(
    "nengliu_edge_clock_offset_seconds", "The edge's clock minus the platform's; NaN: unknown."
)
SENT = Counter("nengliu_edge_messages_sent", "Messages published, repeats counted.")
SETTLED = Counter("nengliu_edge_messages_settled", "Messages acknowledged for good.", ["as"])


def show(depth: int, connected: bool, clock_offset_s: float | None) -> None:
    """What is so now."""
    DEPTH.set(depth)
    CONNECTED.set(connected)
    CLOCK_OFFSET.set(float("nan") if clock_offset_s is None else clock_offset_s)
