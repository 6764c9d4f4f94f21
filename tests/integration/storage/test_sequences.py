"""The ledger's missing messages: noticed, booked on the day they were noticed, taken back when they come."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.records import RejectRecord

from .conftest import empty

pytestmark = pytest.mark.integration

RECEIVED_US = 1_393_632_000_000_000  # 2014-03-01T08:00 local
DAY_US = 86_400_000_000
JANUARY_US = 1_388_505_600_000_000
VALUE = ("m1", "1.8.0", JANUARY_US, 1.0, False)


@pytest.fixture(autouse=True)
def _empty(pipeline, registry):
    yield
    empty(pipeline)


def missing(pipeline):
    """(day, gateway) -> missing, where there is something missing."""
    rows = pipeline.execute(
        "select day, gateway, missing from api.ingest_ledger where missing > 0 order by 1, 2"
    )
    return {(day.isoformat(), gateway): n for day, gateway, n in rows.fetchall()}


def test_a_gap_is_booked_on_the_local_day_it_was_noticed_and_taken_back_when_it_fills(pipeline, feed):
    feed.send("gw1", VALUE, seq=10, outbox="o")
    assert missing(pipeline) == {}
    feed.send("gw1", VALUE, seq=14, outbox="o")
    assert missing(pipeline) == {("2014-03-01", "gw1"): 3}
    feed.send("gw1", VALUE, seq=16, outbox="o", received_us=RECEIVED_US + DAY_US)
    assert missing(pipeline) == {("2014-03-01", "gw1"): 3, ("2014-03-02", "gw1"): 1}
    feed.send("gw1", VALUE, seq=12, outbox="o", received_us=RECEIVED_US + 2 * DAY_US)
    assert missing(pipeline) == {("2014-03-01", "gw1"): 2, ("2014-03-02", "gw1"): 1}
    for seq in (11, 13, 13, 15):
        feed.send("gw1", VALUE, seq=seq, outbox="o", received_us=RECEIVED_US + 3 * DAY_US)
    assert missing(pipeline) == {}
    assert pipeline.execute("select day::text, seen from nengliu.ingest_ledger order by day").fetchall() == [
        ("2014-03-01", 2),
        ("2014-03-02", 1),
        ("2014-03-03", 1),
        ("2014-03-04", 3),
    ]


def test_each_outbox_has_its_own_numbers_and_a_message_without_one_has_none(pipeline, feed):
    feed.send("gw1", VALUE, seq=1, outbox="old")
    feed.send("gw1", VALUE, seq=900, outbox="new")
    feed.send("gw2", VALUE, seq=500, outbox="old")
    feed.send("gw1", VALUE, seq=7)
    feed.send("gw1", VALUE)
    feed.send("gw1", VALUE, seq=901, outbox="new")
    assert missing(pipeline) == {}
    feed.send("gw1", VALUE, seq=9)
    assert missing(pipeline) == {("2014-03-01", "gw1"): 1}


def test_a_message_of_which_nothing_was_usable_has_been_seen(pipeline, feed):
    feed.send("gw1", VALUE, seq=1, outbox="o")
    feed.send("gw1", ("nobody", "1.8.0", JANUARY_US, 1.0, False), seq=2, outbox="o")
    broken = RejectRecord("malformed", "x", "gw1", "nl/v1/gw1/readings", RECEIVED_US, b"x", "o", 3)
    feed.write(rejects=[broken])
    feed.send("gw1", VALUE, seq=4, outbox="o")
    assert missing(pipeline) == {}


def test_numbers_at_the_ends_of_what_64_bits_hold_harm_nothing(pipeline, feed):
    for outbox in ("a", "b"):
        for seq in (0, 2**63 - 1, -(2**63), 2**70, 2**63 - 2):
            assert feed.send("gw1", VALUE, seq=seq, outbox=outbox).received == 1
    assert missing(pipeline) == {("2014-03-01", "gw1"): 2**63 - 1}


def test_numbers_that_count_in_steps_cost_a_row_a_gap_and_no_more(pipeline, feed):
    messages = [feed.message("gw1", [VALUE], seq=n, outbox="o") for n in range(0, 4000, 2)]
    feed.write(feed.batch(*messages))
    assert missing(pipeline) == {("2014-03-01", "gw1"): 1999}
    others = [feed.message("gw1", [VALUE], seq=n, outbox="o") for n in range(1, 3999, 2)]
    feed.write(feed.batch(*others))
    assert missing(pipeline) == {}
    assert pipeline.execute("select count(*) from nengliu.outbox_gap").fetchone() == (0,)


sent = st.tuples(st.sampled_from(["o", "p", None]), st.integers(0, 25), st.integers(0, 2))
intakes = st.lists(st.lists(sent, min_size=1, max_size=8), min_size=1, max_size=6)


@given(intakes)
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_however_numbers_arrive_the_ledger_says_what_plain_sets_say(pipeline, new_feed, given_intakes):
    empty(pipeline)
    feed = new_feed()
    seen: dict = {}
    noticed: dict = {}
    for given_messages in given_intakes:
        feed.write(
            feed.batch(
                *(
                    feed.message(
                        "gw1", [VALUE], seq=seq, outbox=outbox, received_us=RECEIVED_US + day * DAY_US
                    )
                    for outbox, seq, day in given_messages
                )
            )
        )
        for outbox, day in dict.fromkeys((o, d) for o, _, d in sorted(given_messages, key=lambda m: m[2])):
            numbers = seen.setdefault(outbox, set())
            numbers |= {s for o, s, d in given_messages if (o, d) == (outbox, day)}
            for n in range(min(numbers), max(numbers)):
                noticed.setdefault((outbox, n), day)
            for n in numbers:
                noticed.pop((outbox, n), None)
    expected: dict = {}
    for day in noticed.values():
        key = ((date(2014, 3, 1) + timedelta(day)).isoformat(), "gw1")
        expected[key] = expected.get(key, 0) + 1
    assert missing(pipeline) == expected
