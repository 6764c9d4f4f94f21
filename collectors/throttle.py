"""A hard limit on what one gateway may send a second. Pure but for the metric and the log line."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Any

import structlog

from collectors import metrics
from collectors.decoders.base import Decoded
from metering.errors import RejectReason
from metering.instants import from_us
from metering.records import RejectedValue

log = structlog.get_logger(__name__)

#: Gateways that are remembered before those that have been quiet are forgotten.
_REMEMBERED = 20_000
#: Seconds between two log lines about one gateway.
_TELL_S = 60.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Of each gateway, in each bridge: messages and readings (values) a second; 0: no limit."""

    messages_per_s: float = 0.0
    readings_per_s: float = 0.0


@dataclass(slots=True)
class _Bucket:
    """What a gateway may still send: up to a second's worth, at least a message; below 0 after a large message."""

    messages: float
    readings: float
    at: float
    told_at: float = float("-inf")
    refused: int = 0


class Throttle:
    """Counts what each gateway sends. A message is admitted while something is left, however large it is itself: so
    none is too large to pass ever, and those behind a large one wait the longer.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._most = (max(1.0, limits.messages_per_s), max(1.0, limits.readings_per_s))
        self._buckets: dict[str, _Bucket] = {}

    def admits(self, gateway: str, readings: int, now: float) -> bool:
        """Whether a message of so many readings is within the limits at `now` (s, monotonic)."""
        bucket = self._filled(gateway, now)
        if (self._limits.messages_per_s and bucket.messages < 1) or (
            self._limits.readings_per_s and bucket.readings < 1
        ):
            self._refuse(gateway, bucket, now)
            return False
        bucket.messages -= 1
        bucket.readings -= readings
        return True

    def _filled(self, gateway: str, now: float) -> _Bucket:
        bucket = self._buckets.get(gateway)
        if bucket is None:
            if len(self._buckets) >= _REMEMBERED:
                self._forget(now)
            bucket = self._buckets[gateway] = _Bucket(*self._most, now)
            return bucket
        passed, bucket.at = now - bucket.at, now
        bucket.messages = min(self._most[0], bucket.messages + passed * self._limits.messages_per_s)
        bucket.readings = min(self._most[1], bucket.readings + passed * self._limits.readings_per_s)
        return bucket

    def _forget(self, now: float) -> None:
        """Drop those that are as full as a new one would be."""
        for gateway in list(self._buckets):
            bucket = self._filled(gateway, now)
            full = not self._limits.messages_per_s or bucket.messages >= self._most[0]
            if full and (not self._limits.readings_per_s or bucket.readings >= self._most[1]):
                del self._buckets[gateway]

    def _refuse(self, gateway: str, bucket: _Bucket, now: float) -> None:
        bucket.refused += 1
        if now - bucket.told_at >= _TELL_S:
            log.warning("gateway_over_limit", gateway=gateway, messages=bucket.refused)
            bucket.told_at, bucket.refused = now, 0


def left_to_the_outbox() -> None:
    """Count a message with seq over the limit: neither stored nor acknowledged, its outbox sends it again."""
    metrics.THROTTLED.inc()


def rate_limited(decoded: Decoded) -> Decoded:
    """A message without seq over the limit: each of its readings rejected."""
    made = replace(
        decoded,
        meters=[],
        registers=[],
        ts_us=[],
        values=[],
        corrections=[],
        rejected=list(decoded.rejected),
    )
    corrections = decoded.corrections or [False] * len(decoded)
    for meter, register, ts_us, value, correction in zip(
        decoded.meters, decoded.registers, decoded.ts_us, decoded.values, corrections, strict=True
    ):
        reading: dict[str, Any] = {
            "meter": meter,
            "ts": from_us(ts_us).isoformat(),
            "values": {register: value},
        }
        if correction:
            reading["correction"] = True
        message = json.dumps({"v": 1, "readings": [reading]}, ensure_ascii=False, separators=(",", ":"))
        detail = "the gateway sends more a second than it may, and no seq by which to send it again"
        made.reject(
            RejectedValue(RejectReason.RATE_LIMITED.value, detail, message.encode("utf-8", "replace"))
        )
    return made
