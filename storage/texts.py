"""Text and numbers of messages, made fit for PostgreSQL: what a gateway says must never break a
transaction.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INT8 = 2**63
#: Years 1 to 9999 in microseconds since 1970: what a datetime holds.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999

#: A B-tree entry holds 2,704 bytes; names that are keys are cut well before.
KEY_LENGTH = 200


def storable(text: str) -> str:
    """`text` as PostgreSQL can hold it: no NUL, no lone surrogates."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def key_text(text: str) -> str:
    """`text` as a storable key of bounded length."""
    return storable(text)[:KEY_LENGTH]


def int8_or_none(number: int | None) -> int | None:
    """`number` where 64 bits hold it."""
    return number if number is not None and -_INT8 <= number < _INT8 else None


def finite_or_none(number: float | None) -> float | None:
    """`number` where it is one."""
    return number if number is not None and math.isfinite(number) else None


def time_or_none(us: int | None) -> datetime | None:
    """The UTC time of microseconds since 1970, where the calendar has it."""
    if us is None or not _FIRST_US <= us <= _LAST_US:
        return None
    return _EPOCH + timedelta(microseconds=us)
