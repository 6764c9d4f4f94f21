"""What becomes of values of one identity: the rules of the contract, for any sequence."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from storage.identities import Stored, contested, settle_contested, sort_identities
from storage.settle import Outcome, settle

values = st.sampled_from([0.0, 1.0, 2.0, 3.0, 4.5])
arrivals = st.lists(st.tuples(values, st.booleans()), max_size=8)


@given(values, st.sets(values), arrivals)
def test_a_value_is_stored_repeated_or_conflicting_once_and_nothing_is_forgotten(current, versions, coming):
    versions = versions - {current}
    end = settle(current, versions, coming)
    assert len(end.outcomes) == len(coming)
    new = {v for v, _ in coming} - versions - {current}
    assert len([o for o in end.outcomes if o is not Outcome.REPEATED]) == len(new)
    kept = [k.value for k in end.kept]
    assert len(set(kept)) == len(kept)
    assert {end.value, *kept} | versions == {current} | new | versions
    assert {end.value, *kept}.isdisjoint(versions)


@given(values, st.sets(values), arrivals)
def test_sending_everything_again_changes_nothing(current, versions, coming):
    versions = versions - {current}
    end = settle(current, versions, coming)
    again = settle(end.value, versions | {k.value for k in end.kept}, coming)
    assert set(again.outcomes) <= {Outcome.REPEATED}
    assert (again.value, again.kept) == (end.value, [])


@given(values, st.lists(values, max_size=8))
def test_without_corrections_the_first_value_stays(current, coming):
    assert settle(current, (), [(v, False) for v in coming]).value == current


batches = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 3), values, st.booleans()), min_size=1, max_size=12
)


@given(
    batches,
    st.dictionaries(
        st.tuples(st.integers(1, 3), st.integers(0, 3)), st.lists(values, unique=True, min_size=1)
    ),
)
def test_settling_in_sets_is_settling_one_by_one(batch, database):
    """`database`: (series, ts) -> the current value and then the others."""
    columns = [np.array(c) for c in zip(*batch, strict=True)]
    n = len(batch)
    identities = sort_identities(
        np.arange(n), columns[0], columns[1], columns[2].astype(float), np.arange(n), columns[3].astype(bool)
    )
    keys = list(
        zip(
            identities.series_id[identities.head].tolist(),
            identities.ts_us[identities.head].tolist(),
            strict=True,
        )
    )
    inserted = np.array([key not in database for key in keys])
    current = identities.value[identities.head]
    receipts = identities.received_us[identities.head]
    for i, key in enumerate(keys):
        if key in database:
            current[i], receipts[i] = database[key][0], -1
    others = [(i, v) for i, key in enumerate(keys) for v in database.get(key, [])[1:]]
    which = contested(identities, inserted, current)
    stored = Stored(
        current,
        receipts,
        np.array([i for i, _ in others], dtype=int),
        np.array([v for _, v in others], dtype=float),
    )
    upkeep = settle_contested(identities, which, inserted, stored)

    outcome = dict(zip(identities.row.tolist(), identities.outcome.tolist(), strict=True))
    replaced = {i: identities.value[a] for i, a in upkeep.replaced}
    for i, key in enumerate(keys):
        rows = [k for k, b in enumerate(batch) if b[:2] == key]
        coming = [(batch[k][2], batch[k][3]) for k in rows]
        if key in database:
            end, outcomes = settle(database[key][0], database[key][1:], coming), []
        else:
            end, outcomes = settle(coming[0][0], (), coming[1:]), [Outcome.STORED]
        assert [outcome[k] for k in rows] == outcomes + end.outcomes
        beside = {(v, superseded) for which_, v, superseded, _, _ in upkeep.beside if which_ == i}
        assert beside == {(k.value, k.kind == "superseded") for k in end.kept}
        assert replaced.get(i, current[i]) == end.value
        assert identities.changed[i] == (key not in database or end.source is not None)
