"""Redeliveries of a broker's session are known exactly where an earlier delivery is in Kafka, though ids wrap."""

from __future__ import annotations

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from metering.records import Delivery
from storage.deliveries import WINDOW, Window, unpacked

#: publish(digest): the broker sends another message; take(n): the bridge puts n into Kafka; ack(n): PUBACKs of what
#: Kafka has; crash: everything unacknowledged comes again, with DUP.
steps = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(0, 2)),
        st.tuples(st.just("take"), st.integers(1, 8)),
        st.tuples(st.just("ack"), st.integers(1, 8)),
        st.tuples(st.just("crash"), st.just(0)),
    ),
    max_size=120,
)


@given(st.integers(1, 65_535), steps)
def test_a_message_counts_once_however_often_it_comes(first, steps):
    window, mid = Window(), first
    unacked: deque[list] = deque()  # [mid, digest, times in Kafka, sent before, waits to be taken]
    counted = published = 0
    for what, n in steps:
        if what == "publish":
            unacked.append([mid, n, 0, False, True])
            mid = mid % 65_535 + 1
        elif what == "take":
            for m in [m for m in unacked if m[4]][:n]:
                again = window.take(Delivery("s", m[0], m[1], m[3]))
                assert again == (m[2] > 0)
                counted += not again
                published += m[2] == 0
                m[2], m[4] = m[2] + 1, False
        elif what == "ack":
            while n and unacked and unacked[0][2] and not unacked[0][4]:
                unacked.popleft()
                n -= 1
        else:
            for m in unacked:
                m[3] = m[4] = True
        if window.newest is not None:
            window = unpacked(window.newest, window.packed())
    assert counted == published


@given(st.integers(1, 65_535), st.integers(WINDOW + 1, 3 * WINDOW))
def test_only_what_may_be_unacknowledged_is_kept(first, count):
    window = Window()
    mids = [(first + n - 1) % 65_535 + 1 for n in range(count)]
    for mid in mids:
        assert not window.take(Delivery("s", mid, 7, False))
    kept = unpacked(mids[-1], window.packed())
    assert set(kept.digests) == set(mids[-WINDOW:])
    assert kept.take(Delivery("s", mids[-2000], 7, True))
    assert not kept.take(Delivery("s", mids[0], 7, True))
