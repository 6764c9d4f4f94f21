"""What the writer promises, on a real database."""

from __future__ import annotations

import json

import psycopg
import pytest

from metering.records import (
    Advance,
    Intake,
    OwnershipLostError,
    RejectedValue,
    RejectRecord,
    StatusRecord,
)
from storage.errors import DatabaseAwayError
from storage.registry import import_registry
from storage.writer import Writer

from .conftest import empty

pytestmark = pytest.mark.integration

RECEIVED_US = 1_393_632_000_000_000
HOUR_US = 3_600_000_000
JANUARY_US = 1_388_505_600_000_000


@pytest.fixture(autouse=True)
def _empty(pipeline, registry):
    """Every test starts with no readings."""
    yield
    empty(pipeline)
    pipeline.execute("delete from nengliu.stream_offset")


def rows(pipeline, text, *parameters):
    return pipeline.execute(text, parameters).fetchall()


def one(pipeline, text, *parameters):
    (row,) = rows(pipeline, text, *parameters)
    return row


def at(hour: int) -> int:
    """Microseconds of an hour of 2014, local."""
    return JANUARY_US + hour * HOUR_US


def test_a_reading_is_stored_with_its_point_and_marked_for_its_site(pipeline, feed):
    result = feed.send("gw1", ("m1", "1.8.0", at(5), 12.5, False), seq=7, outbox="o")
    assert (result.received, result.stored) == (1, 1)
    assert [(a.gateway, a.outbox, a.stored, a.rejected) for a in result.acks] == [("gw1", "o", (7,), ())]
    assert one(pipeline, "select site_code, point_code, meter, register, value from api.reading") == (
        "A",
        "A-T",
        "m1",
        "1.8.0",
        12.5,
    )
    assert one(
        pipeline,
        "select site_code, c.from_ts = r.ts, c.to_ts = r.ts from nengliu.change c join nengliu.site using (site_id)"
        " join nengliu.reading r using (series_id)",
    ) == ("A", True, True)
    assert one(pipeline, "select received, stored, day::text from nengliu.ingest_ledger") == (
        1,
        1,
        "2014-03-01",
    )


def test_a_repeat_is_dropped_counted_and_acknowledged_again(pipeline, feed):
    value = ("m1", "1.8.0", at(5), 12.5, False)
    feed.send("gw1", value, seq=7, outbox="o")
    pipeline.execute("delete from nengliu.change")
    result = feed.send("gw1", value, seq=8, outbox="o")
    assert (result.stored, result.repeated) == (0, 1)
    assert result.acks[0].stored == (8,)
    assert one(pipeline, "select count(*) from nengliu.reading") == (1,)
    assert one(pipeline, "select count(*) from nengliu.change") == (0,)
    assert one(pipeline, "select received, stored, repeated from nengliu.ingest_ledger") == (2, 1, 1)


def test_of_two_values_the_first_stays_and_the_other_is_kept_beside(pipeline, feed):
    feed.send("gw1", ("m1", "1.8.0", at(5), 12.5, False))
    result = feed.send("gw1", ("m1", "1.8.0", at(5), 13.0, False), seq=3)
    assert (result.conflicting, result.acks[0].stored) == (1, (3,))
    assert one(pipeline, "select value from api.reading") == (12.5,)
    assert one(pipeline, "select value, kind, gateway from nengliu.reading_version") == (
        13.0,
        "conflict",
        "gw1",
    )
    assert feed.send("gw1", ("m1", "1.8.0", at(5), 13.0, False)).repeated == 1


