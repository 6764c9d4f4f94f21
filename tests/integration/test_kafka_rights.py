"""Nobody uses Kafka without a password, and no service more of it than its part of the way."""

from __future__ import annotations

import secrets
import socket
import struct
from dataclasses import replace

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import (
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    NewTopic,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    KafkaError,
    TopicAuthorizationFailedError,
)

from deploy.clients import KafkaRole, kafka_server, local_host, local_port
from deploy.kafka_topics import prepare_topics, remove_topics
from deploy.settings import Settings
from deploy.stack.kafka import configured_admin
from stream.rights import RIGHTS, revoke
from stream.server import KafkaServer
from stream.topics import TOPICS, topic_identity

pytestmark = pytest.mark.integration

TOPIC_NAMES = [t.name for t in TOPICS]
EVERY_ACL = ACLFilter(
    None,
    None,
    ACLOperation.ANY,
    ACLPermissionType.ANY,
    ResourcePatternFilter(ResourceType.ANY, None, ACLResourcePatternType.ANY),
)
SERVICES: tuple[KafkaRole, ...] = ("bridge", "writer", "worker")


@pytest.fixture(scope="module", autouse=True)
def _filled(settings: Settings) -> None:
    """A record in each topic."""
    producer = KafkaProducer(**kafka_server(settings, "admin").options(), acks="all")
    for name in TOPIC_NAMES:
        producer.send(settings.kafka_topic_prefix + name, b"x", partition=0).get(timeout=10)
    producer.close()


def may_write(server: KafkaServer, topic: str) -> bool:
    producer = KafkaProducer(**server.options(), acks="all", max_block_ms=10_000)
    try:
        producer.send(topic, b"x").get(timeout=10)
    except TopicAuthorizationFailedError:
        return False
    finally:
        producer.close(timeout=2)
    return True


def may_read(server: KafkaServer, topic: str, group: str) -> bool:
    """Join `group` and read what `topic` holds."""
    consumer = KafkaConsumer(
        **server.options(), group_id=group, auto_offset_reset="earliest", enable_auto_commit=False
    )
    try:
        consumer.assign([TopicPartition(topic, 0)])
        consumer.committed(TopicPartition(topic, 0))
        consumer.seek(TopicPartition(topic, 0), 0)
        assert consumer.poll(timeout_ms=10_000)
    except (TopicAuthorizationFailedError, GroupAuthorizationFailedError):
        return False
    finally:
        consumer.close(autocommit=False, timeout_ms=1_000)
    return True


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_writes_and_reads_its_topics_and_no_others(settings: Settings, service: KafkaRole) -> None:
    server, prefix = kafka_server(settings, service), settings.kafka_topic_prefix
    of = {
        kind: {r.name for r in RIGHTS if (r.user, r.kind) == (service, kind)}
        for kind in ("read", "write", "group")
    }
    group = prefix + min(of["group"], default="nengliu-writer")
    for name in TOPIC_NAMES:
        assert may_write(server, prefix + name) == (name in of["write"]), name
        assert may_read(server, prefix + name, group) == (name in of["read"]), name


def test_the_bridge_neither_reads_readings_nor_writes_acknowledgements(settings: Settings) -> None:
    """The rights are a table: this says what matters of it in words."""
    server, prefix = kafka_server(settings, "bridge"), settings.kafka_topic_prefix
    assert not may_write(server, prefix + "meter.acks")
    assert not may_read(server, prefix + "meter.readings", prefix + "nengliu-bridge-x")
    assert may_write(server, prefix + "meter.readings")
    assert may_read(server, prefix + "meter.acks", prefix + "nengliu-bridge-x")
    assert not may_read(server, prefix + "meter.acks", prefix + "nengliu-writer"), "the writers' group"


def test_rights_end_at_the_topic_prefix(settings: Settings) -> None:
    """Systems that share a Kafka do not read each other."""
    other = settings.model_copy(
        update={"kafka_topic_prefix": f"o{secrets.token_hex(4)}.", "kafka_partitions": 1}
    )
    prepare_topics(other)
    topic, server = other.kafka_topic_prefix + "meter.readings", kafka_server(other, "bridge")
    try:
        assert may_write(server, topic)
        revoke(kafka_server(other, "admin"), other.kafka_topic_prefix)
        assert not may_write(server, topic)
    finally:
        remove_topics(other)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_makes_topics_or_users(settings: Settings, service: KafkaRole) -> None:
    admin = KafkaAdminClient(**kafka_server(settings, service).options())
    try:
        with pytest.raises((ClusterAuthorizationFailedError, TopicAuthorizationFailedError)):
            admin.create_topics([NewTopic(settings.kafka_topic_prefix + "mine", 1, 1)])
        with pytest.raises((ClusterAuthorizationFailedError, TopicAuthorizationFailedError)):
            admin.delete_topics([settings.kafka_topic_prefix + "meter.readings"])
        with pytest.raises(ClusterAuthorizationFailedError):
            admin.describe_acls(EVERY_ACL)
    finally:
        admin.close()


@pytest.mark.parametrize(
    "change",
    [
        {"security": "plaintext"},
        {"password": "wrong"},
        {"username": "nobody"},
        {"mechanism": "PLAIN"},
        {"mechanism": "SCRAM-SHA-256"},
    ],
    ids=str,
)
def test_without_the_right_password_nobody_comes_in(settings: Settings, change: dict[str, str]) -> None:
    """PLAIN is for the admin, who is in the broker's configuration: no service's password is taken that way."""
    server = replace(kafka_server(settings, "bridge"), **change)
    with pytest.raises(KafkaError):
        KafkaAdminClient(**server.options(), bootstrap_timeout_ms=600)


def test_the_admin_comes_in_both_ways(settings: Settings) -> None:
    topic = settings.kafka_topic_prefix + "meter.readings"
    found = [
        topic_identity(s, [topic]) for s in (kafka_server(settings, "admin"), configured_admin(settings))
    ]
    assert found[0] == found[1]


def test_the_controller_answers_nobody_without_a_password(settings: Settings) -> None:
    """Its listener could else make users and rights for anybody on this machine."""
    question = struct.pack("!hhih", 32, 1, 7, -1) + struct.pack("!i?", 0, False)  # DescribeConfigs of nothing
    address = (local_host(settings), local_port(settings, "kafka_controller", ""))
    with socket.create_connection(address, timeout=10) as wire:
        wire.sendall(struct.pack("!i", len(question)) + question)
        assert wire.recv(4) == b""
