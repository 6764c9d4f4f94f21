"""What a hostile message is, where it stands in a run, and what must become of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from metering.instants import from_us

#: MQTT 5 reason codes: of a PUBACK that refuses, and of a DISCONNECT.
NOT_AUTHORIZED, PACKET_TOO_LARGE = 0x87, 0x95

#: Time of the first message's readings; each message of a run has a second of its own, so no two name one reading.
FIRST_US = 1_388_534_400_000_000  # 2014-01-01T00:00Z
_SECOND_US = 1_000_000


class Leaf(StrEnum):
    """Which of a gateway's topics, by the format that is spoken there."""

    NATIVE = "readings"
    DLT645 = "dlt645"
    CJT188 = "cjt188"
    NEURON = "neuron"
    VENDOR = "vendor"
    ODD = "odd"


@dataclass(frozen=True, slots=True)
class Names:
    """A gateway of a run, and whose meters are whose. `stranger`: a meter that another gateway reads.

    prefix: first topic level of the run's own filters, and the Sparkplug group.
    """

    prefix: str
    gateway: str
    meter: str
    power_meter: str
    water_meter: str
    stranger: str


@dataclass(frozen=True, slots=True)
class Reading:
    """A value that must be stored once, exactly."""

    meter: str
    register: str
    ts_us: int
    value: float


@dataclass(frozen=True, slots=True)
class Reject:
    """A value, or message, that must be in the dead letters with this reason and these bytes."""

    reason: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Message:
    """One PUBLISH and what must become of it.

    properties: MQTT user properties; extra: further MQTT 5 properties, encoded; alias: send the topic as this topic
    alias once it is known. refused: reason code of the broker's PUBACK; breaks: the broker ends the connection.
    stored, rejects, repeated, conflicting: what the books must say of its values.
    """

    topic: str
    payload: bytes
    stored: tuple[Reading, ...] = ()
    rejects: tuple[Reject, ...] = ()
    repeated: int = 0
    conflicting: int = 0
    properties: tuple[tuple[str, str], ...] = ()
    extra: bytes = b""
    qos: int = 1
    dup: bool = False
    retain: bool = False
    alias: int = 0
    refused: int = 0
    breaks: bool = False


class Sequence:
    """The numbers of one gateway's outbox, without a gap."""

    def __init__(self) -> None:
        self._next = 0

    def take(self) -> int:
        """The next one."""
        number, self._next = self._next, self._next + 1
        return number

    @property
    def newest(self) -> int:
        """The number taken last; the first is taken where none was."""
        return self._next - 1 if self._next else self.take()


@dataclass(slots=True)
class Spot:
    """Where a message stands. n: its number in the run; now_us: the time the run began; last: the native reading that
    its gateway sent last.
    """

    names: Names
    n: int
    now_us: int
    rng: Random
    outbox: Sequence = field(default_factory=Sequence)
    last: Reading | None = None

    @property
    def ts_us(self) -> int:
        """This message's own second."""
        return FIRST_US + self.n * _SECOND_US

    @property
    def ts(self) -> str:
        """The same as RFC 3339 in UTC."""
        return iso(self.ts_us)

    def topic(self, leaf: Leaf) -> str:
        """The gateway's topic of a format."""
        return f"{self.names.prefix}/{self.names.gateway}/{leaf.value}"


Make = Callable[[Spot], Message]


@dataclass(frozen=True, slots=True)
class Kind:
    """A class of hostile messages. share: how many, against 1 of the usual class; at least one of each comes."""

    name: str
    make: Make
    share: float = 1.0


def iso(us: int) -> str:
    """Microseconds since 1970 as the platform shows a time."""
    return from_us(us).isoformat()


def v1(reading: str) -> bytes:
    """The v1 message of just one rejected reading, given as JSON text: what is kept of it."""
    return f'{{"v":1,"readings":[{reading}]}}'.encode()


def shown(meter: str, ts: str | None, register: str, value: str) -> str:
    """A reading as JSON text; ts: JSON text, value: JSON text."""
    return f'{{"meter":{json.dumps(meter)},"ts":{ts or "null"},"values":{{{json.dumps(register)}:{value}}}}}'
