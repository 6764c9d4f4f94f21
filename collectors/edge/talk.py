"""What a conversation with a meter is made of, apart from any line: requests, answers and what they said.

A protocol is a set of generators that yield an `Ask` and are sent the frame that answers it, so that one
implementation serves the poller and tests without a line.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Ask:
    """One request. find: gives the frame that answers it out of all bytes received since, None while there is none;
    it never raises. told_apart: no answer to another request of the same meter could be found by it.
    """

    request: bytes
    find: Callable[[bytes], bytes | None]
    told_apart: bool = True


@dataclass(frozen=True, slots=True)
class Said:
    """What a meter said: register -> display value, and the time that its clock showed (aware)."""

    values: dict[str, float]
    clock: datetime | None = None


#: A conversation. Raises AnswerError.
Talk = Generator[Ask, bytes, Said]


class Kind(StrEnum):
    """What a conversation is for."""

    TOTAL = "total"
    EXTRA = "extra"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Step:
    """A conversation that can be begun any number of times."""

    kind: Kind
    begin: Callable[[], Talk]


class AnswerError(Exception):
    """A meter answered, and its answer holds no reading; the message says why, for people."""


class BusyError(AnswerError):
    """A meter answered that it cannot answer now: to be asked again."""
