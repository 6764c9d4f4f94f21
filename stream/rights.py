"""What each service may do in Kafka, and no more; granted for one topic prefix.

Reading or writing a topic lets a service describe it too; a group's name is its own or begins with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from kafka.admin import (
    ACL,
    ACLFilter,
    ACLOperation,
    ACLPermissionType,
    ACLResourcePatternType,
    ResourcePattern,
    ResourcePatternFilter,
    ResourceType,
)
from kafka.errors import KafkaError, NoError, SecurityDisabledError

from metering.errors import SettingError
from stream.server import KafkaServer, kafka_admin, kafka_away
from stream.topics import ACKS, ALERT_EVENTS, ENERGY_HOURLY, READINGS, REJECTS, STATUS

Kind = Literal["read", "write", "group"]


@dataclass(frozen=True, slots=True)
class Right:
    """One user may read or write one topic, or be a member of the groups whose names begin with `name`."""

    user: str
    kind: Kind
    name: str


#: Service -> what it may do: the way of a reading, see docs/decisions/credentials.md.
RIGHTS: tuple[Right, ...] = (
    Right("bridge", "write", READINGS),
    Right("bridge", "write", REJECTS),
    Right("bridge", "write", STATUS),
    Right("bridge", "read", ACKS),
    Right("bridge", "group", "nengliu-bridge-"),
    Right("bridge", "group", "nengliu-sparkplug-"),
    Right("writer", "read", READINGS),
    Right("writer", "read", REJECTS),
    Right("writer", "read", STATUS),
    Right("writer", "write", ACKS),
    Right("writer", "group", "nengliu-writer"),
    Right("worker", "write", ENERGY_HOURLY),
    Right("worker", "write", ALERT_EVENTS),
)


def grant(server: KafkaServer, prefix: str) -> None:
    """Give the services their rights to the topics and groups of `prefix`; repeating it changes nothing.

    `server` names a user that may alter the cluster. Raises DependencyAwayError; SettingError if Kafka refuses.
    """
    wanted = [
        ACL(
            f"User:{r.user}",
            "*",
            _operation(r),
            ACLPermissionType.ALLOW,
            ResourcePattern(*_resource(r, prefix)),
        )
        for r in RIGHTS
    ]
    admin = kafka_admin(server)
    try:
        refused = admin.create_acls(wanted)["failed"]
    except KafkaError as e:
        raise kafka_away(server, e) from e
    finally:
        admin.close()
    if refused:
        raise SettingError(f"Kafka at {server.bootstrap} refuses the services' rights: {refused[0].__name__}")


def revoke(server: KafkaServer, prefix: str) -> None:
    """Take the rights to one prefix back (benchmarks, tests); a Kafka without rights has none to take."""
    gone = [
        ACLFilter(
            f"User:{r.user}",
            "*",
            _operation(r),
            ACLPermissionType.ALLOW,
            ResourcePatternFilter(*_resource(r, prefix)),
        )
        for r in RIGHTS
    ]
    admin = kafka_admin(server)
    try:
        answers = {error for _, _, error in admin.delete_acls(gone)} - {NoError, SecurityDisabledError}
    except KafkaError as e:
        raise kafka_away(server, e) from e
    finally:
        admin.close()
    if answers:
        raise SettingError(f"Kafka at {server.bootstrap} refuses to take rights back: {answers}")


def _operation(right: Right) -> ACLOperation:
    return ACLOperation.WRITE if right.kind == "write" else ACLOperation.READ


def _resource(right: Right, prefix: str) -> tuple[ResourceType, str, ACLResourcePatternType]:
    if right.kind == "group":
        return ResourceType.GROUP, prefix + right.name, ACLResourcePatternType.PREFIXED
    return ResourceType.TOPIC, prefix + right.name, ACLResourcePatternType.LITERAL
