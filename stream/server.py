"""Where Kafka is and who we are there: what every client of it is made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from metering.errors import DependencyAwayError

Security = Literal["plaintext", "sasl_plaintext", "ssl", "sasl_ssl"]
Mechanism = Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"]


@dataclass(frozen=True, slots=True)
class KafkaServer:
    """Bootstrap servers (host:port[,host:port]) and one user of them.

    `mechanism`, `username` and `password` count where `security` says SASL; `ca_file` (PEM) where it says SSL: None
    trusts the machine's own authorities.
    """

    bootstrap: str
    security: Security = "plaintext"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    mechanism: Mechanism = "SCRAM-SHA-512"
    ca_file: Path | None = None

    def options(self) -> dict[str, Any]:
        """The settings by which a client of kafka-python connects."""
        found: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap,
            "security_protocol": self.security.upper(),
        }
        if "sasl" in self.security:
            found["sasl_mechanism"] = self.mechanism
            found["sasl_plain_username"] = self.username
            found["sasl_plain_password"] = self.password
        if "ssl" in self.security and self.ca_file is not None:
            found["ssl_cafile"] = str(self.ca_file)
        return found


def kafka_admin(server: KafkaServer) -> KafkaAdminClient:
    """A client that administrates. Raises DependencyAwayError."""
    try:
        return KafkaAdminClient(**server.options(), client_id="nengliu-topics")
    except (KafkaError, OSError, ValueError) as e:
        raise kafka_away(server, e) from e


def kafka_away(server: KafkaServer, cause: BaseException) -> DependencyAwayError:
    """The error for a Kafka that does not answer; a wrong password or missing TLS shows the same way
    (kafka-python).
    """
    who = f" as {server.username}" if server.username else ""
    return DependencyAwayError(
        f"Kafka at {server.bootstrap} cannot be reached{who} by {server.security} "
        f"({type(cause).__name__}: {cause}); is it running, is NENGLIU_KAFKA_BOOTSTRAP right, does it want another "
        "password (NENGLIU_KAFKA_USERNAME, _PASSWORD) or TLS (NENGLIU_KAFKA_SECURITY)?"
    )
