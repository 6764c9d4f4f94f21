"""Which sequence numbers of an outbox were seen, and which are missing. Pure; no I/O.

What was seen is everything from the smallest to the greatest number without the gaps. Numbers below the smallest are
no gaps: no contract says where an outbox begins to count. See docs/decisions/sequence-numbers.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

#: First and last number of a stretch.
Run = tuple[int, int]


@dataclass(frozen=True, slots=True, order=True)
class Gap:
    """Numbers `low` to `high`, both missing; noticed_on: local day of receipt of the message that showed it."""

    low: int
    high: int
    noticed_on: date


@dataclass(frozen=True, slots=True)
class Seen:
    """An outbox's numbers: hull (smallest, greatest), None before the first; its gaps, or those that matter,
    sorted.
    """

    hull: Run | None = None
    gaps: tuple[Gap, ...] = ()


def runs_of_numbers(numbers: Iterable[int]) -> list[Run]:
    """Neighbouring numbers put together: disjoint, sorted, not touching."""
    distinct = set(numbers)
    if not distinct:
        return []
    low, last = min(distinct), max(distinct)
    if last - low + 1 == len(distinct):  # the usual case
        return [(low, last)]
    runs: list[Run] = []
    high = low
    for number in sorted(distinct):
        if number > high + 1:
            runs.append((low, high))
            low = number
        high = number
    return [*runs, (low, high)]


def take(seen: Seen, runs: Sequence[Run], day: date) -> tuple[Seen, int]:
    """Numbers that came in on a local day; what was seen now, and how many of them are new.

    `runs` as runs_of_numbers gives them, at least one. Of the gaps only those that `runs` touches need be there.
    """
    if seen.hull is None:
        return Seen((runs[0][0], runs[-1][1]), tuple(_between(runs, day))), _count(runs)
    low, high = seen.hull
    below = [(a, min(b, low - 1)) for a, b in runs if a < low]
    inside = [(max(a, low), min(b, high)) for a, b in runs if a <= high and b >= low]
    above = [(max(a, high + 1), b) for a, b in runs if b > high]
    left, filled = _fill(seen.gaps, inside)
    gaps = [*_between([*below, (low, low)], day), *left, *_between([(high, high), *above], day)]
    hull = min(low, runs[0][0]), max(high, runs[-1][1])
    return Seen(hull, tuple(gaps)), filled + _count(below) + _count(above)


def _count(runs: Sequence[Run]) -> int:
    return sum(b - a + 1 for a, b in runs)


def _between(runs: Sequence[Run], day: date) -> Iterator[Gap]:
    """The gaps between neighbouring runs."""
    for (_, before), (after, _) in pairwise(runs):
        if after > before + 1:
            yield Gap(before + 1, after - 1, day)


def _fill(gaps: Sequence[Gap], runs: Sequence[Run]) -> tuple[list[Gap], int]:
    """What is left of sorted gaps without the sorted runs, and how many numbers that took away."""
    left: list[Gap] = []
    filled = at = 0
    for gap in gaps:
        low = gap.low
        while at < len(runs) and runs[at][1] < low:
            at += 1
        n = at
        while n < len(runs) and runs[n][0] <= gap.high:
            a, b = max(runs[n][0], low), min(runs[n][1], gap.high)
            if a > low:
                left.append(Gap(low, a - 1, gap.noticed_on))
            filled += b - a + 1
            low = b + 1
            n += 1
        if low <= gap.high:
            left.append(Gap(low, gap.high, gap.noticed_on))
    return left, filled
