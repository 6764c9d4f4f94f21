"""The consumer loop on a real Kafka, with a sink in memory that keeps offsets by compare-and-set as the
database does.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import threading
import time
from collections import Counter as Counts
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient
from prometheus_client import Counter

from deploy.clients import kafka_server
from metering.errors import DependencyAwayError
from metering.records import AckRecord, Intake, IntakeResult, OwnershipLostError, Partition, StatusRecord
from stream import codec, metrics
from stream.consumer import HELD_UP_S, ConsumerOptions, run_writer_loop
from stream.producer import Producer
from stream.rights import grant, revoke
from stream.topics import ACKS, STATUS, delete_topics, ensure_topics, topic_identity

from .collectors_support import ROOT, wait_until
from .conftest import Servers

pytestmark = pytest.mark.integration


class MemorySink:
    """Offsets by compare-and-set and what came, under one lock; told to fail now and then."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.offsets: dict[Partition, int] = {}
        self.statuses: list[StatusRecord] = []
        self.rejects: list[str] = []
        self.batches = 0
        self.asked = 0
        self.failures: list[Exception] = []

    def positions(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        with self.lock:
            return {p: self.offsets[p] for p in partitions if p in self.offsets}

    def topic_ids(self) -> dict[str, str]:
        with self.lock:
            return {p.topic: p.topic_id for p in self.offsets}

    def write(self, intake: Intake) -> IntakeResult:
        self.asked += 1
        with self.lock:
            if self.failures:
                raise self.failures.pop(0)
            for a in intake.advances:
                if self.offsets.get(a.partition, 0) != a.expected:
                    raise OwnershipLostError(
                        f"{a.partition} is at {self.offsets.get(a.partition)}, not {a.expected}"
                    )
            for a in intake.advances:
                self.offsets[a.partition] = a.following
            self.statuses += intake.statuses
            self.rejects += [r.topic for r in intake.rejects]
            self.batches += 1
            return IntakeResult(
                acks=tuple(AckRecord(s.gateway, None, (s.received_us,)) for s in intake.statuses)
            )


@pytest.fixture
def prefix(servers: Servers) -> Iterator[str]:
    made = f"c{secrets.token_hex(4)}."
    server = kafka_server(servers.settings, "admin")
    ensure_topics(server, made, 4, 1)
    grant(server, made)
    yield made
    delete_topics(server, made)
    revoke(server, made)


@pytest.fixture
def producer(servers: Servers, prefix: str) -> Iterator[Producer]:
    made = Producer(kafka_server(servers.settings, "admin"), "test", (prefix + STATUS, prefix + ACKS))
    yield made
    made.close()


@contextmanager
def looping(servers: Servers, prefix: str, sink: MemorySink) -> Iterator[threading.Thread]:
    stop = threading.Event()
    options = ConsumerOptions(
        kafka_server(servers.settings, "writer"), prefix, max_records=50, session_timeout_ms=6_000
    )
    errors: list[BaseException] = []

    def run() -> None:
        try:
            run_writer_loop(options, sink, stop)
        except BaseException as e:
            errors.append(e)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
        assert not errors


def publish(producer: Producer, prefix: str, numbers: range) -> None:
    failures: list[BaseException] = []
    for n in numbers:
        status = StatusRecord(f"g{n % 20}", n, "online")
        producer.send(
            prefix + STATUS,
            status.gateway,
            codec.encode_status(status),
            lambda e: failures.append(e) if e else None,
        )
    assert producer.flush(30)
    assert not failures


def assert_all_once_in_order(sink: MemorySink, count: int) -> None:
    assert sorted(s.received_us for s in sink.statuses) == list(range(count))
    for gateway in {s.gateway for s in sink.statuses}:
        numbers = [s.received_us for s in sink.statuses if s.gateway == gateway]
        assert numbers == sorted(numbers)


def test_members_that_come_and_go_take_every_record_once_and_in_order(
    servers: Servers, prefix: str, producer: Producer
) -> None:
    sink = MemorySink()
    with looping(servers, prefix, sink):
        publish(producer, prefix, range(500))
        wait_until(lambda: len(sink.statuses) >= 100, "the first member to take some")
        with looping(servers, prefix, sink):
            publish(producer, prefix, range(500, 1000))
            wait_until(lambda: len(sink.statuses) >= 900, "both members to take some")
        publish(producer, prefix, range(1000, 1200))
        wait_until(lambda: len(sink.statuses) >= 1200, "the last records")
    assert_all_once_in_order(sink, 1200)


def test_after_a_restart_it_goes_on_where_the_sink_stands(
    servers: Servers, prefix: str, producer: Producer
) -> None:
    sink = MemorySink()
    for part in (range(100), range(100, 200)):
        publish(producer, prefix, part)
        with looping(servers, prefix, sink):
            wait_until(lambda part=part: len(sink.statuses) >= part.stop, "the records")
    assert_all_once_in_order(sink, 200)


def test_a_sink_that_is_away_or_owned_by_another_costs_nothing(
    servers: Servers, prefix: str, producer: Producer
) -> None:
    sink = MemorySink()
    sink.failures = [
        DependencyAwayError("away"),
        DependencyAwayError("away"),
        OwnershipLostError("another"),
        DependencyAwayError("away"),
    ]
    publish(producer, prefix, range(200))
    with looping(servers, prefix, sink):
        wait_until(lambda: len(sink.statuses) >= 200, "the records")
    assert not sink.failures
    assert_all_once_in_order(sink, 200)


def test_a_poison_record_goes_to_the_dead_letters_and_the_rest_goes_on(
    servers: Servers, prefix: str, producer: Producer
) -> None:
    sink = MemorySink()
    publish(producer, prefix, range(10))
    producer.send(prefix + STATUS, "g1", b"\xc1not a record", lambda _: None)
    publish(producer, prefix, range(10, 20))
    with looping(servers, prefix, sink):
        wait_until(lambda: len(sink.statuses) >= 20, "the records")
    assert sink.rejects == [f"kafka:{prefix}meter.status"]
    assert_all_once_in_order(sink, 20)


def test_acknowledgements_follow_the_commit(servers: Servers, prefix: str, producer: Producer) -> None:
    sink = MemorySink()
    publish(producer, prefix, range(50))
    with looping(servers, prefix, sink):
        wait_until(lambda: len(sink.statuses) >= 50, "the records")
    consumer = KafkaConsumer(
        prefix + ACKS,
        **kafka_server(servers.settings, "admin").options(),
        auto_offset_reset="earliest",
        consumer_timeout_ms=5_000,
    )
    got: set[int] = set()
    for record in consumer:
        got |= set(codec.decode_ack(record.value).stored)
        if len(got) == 50:
            break
    consumer.close()
    assert got == set(range(50))


def counted(counter: Counter, prefix: str) -> float:
    return float(counter.labels(prefix + STATUS)._value.get())


@pytest.mark.parametrize("running", [True, False])
def test_a_topic_made_anew_is_read_from_its_beginning_even_where_it_is_longer_by_then(
    servers: Servers, prefix: str, running: bool
) -> None:
    sink = MemorySink()
    server = kafka_server(servers.settings, "admin")
    topics = (prefix + STATUS, prefix + ACKS)
    with ExitStack() as stack:
        stack.enter_context(looping(servers, prefix, sink))
        first = Producer(server, "test", topics)
        publish(first, prefix, range(40))
        first.close()
        wait_until(lambda: len(sink.statuses) >= 40, "the records of the first topic")
        if not running:
            stack.close()
        delete_topics(server, prefix)
        wait_until(lambda: ensure_topics(server, prefix, 4, 1), "the topics to be made again")
        second = Producer(server, "test", topics)
        publish(second, prefix, range(40, 400))
        second.close()
        if not running:
            stack.enter_context(looping(servers, prefix, sink))
        wait_until(lambda: len(sink.statuses) >= 400, "the records of the second topic")
    assert_all_once_in_order(sink, 400)
    by_topic = Counts[str]()
    for partition, offset in sink.offsets.items():
        by_topic[partition.topic_id] += offset
    assert sorted(by_topic.values()) == [40, 360]
    assert counted(metrics.RECREATED, prefix) == 1


def test_a_topic_made_anew_while_a_batch_was_held_up_is_recognised(servers: Servers, prefix: str) -> None:
    """Nothing tells the consumer: it would go on in the middle of the new topic."""
    sink = MemorySink()
    server = kafka_server(servers.settings, "admin")
    topics = (prefix + STATUS, prefix + ACKS)
    with looping(servers, prefix, sink):
        first = Producer(server, "test", topics)
        publish(first, prefix, range(40))
        wait_until(lambda: len(sink.statuses) >= 40, "the records of the first topic")
        with sink.lock:
            asked = sink.asked
            publish(first, prefix, range(40, 41))
            first.close()
            wait_until(lambda: sink.asked > asked, "the batch to be held up")
            held_until = time.monotonic() + 2 * HELD_UP_S
            delete_topics(server, prefix)
            wait_until(lambda: ensure_topics(server, prefix, 4, 1), "the topics to be made again")
            second = Producer(server, "test", topics)
            publish(second, prefix, range(41, 400))
            second.close()
            wait_until(lambda: time.monotonic() > held_until, "longer than who polls is told by Kafka")
        wait_until(lambda: len(sink.statuses) >= 400, "the records of the second topic")
    assert_all_once_in_order(sink, 400)
    assert counted(metrics.RECREATED, prefix) == 1


def test_retention_that_passed_the_stored_offset_is_told_and_the_rest_taken(
    servers: Servers, prefix: str, producer: Producer
) -> None:
    sink = MemorySink()
    publish(producer, prefix, range(100))
    with looping(servers, prefix, sink):
        wait_until(lambda: len(sink.statuses) >= 100, "the first records")
    publish(producer, prefix, range(100, 300))
    purged = {TopicPartition(p.topic, p.partition): offset + 10 for p, offset in sink.offsets.items()}
    admin = KafkaAdminClient(**kafka_server(servers.settings, "admin").options())
    admin.delete_records(purged)
    admin.close()
    gone = 10 * len(purged)
    with looping(servers, prefix, sink):
        wait_until(lambda: len(sink.statuses) >= 300 - gone, "what is left")
    assert len(sink.statuses) == len({s.received_us for s in sink.statuses}) == 300 - gone
    assert sum(sink.offsets.values()) == 300
    assert counted(metrics.SKIPPED, prefix) == gone


def test_a_log_that_ends_before_the_stored_offset_is_told_and_taken_again(
    servers: Servers, prefix: str, producer: Producer
) -> None:
    sink = MemorySink()
    publish(producer, prefix, range(100))
    with looping(servers, prefix, sink):
        wait_until(lambda: len(sink.statuses) >= 100, "the records")
    sink.statuses.clear()
    sink.offsets = {p: offset + 1000 for p, offset in sink.offsets.items()}
    with looping(servers, prefix, sink):
        publish(producer, prefix, range(100, 120))
        wait_until(lambda: len(sink.statuses) >= 120, "all that Kafka has, again")
    assert_all_once_in_order(sink, 120)
    assert sum(sink.offsets.values()) == 120
    assert counted(metrics.SHORTENED, prefix) == len(sink.offsets)


def test_a_topic_made_anew_has_another_identity(servers: Servers, prefix: str) -> None:
    server, topic = kafka_server(servers.settings, "admin"), prefix + STATUS
    before = topic_identity(server, [topic])
    delete_topics(server, prefix)
    wait_until(lambda: ensure_topics(server, prefix, 4, 1), "the topics to be made again")
    after = topic_identity(server, [topic])
    assert before.cluster_id == after.cluster_id
    assert before.topic_ids != after.topic_ids


def test_a_topic_that_is_not_there_is_named(servers: Servers) -> None:
    with pytest.raises(DependencyAwayError, match="no\\.such"):
        topic_identity(kafka_server(servers.settings, "admin"), ["no.such"])


def test_a_kafka_that_is_not_there_is_named_with_its_setting() -> None:
    # In a process of its own: kafka-python leaves the sockets of failed attempts to the garbage collector.
    code = (
        "from stream.producer import Producer; from stream.server import KafkaServer; "
        "Producer(KafkaServer('127.0.0.1:1'), 'test', ('x',))"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert "DependencyAwayError" in ended.stderr
    assert "NENGLIU_KAFKA_BOOTSTRAP" in ended.stderr
