"""How a dead letter's bytes are decoded again: with the bridge's decoders."""

from __future__ import annotations

from collectors.decoders import native_json
from collectors.decoders.base import Decoded
from collectors.grouping import BatchBuilder
from collectors.routes import Routes
from metering.instants import to_us
from metering.records import MessageHeader, ReadingBatch, RejectRecord
from storage.rejects import Reject


class RejectDecoder:
    """Decodes kept bytes: a v1 message as such, whatever topic it came from; else by the topic's decoder."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def __call__(self, reject: Reject) -> ReadingBatch | RejectRecord | None:
        """A batch of one message with the reject's own gateway, topic and receipt; a record of rejects where
        nothing is usable; None where no decoder takes the topic.
        """
        decoded = self._decoded(reject)
        if decoded is None:
            return None
        known = reject.outbox is not None or reject.seq is not None
        outbox, seq = (reject.outbox, reject.seq) if known else (decoded.outbox, decoded.seq)
        if len(decoded):
            return _batch(reject, decoded, outbox, seq)
        items = tuple(decoded.rejected)
        reason, detail = decoded.failure or (items[0].reason, items[0].detail)
        return RejectRecord(
            reason=str(reason),
            detail=detail,
            gateway=reject.gateway,
            topic=reject.source_topic,
            received_us=to_us(reject.received_at),
            payload=reject.payload,
            outbox=outbox,
            seq=seq,
            user_properties=_properties(reject),
            items=items,
        )

    def _decoded(self, reject: Reject) -> Decoded | None:
        received_us = to_us(reject.received_at)
        native = native_json.decode(reject.gateway, reject.payload, (), received_us)
        if native.failure is None:
            return native
        route = self._routes.of(reject.source_topic)
        if route is None or route.decoder is None or route.gateway != reject.gateway:
            return None
        return route.decoder(reject.gateway, reject.payload, _properties(reject), received_us)


def _batch(reject: Reject, decoded: Decoded, outbox: str | None, seq: int | None) -> ReadingBatch:
    header = MessageHeader(
        gateway=reject.gateway,
        topic=reject.source_topic,
        received_us=to_us(reject.received_at),
        count=len(decoded),
        outbox=outbox,
        seq=seq,
        rejected=tuple(decoded.rejected),
        user_properties=_properties(reject) if decoded.rejected else (),
    )
    builder = BatchBuilder()
    builder.add(header, decoded, len(reject.payload), None)
    return builder.build()


def _properties(reject: Reject) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in reject.user_properties or [])
