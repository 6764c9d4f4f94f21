"""What a gateway makes of its readings: messages with numbers, now or late, twice, out of order, damaged. Pure.

Everything random depends on the seed, the gateway and the moment alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import numpy as np

from metering.records import Ints
from simulators.chance import chance
from simulators.emission import Emission
from simulators.scenario.draw import Fault
from simulators.scenario.meter_run import clock_error_us

_BACKLOG_GAP_US = 20_000
_AGAIN_US = 30_000_000
_CLOCKS = ("clock_skew", "clock_jump", "clock_drift")


@dataclass(slots=True)
class Struck:
    """What a fault did: to how many messages or times of reading, the first and last of them."""

    first_us: int
    last_us: int
    count: int = 1


@dataclass
class GatewayRun:
    """One gateway through a run. timezone: of its sent_at in simulated time; None: it says what time it really is."""

    gateway: str
    faults: Sequence[Fault]
    seed: str
    timezone: ZoneInfo | None
    _seqs: dict[str, int] = field(default_factory=dict)
    _outboxes: dict[tuple[str, int], str] = field(default_factory=dict)
    _backlog: dict[int, int] = field(default_factory=dict)
    _did: dict[int, Struck] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._delay_us = 1_000_000 + int(3_000_000 * chance(self.seed, self.gateway, "delay"))

    def names(self) -> list[str]:
        """Every name that it publishes as, in order."""
        found = [self.gateway]
        for f in self.faults:
            if f.kind == "gateway_swapped":
                found.append(other_gateway(found[-1]))
        return found

    def clock_error_us(self, ts_us: Ints) -> Ints:
        """int64[n]: how far its clock is ahead."""
        error = np.zeros(len(ts_us), np.int64)
        for fault in self.faults:
            error += clock_error_us(fault, ts_us)
        return error

    def struck(self, fault: Fault) -> Struck | None:
        """What one of its faults has done so far, None: nothing."""
        return self._did.get(next(n for n, f in enumerate(self.faults) if f is fault))

    def changes_between(self, after_us: int, up_to_us: int) -> bool:
        """Whether a fault begins or ends there: what is read before and after it goes in messages of their own."""
        return any(
            after_us < edge <= up_to_us for f in self.faults for edge in (f.begins_us(), f.from_us, f.to_us)
        )

    def is_out(self, moment_us: int) -> bool:
        """Whether it reads no meter then, though it should."""
        found = self._holding("outage", moment_us)
        for n in found:
            self._strikes(n, moment_us)
        return bool(found)

    def unknown_meter(self, moment_us: int) -> str | None:
        """The number of a meter that the registry does not know and that is read along then."""
        for n in self._holding("unknown_meter", moment_us):
            self._strikes(n, moment_us)
            return unknown_meter(self.faults[n])
        return None

    def _holding(self, kind: str, moment_us: int) -> list[int]:
        """Places of the faults of a kind that last at a moment."""
        return [n for n, f in enumerate(self.faults) if f.kind == kind and f.holds(moment_us)]

    def _strikes(self, n: int, moment_us: int) -> None:
        did = self._did.setdefault(n, Struck(moment_us, moment_us, 0))
        did.first_us, did.last_us = min(did.first_us, moment_us), max(did.last_us, moment_us)
        did.count += 1

    def send(self, moment_us: int, body: str, readings: int) -> Iterator[Emission]:
        """The message of what was read up to `moment_us`, and what becomes of it. body: the readings' JSON, joined by
        commas.
        """
        gateway, outbox = self.who(moment_us)
        for kind in _CLOCKS:
            for n in self._holding(kind, moment_us):
                self._strikes(n, moment_us)
        seq = self._seqs[outbox] = self._seqs.get(outbox, 0) + 1
        if self._is_wiped(moment_us):
            return
        due = self._due(moment_us)
        payload = self._payload(outbox, seq, due, body)
        for damage in self._damages(moment_us):
            how = chance(self.seed, gateway, moment_us, "damage")
            broken = (
                damaged(payload, how) if isinstance(payload, bytes) else partial(_damaged_now, payload, how)
            )
            yield Emission(due, gateway, outbox, seq, broken, 0, awaited=False)
            due += _AGAIN_US
            if damage == "lost":
                return
        yield Emission(due, gateway, outbox, seq, payload, readings)
        for fault in self._struck_by("repeats", moment_us):
            again = int(fault.us("after") * chance(self.seed, gateway, moment_us, "after"))
            yield Emission(due + max(again, 1), gateway, outbox, seq, payload, readings, awaited=False)

    def who(self, moment_us: int) -> tuple[str, str]:
        """Its name then, and its outbox's: a gateway put in its place has another name, a wiped one another outbox."""
        gateway, generation = self.gateway, 0
        for f in self.faults:
            if f.from_us <= moment_us and f.kind == "gateway_swapped":
                gateway = other_gateway(gateway)
            elif f.from_us <= moment_us and f.kind == "gateway_wiped":
                generation += 1
        key = (gateway, generation)
        if key not in self._outboxes:
            name = hashlib.blake2b(f"{self.seed}/{key}".encode(), digest_size=4).hexdigest()
            self._outboxes[key] = name
        return gateway, self._outboxes[key]

    def _is_wiped(self, moment_us: int) -> bool:
        lost = [
            n
            for n, f in enumerate(self.faults)
            if f.kind == "gateway_wiped" and f.begins_us() <= moment_us < f.from_us
        ]
        for n in lost:
            self._strikes(n, moment_us)
        return bool(lost)

    def _due(self, moment_us: int) -> int:
        due = moment_us + self._delay_us
        for n in self._holding("late_batch", moment_us):
            fault = self.faults[n]
            self._strikes(n, moment_us)
            self._backlog[n] = self._backlog.get(n, 0) + 1
            free = fault.to_us + fault.us("delay") + self._delay_us
            due = max(due, free + self._backlog[n] * _BACKLOG_GAP_US)
        for fault in self._struck_by("reorder", moment_us):
            due += int(fault.us("within") * chance(self.seed, self.gateway, moment_us, "within"))
        return due

    def _damages(self, moment_us: int) -> list[str]:
        return [str(f.values["then"]) for f in self._struck_by("wrong_bytes", moment_us)]

    def _struck_by(self, kind: str, moment_us: int) -> Iterator[Fault]:
        """Faults of a kind that strike the message of this moment."""
        for n in self._holding(kind, moment_us):
            if chance(self.seed, self.gateway, moment_us, kind) < float(self.faults[n].values["share"]):
                self._strikes(n, moment_us)
                yield self.faults[n]

    def _payload(self, outbox: str, seq: int, due_us: int, body: str) -> bytes | Callable[[], bytes]:
        if self.timezone is None:
            return partial(_payload_now, outbox, seq, body)
        clock_us = due_us + int(self.clock_error_us(np.array([due_us]))[0]) if self.faults else due_us
        return _payload(outbox, seq, datetime.fromtimestamp(clock_us // 1_000_000, self.timezone), body)


def _payload(outbox: str, seq: int, sent_at: datetime, body: str) -> bytes:
    head = f'"v":1,"outbox":"{outbox}","seq":{seq},"sent_at":"{sent_at.isoformat()}"'
    return f'{{{head},"readings":[{body}]}}'.encode()


def _payload_now(outbox: str, seq: int, body: str) -> bytes:
    return _payload(outbox, seq, datetime.now(UTC), body)


def _damaged_now(payload: Callable[[], bytes], how: float) -> bytes:
    return damaged(payload(), how)


def unknown_meter(fault: Fault) -> str:
    """The number of the meter that a fault sends along; no planned meter's begins with 98."""
    return f"98{int(fault.values['salt']):010d}"


def other_gateway(gateway: str) -> str:
    """The name of the gateway that is put in the place of another."""
    return f"{gateway}-b"


def damaged(payload: bytes, how: float) -> bytes:
    """A message cut short, with a byte changed so that it is no JSON, or noise; how: 0..1."""
    if how < 1 / 3:
        return payload[: 1 + int(len(payload) * how * 2.9)]
    at = int((how * 1000 % 1) * (len(payload) - 1))
    if how < 2 / 3:
        return payload[:at] + b"\x00" + payload[at + 1 :]
    return bytes(b ^ 0xA5 for b in payload[: max(8, at)])
