"""Small promises of the way through Kafka that need no Kafka."""

from __future__ import annotations

from itertools import islice
from types import SimpleNamespace

import pytest
from kafka import TopicPartition

from metering.records import AckRecord, Advance, Partition, StatusRecord
from stream import codec
from stream.acks import AckPublisher
from stream.backoff import delays
from stream.batch import Batch
from stream.errors import ProducerFailedError
from stream.server import KafkaServer
from stream.topics import MAX_RECORD_BYTES, TOPICS, delete_topics


def test_waits_grow_up_to_the_most_and_never_beyond_its_jitter() -> None:
    waits = list(islice(delays(initial_s=0.1, most_s=1.0, jitter=0.2), 20))
    assert 0.08 <= waits[0] <= 0.12
    assert all(w <= 1.2 for w in waits)
    assert waits[-1] >= 0.8


def test_topics_are_durable_and_keep_no_meter_time_as_their_own() -> None:
    assert {t.name for t in TOPICS} == {
        *("meter.readings", "meter.rejects", "meter.acks", "meter.status", "energy.hourly", "alert.events"),
    }
    for topic in TOPICS:
        configs = topic.configs(replication=3)
        assert configs["min.insync.replicas"] == "2"
        assert configs["unclean.leader.election.enable"] == "false"
        assert configs["message.timestamp.type"] == "LogAppendTime"
        assert int(configs["max.message.bytes"]) > MAX_RECORD_BYTES
        assert topic.configs(replication=1)["min.insync.replicas"] == "1"


def test_topics_of_a_running_system_are_not_deleted() -> None:
    with pytest.raises(ValueError, match="prefix"):
        delete_topics(KafkaServer("nowhere:1"), "")


def record(offset: int, value: bytes, key: bytes = b"gw") -> SimpleNamespace:
    return SimpleNamespace(
        topic="p.meter.status", partition=0, offset=offset, value=value, key=key, timestamp=1_700_000_000_000
    )


def test_a_poison_record_goes_to_the_dead_letters_and_the_rest_goes_on() -> None:
    tp = TopicPartition("p.meter.status", 0)
    partition = Partition("c", "t", tp.topic, 0)
    batch = Batch("p.", {tp: 5}, {tp: partition})
    good = StatusRecord("gw", 1, "online")
    batch.add({tp: [record(5, b"\xc1poison", b"g\x00w"), record(6, codec.encode_status(good))]})
    intake = batch.intake()
    assert intake.statuses == (good,)
    [reject] = intake.rejects
    assert (reject.reason, reject.topic, reject.payload) == (
        "malformed",
        "kafka:p.meter.status",
        b"\xc1poison",
    )
    assert "\x00" not in reject.gateway
    assert intake.advances == (Advance(partition, 5, 7),)


def test_a_partition_without_known_position_is_left_alone() -> None:
    tp = TopicPartition("p.meter.status", 0)
    batch = Batch("p.", {}, {})
    batch.add({tp: [record(5, b"")]})
    assert len(batch) == 0
    assert batch.intake().advances == ()


class _Producer:
    """Stands for Kafka's producer, which has its own integration tests."""

    def __init__(self) -> None:
        self.alive = True
        self.sent: list[AckRecord] = []
        self.error: BaseException | None = None

    def send(self, topic: str, key: str, value: bytes, done: object, headers: object = None) -> None:
        self.sent.append(codec.decode_ack(value))
        done(self.error)


def test_acknowledgements_of_any_length_go_out_whole() -> None:
    producer = _Producer()
    ack = AckRecord("g", "o", tuple(range(25_000)), tuple((i, "malformed") for i in range(100)))
    AckPublisher(producer, "t").publish([ack, AckRecord("g", None, (1,))])
    assert [s for a in producer.sent for s in a.stored] == [*range(25_000), 1]
    assert [r for a in producer.sent for r in a.rejected] == list(ack.rejected)


def test_a_failed_acknowledgement_asks_for_a_new_producer() -> None:
    producer = _Producer()
    publisher = AckPublisher(producer, "t")
    publisher.check()
    producer.error = RuntimeError("refused")
    publisher.publish([AckRecord("g", "o", (1,))])
    with pytest.raises(ProducerFailedError):
        publisher.check()
    producer.alive = False
    with pytest.raises(ProducerFailedError):
        AckPublisher(producer, "t").check()
