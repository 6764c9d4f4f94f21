"""Which part a benchmark measures. Apart, so that the command line loads nothing else."""

from __future__ import annotations

from enum import StrEnum


class Part(StrEnum):
    """What of the way is measured: MQTT to committed row, MQTT to Kafka, Kafka to committed row."""

    CHAIN = "chain"
    BRIDGE = "bridge"
    WRITER = "writer"


class DerivePart(StrEnum):
    """What of the derivation is measured: a city's day, a late reading, a day with little and much stored, memory."""

    CITY_DAY = "city-day"
    LATE = "late"
    STORED = "stored"
    MEMORY = "memory"
