"""Mail by SMTP: one connection for several mails, TLS unless it is switched off, every answer of the server judged."""

from __future__ import annotations

import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Self

from alerts.notify.deadline import deadline
from alerts.notify.errors import DeliveryError

_ADDRESS = "the address"
_Tell = Callable[[socket.socket], None]


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mail is handed in. implicit_tls: TLS from the first byte (port 465), else STARTTLS, which the server must
    offer unless starttls is off. timeout_s: of each answer; a whole mail may take three times that.
    """

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    implicit_tls: bool = False
    starttls: bool = True
    ca_file: str | None = None
    timeout_s: float = 20.0

    def context(self) -> ssl.SSLContext:
        """What the server's certificate is checked against."""
        return ssl.create_default_context(cafile=self.ca_file)


class SmtpSession:
    """A connection that is made when there is something to send. Not for several threads at once."""

    def __init__(self, server: SmtpServer) -> None:
        self._server = server
        self._client: smtplib.SMTP | None = None
        self._wire: socket.socket | None = None

    def send(self, message: EmailMessage, sender: str, recipient: str) -> None:
        """Hand in a mail; returns when the server has taken it. Raises DeliveryError; what the server did with the mail
        is then not known where the connection broke.
        """
        try:
            with deadline(lambda: self._wire, 3 * self._server.timeout_s):
                client = self._connected()
                client.sendmail(sender, [recipient], message.as_bytes())
        except smtplib.SMTPRecipientsRefused as e:
            code, text = next(iter(e.recipients.values()))
            self._reset()
            raise _refused(code, text, _ADDRESS) from e
        except smtplib.SMTPSenderRefused as e:
            self._reset()
            # What it says is about us, so it will say the same of every other mail.
            raise DeliveryError(
                f"the server refuses mail from {sender}: {_said(e.smtp_code, e.smtp_error)}",
                route_is_down=True,
            ) from e
        except smtplib.SMTPDataError as e:
            self._reset()
            raise _refused(e.smtp_code, e.smtp_error, "the mail") from e
        except DeliveryError:
            self.close()
            raise
        except (smtplib.SMTPException, OSError, ValueError) as e:
            # ValueError: a line that is no answer. What the server did with the mail is not known.
            self.close()
            raise DeliveryError(f"{self._place}: {e or type(e).__name__}", route_is_down=True) from e

    @property
    def _place(self) -> str:
        return f"SMTP server {self._server.host}:{self._server.port}"

    def _connected(self) -> smtplib.SMTP:
        if self._client is not None:
            return self._client
        s = self._server
        # Made and connected at once: what fails in there closes its socket itself.
        client: smtplib.SMTP = (
            _Encrypted(s.host, s.port, s.timeout_s, self._keep_wire, s.context())
            if s.implicit_tls
            else _Plain(s.host, s.port, s.timeout_s, self._keep_wire)
        )
        try:
            client.ehlo_or_helo_if_needed()
            if not s.implicit_tls and s.starttls:
                if not client.has_extn("starttls"):
                    raise DeliveryError(
                        f"{self._place} offers no STARTTLS; NENGLIU_SMTP_STARTTLS=false sends without encryption",
                        route_is_down=True,
                    )
                client.starttls(context=s.context())
                self._keep_wire(client.sock)
                client.ehlo_or_helo_if_needed()
            if s.username is not None:
                client.login(s.username, s.password or "")
        except BaseException:
            with suppress(OSError):
                client.close()
            raise
        self._client = client
        return client

    def _keep_wire(self, wire: socket.socket | None) -> None:
        self._wire = wire

    def _reset(self) -> None:
        """The connection may go on with the next mail, if the server agrees."""
        client = self._client
        if client is None:
            return
        try:
            with deadline(lambda: self._wire, self._server.timeout_s):
                client.rset()
        except (smtplib.SMTPException, OSError, ValueError):
            self.close()

    def close(self) -> None:
        """Give the connection up."""
        client, self._client, self._wire = self._client, None, None
        if client is not None:
            with suppress(OSError):
                client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        client, wire = self._client, self._wire
        if client is not None:
            with suppress(smtplib.SMTPException, OSError, ValueError), deadline(lambda: wire, 5.0):
                client.quit()
        self.close()


class _Plain(smtplib.SMTP):
    """smtplib's client that tells of its socket as soon as there is one."""

    def __init__(self, host: str, port: int, timeout_s: float, tell: _Tell) -> None:
        self._tell = tell
        super().__init__(host, port, timeout=timeout_s)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        wire = socket.create_connection((host, port), timeout)
        self._tell(wire)
        return wire


class _Encrypted(_Plain):
    """The same, in TLS from the first byte."""

    def __init__(self, host: str, port: int, timeout_s: float, tell: _Tell, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__(host, port, timeout_s, tell)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        wire = self._context.wrap_socket(super()._get_socket(host, port, timeout), server_hostname=host)
        self._tell(wire)
        return wire


def _refused(code: int, text: bytes | str, what: str) -> DeliveryError:
    """5xx: it will not be taken however often it is tried (RFC 5321 section 4.2.1); 421: the server closes. An address
    that is refused by policy (530, 5.7.x: log in first, relaying denied) says something of our settings, which may be
    put right.
    """
    said = _said(code, text)
    policy = what == _ADDRESS and (code == 530 or said.startswith(f"{code} 5.7."))
    return DeliveryError(
        f"the server refuses {what}: {said}",
        for_good=500 <= code < 600 and not policy,
        route_is_down=code == 421,
    )


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return " ".join(f"{code} {words}".split())[:300]
