"""Kafka, one node that is broker and controller (KRaft): configuration, storage, users, readiness."""

from __future__ import annotations

import base64
import socket
import subprocess
import uuid
from dataclasses import replace
from pathlib import Path
from typing import get_args

from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic, ScramMechanism, UserScramCredentialUpsertion
from kafka.errors import KafkaError, TopicAlreadyExistsError

from deploy.clients import KafkaRole, kafka_server
from deploy.settings import Settings
from deploy.stack.errors import StackError
from deploy.stack.java import find_java
from deploy.stack.programs import Programs
from deploy.stack.site import NotReadyError, Process, Site, render
from stream.server import KafkaServer, kafka_admin, kafka_away

PROBE_TOPIC = "nengliu.ready"
#: The heap is small because the page cache does the work; the serial collector because cores are few.
_JVM = ("-Xmx512m", "-Xms128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError")
#: How the broker knows its admin, and logs in as him.
_ADMIN = (
    "org.apache.kafka.common.security.plain.PlainLoginModule required"
    ' username="admin" password="{0}" user_admin="{0}";'
)


class Kafka:
    """The Kafka node."""

    name = "kafka"
    title = "Kafka"
    port_name = "kafka"

    def prepare(self, site: Site, programs: Programs) -> Process:
        """Write server.properties; format the storage the first time."""
        java = find_java()
        folder = site.state.make_server(self.name)
        config, logging = folder / "server.properties", folder / "log4j2.properties"
        render("kafka/log4j2.properties.j2", logging)
        digest = render(
            "kafka/server.properties.j2",
            config,
            host=site.settings.host,
            address=site.address,
            port=site.ports[self.port_name],
            controller_port=site.ports["kafka_controller"],
            folder=folder,
            admin=_ADMIN.format(site.state.secret("kafka_admin")),
        )
        start = [str(java), *_JVM, f"-Dlog4j2.configurationFile={logging}", "-cp", f"{programs.kafka_lib}/*"]
        if not (folder / "data/meta.properties").is_file():
            self._format(start, config)
        command = ["setpriv", "--pdeathsig", "TERM", "--", *start, "kafka.Kafka", str(config)]
        return Process(self.name, command, folder, 30, stop_wait_s=60, digest=digest)

    def _format(self, start: list[str], config: Path) -> None:
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        command = [*start, "kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", str(config)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, umask=0o077)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).strip()[-800:]
            raise StackError(f"Kafka's storage could not be formatted by {start[0]}: {said}")

    def probe(self, site: Site) -> None:
        """Produce a message that is acknowledged by all replicas."""
        probe_kafka(configured_admin(site.settings))

    def ensure_users(self, site: Site) -> None:
        """Give each service its user, and the admin his, with the passwords of the state directory."""
        server = configured_admin(site.settings)
        users = [
            UserScramCredentialUpsertion(
                role, ScramMechanism.SCRAM_SHA_512, kafka_server(site.settings, role).password
            )
            for role in get_args(KafkaRole)
        ]
        admin = kafka_admin(server)
        try:
            refused = {u: e for u, e in admin.alter_user_scram_credentials(users).items() if e is not None}
        except KafkaError as e:
            raise kafka_away(server, e) from e
        finally:
            admin.close()
        if refused:
            raise StackError(f"Kafka does not take the services' users: {refused}")


def configured_admin(settings: Settings) -> KafkaServer:
    """The local Kafka and its admin as the broker's own configuration knows him: before it keeps any user."""
    return replace(kafka_server(settings, "admin"), mechanism="PLAIN")


def probe_kafka(server: KafkaServer) -> None:
    """Produce one message into PROBE_TOPIC; NotReadyError where Kafka does not take it."""
    require_listener(server.bootstrap)
    try:
        _ensure_probe_topic(server)
        producer = KafkaProducer(
            **server.options(), acks="all", max_block_ms=3000, request_timeout_ms=3000, retries=0
        )
        try:
            producer.send(PROBE_TOPIC, b"ready").get(timeout=3)
        finally:
            producer.close(timeout=3)
    except (KafkaError, OSError) as e:
        raise NotReadyError(f"Kafka at {server.bootstrap}: {type(e).__name__} {e}") from e


def require_listener(bootstrap: str) -> None:
    """Somebody must listen before a client is made: kafka-python waits long for nobody, and leaks its sockets."""
    failures = []
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host.strip("[]"), int(port)), timeout=3).close()
        except (OSError, ValueError) as e:
            failures.append(f"{address}: {e}")
        else:
            return
    raise NotReadyError(f"Kafka at {'; '.join(failures)}")


def _ensure_probe_topic(server: KafkaServer) -> None:
    admin = KafkaAdminClient(**server.options(), request_timeout_ms=3000, bootstrap_timeout_ms=3000)
    try:
        if PROBE_TOPIC not in admin.list_topics():
            settings = {"retention.ms": "3600000", "segment.bytes": "1048576"}
            admin.create_topics([NewTopic(PROBE_TOPIC, 1, 1, topic_configs=settings)])
    except TopicAlreadyExistsError:
        pass
    finally:
        admin.close()
