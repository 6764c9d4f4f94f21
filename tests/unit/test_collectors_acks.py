"""Durable acknowledgements that wait are combined per outbox; none is lost or given twice."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from collectors.acks import AckDesk, ack_payload
from metering.records import AckRecord

acks = st.builds(
    AckRecord,
    gateway=st.sampled_from(["a", "b"]),
    outbox=st.sampled_from(["x", None]),
    stored=st.lists(st.integers(0, 99), max_size=9).map(tuple),
    rejected=st.lists(st.tuples(st.integers(0, 99), st.just("malformed")), max_size=3).map(tuple),
)


@given(st.lists(acks, max_size=8))
def test_everything_put_is_taken_once_combined_per_outbox(given_acks: list[AckRecord]) -> None:
    desk = AckDesk()
    for ack in given_acks:
        desk.put(ack)
    taken = list(desk.take(100))
    assert len(desk) == 0
    assert len({(g, o) for g, o, _, _ in taken}) == len(taken)
    for gateway, outbox, stored, rejected in taken:
        ours = [a for a in given_acks if (a.gateway, a.outbox) == (gateway, outbox)]
        assert stored == [s for a in ours for s in a.stored]
        assert rejected == [r for a in ours for r in a.rejected]


def test_a_long_acknowledgement_is_split() -> None:
    desk = AckDesk()
    desk.put(AckRecord("a", "x", stored=tuple(range(12_000))))
    pieces = list(desk.take(10))
    assert [len(stored) for _, _, stored, _ in pieces] == [5000, 5000, 2000]
    assert [s for _, _, stored, _ in pieces for s in stored] == list(range(12_000))


def test_the_message_is_as_contracted() -> None:
    at = datetime(2014, 3, 1, 0, 15, 2, tzinfo=UTC)
    assert json.loads(ack_payload("k3f9", [42, 43], [(44, "malformed")], at)) == {
        "v": 1,
        "outbox": "k3f9",
        "at": "2014-03-01T00:15:02.000Z",
        "stored": [42, 43],
        "rejected": [{"seq": 44, "reason": "malformed"}],
    }
