"""Addresses and clients of the servers, from the settings: existing servers, else the local stack's."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

import psycopg

from deploy.settings import Settings
from deploy.stack.state import StackState
from deploy.tls import TlsFiles, trusting
from metering.errors import DependencyAwayError, SettingError
from stream.server import KafkaServer

#: writer and worker: each service with its own rights; pipeline: the commands that people give.
DatabaseRole = Literal["pipeline", "writer", "worker", "owner", "read", "superuser"]
MqttRole = Literal["bridge", "admin"]
#: Each service has a user of its own with the rights of stream/rights.py; admin administrates.
KafkaRole = Literal["admin", "bridge", "writer", "worker"]

DATABASE_NAME = "nengliu"
#: A connection whose network is gone (a pulled cable, a NAT or firewall that forgot it) ends in 20 s: nothing else
#: would tell a client that waits for an answer. A slow or stalled server is no dead network: its kernel still answers.
_DEAD_NETWORK: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 2,
    "tcp_user_timeout": 20_000,
}
_MQTT_PORTS = {"mqtt": 1883, "mqtts": 8883}
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}
_USERS = {
    "pipeline": "nengliu_pipeline",
    "writer": "nengliu_writer",
    "worker": "nengliu_worker",
    "owner": "nengliu_owner",
    "read": "nengliu_read",
    "superuser": "postgres",
}


@dataclass(frozen=True, slots=True)
class MqttEndpoint:
    """Where an MQTT broker is and who we are there; `tls`: how it is reached over TLS, None for plain MQTT."""

    host: str
    port: int
    username: str | None
    password: str | None
    tls: ssl.SSLContext | None = None

    def open(self, timeout_s: float) -> socket.socket:
        """A connection to it, in TLS where it speaks that. Raises OSError."""
        wire = socket.create_connection((self.host, self.port), timeout=timeout_s)
        if self.tls is None:
            return wire
        try:
            return self.tls.wrap_socket(wire, server_hostname=self.host)
        except BaseException:
            wire.close()
            raise


def local_host(settings: Settings) -> str:
    """The address under which local servers are reached from this machine."""
    return _EVERY_ADDRESS.get(settings.host, settings.host)


def local_port(settings: Settings, name: str, setting: str) -> int:
    """The port of a server of the local stack; DependencyAwayError where no stack was ever started."""
    try:
        return StackState.of(settings).ports()[name]
    except KeyError:
        raise DependencyAwayError(
            f"no local stack in {settings.state_dir.absolute()} (NENGLIU_STATE_DIR): run `nengliu up`, "
            f"or set {setting} to an existing server"
        ) from None


def database_url(settings: Settings, role: DatabaseRole, database: str = DATABASE_NAME) -> str:
    """URL of the database for a role. The superuser is known of the local stack only."""
    existing = {
        "pipeline": settings.database_url,
        "writer": settings.database_url,
        "worker": settings.database_url,
        "owner": settings.database_owner_url or settings.database_url,
        "read": settings.read_url or settings.database_url,
        "superuser": None,
    }[role]
    if existing is not None:
        return existing.get_secret_value()
    port = local_port(settings, "postgres", "NENGLIU_DATABASE_URL")
    password = StackState.of(settings).secret(_USERS[role])
    return f"postgresql://{_USERS[role]}:{password}@{_bracketed(local_host(settings))}:{port}/{database}"


def connect_database(
    settings: Settings, role: DatabaseRole, *, autocommit: bool = False, database: str = DATABASE_NAME
) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection as `role`. Raises DependencyAwayError naming the setting."""
    url = database_url(settings, role, database)
    try:
        return psycopg.connect(
            url, autocommit=autocommit, connect_timeout=10, application_name="nengliu", **_DEAD_NETWORK
        )
    except psycopg.OperationalError as e:
        raise DependencyAwayError(
            f"the database is not to be reached ({str(e).strip()}): run `nengliu up`, or check NENGLIU_DATABASE_URL"
        ) from e


