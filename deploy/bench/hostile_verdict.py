"""What a hostile run should have left against what it left: every difference by its fault and the class of its message.

Pure. Rows are matched by sorting columns, so a million of each take seconds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from deploy.bench.hostile_books import COUNTS, Books, Expected, Ints, Readings, Rejects
from simulators.hostile.cases import FIRST_US

_EXAMPLES = 3


class Fault(StrEnum):
    """How a run can fail."""

    LOST = "lost"
    DOUBLED = "doubled"
    WRONG_VALUE = "wrong_value"
    UNEXPECTED_READING = "unexpected_reading"
    MISSING_REJECT = "missing_reject"
    UNEXPECTED_REJECT = "unexpected_reject"
    WRONG_REASON = "wrong_reason"
    WRONG_BYTES = "wrong_bytes"
    LEDGER = "ledger"
    REFUSAL = "refusal"  # the broker refused what it should take, or took what it should refuse
    BREAK = "break"  # it ended a connection that it should keep, or the other way round


@dataclass(frozen=True, slots=True)
class Example:
    """One difference. number: the message's place in the run, 0: not known; reject_id: the dead letter's, 0: none."""

    fault: Fault
    kind: str
    number: int
    detail: str = ""
    reject_id: int = 0


@dataclass(slots=True)
class Verdict:
    """counts: (fault, class) -> how often; examples: the first few of each."""

    counts: Counter[tuple[Fault, str]] = field(default_factory=Counter)
    examples: list[Example] = field(default_factory=list)

    def add(self, example: Example) -> None:
        """Count a difference, and keep it where there are few of its kind."""
        self.counts[example.fault, example.kind] += 1
        if self.counts[example.fault, example.kind] <= _EXAMPLES:
            self.examples.append(example)

    @property
    def by_fault(self) -> dict[str, int]:
        """How often each fault came; all faults are there."""
        sums = dict.fromkeys(map(str, Fault), 0)
        for (fault, _), count in self.counts.items():
            sums[fault] += count
        return sums

    @property
    def by_class(self) -> dict[str, dict[str, int]]:
        """The classes that failed, with their faults."""
        classes: dict[str, dict[str, int]] = defaultdict(dict)
        for (fault, kind), count in sorted(self.counts.items()):
            classes[kind][str(fault)] = count
        return dict(classes)


def compare(expected: Expected, found: Books, verdict: Verdict) -> None:
    """Add to `verdict` how the books that were found differ from those that must be."""
    _compare_readings(expected, found.readings, verdict)
    _compare_rejects(expected, found.rejects, verdict)
    for gateway, wanted in expected.books.ledger.items():
        for name, count, there in zip(COUNTS, wanted, found.ledger.get(gateway, [0] * 9), strict=False):
            if count != there:
                detail = f"{gateway}: {name} is {there} in place of {count}"
                verdict.add(Example(Fault.LEDGER, "unknown", 0, detail))


# ---------------------------------------------------------------- readings


def _compare_readings(expected: Expected, there: Readings, verdict: Verdict) -> None:
    wanted = expected.books.readings
    found = match((wanted.series, wanted.ts_us), (there.series, there.ts_us))
    for i in found.wanted_alone.tolist():
        origin = int(wanted.origin[i])
        verdict.add(
            Example(
                Fault.LOST, expected.kind(origin), origin, f"{wanted.ts_us[i]} = {float(wanted.value[i])!r}"
            )
        )
    for i, again in zip(found.there_alone.tolist(), found.is_surplus.tolist(), strict=True):
        fault = Fault.DOUBLED if again else Fault.UNEXPECTED_READING
        origin = (int(there.ts_us[i]) - FIRST_US) // 1_000_000  # each message has a second of its own
        verdict.add(
            Example(fault, expected.kind(origin), origin, f"{there.ts_us[i]} = {float(there.value[i])!r}")
        )
    w, t = found.wanted_paired, found.there_paired
    for n in np.flatnonzero(wanted.value[w] != there.value[t]).tolist():
        origin = int(wanted.origin[w[n]])
        detail = f"{float(there.value[t[n]])!r} in place of {float(wanted.value[w[n]])!r}"
        verdict.add(Example(Fault.WRONG_VALUE, expected.kind(origin), origin, detail))


# ---------------------------------------------------------------- rejects


def _compare_rejects(expected: Expected, there: Rejects, verdict: Verdict) -> None:
    """What does not match in all is matched by topic and bytes (then the reason is wrong), and by topic and reason."""
    wanted = expected.books.rejects
    found = match((wanted.place, wanted.reason, wanted.content), (there.place, there.reason, there.content))
    missing, strange = found.wanted_alone.tolist(), found.there_alone.tolist()
    reasons = list(expected.words.reasons)

    def add(fault: Fault, at: int, instead: int) -> None:
        origin = int(wanted.origin[at])
        detail = reasons[wanted.reason[at]]
        reject_id = 0
        if instead >= 0:
            detail = f"{reasons[there.reason[instead]]} in place of {detail}"
            reject_id = int(there.origin[instead])
        verdict.add(Example(fault, expected.kind(origin), origin, detail, reject_id))

    for fault, key in (
        (Fault.WRONG_REASON, lambda r, i: (int(r.place[i]), int(r.content[i]))),
        (Fault.WRONG_BYTES, lambda r, i: (int(r.place[i]), int(r.reason[i]))),
    ):
        pairs, missing, strange = _paired(missing, strange, wanted, there, key)
        for at, instead in pairs:
            add(fault, at, instead)
    for at in missing:
        add(Fault.MISSING_REJECT, at, -1)
    for i in strange:
        detail, reject_id = reasons[there.reason[i]], int(there.origin[i])
        verdict.add(Example(Fault.UNEXPECTED_REJECT, "unknown", 0, detail, reject_id))


def _paired(
    missing: Iterable[int],
    strange: Iterable[int],
    wanted: Rejects,
    there: Rejects,
    key: Callable[[Rejects, int], tuple[int, int]],
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """(pairs of equal keys, what is missing still, what is strange still)."""
    waiting: dict[tuple[int, int], list[int]] = defaultdict(list)
    for i in strange:
        waiting[key(there, i)].append(i)
    pairs, left = [], []
    for at in missing:
        same = waiting.get(key(wanted, at))
        if same:
            pairs.append((at, same.pop(0)))
        else:
            left.append(at)
    return pairs, left, [i for same in waiting.values() for i in same]


# ---------------------------------------------------------------- matching


@dataclass(frozen=True, slots=True)
class Match:
    """Rows of two tables, by their numbers. is_surplus: of each row `there_alone`, whether its key is wanted but comes
    too often.
    """

    wanted_alone: Ints
    there_alone: Ints
    is_surplus: Ints
    wanted_paired: Ints
    there_paired: Ints


def match(wanted: Sequence[Ints], there: Sequence[Ints]) -> Match:
    """Pair rows whose key columns are equal, each row once."""
    count = len(wanted[0])
    columns = [np.concatenate(pair) for pair in zip(wanted, there, strict=True)]
    order = np.lexsort(columns)
    new = np.zeros(len(order), dtype=bool)
    for column in columns:
        new[1:] |= column[order[1:]] != column[order[:-1]]
    group = np.cumsum(new)
    is_there = order >= count
    groups = int(group[-1]) + 1 if len(group) else 0
    rows, owners, sizes = [], [], []
    for side in (~is_there, is_there):
        rows.append(order[side])
        owners.append(group[side])
        sizes.append(np.bincount(group[side], minlength=groups))
    paired = [
        _rank(owner) < np.minimum(sizes[0], sizes[1])[owner] if groups else np.zeros(0, dtype=bool)
        for owner in owners
    ]
    alone = ~paired[1]
    return Match(
        wanted_alone=np.sort(rows[0][~paired[0]]),
        there_alone=rows[1][alone] - count,
        is_surplus=sizes[0][owners[1][alone]] > 0 if groups else np.zeros(0, dtype=bool),
        wanted_paired=rows[0][paired[0]],
        there_paired=rows[1][paired[1]] - count,
    )


def _rank(owner: Ints) -> Ints:
    """Of each row, sorted by owner, how many of the same owner come before it."""
    first = np.ones(len(owner), dtype=bool)
    first[1:] = owner[1:] != owner[:-1]
    starts = np.flatnonzero(first)
    return np.arange(len(owner)) - np.repeat(starts, np.diff(np.append(starts, len(owner))))
