"""The channels that notifications go by: mail and webhook, as the sender knows them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg

from alerts.notify.content import Contents
from alerts.notify.errors import DeliveryError
from alerts.notify.sender import Channel, Session
from alerts.notify.smtp import SmtpServer, SmtpSession
from alerts.notify.store import Leased
from alerts.notify.webhook import Webhooks


@dataclass(frozen=True, slots=True)
class _Mail:
    contents: Contents
    session: SmtpSession
    sender: str

    def deliver(self, conn: psycopg.Connection[Any], row: Leased) -> None:
        self.session.send(self.contents.mail(conn, row), self.sender, row.address)


@dataclass(frozen=True, slots=True)
class _Call:
    contents: Contents
    webhooks: Webhooks

    def deliver(self, conn: psycopg.Connection[Any], row: Leased) -> None:
        self.webhooks.send(row.address, row.key, self.contents.call(conn, row))


@dataclass(frozen=True, slots=True)
class _Off:
    why: str

    def deliver(self, conn: psycopg.Connection[Any], row: Leased) -> None:  # noqa: ARG002
        raise DeliveryError(self.why, route_is_down=True)


def mail_channel(contents: Contents, server: SmtpServer | None, sender: str) -> Channel:
    """Mail; without a server everything waits for one."""

    @contextmanager
    def session() -> Iterator[Session]:
        if server is None:
            yield _Off("NENGLIU_SMTP_URL is not set: there is no server to hand mail in at")
            return
        with SmtpSession(server) as smtp:
            yield _Mail(contents, smtp, sender)

    return session


def webhook_channel(contents: Contents, webhooks: Webhooks) -> Channel:
    """Webhooks."""

    @contextmanager
    def session() -> Iterator[Session]:
        yield _Call(contents, webhooks)

    return session
