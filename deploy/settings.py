"""Every setting of the house: environment NENGLIU_*, or one TOML file; nothing else reads the environment."""

from __future__ import annotations

import os
import sys
from enum import StrEnum
from pathlib import Path
from tomllib import TOMLDecodeError
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    TomlConfigSettingsSource,
)

from metering.errors import SettingError


class Clock(StrEnum):
    """Which clock assessments, silence and alert times follow."""

    WALL = "wall"
    EVENT = "event"


class Settings(BaseSettings):
    """Settings of one node. Each field is NENGLIU_<NAME> in the environment and <name> in the TOML file."""

    model_config = SettingsConfigDict(
        env_prefix="NENGLIU_", extra="forbid", toml_file="nengliu.toml", frozen=True
    )

    node: str = Field("beijing", description="name of this node, the code of its city level")
    timezone: str = Field(
        "Asia/Shanghai", description="local time zone of days and months; whole-hour offsets"
    )
    clock: Clock = Field(Clock.WALL, description="wall, or event for replays of past years")
    event_patience: float = Field(
        600.0, gt=0, description="s of silence before a gateway leaves the event clock"
    )
    alert_parameters: Path | None = Field(
        None,
        description="TOML file of what is to be other than alerts/parameters.toml: thresholds and rules, for all, "
        "for a building type or a site",
    )
    language: str = Field("zh", pattern="^(zh|en)$", description="language of texts for people: zh or en")

    state_dir: Path = Field(Path(".nengliu"), description="everything a local stack keeps")
    programs_dir: Path = Field(
        Path(sys.prefix) / "nengliu-programs", description="where the servers' programs are installed"
    )
    debian_mirror: str | None = Field(
        None, description="Debian mirror for the servers' packages; default: the host's"
    )

    host: str = Field("127.0.0.1", description="address that local servers and metrics listen on")
    mqtt_port: int = Field(
        21883, ge=0, le=65535, description="port of the local Mosquitto; 0: any free one, kept"
    )
    mqtt_certificate_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of the local Mosquitto for logins by certificate, where it speaks TLS; 0: any, kept",
    )
    mqtt_tls_names: tuple[str, ...] = Field(
        (),
        description="further host names and addresses that the local Mosquitto's certificate is for; "
        "in the environment as JSON",
    )
    kafka_port: int = Field(
        29092, ge=0, le=65535, description="port of the local Kafka; 0: any free one, kept"
    )
    kafka_controller_port: int = Field(
        0, ge=0, le=65535, description="port of Kafka's controller; 0: any, kept"
    )
    postgres_port: int = Field(
        25432, ge=0, le=65535, description="port of the local PostgreSQL; 0: any, kept"
    )
    prometheus_port: int = Field(
        29090, ge=0, le=65535, description="port of the local Prometheus; 0: any, kept"
    )
    bridge_metrics_port: int = Field(0, ge=0, le=65535, description="metrics of the bridge; 0: any, kept")
    writer_metrics_port: int = Field(0, ge=0, le=65535, description="metrics of the writer; 0: any, kept")
    worker_metrics_port: int = Field(0, ge=0, le=65535, description="metrics of the worker; 0: any, kept")

    database_url: SecretStr | None = Field(
        None,
        description="existing database, as nengliu_pipeline or the role of the service; default: local stack",
    )
    database_owner_url: SecretStr | None = Field(
        None, description="the same for migrations; default: database_url"
    )
    read_url: SecretStr | None = Field(None, description="the same, read-only role; default: database_url")
    kafka_bootstrap: str | None = Field(
        None, description="existing Kafka, host:port[,host:port]; default: local stack"
    )
    kafka_security: Literal["plaintext", "sasl_plaintext", "ssl", "sasl_ssl"] = Field(
        "plaintext", description="how an existing Kafka is spoken to; with sasl by user name and password"
    )
    kafka_username: str | None = Field(
        None, description="user at an existing Kafka; the local stack has one for each service"
    )
    kafka_password: SecretStr | None = Field(None, description="its password")
    kafka_mechanism: Literal["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] = Field(
        "SCRAM-SHA-512", description="how the password is proved to an existing Kafka"
    )
    kafka_ca_file: Path | None = Field(
        None, description="PEM file of the authority that an existing Kafka's certificate is checked against"
    )
    mqtt_url: SecretStr | None = Field(
        None,
        description="existing broker, mqtt://user:password@host:port, or mqtts:// for TLS; default: local stack",
    )
    mqtt_admin_url: SecretStr | None = Field(
        None, description="the same with the dynamic-security admin's user; default: local stack"
    )
    mqtt_ca_file: Path | None = Field(
        None,
        description="PEM file of the authority that an existing broker's certificate is checked against; "
        "default: those that the system trusts",
    )
    mqtt_cert_file: Path | None = Field(None, description="PEM file of our certificate for such a broker")
    mqtt_key_file: Path | None = Field(
        None, description="PEM file of its key, where the certificate's file does not hold it"
    )
    bridge_id: str = Field(
        "1",
        pattern=r"^[A-Za-z0-9._-]{1,40}$",
        description="tells the bridges of one broker apart; the broker keeps each one's session by it",
    )
    bridge_session_expiry: int = Field(
        86_400,
        ge=60,
        le=4_294_967_294,
        description="s for which the broker keeps messages for a bridge that died; at its end they are lost "
        "where they carry no seq",
    )
    edge_config: Path = Field(
        Path("edge.toml"), description="buses and meters that `nengliu edge` polls, a TOML file"
    )
    edge_mqtt_url: SecretStr | None = Field(
        None,
        description="the broker as the edge's gateway, mqtt://GATEWAY:password@host:port, or mqtts:// for TLS",
    )
    edge_mqtt_ca_file: Path | None = Field(
        None,
        description="PEM file of the authority that its certificate is checked against; "
        "default: those that the system trusts",
    )
    edge_mqtt_cert_file: Path | None = Field(
        None, description="PEM file of the gateway's certificate, instead of or beside the password"
    )
    edge_mqtt_key_file: Path | None = Field(
        None, description="PEM file of its key, where the certificate's file does not hold it"
    )
    edge_outbox: Path | None = Field(
        None, description="file of the edge's outbox; default: edge/GATEWAY.sqlite in the state dir"
    )
    edge_window: int = Field(
        200, ge=2, le=20_000, description="messages an edge has sent that are not acknowledged for good"
    )
    edge_backlog_rate: float = Field(
        50.0, gt=0, description="messages/s of what waited while there was no connection"
    )
    edge_status_every: float = Field(60.0, gt=0, description="s between two statuses of an edge")
    edge_reserve_mb: int = Field(
        64, ge=0, description="MB of disk an edge holds in reserve and gives up for totals on a full disk"
    )
    edge_low_space_mb: int = Field(
        128, ge=0, description="MB of free disk below which an edge polls totals only"
    )
    edge_metrics_port: int = Field(0, ge=0, le=65535, description="metrics of the edge collector; 0: none")
    gateway_messages_per_s: float = Field(
        0.0, ge=0, description="hard limit of each gateway at each bridge, messages/s; 0: none"
    )
    gateway_readings_per_s: float = Field(
        0.0, ge=0, description="the same in readings/s, a value (meter, register, ts) each; 0: none"
    )
    writer_session_timeout: int = Field(
        10,
        ge=6,
        le=300,
        description="s after which a writer that is not heard loses its partitions, and its open transaction",
    )
    silence_intervals: float = Field(
        4.0, ge=3, le=1000, description="a meter is silent after so many of its interval_s without a reading"
    )
    silence_meter: float = Field(3600.0, gt=0, description="and after so many s at least")
    silence_gateway: float = Field(
        900.0,
        gt=0,
        description="a gateway is silent after two intervals of its most frequent meter, and so many s at least; "
        "at most silence_meter",
    )
    gap_patience: float = Field(
        3600.0, gt=0, description="s for which numbers of an outbox may be missing before that is a finding"
    )
    readings_keep_years: int | None = Field(
        None,
        ge=1,
        le=100,
        description="years for which raw readings are kept, then they are dropped by chunk; unset: for ever; hours are "
        "always kept",
    )
    findings_every: float = Field(
        60.0, gt=0, description="s between two looks for what is silent, missing or measured wrong"
    )
    mqtt_filters: dict[str, str] = Field(
        default_factory=dict,
        description="further topic filter -> decoder, each filter with {gateway} once; in the environment as JSON",
    )
    mqtt_native: bool = Field(
        True,
        description="a bridge takes the native topics nl/v1/{gateway}/…; off: only those of mqtt_filters",
    )
    decoder_files: tuple[Path, ...] = Field(
        (),
        description="TOML files that declare formats of vendors' JSON or EMQ Neuron; a file's name is its decoder's; "
        "in the environment as JSON",
    )
    more_kinds: tuple[str, ...] = Field(
        (), description="further kinds of sites that a registry may use; in the environment as JSON"
    )
    more_sectors: tuple[str, ...] = Field(
        (), description="further sectors that a registry may use; in the environment as JSON"
    )
    kafka_topic_prefix: str = Field(
        "", description="put before each topic's name, where systems share a Kafka"
    )
    kafka_partitions: int = Field(6, ge=1, description="partitions of each topic, when created")
    kafka_replication: int = Field(1, ge=1, description="replicas of each topic, when created")

    smtp_url: SecretStr | None = Field(
        None,
        description="server that mail is handed in at, smtp://user:password@host:port, or smtps:// for TLS from the "
        "first byte; default: none, mail waits",
    )
    smtp_from: str | None = Field(
        None, description="address that mail comes from; default: the user of smtp_url"
    )
    smtp_starttls: bool = Field(
        True,
        description="smtp:// goes on in TLS (STARTTLS), or nothing is sent; off: mail and password in clear",
    )
    smtp_ca_file: Path | None = Field(
        None,
        description="PEM file of the authority that the mail server's certificate is checked against; "
        "default: those that the system trusts",
    )
    webhooks: dict[str, SecretStr] = Field(
        default_factory=dict,
        description="webhooks by the name that contacts.csv uses: URL#SECRET, the secret (whsec_…) that calls are "
        "signed with; in the environment as JSON",
    )
    webhook_inside: tuple[str, ...] = Field(
        (),
        description="hosts, or host:port, inside the network that webhooks may call, by plain HTTP too; all others "
        "must be public and speak HTTPS; in the environment as JSON",
    )
    webhook_ca_file: Path | None = Field(
        None,
        description="PEM file of the authority that webhooks' certificates are checked against; "
        "default: those that the system trusts",
    )
    public_url: str | None = Field(
        None,
        description="what links to notifications' pages begin with, as people reach it; "
        "default: page_address and page_port",
    )
    page_port: int = Field(
        0,
        ge=0,
        le=65535,
        description="port of notifications' pages, served by the worker; 0: any, kept; none where it runs alone",
    )
    page_address: str | None = Field(
        None, description="address that the pages listen on; default: that of NENGLIU_HOST"
    )
    link_secret: SecretStr | None = Field(
        None,
        description="what links are signed with, 32 characters at least; default: one kept in the database",
    )
    link_days: int = Field(30, ge=1, le=400, description="days for which a link to a page holds")
    notify_threads: int = Field(
        8, ge=0, le=64, description="notifications that a worker sends at a time; 0: it sends none"
    )
    notify_per_hour: int = Field(
        12,
        ge=1,
        le=100_000,
        description="notifications that one address gets within an hour; the rest goes into the digest",
    )
    notify_quiet: str = Field(
        "22:00-07:00",
        description="local hours in which only what is critical is sent, the rest goes into the digest; empty: none",
    )
    notify_digest: str = Field("08:00", description="local time of the daily digest of what was held back")
    notify_retry: float = Field(
        30.0,
        gt=0,
        le=3600,
        description="s before a second attempt; each later one waits twice as long, up to an hour",
    )
    notify_give_up: float = Field(
        72.0, gt=0, description="h after which a notification that nobody takes is given up"
    )
    notify_timeout: float = Field(
        20.0, ge=1, le=120, description="s to wait for each answer of a mail server or webhook"
    )
    notifications_keep_years: int | None = Field(
        None,
        ge=1,
        le=100,
        description="years for which notifications that arrived, of alerts that are over, are kept; unset: for ever; "
        "alerts are always kept",
    )
    notify_templates: Path | None = Field(
        None, description="folder of templates that stand in for those shipped of the same names"
    )

    log_level: str = Field("info", pattern="^(debug|info|warning|error)$")
    log_json: bool = Field(False, description="log as JSON lines instead of text")

    @field_validator("alert_parameters")
    @classmethod
    def _wherever_it_is_read_from(cls, value: Path | None) -> Path | None:
        return None if value is None else value.absolute()

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (KeyError, ValueError, OSError) as e:
            raise ValueError(f"unknown time zone {value!r}; use an IANA name such as Asia/Shanghai") from e
        return value

    @field_validator("silence_gateway")
    @classmethod
    def _sooner_than_meters(cls, value: float, info: ValidationInfo) -> float:
        meter = info.data.get("silence_meter")
        if meter is not None and value > meter:
            raise ValueError(
                f"more than NENGLIU_SILENCE_METER ({meter}): meters would be found before their gateway"
            )
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Order of precedence: explicit arguments, environment, TOML file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls)


def load_settings() -> Settings:
    """Read the settings, or raise SettingError naming each wrong one."""
    try:
        return Settings()
    except (SettingsError, TOMLDecodeError) as e:
        raise SettingError(f"{e} (NENGLIU_* or nengliu.toml; in the environment a list is JSON)") from e
    except ValidationError as e:
        lines = [
            f"NENGLIU_{'.'.join(str(p) for p in err['loc']).upper()}: {err['msg']} (got {err.get('input')!r})"
            for err in e.errors()
        ]
        raise SettingError("\n".join(lines)) from e


def setting_sources() -> dict[str, str]:
    """Field name -> where its value comes from, for every setting that is not at its default."""
    sources: dict[str, str] = {}
    toml = TomlConfigSettingsSource(Settings)()
    sources.update(dict.fromkeys(toml, str(Settings.model_config.get("toml_file"))))
    names = {name.upper() for name in os.environ}
    sources.update(
        {field: "environment" for field in Settings.model_fields if f"NENGLIU_{field.upper()}" in names}
    )
    return sources
