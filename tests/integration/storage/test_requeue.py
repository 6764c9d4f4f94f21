"""Dead letters put in again: once, at their first receipt, with books that balance."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from collectors.routes import Routes
from deploy.requeue import RejectDecoder
from metering.records import RejectedValue, RejectRecord
from storage.reconcile import reconcile
from storage.registry import import_registry
from storage.requeue import BATCH_REJECTS, Wanted, requeue
from storage.writer import Writer

from .conftest import INSTALLATIONS, POINTS, empty
from .test_sequences import DAY_US, JANUARY_US, RECEIVED_US
from .test_writer_killed import wait_for

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def _empty(pipeline, registry):
    empty(pipeline)
    yield
    empty(pipeline)


@pytest.fixture
def writer(database):
    writer = Writer(lambda: psycopg.connect(database.pipeline_url))
    yield writer
    writer.close()


@pytest.fixture
def again(writer):
    """Puts in again what is wanted."""

    def run(dry_run=False, **wanted):
        return requeue(writer, Wanted(**wanted), RejectDecoder(Routes()), dry_run)

    return run


@pytest.fixture
def register(pipeline, tmp_path):
    """Registers a meter for gateway gw1, at a point of its own."""

    def run(meter):
        (tmp_path / "points.csv").write_text(POINTS + f"P-{meter},A,01,Late,A-T,\n")
        (tmp_path / "installations.csv").write_text(
            INSTALLATIONS + f"{meter},P-{meter},1.8.0,gw1,json,kWh,6,2,1,2014-01-01T00:00:00+08:00,,,,3600\n"
        )
        import_registry(pipeline, tmp_path, "test")

    return run


def rows(pipeline, text):
    return pipeline.execute(text).fetchall()


def ledger(pipeline):
    return rows(
        pipeline,
        "select day::text, received, stored, repeated, conflicting, rejected from api.ingest_ledger order by day",
    )


def whole(pipeline):
    """Whether ledger and rows agree and nothing is missing."""
    return not reconcile(pipeline).problems


def value(meter, hour=0, number=1.0):
    return (meter, "1.8.0", JANUARY_US + hour * 3_600_000_000, number, False)


def test_a_registered_meter_s_values_come_in_once_at_their_first_receipt(pipeline, feed, again, register):
    feed.send("gw1", value("late"), value("late", 1, 2.5), seq=1, outbox="o")
    feed.send("gw1", value("m1"), seq=2, outbox="o", received_us=RECEIVED_US + DAY_US)
    register("late")
    trial = again(dry_run=True)
    assert (trial.found, trial.requeued, trial.stored) == (2, 2, 2)
    assert ledger(pipeline) == [("2014-03-01", 2, 0, 0, 0, 2), ("2014-03-02", 1, 1, 0, 0, 0)]
    done = again()
    assert (done.found, done.requeued, done.stored, dict(done.rejected)) == (2, 2, 2, {})
    assert rows(
        pipeline,
        "select value, (extract(epoch from received_at) * 1000000)::int8 from api.reading"
        " where meter = 'late' order by ts",
    ) == [(1.0, RECEIVED_US), (2.5, RECEIVED_US)]
    assert ledger(pipeline) == [("2014-03-01", 2, 2, 0, 0, 0), ("2014-03-02", 1, 1, 0, 0, 0)]
    assert rows(pipeline, "select count(*), count(requeued_at) from api.reject") == [(2, 2)]
    assert rows(pipeline, "select count(*) > 0 from nengliu.change") == [(True,)]
    assert again().found == 0
    assert whole(pipeline)


def test_a_resend_after_it_was_put_in_again_is_a_repeat(pipeline, feed, again, register):
    feed.send("gw1", value("late2"), seq=1, outbox="o")
    register("late2")
    again()
    result = feed.send("gw1", value("late2"), seq=1, outbox="o")
    assert (result.repeated, result.acks[0].stored) == (1, (1,))
    assert ledger(pipeline) == [("2014-03-01", 2, 1, 1, 0, 0)]
    assert whole(pipeline)


def test_what_is_rejected_again_for_the_same_reason_stays_as_it_is(pipeline, feed, again):
    feed.send("gw1", value("never"), seq=1, outbox="o")
    feed.send("gw1", value("never"))
    feed.send("gw1", value("never"))
    before = rows(pipeline, "select * from nengliu.reject order by reject_id")
    for _ in range(2):
        result = again()
        assert (result.found, result.unchanged, result.requeued) == (3, 3, 0)
    assert rows(pipeline, "select * from nengliu.reject order by reject_id") == before
    assert whole(pipeline)


def test_what_is_rejected_again_for_another_reason_says_so_and_can_go_in_again(
    pipeline, feed, again, register
):
    feed.send("gw2", value("late3"), seq=1, outbox="o")
    register("late3")
    result = again()
    assert (result.requeued, dict(result.rejected)) == (1, {"unauthorized": 1})
    assert rows(
        pipeline, "select reason, requeued_at is null, outbox, seq from nengliu.reject order by reject_id"
    ) == [
        ("unknown_meter", False, "o", 1),
        ("unauthorized", True, "o", 1),
    ]
    assert ledger(pipeline) == [("2014-03-01", 1, 0, 0, 0, 1)]
    assert (again().unchanged, whole(pipeline)) == (1, True)


def test_a_message_that_can_be_decoded_now_counts_for_the_values_that_it_holds(pipeline, feed, again):
    """A decoder was mended: the message was one received and one rejected, and holds three values."""
    ts = "2014-01-01T00:00:00+08:00"
    readings = [
        {"meter": "m1", "ts": ts, "values": {"1.8.0": 5, "16.7.0": 1}},
        {"meter": "nobody", "ts": ts, "values": {"1.8.0": 1}},
    ]
    payload = json.dumps({"v": 1, "outbox": "o", "seq": 2, "readings": readings}).encode()
    feed.send("gw1", value("m1"), seq=1, outbox="o")
    feed.send("gw1", value("m1", 1), seq=3, outbox="o")
    broken = RejectRecord("malformed", "a bug", "gw1", "nl/v1/gw1/readings", RECEIVED_US, payload)
    feed.write(rejects=[broken])
    assert ledger(pipeline) == [("2014-03-01", 3, 2, 0, 0, 1)]
    assert {p.kind for p in reconcile(pipeline).problems} == {"missing"}
    result = again(reason="malformed")
    assert (result.stored, result.conflicting, dict(result.rejected)) == (1, 1, {"unknown_meter": 1})
    assert ledger(pipeline) == [("2014-03-01", 5, 3, 0, 1, 1)]
    assert whole(pipeline)


def test_only_what_is_asked_for_goes_in(pipeline, feed, again, register):
    feed.send("gw1", value("late4"))
    feed.send("gw1", value("late5"), received_us=RECEIVED_US + DAY_US)
    register("late5")
    numbers = [i for (i,) in rows(pipeline, "select reject_id from nengliu.reject order by 1")]
    assert again(dry_run=True).found == 2
    assert again(dry_run=True, meter="late4").found == again(dry_run=True, ids=(numbers[0],)).found == 1
    assert again(dry_run=True, reason="malformed").found == again(dry_run=True, gateway="gw2").found == 0
    assert again(ids=(numbers[1],)).stored == 1
    assert [
        i for (i,) in rows(pipeline, "select reject_id from nengliu.reject where requeued_at is null")
    ] == [numbers[0]]


def test_bytes_of_another_format_go_to_the_decoder_of_their_topic_and_those_of_no_topic_stay(
    pipeline, feed, again
):
    for topic in ("nl/v1/gw1/status", "kafka:meter.readings", "nl/v1/gw2/readings"):
        feed.write(rejects=[RejectRecord("malformed", "x", "gw1", topic, RECEIVED_US, b"\xff")])
    feed.write(rejects=[RejectRecord("malformed", "x", "gw1", "nl/v1/gw1/readings", RECEIVED_US, b"\xff")])
    result = again()
    assert (result.found, result.undecodable, result.unchanged) == (4, 3, 1)
    assert whole(pipeline)


def test_frames_go_to_the_decoder_of_their_topic_with_the_time_that_came_with_them(
    pipeline, feed, again, register
):
    frames = Path(__file__).parents[2] / "golden" / "dlt645" / "answer_total" / "input.hex"
    payload = bytes.fromhex(frames.read_text().splitlines()[-1])
    register("120100000000")
    properties = (("seq", "4"), ("outbox", "o"), ("ts", "2014-02-03T04:05:06+08:00"))
    record = RejectRecord(
        "malformed", "a bug", "gw1", "nl/v1/gw1/dlt645", RECEIVED_US, payload, user_properties=properties
    )
    feed.write(rejects=[record])
    assert again().stored == 1
    assert rows(pipeline, "select meter, ts = '2014-02-03T04:05:06+08:00' from api.reading") == [
        ("120100000000", True)
    ]
    assert rows(pipeline, "select outbox, low, high from nengliu.outbox") == [("o", 4, 4)]
    assert whole(pipeline)


def test_user_properties_of_a_rejected_part_are_kept(pipeline, feed):
    header, values = feed.message("gw1", [value("m1")])
    header = type(header)(
        header.gateway,
        header.topic,
        header.received_us,
        header.count,
        rejected=(RejectedValue("junk", "x", b"\x01"),),
        user_properties=(("ts", "2014-03-01T00:00:00+08:00"),),
    )
    feed.write(feed.batch((header, values)))
    assert rows(pipeline, "select user_properties from nengliu.reject") == [
        ([["ts", "2014-03-01T00:00:00+08:00"]],)
    ]


def test_many_go_in_some_at_a_time(pipeline, feed, again, register):
    count = 2 * BATCH_REJECTS + 1
    feed.send("gw1", *(value("late6", n, float(n)) for n in range(count)))
    register("late6")
    assert again().stored == count
    assert whole(pipeline)


def test_two_who_put_in_again_at_once_put_in_once(pipeline, database, feed, writer, register):
    feed.send("gw1", value("late7"), value("late7", 1))
    register("late7")
    decoder = RejectDecoder(Routes())
    second = Writer(lambda: psycopg.connect(database.pipeline_url, application_name="second"))
    blocked = "select 1 from pg_stat_activity where application_name = 'second' and wait_event_type = 'Lock'"
    with ThreadPoolExecutor(1) as pool, psycopg.connect(database.superuser_url, autocommit=True) as watcher:
        others = []

        def decode(reject):
            """The rejects are locked by now; the other one finds them and waits."""
            if not others:
                others.append(pool.submit(requeue, second, Wanted(), decoder))
                wait_for(lambda: watcher.execute(blocked).fetchone())
            return decoder(reject)

        assert requeue(writer, Wanted(), decode).stored == 2
        assert others[0].result(timeout=60).found == 0
    second.close()
    assert ledger(pipeline) == [("2014-03-01", 2, 2, 0, 0, 0)]


def test_the_command_counts_by_reason_gateway_and_meter_and_puts_in_again(
    nengliu,
    pipeline,
    feed,
    register,
):
    feed.send("gw1", value("late8"), value("late8", 1), value("other"))
    groups = json.loads(nengliu("rejects", "list", "--json").stdout)
    assert [(g["reason"], g["gateway"], g["meter"], g["count"], g["waiting"]) for g in groups] == [
        ("unknown_meter", "gw1", "late8", 2, 2),
        ("unknown_meter", "gw1", "other", 1, 1),
    ]
    register("late8")
    options = ("--meter", "late8", "--since", "2014-03-01", "--until", "2014-03-02T00:00:00+08:00", "--json")
    trial = nengliu("rejects", "requeue", *options, "--dry-run")
    assert (trial.returncode, json.loads(trial.stdout)["stored"]) == (0, 2)
    done = nengliu("rejects", "requeue", *options)
    assert (done.returncode, json.loads(done.stdout)["stored"]) == (0, 2)
    assert json.loads(nengliu("rejects", "requeue", *options).stdout)["found"] == 0
    (group,) = json.loads(nengliu("rejects", "list", "--meter", "late8", "--json").stdout)
    assert (group["count"], group["waiting"]) == (2, 0)
    assert "unchanged   1" in nengliu("rejects", "requeue").stdout
    assert nengliu("rejects", "requeue", "--since", "yesterday").returncode == 2
