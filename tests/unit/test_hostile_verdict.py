"""The verdict on a hostile run finds every way in which what is there can differ from what must be."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.bench.hostile_books import Books, Expected, Readings, Rejects, expected_of
from deploy.bench.hostile_verdict import Fault, Verdict, compare, match
from simulators.hostile.mix import GOOD, Plan, Run

PLAN = Plan("run", 300, 5, 1_792_000_000_000_000, gateways=4)


@pytest.fixture(scope="module")
def expected() -> Expected:
    return expected_of(Run(PLAN).messages(), [n.gateway for n in PLAN.names()])


def changed(columns: Readings | Rejects, rows: np.ndarray) -> dict[str, np.ndarray]:
    return {name: getattr(columns, name)[rows] for name in type(columns).__slots__}


def with_readings(expected: Expected, **columns: np.ndarray) -> Books:
    return replace(expected.books, readings=replace(expected.books.readings, **columns))


def with_rejects(expected: Expected, **columns: np.ndarray) -> Books:
    return replace(expected.books, rejects=replace(expected.books.rejects, **columns))


def verdict_on(expected: Expected, found: Books) -> dict[str, int]:
    verdict = Verdict()
    compare(expected, found, verdict)
    return {fault: count for fault, count in verdict.by_fault.items() if count}


def test_what_is_as_it_must_be_is_not_found_wanting_in_whatever_order(expected: Expected) -> None:
    rng = np.random.default_rng(1)
    readings, rejects = expected.books.readings, expected.books.rejects
    found = replace(
        expected.books,
        readings=Readings(**changed(readings, rng.permutation(len(readings.ts_us)))),
        rejects=Rejects(**changed(rejects, rng.permutation(len(rejects.place)))),
    )
    assert verdict_on(expected, found) == {}


def test_a_lost_value_is_found_with_its_class(expected: Expected) -> None:
    readings = expected.books.readings
    good = next(i for i, o in enumerate(readings.origin) if expected.kind(o) == GOOD)
    rows = np.delete(np.arange(len(readings.ts_us)), good)
    verdict = Verdict()
    compare(expected, with_readings(expected, **changed(readings, rows)), verdict)
    assert verdict.by_class == {GOOD: {"lost": 1}}
    assert verdict.examples[0].number == readings.origin[good]


def test_a_doubled_value_is_found(expected: Expected) -> None:
    readings = expected.books.readings
    rows = np.append(np.arange(len(readings.ts_us)), 7)
    assert verdict_on(expected, with_readings(expected, **changed(readings, rows))) == {Fault.DOUBLED: 1}


def test_a_wrong_value_is_found_be_it_by_the_last_bit(expected: Expected) -> None:
    value = expected.books.readings.value.copy()
    value[3] = np.nextafter(value[3], np.inf)
    assert verdict_on(expected, with_readings(expected, value=value)) == {Fault.WRONG_VALUE: 1}


def test_a_value_of_another_time_or_of_a_series_of_nobody_is_lost_and_unexpected(expected: Expected) -> None:
    readings = expected.books.readings
    ts_us, series = readings.ts_us.copy(), readings.series.copy()
    ts_us[0] += 1
    series[5] = -1
    found = with_readings(expected, ts_us=ts_us, series=series)
    assert verdict_on(expected, found) == {Fault.LOST: 2, Fault.UNEXPECTED_READING: 2}


def test_a_missing_and_an_unexpected_dead_letter_are_found(expected: Expected) -> None:
    rejects = expected.books.rejects
    rows = np.arange(len(rejects.place))
    fewer, more = np.delete(rows, 11), np.append(rows, 11)
    assert verdict_on(expected, with_rejects(expected, **changed(rejects, fewer))) == {
        Fault.MISSING_REJECT: 1
    }
    assert verdict_on(expected, with_rejects(expected, **changed(rejects, more))) == {
        Fault.UNEXPECTED_REJECT: 1
    }


def test_wrong_reason_and_wrong_bytes_are_told_apart_and_named_by_class(expected: Expected) -> None:
    rejects = expected.books.rejects
    reason, content = rejects.reason.copy(), rejects.content.copy()
    reason[2] = (reason[2] + 1) % len(expected.words.reasons)
    content[-1] ^= 1
    verdict = Verdict()
    compare(expected, with_rejects(expected, reason=reason, content=content), verdict)
    assert verdict.by_fault == dict.fromkeys(map(str, Fault), 0) | {"wrong_reason": 1, "wrong_bytes": 1}
    assert {(e.fault, e.kind) for e in verdict.examples} == {
        (Fault.WRONG_REASON, expected.kind(rejects.origin[2])),
        (Fault.WRONG_BYTES, expected.kind(rejects.origin[-1])),
    }


def test_a_ledger_that_counts_otherwise_is_found(expected: Expected) -> None:
    ledger = {g: list(counts) for g, counts in expected.books.ledger.items()}
    first, second, *_ = ledger
    ledger[first][1] += 1
    lacking = {g: c for g, c in ledger.items() if g != second}
    assert verdict_on(expected, replace(expected.books, ledger=ledger)) == {Fault.LEDGER: 1}
    assert verdict_on(expected, replace(expected.books, ledger=lacking))[Fault.LEDGER] > 1


def test_an_empty_database_lacks_everything(expected: Expected) -> None:
    nothing = np.zeros(0, np.int64)
    empty = Books(
        Readings(nothing, nothing, nothing, nothing), Rejects(*[nothing] * 4), expected.books.ledger
    )
    assert verdict_on(expected, empty) == {
        Fault.LOST: len(expected.books.readings.ts_us),
        Fault.MISSING_REJECT: len(expected.books.rejects.place),
    }


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_equal_rows_are_paired_as_often_as_both_have_them(wanted: list[int], there: list[int]) -> None:
    a, b = np.array(wanted, np.int64), np.array(there, np.int64)
    found = match((a, a * 2), (b, b * 2))
    assert a[found.wanted_paired].tolist() == b[found.there_paired].tolist()
    for key in range(6):
        both = min(wanted.count(key), there.count(key))
        assert (a[found.wanted_paired] == key).sum() == both
        assert (a[found.wanted_alone] == key).sum() == wanted.count(key) - both
        assert (b[found.there_alone] == key).sum() == there.count(key) - both
    assert found.is_surplus.tolist() == [k in wanted for k in b[found.there_alone].tolist()]
