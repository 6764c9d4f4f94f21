"""The intake of Sparkplug B: what cannot be named yet waits for its birth, for a bounded time. No I/O.

A message that waits is not acknowledged to the broker. After WAIT_S, or when more wait than is allowed, it goes on as
it is: what has a name is stored, the rest is rejected as unknown_alias.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from collectors import metrics
from collectors.decoders import sparkplug
from collectors.decoders.base import Decoded, Decoder
from collectors.decoders.sparkplug import NAMESPACE, Parsed, Topic
from collectors.decoders.sparkplug_payload import rebirth_request
from collectors.inflight import Entry, Fate, InFlight
from collectors.intake import Intake, Outgoing, Waiting
from collectors.mqtt_link import Incoming
from collectors.routes import Route, Routes
from collectors.sparkplug_state import Key, Nodes, key_of
from collectors.throttle import Limits
from metering.records import StatusRecord
from stream.codec import encode_status

#: How long a message waits for its birth, and how often an edge node is asked for one at most.
WAIT_S = 6.0
REBIRTH_EVERY_S = 5.0
#: Below the bridge's receive-maximum, so that what waits never keeps the births out.
MOST_WAITING = 500
MOST_WAITING_BYTES = 8 * 1024 * 1024
_MOST_ASKED = 50_000


@dataclass(frozen=True, slots=True)
class _Held:
    waiting: Waiting
    parsed: Parsed
    until: float


class SparkplugIntake(Intake):
    """An Intake for one connection that takes nothing but Sparkplug B."""

    def __init__(
        self,
        routes: Routes,
        inflight: InFlight,
        topic_prefix: str,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        session: str = "",
    ) -> None:
        super().__init__(routes, inflight, topic_prefix, limits, session)
        self._clock = clock
        self._nodes = Nodes()
        self._held: deque[_Held] = deque()
        self._held_bytes = 0
        self._asked: dict[Key, float] = {}
        self._requests: dict[Key, None] = {}

    @property
    def held(self) -> int:
        """Messages that wait for a birth."""
        return len(self._held)

    def requests(self) -> list[tuple[str, bytes]]:
        """(topic, payload) of the rebirth requests to publish now."""
        wanted, self._requests = self._requests, {}
        payload = rebirth_request(time.time_ns() // 1_000_000)
        return [(f"{NAMESPACE}/{group}/NCMD/{node}", payload) for group, node in wanted]

    def tick(self) -> None:
        """Let go of what has waited long enough, and ask again for the rest."""
        now = self._clock()
        while self._held and self._held[0].until <= now:
            self._let_go(self._held.popleft())
        for held in self._held:
            self._ask(held.parsed.topic, now)

    def discard(self) -> None:
        """Forget what waits: the broker will send it again."""
        super().discard()
        self._held.clear()
        self._held_bytes = 0

    def forget(self) -> None:
        """Another bridge goes on: what waits is its, and what the births said will be out of date."""
        self.forget_waiting()
        self._nodes = Nodes()
        self._asked.clear()
        self._requests.clear()

    def forget_waiting(self) -> None:
        """What waits for a birth is not acknowledged: the broker sends it to who comes next."""
        self._inflight.settled([h.waiting.entry for h in self._held], Fate.FAILED)
        self._held.clear()
        self._held_bytes = 0

    def _drop(self, message: Incoming, entry: Entry) -> None:  # noqa: ARG002
        """Commands, other hosts' states and our own requests: nothing of an edge node's."""
        self._inflight.settled([entry], Fate.STORED)

    def _take_status(self, w: Waiting) -> None:
        self._inflight.settled([w.entry], Fate.STORED)

    def _take_readings(self, w: Waiting, route: Route, decoder: Decoder) -> None:  # noqa: ARG002
        message = w.message
        topic = sparkplug.parse_topic(message.topic)
        if (
            topic is None or route.naming is None
        ):  # another format's, by a filter of its own: its connection takes it
            self._drop(message, w.entry)
            return
        parsed = sparkplug.parse(topic, message.payload, message.user_properties, w.received_us, route.naming)
        if isinstance(parsed, Decoded):
            self._put(w, parsed)
            return
        ended = self._nodes.heard(parsed, again=w.message.dup)
        if topic.kind == "NDEATH" and not ended:  # of an earlier session, told late
            self._inflight.settled([w.entry], Fate.STORED)
            return
        if ended:
            self._release(lambda h: key_of(h.parsed.topic) == key_of(topic))
        if self._nodes.wants_rebirth(topic):
            self._ask(topic, self._clock())
        if topic.kind in sparkplug.DATA and not self._nodes.can_name(parsed):
            self._hold(w, parsed)
            return
        self._settle_one(w, parsed)
        if topic.kind in sparkplug.BIRTHS:
            self._release(
                lambda h: key_of(h.parsed.topic) == key_of(topic) and self._nodes.can_name(h.parsed)
            )

    def _settle_one(self, w: Waiting, parsed: Parsed) -> None:
        """Hand over what a message says of readings and of its node."""
        topic = parsed.topic
        decoded = (
            Decoded(outbox=parsed.envelope.outbox, seq=parsed.envelope.seq)
            if topic.kind in sparkplug.DEATHS
            else sparkplug.readings(parsed, self._nodes.births(topic))
        )
        says_more = len(decoded) or decoded.rejected or decoded.failure
        if topic.kind in ("NBIRTH", "NDEATH"):
            state = "online" if topic.kind == "NBIRTH" else "offline"
            status = encode_status(StatusRecord(w.gateway, w.received_us, state))
            self._ready.append(Outgoing(self._status_topic, w.gateway, status, [] if says_more else [w]))
        elif not says_more:
            self._inflight.settled([w.entry], Fate.STORED)
        if says_more:
            self._put(w, decoded)

    def _hold(self, w: Waiting, parsed: Parsed) -> None:
        now = self._clock()
        self._ask(parsed.topic, now)
        self._held.append(_Held(w, parsed, now + WAIT_S))
        self._held_bytes += len(w.message.payload)
        while len(self._held) > MOST_WAITING or self._held_bytes > MOST_WAITING_BYTES:
            self._let_go(self._held.popleft())

    def _let_go(self, held: _Held) -> None:
        self._held_bytes -= len(held.waiting.message.payload)
        self._settle_one(held.waiting, held.parsed)

    def _release(self, which: Callable[[_Held], bool]) -> None:
        going = [h for h in self._held if which(h)]
        if going:
            self._held = deque(h for h in self._held if not which(h))
            for held in going:
                self._let_go(held)

    def _ask(self, topic: Topic, now: float) -> None:
        """Ask an edge node for its births, at most every few seconds."""
        key = key_of(topic)
        if now - self._asked.get(key, -REBIRTH_EVERY_S) < REBIRTH_EVERY_S:
            return
        if len(self._asked) >= _MOST_ASKED:
            self._asked.clear()
        self._asked[key] = now
        self._requests[key] = None
        metrics.REBIRTHS.inc()
