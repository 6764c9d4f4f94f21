"""However numbers arrive: what is seen, missing and booked is what a plain set says."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from storage.sequences import Gap, Seen, runs_of_numbers, take

FIRST = date(2014, 3, 1)

numbers = st.integers(0, 40) | st.sampled_from([-(2**63), 2**63 - 1])
arrivals = st.lists(st.lists(numbers, min_size=1, max_size=12), min_size=1, max_size=12)


class Model:
    """The numbers seen, and the day on which each missing one was noticed."""

    def __init__(self):
        self.seen: set[int] = set()
        self.noticed: dict[int, date] = {}

    def take(self, came: list[int], day: date) -> int:
        new = set(came) - self.seen
        self.seen |= new
        for n in range(min(self.seen), max(self.seen)):
            if n not in self.seen:
                self.noticed.setdefault(n, day)
        for n in new:
            self.noticed.pop(n, None)
        return len(new)


def small(came: list[list[int]]) -> list[list[int]]:
    """Without the greatest numbers, which the model cannot count through."""
    return [s for s in ([n for n in batch if abs(n) < 100] for batch in came) if s]


@given(arrivals)
def test_numbers_seen_missing_and_booked_are_those_of_a_plain_set(came):
    model, seen = Model(), Seen()
    for i, batch in enumerate(small(came)):
        day = FIRST + timedelta(i // 2)
        seen, new = take(seen, runs_of_numbers(batch), day)
        assert new == model.take(batch, day)
        assert {n: g.noticed_on for g in seen.gaps for n in range(g.low, g.high + 1)} == model.noticed
        assert seen.hull == (min(model.seen), max(model.seen))
        assert list(seen.gaps) == sorted(seen.gaps)


@given(arrivals)
def test_the_gaps_that_are_touched_are_enough(came):
    seen = Seen()
    for batch in came:
        runs = runs_of_numbers(batch)
        touched = tuple(g for g in seen.gaps if any(a <= g.high and b >= g.low for a, b in runs))
        others = set(seen.gaps) - set(touched)
        whole, new = take(seen, runs, FIRST)
        part, same = take(Seen(seen.hull, touched), runs, FIRST)
        assert (part.hull, new) == (whole.hull, same)
        assert set(whole.gaps) == set(part.gaps) | others
        seen = whole


@given(arrivals)
def test_everything_between_the_ends_is_seen_or_in_a_gap(came):
    seen, total = Seen(), 0
    for batch in came:
        seen, new = take(seen, runs_of_numbers(batch), FIRST)
        total += new
    assert seen.hull is not None
    low, high = seen.hull
    assert high - low + 1 == total + sum(g.high - g.low + 1 for g in seen.gaps)


def test_numbers_below_the_first_one_seen_are_no_gap_until_one_of_them_comes():
    seen, _ = take(Seen(), [(42, 42)], FIRST)
    assert seen.gaps == ()
    seen, _ = take(seen, [(40, 40)], FIRST + timedelta(1))
    assert seen.gaps == (Gap(41, 41, FIRST + timedelta(1)),)
    seen, new = take(seen, [(41, 41)], FIRST + timedelta(2))
    assert (seen, new) == (Seen((40, 42)), 1)
