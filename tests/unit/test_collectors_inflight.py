"""PUBACKs in order, only after Kafka, only on their own connection; a redelivery goes to Kafka once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.inflight import Entry, Fate, InFlight


def arrive(window: InFlight, mid: int, dup: bool = False, digest: int | None = None) -> Entry | None:
    return window.arrived(mid, dup, mid if digest is None else digest, 10)


def test_acknowledges_in_order_of_arrival_whatever_order_kafka_answers_in() -> None:
    window = InFlight()
    a, b, c = (arrive(window, mid) for mid in (7, 3, 9))
    window.settled([b], Fate.STORED)
    assert window.to_acknowledge() == []
    window.settled([a], Fate.STORED)
    assert window.to_acknowledge() == [7, 3]
    window.settled([c], Fate.STORED)
    assert window.to_acknowledge() == [9]
    assert window.pending == window.pending_bytes == 0


def test_a_message_of_the_last_connection_is_not_acknowledged_on_this_one() -> None:
    window = InFlight()
    entry = arrive(window, 1)
    window.connected()
    window.settled([entry], Fate.STORED)
    assert window.to_acknowledge() == []


def test_a_new_message_under_an_old_packet_id_waits_for_its_own_answer() -> None:
    window = InFlight()
    old = arrive(window, 1, digest=100)
    window.connected()
    new = arrive(window, 1, digest=200)
    window.settled([old], Fate.STORED)
    assert window.to_acknowledge() == []
    window.settled([new], Fate.STORED)
    assert window.to_acknowledge() == [1]


def test_a_redelivery_of_what_kafka_has_is_acknowledged_and_not_sent_again() -> None:
    window = InFlight()
    entry = arrive(window, 1)
    window.settled([entry], Fate.STORED)
    window.connected()
    assert arrive(window, 1, dup=True) is None
    assert window.to_acknowledge() == [1]


def test_a_redelivery_of_what_kafka_is_getting_waits_for_it() -> None:
    window = InFlight()
    entry = arrive(window, 1)
    window.connected()
    assert arrive(window, 1, dup=True) is None
    assert window.pending == 1
    assert window.to_acknowledge() == []
    window.settled([entry], Fate.STORED)
    assert window.to_acknowledge() == [1]


def test_a_redelivery_goes_again_where_kafka_refused_or_never_saw_it() -> None:
    window = InFlight()
    arrive(window, 1)
    window.fail_pending()
    assert window.pending == window.pending_bytes == 0
    window.connected()
    assert arrive(window, 1, dup=True) is not None
    assert arrive(window, 2, dup=True) is not None
    assert arrive(window, 1, dup=True, digest=5) is not None


@given(
    st.lists(
        st.tuples(st.integers(1, 5), st.sampled_from(["arrive", "dup", "store", "fail", "reconnect"])),
        max_size=60,
    )
)
def test_every_acknowledged_message_is_in_kafka_and_the_bounds_count_true(
    events: list[tuple[int, str]],
) -> None:
    window, entries = InFlight(), []
    for mid, event in events:
        if event in ("arrive", "dup"):
            entry = arrive(window, mid, dup=event == "dup", digest=mid)
            if entry is not None:
                entries.append(entry)
        elif event == "reconnect":
            window.connected()
        elif entries:
            window.settled([entries[mid % len(entries)]], Fate.STORED if event == "store" else Fate.FAILED)
        acknowledged = window.to_acknowledge()
        stored = {e.digest for e in entries if e.fate is Fate.STORED}
        assert set(acknowledged) <= stored
        pending = [e for e in entries if e.fate is Fate.PENDING]
        assert (window.pending, window.pending_bytes) == (len(pending), 10 * len(pending))
