"""What travels between the rooms: batches of readings, rejects, acknowledgements, gateway status.

Pure types; stream/codec.py puts them into Kafka records, collectors make them, storage writes them.
Times are integer microseconds since 1970-01-01T00:00Z (`_us`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class RejectedValue:
    """One value (meter, register, ts) of a message that could not be used.

    `payload` holds a v1 message of just that reading, without outbox and seq; or the payload as it came, where
    nothing of it could be decoded.
    """

    reason: str
    detail: str
    payload: bytes


class MessageHeader(msgspec.Struct, frozen=True, gc=False):
    """One MQTT message inside a batch. `count` readings of the batch's columns are its own, in order.

    A struct of msgspec: one is made of every message, and it costs a tenth of a frozen dataclass.

    user_properties: kept only where something was rejected, to decode that again.
    """

    gateway: str
    topic: str
    received_us: int
    count: int
    outbox: str | None = None
    seq: int | None = None
    sent_us: int | None = None
    rejected: tuple[RejectedValue, ...] = ()
    user_properties: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a broker delivered a message without seq: the session's client id, the packet id (1 to 65,535), a 64-bit
    digest of topic and payload, and whether it was flagged as a redelivery (DUP).
    """

    session: str
    mid: int
    digest: int
    dup: bool


@dataclass(frozen=True, slots=True)
class ReadingBatch:
    """One or more whole messages with their readings as columns of equal length n = sum of the counts.

    meter_ix, register_ix: index into `meters`, `registers`; ts_us; value (the meter's display unit);
    correction: whether the reading carried "correction": true; deliveries: (index into `messages`, delivery) of
    messages without seq, in order.
    """

    messages: tuple[MessageHeader, ...]
    meters: tuple[str, ...]
    registers: tuple[str, ...]
    meter_ix: npt.NDArray[np.int32]
    register_ix: npt.NDArray[np.int32]
    ts_us: Ints
    value: Floats
    correction: npt.NDArray[np.bool_]
    deliveries: tuple[tuple[int, Delivery], ...] = ()

    def __len__(self) -> int:
        return len(self.ts_us)


@dataclass(frozen=True, slots=True)
class RejectRecord:
    """A message of which nothing was usable (topic meter.rejects).

    `items` names each rejected value where the message could be decoded that far; empty: the message counts as one.
    """

    reason: str
    detail: str
    gateway: str
    topic: str
    received_us: int
    payload: bytes
    outbox: str | None = None
    seq: int | None = None
    user_properties: tuple[tuple[str, str], ...] = ()
    items: tuple[RejectedValue, ...] = ()
    delivery: Delivery | None = None


@dataclass(frozen=True, slots=True)
class AckRecord:
    """What the database has for good, of one outbox of one gateway (topic meter.acks)."""

    gateway: str
    outbox: str | None
    stored: tuple[int, ...] = ()
    rejected: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class StatusRecord:
    """What a gateway said of itself (topic meter.status); None: not said."""

    gateway: str
    received_us: int
    state: str
    clock_offset_s: float | None = None
    outbox_depth: int | None = None
    outbox_oldest_us: int | None = None
    meters: dict[str, Any] | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class Partition:
    """A Kafka partition as the offset table names it: a re-created topic has another id."""

    cluster_id: str
    topic_id: str
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class Advance:
    """Move a partition's stored offset from `expected` to `following`, or not at all."""

    partition: Partition
    expected: int
    following: int


@dataclass(frozen=True, slots=True)
class Intake:
    """What a transaction of the writer takes: records in order of their partitions, the offsets they reach."""

    readings: tuple[ReadingBatch, ...] = ()
    rejects: tuple[RejectRecord, ...] = ()
    statuses: tuple[StatusRecord, ...] = ()
    advances: tuple[Advance, ...] = ()


@dataclass(frozen=True, slots=True)
class IntakeResult:
    """What became of an Intake, after the commit: acknowledgements to send, and counts of values."""

    acks: tuple[AckRecord, ...] = ()
    received: int = 0
    stored: int = 0
    repeated: int = 0
    conflicting: int = 0
    rejected: dict[str, int] = field(default_factory=dict)


class OwnershipLostError(Exception):
    """Another writer advanced an offset of this Intake: nothing was changed; give the partitions up and rejoin."""
