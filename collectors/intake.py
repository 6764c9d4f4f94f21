"""From received PUBLISHes to Kafka records: route, decode, group by gateway. No I/O."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import blake2b

import structlog

from collectors import metrics
from collectors.decoders.base import Decoded, Decoder
from collectors.grouping import BatchBuilder
from collectors.inflight import Entry, Fate, InFlight
from collectors.mqtt_link import Incoming
from collectors.routes import Route, Routes
from collectors.status import decode_status
from collectors.throttle import Limits, Throttle, left_to_the_outbox, rate_limited
from metering.errors import RejectReason
from metering.records import Delivery, MessageHeader, RejectRecord
from stream.codec import encode_readings, encode_reject, encode_status
from stream.topics import READINGS, REJECTS, STATUS

log = structlog.get_logger(__name__)

#: Bytes of payloads and rejected values, and messages, after which a group becomes a record of its own.
GROUP_BYTES = 256 * 1024
GROUP_MESSAGES = 200


@dataclass(slots=True)
class Waiting:
    """A message that waits to be sent: what came, for whom, its entry in flight, and the outbox to answer; delivery: of
    one without seq, where it will be acknowledged to the broker.
    """

    message: Incoming
    gateway: str
    received_us: int
    entry: Entry
    outbox: str | None = None
    seq: int | None = None
    delivery: Delivery | None = None


@dataclass(slots=True)
class Outgoing:
    """A record to send, and what it settles."""

    topic: str
    key: str
    value: bytes
    waiting: list[Waiting]

    @property
    def entries(self) -> list[Entry]:
        """The messages in flight that this record holds."""
        return [w.entry for w in self.waiting]


class Intake:
    """Takes PUBLISHes one by one (`take`) and gives the records of all that came since (`outgoing`).

    session: the client id by which the broker keeps what is not acknowledged.
    """

    def __init__(
        self,
        routes: Routes,
        inflight: InFlight,
        topic_prefix: str,
        limits: Limits | None = None,
        session: str = "",
    ) -> None:
        self._session = session
        self._marked: set[str] = set()
        self._routes = routes
        self._inflight = inflight
        self._throttle = Throttle(limits) if limits is not None and limits != Limits() else None
        self._readings_topic = topic_prefix + READINGS
        self._rejects_topic = topic_prefix + REJECTS
        self._status_topic = topic_prefix + STATUS
        self._ready: list[Outgoing] = []
        self._groups: dict[str, BatchBuilder] = {}
        self._messages: Counter[str] = Counter()
        self._bytes = 0
        self._readings = 0
        self.taken = 0

    def take(self, message: Incoming) -> None:
        """Decode a PUBLISH and put it with its gateway's, unless Kafka has it already."""
        self.taken += 1
        digest = hash((message.topic, message.payload))
        size = len(message.payload)
        if message.mid:
            entry = self._inflight.arrived(message.mid, message.dup, digest, size)
        else:
            entry = self._inflight.unacknowledged(digest, size)
        if entry is None:
            metrics.REDELIVERED.inc()
            return
        route = self._routes.of(message.topic)
        self._bytes += size
        if route is None:
            self._drop(message, entry)
            return
        self._messages[route.name] += 1
        waiting = Waiting(message, route.gateway, time.time_ns() // 1000, entry)
        if route.decoder is None:
            self._take_status(waiting)
        else:
            self._take_readings(waiting, route, route.decoder)

    def _drop(self, message: Incoming, entry: Entry) -> None:
        """A topic that names no gateway: the broker's rights do not let a gateway publish there."""
        metrics.DROPPED.inc()
        log.error("no_route", topic=message.topic[:200])
        self._inflight.settled([entry], Fate.STORED)

    def _take_status(self, w: Waiting) -> None:
        status = decode_status(w.gateway, w.message.topic, w.message.payload, w.received_us)
        if status is None:
            self._inflight.settled([w.entry], Fate.STORED)
        elif isinstance(status, RejectRecord):
            delivery = _delivery(self._session, w.message) if w.message.mid else None
            self._reject(w, replace(status, delivery=delivery))
        else:
            self._ready.append(Outgoing(self._status_topic, w.gateway, encode_status(status), [w]))

    def _take_readings(self, w: Waiting, route: Route, decoder: Decoder) -> None:
        self._put(w, _decode(decoder, route, w))

    def _put(self, w: Waiting, decoded: Decoded) -> None:
        """Put what a message holds with its gateway's, or in the dead letters."""
        w.outbox, w.seq = decoded.outbox, decoded.seq
        if decoded.seq is None and w.message.mid:
            w.delivery = _delivery(self._session, w.message)
            self._marked.add(w.gateway)
        if self._throttle is not None and self._is_over_limit(self._throttle, w, decoded):
            if decoded.seq is not None:
                left_to_the_outbox()
                self._inflight.settled([w.entry], Fate.STORED)
                return
            decoded = rate_limited(decoded)
        count = len(decoded.ts_us)
        if not count:
            self._reject(w, _reject_record(w, decoded))
            return
        for r in decoded.rejected:
            metrics.REJECTS.labels(r.reason).inc()
        self._readings += count
        header = MessageHeader(
            gateway=w.gateway,
            topic=w.message.topic,
            received_us=w.received_us,
            count=count,
            outbox=decoded.outbox,
            seq=decoded.seq,
            sent_us=decoded.sent_us,
            rejected=tuple(decoded.rejected) if decoded.rejected else (),
            user_properties=w.message.user_properties if decoded.rejected else (),
        )
        size = len(w.message.payload) + decoded.rejected_bytes
        if header.user_properties:
            size += sum(len(name) + len(value) for name, value in header.user_properties)
        self._group(w, header, decoded, size)

    def _group(self, w: Waiting, header: MessageHeader, decoded: Decoded, size: int) -> None:
        """Put a message with those of its gateway that wait. A large one does not cost its neighbours."""
        group = self._groups.get(w.gateway)
        if group is not None and group.size + size > 2 * GROUP_BYTES:
            self._close_group(w.gateway)
            group = None
        if group is None:
            group = self._groups[w.gateway] = BatchBuilder()
        group.add(header, decoded, size, w)
        if group.size >= GROUP_BYTES or len(group.tokens) >= GROUP_MESSAGES:
            self._close_group(w.gateway)

    def _is_over_limit(self, throttle: Throttle, w: Waiting, decoded: Decoded) -> bool:
        """Whether its gateway may not send this message now. What holds no reading is rejected for that anyway."""
        return bool(len(decoded)) and not throttle.admits(w.gateway, len(decoded), time.monotonic())

    def _close_group(self, gateway: str) -> None:
        group = self._groups.pop(gateway)
        batch = group.build()
        if gateway in self._marked:
            waiting: list[Waiting] = group.tokens
            marks = tuple((i, w.delivery) for i, w in enumerate(waiting) if w.delivery is not None)
            batch = replace(batch, deliveries=marks)
        self._ready.append(Outgoing(self._readings_topic, gateway, encode_readings(batch), group.tokens))

    def _reject(self, w: Waiting, record: RejectRecord) -> None:
        if record.items:
            for r in record.items:
                metrics.REJECTS.labels(r.reason).inc()
        else:
            metrics.REJECTS.labels(record.reason).inc()
        self._ready.append(Outgoing(self._rejects_topic, w.gateway, encode_reject(record), [w]))

    @property
    def waiting(self) -> int:
        """Messages taken since the last call of `outgoing`."""
        return len(self._ready) + sum(map(len, self._groups.values()))

    def discard(self) -> None:
        """Forget what waits: the broker will send it again."""
        self._ready.clear()
        self._groups.clear()

    def outgoing(self) -> Iterator[Outgoing]:
        """The records of everything taken since the last call; per gateway and topic in order of arrival."""
        for gateway in list(self._groups):
            self._close_group(gateway)
        self._marked.clear()
        self._count()
        ready, self._ready = self._ready, []
        yield from ready

    def _count(self) -> None:
        """Metrics once a round: each costs a lock."""
        for route, count in self._messages.items():
            metrics.MESSAGES.labels(route).inc(count)
        metrics.BYTES.inc(self._bytes)
        metrics.READINGS.inc(self._readings)
        self._messages.clear()
        self._bytes = self._readings = 0

    def too_large(self, out: Outgoing) -> Iterator[Outgoing]:
        """In place of a record that no topic takes: each of its messages whole, as too_large."""
        for w in out.waiting:
            record = RejectRecord(
                reason=RejectReason.TOO_LARGE,
                detail="the message and its rejected values fill more than a record",
                gateway=w.gateway,
                topic=w.message.topic,
                received_us=w.received_us,
                payload=w.message.payload,
                outbox=w.outbox,
                seq=w.seq,
                user_properties=w.message.user_properties,
                delivery=w.delivery,
            )
            metrics.REJECTS.labels(record.reason).inc()
            yield Outgoing(self._rejects_topic, w.gateway, encode_reject(record), [w])


def _decode(decoder: Decoder, route: Route, w: Waiting) -> Decoded:
    """What the message holds. No decoder raises; should one all the same, the message is kept as a reject.

    Otherwise the bridge would stop at the same message each time the broker sends it again.
    """
    try:
        return decoder(route.gateway, w.message.payload, w.message.user_properties, w.received_us)
    except Exception as e:
        log.exception("decoder_fault", decoder=route.name, gateway=w.gateway)
        return Decoded(
            failure=(RejectReason.DECODER_FAULT, f"decoder {route.name}: {type(e).__name__}: {e}"[:500])
        )


def _delivery(session: str, message: Incoming) -> Delivery:
    """By what the writer knows a message again that the broker delivers again, to whatever process."""
    digest = blake2b(message.payload, digest_size=8, key=message.topic.encode()[:64]).digest()
    return Delivery(session, message.mid, int.from_bytes(digest, "little"), message.dup)


def _reject_record(w: Waiting, decoded: Decoded) -> RejectRecord:
    """The record of a message of which nothing was usable."""
    items = tuple(decoded.rejected)
    reason, detail = decoded.failure or (items[0].reason, items[0].detail)
    return RejectRecord(
        reason=str(reason),
        detail=detail,
        gateway=w.gateway,
        topic=w.message.topic,
        received_us=w.received_us,
        payload=w.message.payload,
        outbox=decoded.outbox,
        seq=decoded.seq,
        user_properties=w.message.user_properties,
        items=items,
        delivery=w.delivery,
    )
