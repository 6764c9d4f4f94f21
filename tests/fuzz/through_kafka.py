"""What goes into Kafka of decoded messages, and whether it comes back the same."""

from __future__ import annotations

from dataclasses import dataclass

from collectors.decoders.base import Decoded
from collectors.grouping import BatchBuilder
from metering.records import MessageHeader, RejectRecord
from stream import codec
from stream.errors import CodecError

from .inputs import RECEIVED_US, Message
from .invariants import BreachError, must

_MESSAGES = 64
_BYTES = 256 * 1024


@dataclass(slots=True)
class Waiting:
    """A message with readings that waits for the next batch."""

    message: Message
    header: MessageHeader
    decoded: Decoded


class CulpritError(BreachError):
    """A breach by a message that came earlier."""

    def __init__(self, message: Message, breach: BreachError) -> None:
        super().__init__(breach.rule, str(breach))
        self.message = message


class ThroughKafka:
    """Groups messages into records as the bridge does; every record is read again and compared."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self._size = 0

    def add(self, message: Message, decoded: Decoded) -> None:
        """Take a message. Raises BreachError; CulpritError where it is another's."""
        if not decoded.ts_us:
            _check_reject(message, decoded)
            return
        header = MessageHeader(
            gateway="g",
            topic=message.topic,
            received_us=RECEIVED_US,
            count=len(decoded),
            outbox=decoded.outbox,
            seq=decoded.seq,
            sent_us=decoded.sent_us,
            rejected=tuple(decoded.rejected),
            user_properties=message.properties if decoded.rejected else (),
        )
        self._waiting.append(Waiting(message, header, decoded))
        self._size += len(message.payload) + decoded.rejected_bytes
        if len(self._waiting) >= _MESSAGES or self._size > _BYTES:
            self.flush()

    def flush(self) -> None:
        """Check what waits. Raises CulpritError."""
        waiting, self._waiting, self._size = self._waiting, [], 0
        try:
            _check_batch(waiting)
        except BreachError:
            for one in waiting:
                try:
                    _check_batch([one])
                except BreachError as e:
                    raise CulpritError(one.message, e) from e
            raise


def _check_batch(waiting: list[Waiting]) -> None:
    if not waiting:
        return
    builder = BatchBuilder()
    for w in waiting:
        builder.add(w.header, w.decoded, 0, None)
    batch = builder.build()
    try:
        back = codec.decode_readings(codec.encode_readings(batch))
    except (CodecError, ValueError, TypeError) as e:
        raise BreachError("codec", f"{type(e).__name__}: {e}") from e
    must(back.messages == batch.messages, "codec", "messages")
    must((back.meters, back.registers) == (batch.meters, batch.registers), "codec", "names")
    for column in ("meter_ix", "register_ix", "ts_us", "value", "correction"):
        sent, came = getattr(batch, column), getattr(back, column)
        must(sent.dtype == came.dtype and sent.tobytes() == came.tobytes(), "codec", column)


def _check_reject(message: Message, decoded: Decoded) -> None:
    items = tuple(decoded.rejected)
    reason, detail = decoded.failure or (items[0].reason, items[0].detail)
    record = RejectRecord(
        reason=str(reason),
        detail=detail,
        gateway="g",
        topic=message.topic,
        received_us=RECEIVED_US,
        payload=message.payload,
        outbox=decoded.outbox,
        seq=decoded.seq,
        user_properties=message.properties,
        items=items,
    )
    try:
        back = codec.decode_reject(codec.encode_reject(record))
    except (CodecError, ValueError, TypeError) as e:
        raise BreachError("codec", f"{type(e).__name__}: {e}") from e
    must(back == record, "codec", "a reject")
