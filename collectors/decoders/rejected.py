"""Rejected values as v1 messages of just that value: what goes to the dead letters and can be put in again."""

from __future__ import annotations

from typing import Any

from collectors.decoders.base import printable
from collectors.decoders.json_text import OddNumber, Pairs, dumps
from metering.instants import from_us
from metering.records import RejectedValue


def rejected_reading(reason: str, detail: str, reading: Any) -> RejectedValue:
    """A rejected value with a v1 message of just that reading, without outbox and seq."""
    payload = f'{{"v":1,"readings":[{dumps(reading)}]}}'.encode()
    return RejectedValue(str(reason), printable(detail), payload)


def rejected_value(problem: tuple[str, str], meter: str, ts: Any, register: str, value: Any) -> RejectedValue:
    """A rejected value of a format that is not v1. problem: reason and detail; ts: as `shown_time` gives it."""
    reading = Pairs([("meter", meter), ("ts", ts), ("values", Pairs([(register, value)]))])
    return rejected_reading(*problem, reading)


def shown_time(ts: Any, ts_us: int | None) -> Any:
    """A time in a reject, so that nobody who puts it in again takes it for another: RFC 3339, or what came, numbers
    as text.
    """
    if ts_us is not None:
        try:
            return from_us(ts_us).isoformat()
        except OverflowError:
            pass
    return dumps(ts) if isinstance(ts, int | float | OddNumber) and not isinstance(ts, bool) else ts
