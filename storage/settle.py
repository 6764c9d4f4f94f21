"""What becomes of the values of one reading's identity (meter, register, ts): the rule, pure.

A value equal to any stored version is a repeat. Another value is a conflict: the first stays, the other is
kept beside it; unless it is a correction: then it becomes the value, and the old one is kept as superseded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum


class Outcome(IntEnum):
    """What became of a value."""

    STORED = 0
    REPEATED = 1
    CONFLICTING = 2


@dataclass(frozen=True, slots=True)
class Kept:
    """A value to keep beside the current one: a conflict, or what a correction superseded.

    arrival: the arrival that brought this about; origin: the arrival that the value came with, None if it was
    current before.
    """

    value: float
    kind: str
    arrival: int
    origin: int | None


@dataclass(slots=True)
class Settled:
    """The end state of an identity: its value, the arrival that gave it (None: it was there before), what to
    keep.
    """

    value: float
    source: int | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


def settle(
    current: float, versions: Iterable[float], arrivals: Iterable[tuple[float, bool]], first: int = 0
) -> Settled:
    """Take `arrivals` (value, is a correction) into an identity with a `current` value and other `versions`.

    Arrivals are taken in order, and numbered from `first` in the result.
    """
    known = {current, *versions}
    end = Settled(current)
    for n, (value, correction) in enumerate(arrivals, start=first):
        if value in known:
            end.outcomes.append(Outcome.REPEATED)
            continue
        known.add(value)
        if correction:
            end.kept.append(Kept(end.value, "superseded", n, end.source))
            end.value, end.source = value, n
            end.outcomes.append(Outcome.STORED)
        else:
            end.kept.append(Kept(value, "conflict", n, n))
            end.outcomes.append(Outcome.CONFLICTING)
    return end
