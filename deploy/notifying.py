"""Builds from the settings what tells people of alerts: sender, channels, pages. Wrong settings are refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import ZoneInfo

import psycopg

from alerts.alert_rows import FollowUp
from alerts.days import end_of_day
from alerts.event_clock import event_clock_state
from alerts.notify.channels import mail_channel, webhook_channel
from alerts.notify.content import ContentOptions, Contents
from alerts.notify.page import PageOptions, Pages
from alerts.notify.page_server import PageServer
from alerts.notify.policy import Policy, parse_clock, parse_quiet
from alerts.notify.sender import Channel, Sender, SenderOptions
from alerts.notify.signing import read_secret
from alerts.notify.smtp import SmtpServer
from alerts.notify.store import read_secret_of
from alerts.notify.targets import Gate
from alerts.notify.templates import Templates
from alerts.notify.webhook import NamedTarget, WebhookOptions, Webhooks
from alerts.parameter_file import read_parameters
from alerts.rolling import local_zone
from deploy.settings import Clock, Settings
from metering.contacts import email_problem, url_problem, webhook_problem
from metering.errors import SettingError

Connect = Callable[[], psycopg.Connection[Any]]

_PORTS = {"smtp": 587, "smtps": 465}
#: What a delivery may take beside twelve answers of the other side: names to look up, a chart to draw.
_HOLD_MARGIN_S = 10.0


@dataclass(frozen=True, slots=True)
class NotifySettings:
    """What of the settings needs no database, checked: made at a service's start, so that it refuses what is wrong."""

    policy: Policy
    smtp: SmtpServer | None
    sender: str
    named: Mapping[str, NamedTarget]
    templates: Templates
    public_url: str | None
    link_secret: bytes | None


def read_notify_settings(settings: Settings) -> NotifySettings:
    """Check everything that notifications need of the settings. Raises SettingError naming each setting."""
    smtp = smtp_server(settings)
    return NotifySettings(
        policy_of(settings),
        smtp,
        _sender(settings, smtp),
        named_webhooks(settings),
        Templates(settings.notify_templates),
        _public_url(settings),
        _link_secret(settings),
    )


def policy_of(settings: Settings) -> Policy:
    """When people are told, by the site's time zone."""
    quiet = parse_quiet(settings.notify_quiet, "NENGLIU_NOTIFY_QUIET")
    digest = parse_clock(settings.notify_digest, "NENGLIU_NOTIFY_DIGEST")
    if quiet.holds(digest):
        raise SettingError(
            f"NENGLIU_NOTIFY_DIGEST: {settings.notify_digest} lies in the quiet hours ({settings.notify_quiet}, "
            "NENGLIU_NOTIFY_QUIET)"
        )
    return Policy(
        ZoneInfo(settings.timezone),
        quiet,
        digest,
        settings.notify_per_hour,
        timedelta(hours=settings.notify_give_up),
        timedelta(seconds=settings.notify_retry),
    )


def smtp_server(settings: Settings) -> SmtpServer | None:
    """The mail server; None where there is none."""
    if settings.smtp_url is None or not settings.smtp_url.get_secret_value():
        return None
    try:
        parts = urlsplit(settings.smtp_url.get_secret_value())
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in _PORTS or not parts.hostname or parts.path not in ("", "/") or parts.query:
        raise SettingError(
            "NENGLIU_SMTP_URL: want smtp://user:password@host:port, or smtps:// for TLS from the first byte; "
            "other characters than letters and digits in user and password as %XX"
        )
    if settings.smtp_ca_file is not None and not settings.smtp_ca_file.is_file():
        raise SettingError(f"NENGLIU_SMTP_CA_FILE: {settings.smtp_ca_file} is no file")
    return SmtpServer(
        parts.hostname,
        port or _PORTS[parts.scheme],
        unquote(parts.username) if parts.username else None,
        unquote(parts.password) if parts.password else None,
        parts.scheme == "smtps",
        settings.smtp_starttls,
        str(settings.smtp_ca_file) if settings.smtp_ca_file else None,
        settings.notify_timeout,
    )


def _sender(settings: Settings, smtp: SmtpServer | None) -> str:
    found = settings.smtp_from or (smtp.username if smtp is not None else None)
    if found is None:
        if smtp is not None:
            raise SettingError(
                "NENGLIU_SMTP_FROM: say which address mail comes from, as NENGLIU_SMTP_URL names no user"
            )
        return "nengliu@localhost.localdomain"
    problem = email_problem(found)
    if problem is not None:
        raise SettingError(f"NENGLIU_SMTP_FROM: {problem}")
    return found


