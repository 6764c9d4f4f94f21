"""Which part of the way of a reading a benchmark measures. Apart, so that the command line loads nothing else."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """What of the way is measured: MQTT to committed row, MQTT to Kafka, Kafka to committed row."""

    CHAIN = "chain"
    BRIDGE = "bridge"
    WRITER = "writer"
