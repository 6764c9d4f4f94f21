"""The topics of the house: names, settings for durability, and their creation.

Why these settings:

- `min.insync.replicas` is one less than the replicas (at least 1): with acks=all a record survives the loss
  of one broker, and one broker may be away without stopping the intake.
- `unclean.leader.election.enable=false`: rather unavailable than silently shorter.
- `message.timestamp.type=LogAppendTime`: meter time is never the Kafka timestamp, so a replay of past years
  is not deleted by retention.
- Retention is longer than the longest absence of a writer that an operator is expected to notice and end
  (14 days for what promise 1 rests on). Acknowledgements heal themselves by being asked for again: a day is
  plenty.
- `max.message.bytes` holds the largest MQTT message that the broker takes (1 MiB) with room for its envelope.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field

from kafka import KafkaAdminClient
from kafka.errors import (
    BrokerResponseError,
    KafkaError,
    KafkaTimeoutError,
    RetriableError,
    TopicAlreadyExistsError,
)

from metering.errors import DependencyAwayError, SettingError
from stream.server import KafkaServer, kafka_admin, kafka_away

READINGS = "meter.readings"
REJECTS = "meter.rejects"
ACKS = "meter.acks"
STATUS = "meter.status"
ENERGY_HOURLY = "energy.hourly"
ALERT_EVENTS = "alert.events"

#: Largest record (key, value, headers) that any topic takes, in bytes.
MAX_RECORD_BYTES = 4 * 1024 * 1024

_DAY_MS = 86_400_000
#: How long new topics may take until they can be used, and how long one look waits for it.
_CREATE_S = 30.0
_LISTED_MS = 3_000
#: States of a consumer group in which its members are those that live.
_AT_REST = ("Stable", "Empty", "Dead")


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic: its name without prefix, what its key is, and how long its records are kept (ms)."""

    name: str
    key: str
    retention_ms: int
    extra: dict[str, str] = field(default_factory=dict)

    def configs(self, replication: int) -> dict[str, str]:
        """The topic's settings on the broker."""
        return {
            "cleanup.policy": "delete",
            "retention.ms": str(self.retention_ms),
            "retention.bytes": "-1",
            "min.insync.replicas": str(max(1, replication - 1)),
            "unclean.leader.election.enable": "false",
            "message.timestamp.type": "LogAppendTime",
            "max.message.bytes": str(MAX_RECORD_BYTES + 65536),
            "compression.type": "producer",
            **self.extra,
        }


TOPICS: tuple[TopicSpec, ...] = (
    TopicSpec(READINGS, "gateway", 14 * _DAY_MS),
    TopicSpec(REJECTS, "gateway", 14 * _DAY_MS),
    TopicSpec(ACKS, "gateway", _DAY_MS),
    TopicSpec(STATUS, "gateway", 14 * _DAY_MS),
    TopicSpec(ENERGY_HOURLY, "site", 30 * _DAY_MS),
    TopicSpec(ALERT_EVENTS, "site", 90 * _DAY_MS),
)


def ensure_topics(server: KafkaServer, prefix: str, partitions: int, replication: int) -> list[str]:
    """Create the topics that do not exist yet; return the names of those created. Existing ones are left as
    they are.

    Raises DependencyAwayError if Kafka cannot be reached, SettingError if it refuses (too few brokers for
    `replication`).
    """
    admin = kafka_admin(server)
    wanted = {
        prefix + spec.name: {
            "num_partitions": partitions,
            "replication_factor": replication,
            "configs": spec.configs(replication),
        }
        for spec in TOPICS
    }
    try:
        return sorted(_until_all_there(admin, wanted))
    except KafkaError as e:
        if isinstance(e, BrokerResponseError) and not isinstance(e, RetriableError):
            raise SettingError(
                f"Kafka at {server.bootstrap} refuses the topics: {e}; NENGLIU_KAFKA_REPLICATION?"
            ) from e
        raise kafka_away(server, e) from e
    finally:
        admin.close()


def _until_all_there(admin: KafkaAdminClient, wanted: dict[str, dict[str, object]]) -> set[str]:
    """Create what is missing of `wanted`, and wait until all of it can be used; the names of those created.

    A broker lists a topic for a moment after its deletion, so one that was there a moment ago may have to be made.
    """
    created: set[str] = set()
    deadline = time.monotonic() + _CREATE_S
    while True:
        there = {t["name"] for t in admin.describe_topics()}
        created |= _create(admin, {name: o for name, o in wanted.items() if name not in there})
        try:
            admin.wait_for_topics(list(wanted), timeout_ms=_LISTED_MS)
        except KafkaTimeoutError:
            if time.monotonic() > deadline:
                raise
        else:
            return created


def _create(admin: KafkaAdminClient, wanted: dict[str, dict[str, object]]) -> set[str]:
    """Create topics one by one, as another service may be creating the same ones; the names of those created."""
    created = set()
    for name, options in wanted.items():
        with suppress(TopicAlreadyExistsError):
            admin.create_topics({name: options})
            created.add(name)
    return created


def delete_topics(server: KafkaServer, prefix: str) -> None:
    """Delete the topics of one prefix (benchmarks, tests). Refuses the empty prefix."""
    if not prefix:
        raise ValueError("refusing to delete the topics of a running system: give a prefix")
    admin = kafka_admin(server)
    try:
        names = {prefix + spec.name for spec in TOPICS} & {t["name"] for t in admin.describe_topics()}
        if names:
            admin.delete_topics(sorted(names))
    finally:
        admin.close()


def settled_group_members(server: KafkaServer, group: str, patience_s: float) -> int | None:
    """How many living consumers a group has; None if Kafka does not come to know within `patience_s`.

    After a member has left, Kafka asks the others to join again, and one that was killed stays a member until its
    session is over: only a group at rest tells. Raises DependencyAwayError.
    """
    deadline = time.monotonic() + patience_s
    try:
        admin = kafka_admin(server)
        try:
            while (found := admin.describe_groups([group])[group])["group_state"] not in _AT_REST:
                if time.monotonic() > deadline:
                    return None
                time.sleep(0.2)
        finally:
            admin.close()
    except (KafkaError, OSError, ValueError) as e:
        raise kafka_away(server, e) from e
    return len(found["members"])


@dataclass(frozen=True, slots=True)
class TopicIdentity:
    """What a topic's offsets belong to: a re-created topic, or one of another cluster, has another
    identity.
    """

    cluster_id: str
    topic_ids: dict[str, str]


def topic_identity(server: KafkaServer, topics: Iterable[str]) -> TopicIdentity:
    """Ask Kafka for the cluster's id and the topics' ids (as UUID text). Raises DependencyAwayError."""
    try:
        admin = kafka_admin(server)
        try:
            cluster = admin.describe_cluster()["cluster_id"]
            described = admin.describe_topics(topics=list(topics))
        finally:
            admin.close()
    except (KafkaError, OSError) as e:
        raise kafka_away(server, e) from e
    ids = {t["name"]: str(t["topic_id"]) for t in described if not t["error_code"]}
    missing = sorted(set(topics) - set(ids))
    if missing:
        names = ", ".join(missing)
        who = server.username or "a client without a user"
        raise DependencyAwayError(
            f"Kafka at {server.bootstrap} does not have the topics {names}, or {who} has no right to them; "
            "run `nengliu up`"
        )
    return TopicIdentity(cluster, ids)