def named_webhooks(settings: Settings) -> dict[str, NamedTarget]:
    """Webhooks that contacts.csv names, with their secrets."""
    found = {}
    for name, value in settings.webhooks.items():
        setting = f"NENGLIU_WEBHOOKS: {name!r}"
        if "://" in name or webhook_problem(name) is not None:
            raise SettingError(f"{setting}: a name has small letters, digits, - and _")
        url, _, secret = value.get_secret_value().partition("#")
        if url_problem(url, ("https", "http")) is not None:
            raise SettingError(
                f"{setting}: want https://host/path#whsec_SECRET, without user name and password"
            )
        try:
            found[name] = NamedTarget(url, read_secret(secret) if secret else None)
        except ValueError as e:
            raise SettingError(f"{setting}: {e}") from e
    if settings.webhook_ca_file is not None and not settings.webhook_ca_file.is_file():
        raise SettingError(f"NENGLIU_WEBHOOK_CA_FILE: {settings.webhook_ca_file} is no file")
    return found


def _public_url(settings: Settings) -> str | None:
    """What links begin with; None where no page is served and none is named."""
    if settings.public_url is not None:
        url = settings.public_url.rstrip("/")
        if url_problem(url, ("https", "http")) is not None or urlsplit(url).query:
            raise SettingError("NENGLIU_PUBLIC_URL: want https://host or https://host/path")
        return url
    if not settings.page_port:
        return None
    host = page_address(settings)
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.page_port}"


def page_address(settings: Settings) -> str:
    """The address that pages listen on."""
    return settings.page_address or settings.host


def _link_secret(settings: Settings) -> bytes | None:
    if settings.link_secret is None:
        return None
    secret = settings.link_secret.get_secret_value().encode()
    if len(secret) < 32:
        raise SettingError(
            "NENGLIU_LINK_SECRET: want 32 characters at least; `openssl rand -hex 32` makes some"
        )
    return secret


@dataclass(frozen=True, slots=True)
class Notifying:
    """Everything that tells people, over one database."""

    options: NotifySettings
    contents: Contents
    content_options: ContentOptions
    webhooks: Webhooks
    secret: bytes

    def channels(self) -> dict[str, Channel]:
        """The channels, by the name that contacts use."""
        return {
            "email": mail_channel(self.contents, self.options.smtp, self.options.sender),
            "webhook": webhook_channel(self.contents, self.webhooks),
        }


def open_notifying(settings: Settings, options: NotifySettings, connect: Connect) -> Notifying:
    """Put it together; the database is asked for the secret, and for the zone of its days."""
    with connect() as conn:
        conn.autocommit = True
        secret = options.link_secret or read_secret_of(conn)
        zone = local_zone(conn)
    content_options = ContentOptions(
        settings.node, zone, options.sender, options.public_url, timedelta(days=settings.link_days)
    )
    ca_file = str(settings.webhook_ca_file) if settings.webhook_ca_file else None
    webhooks = Webhooks(
        WebhookOptions(secret, Gate(settings.webhook_inside), options.named, ca_file, settings.notify_timeout)
    )
    return Notifying(
        options, Contents(content_options, options.templates, secret), content_options, webhooks, secret
    )


def sender_of(settings: Settings, notifying: Notifying, connect: Connect, stop: Event) -> Sender:
    """The sender of a worker."""
    hold_s = 12 * settings.notify_timeout + _HOLD_MARGIN_S
    options = SenderOptions(threads=settings.notify_threads, hold_s=hold_s)
    return Sender(connect, notifying.channels(), notifying.options.policy, stop, options)


def pages_of(settings: Settings, notifying: Notifying, connect: Connect) -> PageServer | None:
    """The server of pages, listening; None where it has no port. Raises OSError where another has it."""
    if not settings.page_port:
        return None
    url = notifying.options.public_url
    assert url is not None  # there is a port
    zone = notifying.content_options.zone
    follow_up = FollowUp(read_parameters(settings.alert_parameters).care, zone)
    options = PageOptions(url, zone, follow_up, lambda conn: act_time(conn, settings))
    return PageServer(page_address(settings), settings.page_port, Pages(connect, notifying.secret, options))


def act_time(conn: psycopg.Connection[Any], settings: Settings) -> datetime:
    """The time of what a person does now, by the clock in use."""
    if settings.clock is Clock.EVENT:
        through = event_clock_state(conn, settings.event_patience).assessed_through
        if through is not None:
            return end_of_day(through, local_zone(conn)).astimezone(UTC)
    return datetime.now(UTC)