def kafka_server(settings: Settings, role: KafkaRole) -> KafkaServer:
    """Kafka and who we are there: the one user that is set for an existing one, `role`'s own in the local stack."""
    if settings.kafka_bootstrap:
        return _existing_kafka(settings, settings.kafka_bootstrap)
    port = local_port(settings, "kafka", "NENGLIU_KAFKA_BOOTSTRAP")
    return KafkaServer(
        f"{_bracketed(local_host(settings))}:{port}",
        "sasl_plaintext",
        role,
        StackState.of(settings).secret(f"kafka_{role}"),
    )


def _existing_kafka(settings: Settings, bootstrap: str) -> KafkaServer:
    password = settings.kafka_password
    if "sasl" in settings.kafka_security and not (settings.kafka_username and password):
        raise SettingError(
            f"NENGLIU_KAFKA_SECURITY={settings.kafka_security} wants NENGLIU_KAFKA_USERNAME and NENGLIU_KAFKA_PASSWORD"
        )
    if "sasl" not in settings.kafka_security and (settings.kafka_username or password):
        raise SettingError(
            "NENGLIU_KAFKA_USERNAME and _PASSWORD want NENGLIU_KAFKA_SECURITY=sasl_plaintext or sasl_ssl"
        )
    return KafkaServer(
        bootstrap,
        settings.kafka_security,
        settings.kafka_username,
        password.get_secret_value() if password else None,
        settings.kafka_mechanism,
        settings.kafka_ca_file,
    )


def mqtt_connection(settings: Settings, role: MqttRole) -> MqttEndpoint:
    """Where the broker is, and the user for the bridge or for the administration of gateways."""
    existing = settings.mqtt_url if role == "bridge" else settings.mqtt_admin_url
    files = TlsFiles("NENGLIU_MQTT", settings.mqtt_ca_file, settings.mqtt_cert_file, settings.mqtt_key_file)
    if existing is not None:
        setting = "NENGLIU_MQTT_URL" if role == "bridge" else "NENGLIU_MQTT_ADMIN_URL"
        return parse_mqtt_url(existing.get_secret_value(), setting, files)
    if settings.mqtt_url is not None:
        raise SettingError(
            "NENGLIU_MQTT_URL names an existing broker: to manage its gateways set NENGLIU_MQTT_ADMIN_URL too"
        )
    if files.given:
        raise SettingError(
            f"{', '.join(files.given)}: for an existing broker, and NENGLIU_MQTT_URL names none; "
            "the local stack has certificates of its own (`nengliu up --tls`)"
        )
    port = local_port(settings, "mqtt", "NENGLIU_MQTT_URL")
    state = StackState.of(settings)
    tls = trusting(state.tls / "ca.pem", "the local stack's authority") if state.tls_in_force else None
    return MqttEndpoint(local_host(settings), port, role, state.secret(f"mqtt_{role}"), tls)


def parse_mqtt_url(
    url: str, setting: str = "NENGLIU_MQTT_URL", files: TlsFiles | None = None
) -> MqttEndpoint:
    """mqtt://user:password@host:port, or mqtts:// for TLS with `files`, as an endpoint.

    Raises SettingError naming `setting`, or the setting of a file that cannot be used.
    """
    parts = urlsplit(url)
    files = files or TlsFiles(setting.removesuffix("_URL"))
    try:
        port = parts.port or _MQTT_PORTS.get(parts.scheme, 0)
    except ValueError:
        port = 0
    if parts.scheme not in _MQTT_PORTS or not parts.hostname or not port:
        raise SettingError(
            f"{setting}: want mqtt://user:password@host:port, or mqtts://user:password@host:port for TLS"
        )
    if parts.scheme == "mqtt" and files.given:
        raise SettingError(
            f"{', '.join(files.given)}: for TLS, and {setting} says mqtt://; want mqtts:// there"
        )
    return MqttEndpoint(
        parts.hostname,
        port,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        files.context() if parts.scheme == "mqtts" else None,
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