def test_a_correction_becomes_the_value_with_history_and_the_way_back_is_a_repeat(pipeline, feed):
    feed.send("gw1", ("m1", "1.8.0", at(5), 12.5, False))
    pipeline.execute("delete from nengliu.change")
    result = feed.send("gw1", ("m1", "1.8.0", at(5), 11.0, True), received_us=RECEIVED_US + 1)
    assert result.stored == 1
    assert one(pipeline, "select value from api.reading") == (11.0,)
    assert one(
        pipeline, "select value, kind, extract(epoch from received_at)::int8 from nengliu.reading_version"
    ) == (12.5, "superseded", RECEIVED_US // 1_000_000)
    assert one(pipeline, "select count(*) from nengliu.change") == (1,)
    assert feed.send("gw1", ("m1", "1.8.0", at(5), 12.5, True)).repeated == 1
    assert one(pipeline, "select value from api.reading") == (11.0,)


def test_values_of_one_identity_in_one_batch_are_taken_in_order(pipeline, feed):
    t = at(9)
    result = feed.send(
        "gw1",
        ("m1", "1.8.0", t, 1.0, False),
        ("m1", "1.8.0", t, 2.0, False),
        ("m1", "1.8.0", t, 3.0, True),
        ("m1", "1.8.0", t, 2.0, True),
        ("m1", "1.8.0", t, 3.0, False),
        ("m1", "1.8.0", t, 4.0, True),
    )
    assert (result.stored, result.conflicting, result.repeated) == (3, 1, 2)
    assert one(pipeline, "select value from api.reading") == (4.0,)
    assert rows(pipeline, "select value, kind from nengliu.reading_version order by value") == [
        (1.0, "superseded"),
        (2.0, "conflict"),
        (3.0, "superseded"),
    ]


def test_minus_zero_is_zero(pipeline, feed):
    feed.send("gw1", ("m1", "16.7.0", at(1), 0.0, False))
    assert feed.send("gw1", ("m1", "16.7.0", at(1), -0.0, False)).repeated == 1


def test_each_rejected_value_is_a_row_with_a_message_that_can_be_put_in_again(pipeline, feed):
    result = feed.send(
        "gw1",
        ("m1", "1.8.0", at(5), 12.5, False),
        ("nobody", "1.8.0", at(5), 1.25, True),
        ("m3", "1.8.0", at(5), 2.0, False),
        ("void", "1.8.0", at(5), 2.0, False),
        ("m1", "1.8.0", at(6), float("nan"), False),
        seq=1,
        outbox="o",
    )
    assert result.stored == 1
    assert result.rejected == {"unknown_meter": 2, "unauthorized": 1, "bad_value": 1}
    assert result.acks[0].stored == (1,)
    found = dict(rows(pipeline, "select payload, reason from nengliu.reject where reason = 'unknown_meter'"))
    messages = [json.loads(bytes(p)) for p in found]
    assert messages[0] == {
        "v": 1,
        "readings": [
            {
                "meter": "nobody",
                "ts": "2014-01-01T05:00:00+08:00".replace(
                    "2014-01-01T05:00:00+08:00", "2013-12-31T21:00:00+00:00"
                ),
                "values": {"1.8.0": 1.25},
                "correction": True,
            }
        ],
    }
    assert one(pipeline, "select received, stored, rejected from nengliu.ingest_ledger") == (5, 1, 4)
    assert one(pipeline, "select count(*) from api.reject") == (4,)


def test_a_resend_of_rejected_values_by_the_outbox_adds_no_row(pipeline, feed):
    bad = ("nobody", "1.8.0", at(5), 1.25, False)
    first = feed.send("gw1", bad, seq=1, outbox="o")
    again = feed.send("gw1", bad, seq=1, outbox="o")
    assert first.acks[0].rejected == again.acks[0].rejected == ((1, "unknown_meter"),)
    assert (again.rejected, again.repeated) == ({}, 1)
    other = feed.send("gw1", bad, seq=1, outbox="p")
    assert other.rejected == {"unknown_meter": 1}
    without = feed.send("gw1", bad, seq=1)
    assert without.rejected == {"unknown_meter": 1}
    assert feed.send("gw1", bad, seq=1).repeated == 1
    assert feed.send("gw1", bad).rejected == feed.send("gw1", bad).rejected == {"unknown_meter": 1}
    assert one(pipeline, "select count(*) from api.reject") == (5,)
    assert one(pipeline, "select sum(rejected)::int, sum(repeated)::int from api.ingest_ledger") == (5, 2)


def test_the_same_bad_bytes_twice_in_a_message_are_two_rejects_and_both_repeats_when_it_is_sent_again(
    pipeline, feed
):
    twice = [RejectedValue("junk", "3 bytes", b"\x01\x02\x03")] * 2
    good = ("m1", "1.8.0", at(5), 1.25, False)
    bad = ("nobody", "1.8.0", at(5), 1.25, False)
    message = feed.message("gw1", [good, bad, bad], seq=1, outbox="o", rejected=twice)
    first = feed.write(feed.batch(message, message))
    assert (first.rejected, first.repeated) == ({"junk": 2, "unknown_meter": 1}, 1 + 5)
    again = feed.write(feed.batch(message))
    assert (again.rejected, again.repeated) == ({}, 5)
    record = RejectRecord(
        "junk", "", "gw9", "nl/v1/gw9/dlt645", RECEIVED_US, b"", None, 6, items=tuple(twice)
    )
    assert feed.write(rejects=[record]).rejected == {"junk": 2}
    assert feed.write(rejects=[record]).repeated == 2
    assert one(pipeline, "select count(*) from api.reject where reason = 'junk'") == (4,)


def test_messages_without_anything_usable_are_kept_with_their_bytes(pipeline, feed):
    record = RejectRecord(
        "malformed",
        "not JSON \x00",
        "gw9",
        "nl/v1/gw9/readings",
        RECEIVED_US,
        b"\xff{",
        "o\x00",
        5,
        (("a", "\x00"),),
    )
    named = RejectRecord(
        "bad_value",
        "2 values",
        "gw9",
        "nl/v1/gw9/readings",
        RECEIVED_US,
        b"{}",
        "o",
        6,
        items=(RejectedValue("bad_value", "a", b"1"), RejectedValue("bad_timestamp", "b", b"2")),
    )
    result = feed.write(rejects=[record, named])
    assert result.rejected == {"malformed": 1, "bad_value": 1, "bad_timestamp": 1}
    assert {(a.outbox, a.rejected) for a in result.acks} == {
        ("o\x00", ((5, "malformed"),)),
        ("o", ((6, "bad_value"),)),
    }
    assert feed.write(rejects=[record, named]).repeated == 3
    assert one(
        pipeline, "select payload, user_properties from nengliu.reject where reason = 'malformed'"
    ) == (
        b"\xff{",
        [["a", "�"]],
    )
    assert one(
        pipeline, "select received, rejected, repeated from api.ingest_ledger where gateway = 'gw9'"
    ) == (6, 3, 3)


def test_a_partly_rejected_message_is_acknowledged_as_stored_an_empty_one_too(pipeline, feed):
    bad = RejectedValue("bad_value", "1.8.0 is null", b"{}")
    result = feed.write(
        feed.batch(
            feed.message("gw1", [("m1", "1.8.0", at(1), 1.0, False)], seq=1, rejected=[bad]),
            feed.message("gw1", [], seq=2),
            feed.message("gw1", [], seq=3, rejected=[bad]),
            feed.message("gw1", []),
        )
    )
    (ack,) = result.acks
    assert (ack.stored, ack.rejected) == ((1, 2), ((3, "bad_value"),))


def test_a_known_register_of_a_known_meter_without_installation_is_stored_without_a_point(pipeline, feed):
    feed.send("gw1", ("m1", "2.8.0", at(1), 1.0, False), ("m2", "1.8.0", at(31 * 24 + 3), 1.0, False))
    assert rows(pipeline, "select meter, point_code, site_code from api.reading order by meter") == [
        ("m1", None, None),
        ("m2", None, None),
    ]
    assert one(pipeline, "select count(*) from nengliu.change") == (0,)


def test_changes_are_runs_split_at_long_gaps_and_at_installations(pipeline, feed):
    hours = [0, 1, 2, 50, 51, 31 * 24 - 1, 32 * 24, 32 * 24 + 1]
    feed.send("gw1", *(("m2", "1.8.0", at(h), float(h), False) for h in reversed(hours)))
    marked = rows(
        pipeline,
        "select site_code, (extract(epoch from from_ts) * 1000000)::int8, (extract(epoch from to_ts) * 1000000)::int8"
        " from nengliu.change join nengliu.site using (site_id) order by from_ts",
    )
    assert marked == [
        ("A", at(0), at(2)),
        ("A", at(50), at(51)),
        ("A", at(31 * 24 - 1), at(31 * 24 - 1)),
        ("B", at(32 * 24), at(32 * 24 + 1)),
    ]


def test_a_writer_that_is_not_the_owner_any_more_changes_nothing(pipeline, feed):
    feed.send("gw1", ("m1", "1.8.0", at(1), 1.0, False))
    feed.position = 0
    with pytest.raises(OwnershipLostError):
        feed.send("gw1", ("m1", "1.8.0", at(2), 2.0, False))
    feed.position = 5
    with pytest.raises(OwnershipLostError):
        feed.send("gw1", ("m1", "1.8.0", at(2), 2.0, False))
    assert one(pipeline, "select count(*) from nengliu.reading") == (1,)
    assert one(pipeline, "select sum(received)::int from nengliu.ingest_ledger") == (1,)
    assert feed.writer.positions([feed.partition]) == {feed.partition: 1}
    feed.position = 1
    assert feed.send("gw1", ("m1", "1.8.0", at(2), 2.0, False)).stored == 1


def test_the_registry_is_in_force_for_the_next_message(pipeline, feed, registry_folder, tmp_path):
    value = ("m-new", "1.8.0", at(3), 1.0, False)
    assert feed.send("gw1", value).rejected == {"unknown_meter": 1}
    (tmp_path / "installations.csv").write_text(
        (registry_folder / "installations.csv").read_text().splitlines()[0]
        + "\nm-new,A-L,1.8.0,gw1,json,kWh,6,2,1,2015-01-01T00:00:00+08:00,,,,\n"
    )
    import_registry(pipeline, tmp_path, "test")
    assert feed.send("gw1", value).stored == 1


def test_gateways_are_heard_and_their_clocks_measured(pipeline, feed):
    for n, offset in enumerate([5, 1, 3]):
        feed.send(
            "gw1",
            ("m1", "1.8.0", at(n), 1.0, False),
            sent_us=RECEIVED_US + offset * 1_000_000,
            seq=n,
            outbox="o",
        )
    feed.send("gw1", ("m1", "1.8.0", at(2), 1.0, False), sent_us=RECEIVED_US - HOUR_US, seq=2, outbox="o")
    text = (
        "select clock_offset_s, (extract(epoch from event_ts) * 1000000)::int8, last_reading = event_ts, state"
        " from nengliu.gateway"
    )
    assert one(pipeline, text) == (3.0, at(2), True, None)
    feed.write(statuses=[StatusRecord("gw1", RECEIVED_US, "online", clock_offset_s=-7.0, outbox_depth=4)])
    feed.send("gw1", ("m1", "1.8.0", at(1), 1.5, False), sent_us=RECEIVED_US)
    assert one(pipeline, text) == (-7.0, at(2), True, "online")
    feed.write(statuses=[StatusRecord("gw1", RECEIVED_US + 1_000_000, "offline")])
    assert one(pipeline, text) == (-7.0, at(2), True, "offline"), "a last will says nothing of a clock"
    feed.write(statuses=[StatusRecord("gw1", RECEIVED_US + 2_000_000, "online")])
    measured = one(pipeline, text)[0]
    assert 0.0 <= measured <= 5.0, "who gives no figure any more is measured again"


def test_status_repeats_change_nothing_and_older_news_is_ignored(pipeline, feed):
    def status(seconds, state, **more):
        feed.write(statuses=[StatusRecord("gw1", RECEIVED_US + seconds * 1_000_000, state, **more)])
        row = one(pipeline, "select state, extract(epoch from since)::int8, final from nengliu.gateway")
        return row[0], row[1] - RECEIVED_US // 1_000_000, row[2]

    assert status(0, "online") == ("online", 0, False)
    assert status(9, "online") == ("online", 0, False)
    assert status(20, "offline", final=True) == ("offline", 20, True)
    assert status(15, "online") == ("offline", 20, True)
    assert status(30, "offline") == ("offline", 20, True)
    assert status(40, "online") == ("online", 40, False)


def test_a_batch_after_repeats_is_still_whole(pipeline, feed):
    """Both ways into the table, the direct and the staged, give the same."""
    batch = [("m1", "1.8.0", at(h), float(h), False) for h in range(100)]
    assert feed.send("gw1", *batch).stored == 100
    for start in (50, 100, 150):
        more = [("m1", "1.8.0", at(h), float(h), False) for h in range(start, start + 100)]
        result = feed.send("gw1", *more)
        assert (result.stored, result.repeated) == (50, 50)
    assert one(pipeline, "select count(*), count(distinct ts) from nengliu.reading") == (250, 250)


def test_nothing_a_gateway_says_breaks_a_transaction(pipeline, feed):
    strange = "x\x00\ud800" + "y" * 5000
    result = feed.write(
        feed.batch(
            feed.message("gw1", [(strange, strange, at(1), 1.0, False)], seq=2**63 - 1, outbox=strange)
        ),
        rejects=[RejectRecord(strange, strange, strange, strange, 0, b"", strange, 2**70)],
        statuses=[
            StatusRecord("gw1", RECEIVED_US, "online", float("inf"), 2**80, 2**62),
            StatusRecord("", RECEIVED_US, "online"),
        ],
    )
    assert (
        result.rejected.total() if hasattr(result.rejected, "total") else sum(result.rejected.values()) == 2
    )


def test_a_database_that_is_away_is_a_typed_error_and_what_is_handed_in_again_is_taken(
    database, pipeline, feed
):
    feed.send("gw1", ("m1", "1.8.0", at(1), 1.0, False))
    pid = feed.writer._connection.info.backend_pid
    with psycopg.connect(database.superuser_url, autocommit=True) as superuser:
        superuser.execute("select pg_terminate_backend(%s, 5000)", [pid])
    with pytest.raises(DatabaseAwayError):
        feed.send("gw1", ("m1", "1.8.0", at(2), 2.0, False))
    assert feed.send("gw1", ("m1", "1.8.0", at(2), 2.0, False)).stored == 1
    nowhere = Writer(lambda: psycopg.connect("host=127.0.0.1 port=1 dbname=x user=x connect_timeout=2"))
    with pytest.raises(DatabaseAwayError):
        nowhere.write(Intake(advances=(Advance(feed.partition, 0, 1),)))


def test_two_writers_may_bring_the_same_reading(pipeline, new_feed):
    one_feed, other = new_feed(), new_feed()
    value = ("m1", "1.8.0", at(1), 1.0, False)
    assert one_feed.send("gw1", value).stored == 1
    assert other.send("gw1", value).repeated == 1
    assert other.send("gw1", ("m1", "1.8.0", at(1), 2.0, False)).conflicting == 1
