"""Spans of time, and when a metering point counts: pure functions over half-open spans in microseconds.

A span is (start, end), start included, end not, in microseconds since 1970-01-01T00:00Z; START and END stand
for unbounded. A list of spans is normal when it is sorted and disjoint, with no touching neighbours and no
empty spans.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from metering.items import item_prefixes

Span = tuple[int, int]

#: Unbounded: before and after any time that a reading can carry.
START = -(2**62)
END = 2**62

HOUR_US = 3_600_000_000


def union(spans: Iterable[Span]) -> list[Span]:
    """The normal list that covers what any of `spans` covers."""
    merged: list[Span] = []
    for start, end in sorted(s for s in spans if s[0] < s[1]):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def subtract(spans: Sequence[Span], away: Sequence[Span]) -> list[Span]:
    """What `spans` cover and `away` does not; both normal, so is the result."""
    left: list[Span] = []
    for span_start, end in spans:
        start = span_start
        for a, b in away:
            if b <= start or a >= end:
                continue
            if a > start:
                left.append((start, a))
            start = b
            if start >= end:
                break
        if start < end:
            left.append((start, end))
    return left


def intersect(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What both normal lists cover."""
    return union((max(a, c), min(b, d)) for a, b in one for c, d in other)


def symmetric_difference(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What exactly one of the two normal lists covers."""
    if one == other:
        return []
    return union([*subtract(one, other), *subtract(other, one)])


def to_whole_hours(spans: Iterable[Span]) -> list[Span]:
    """The normal list of `spans`, each grown outward to whole hours."""
    return union(
        (
            start if start == START else start - start % HOUR_US,
            end if end == END else end + -end % HOUR_US,
        )
        for start, end in spans
        if start < end
    )


@dataclass(frozen=True, slots=True)
class PlacedPoint:
    """A point as its site's sum sees it: its item, whom it hangs under, when it is installed (normal)."""

    item_code: str
    parent: str | None
    installed: Sequence[Span]


def root_spans(points: Mapping[str, PlacedPoint]) -> dict[tuple[str, str], list[Span]]:
    """When each point counts for an item of its site: (item X, point code) -> normal list, never empty.

    X runs over the point's own item and its prefixes of two or more characters. A point counts for X in the
    hours in which it is installed and no ancestor whose item starts with X is installed at any time of the
    hour, so that a sub-meter never counts twice, and a site without a total is totalled from its sub-meters.
    `points` are those of one site; parents have no cycles.
    """
    roots: dict[tuple[str, str], list[Span]] = {}
    for code, point in points.items():
        if not point.installed:
            continue
        above = _ancestors(points, point)
        for item in item_prefixes(point.item_code):
            covering = [s for a in above if a.item_code.startswith(item) for s in a.installed]
            spans = subtract(list(point.installed), to_whole_hours(covering))
            if spans:
                roots[item, code] = spans
    return roots


def _ancestors(points: Mapping[str, PlacedPoint], point: PlacedPoint) -> list[PlacedPoint]:
    found: list[PlacedPoint] = []
    parent = point.parent
    while parent is not None:
        above = points[parent]
        found.append(above)
        parent = above.parent
    return found
