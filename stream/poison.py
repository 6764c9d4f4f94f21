"""A record that cannot be decoded goes to the dead letters with its bytes; the rest goes on."""

from __future__ import annotations

from typing import Any

import structlog

from metering.errors import RejectReason
from metering.records import RejectRecord
from stream import metrics
from stream.errors import CodecError, UnknownVersionError

log = structlog.get_logger(__name__)


def poison_reject(record: Any, error: CodecError) -> RejectRecord:
    """What to keep of a consumed record (kafka-python's ConsumerRecord); counts and logs it. An empty value and none
    both leave no bytes.
    """
    place = f"offset {record.offset} of {record.topic}/{record.partition}"
    metrics.POISON.labels(record.topic).inc()
    log.error(
        "poison_record",
        topic=record.topic,
        partition=record.partition,
        offset=record.offset,
        error=str(error)[:500],
    )
    key = (record.key or b"").decode("utf-8", "replace").replace("\x00", "\N{REPLACEMENT CHARACTER}")
    newer = isinstance(error, UnknownVersionError)
    return RejectRecord(
        reason=RejectReason.UNKNOWN_VERSION if newer else RejectReason.MALFORMED,
        detail=f"{place}: {error}"[:500],
        gateway=key,
        topic=f"kafka:{record.topic}",
        received_us=record.timestamp * 1000,
        payload=record.value or b"",
    )
