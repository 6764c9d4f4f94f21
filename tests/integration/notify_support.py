"""Mail and web servers that behave as a test says, and a database with sites, contacts and alerts to tell of."""

from __future__ import annotations

import email
import json
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP

from alerts.alert_rows import FollowUp, NewAlert, lock_alert, move_alert, open_alert
from alerts.lifecycle import Action, State, Transition
from alerts.notify.channels import mail_channel, webhook_channel
from alerts.notify.content import ContentOptions, Contents
from alerts.notify.policy import Policy, QuietHours
from alerts.notify.sender import Sender, SenderOptions
from alerts.notify.smtp import SmtpServer
from alerts.notify.targets import Gate
from alerts.notify.templates import Templates
from alerts.notify.webhook import NamedTarget, WebhookOptions, Webhooks
from alerts.parameter_file import shipped_parameters

SEED = Path(__file__).parent / "seeds" / "city.sql"
ZONE = ZoneInfo("Asia/Shanghai")
SECRET = b"s" * 32
FOLLOW_UP = FollowUp(shipped_parameters().care, ZONE)
SENDER = "alerts@nengliu.example"
#: Nothing is held back, and a failure is tried again at once.
EAGER = Policy(ZONE, QuietHours(), per_hour=1000, first_delay=timedelta(0), most_delay=timedelta(0))
QUICK = SenderOptions(threads=4, poll_s=0.02, rest_s=0.02, longest_rest_s=0.05, watch_s=0.0, renew_s=0.0)

EVIDENCE = {
    "as_of": "2014-08-31",
    "item_code": "01",
    "year": 2014,
    "level": "warning",
    "used": 30_000.0,
    "limit_value": 36_000.0,
    "forecast": {"p10": 36_500.0, "p50": 37_600.0, "p90": 38_700.0},
    "method": "test",
    "completeness": 0.995,
    "exhaustion_date": "2014-11-12",
    "quota": {"source": "测试 · test"},
}


class MailServer:
    """An SMTP server of aiosmtpd. answer: what it says to DATA, None: it takes the mail; a callable decides."""

    def __init__(self, answer: Callable[[EmailMessage], str | None] = lambda _: None, **options: Any) -> None:
        self.taken: list[EmailMessage] = []
        self.answer = answer
        self.refused: dict[str, str] = {}
        self._controller = _Free(self, hostname="127.0.0.1", port=_free_port(), **options)

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, rcpt_options: list[str]
    ) -> str:
        if address in self.refused:
            return self.refused[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        message = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(message, EmailMessage)
        answer = self.answer(message)
        if answer is None or answer.startswith("dropped"):
            self.taken.append(message)
        if answer is not None and answer.startswith("drop"):
            server.transport.abort()
            return ""
        return answer or "250 taken"

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop(no_assert=True)

    @property
    def port(self) -> int:
        return self._controller.port

    def server(self, **more: Any) -> SmtpServer:
        """How it is reached."""
        return SmtpServer("127.0.0.1", self.port, **{"starttls": False, "timeout_s": 2.0, **more})

    @property
    def keys(self) -> list[str]:
        return [m["X-Nengliu-Key"] for m in self.taken]


class _Free(Controller):
    def factory(self) -> SMTP:
        return SMTP(self.handler, **self.SMTP_kwargs)


@dataclass(frozen=True)
class Call:
    """A call that a web server got."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found


class WebServer:
    """answer: status, headers and body to a call; "drop" hangs up without an answer, "hang" never answers."""

    def __init__(self, answer: Callable[[Call], Any] = lambda _: 200, tls: Any = None) -> None:
        self.calls: list[Call] = []
        self.released = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                call = Call(
                    self.path,
                    {k.lower(): v for k, v in self.headers.items()},
                    self.rfile.read(int(self.headers["Content-Length"])),
                )
                outer.calls.append(call)
                found = answer(call)
                if found == "hang":
                    outer.released.wait(30)
                    return
                if found == "drop":
                    self.connection.shutdown(socket.SHUT_RDWR)
                    return
                if found == "drip":
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while not outer.released.wait(0.05):
                        self.wfile.write(b"X-Drip: 1\r\n")
                    return
                status, headers = found if isinstance(found, tuple) else (found, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *_: Any) -> None:
                pass

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                pass

        self._server = Quiet(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Place:
    """The database of a test, as the pipeline writes it and the worker reads it."""

    url: str
    worker_url: str
    policy: Policy = EAGER
    channels: dict[str, Any] = field(default_factory=dict)

    def connect(self) -> psycopg.Connection[Any]:
        return psycopg.connect(self.worker_url)

    def rows(self, text: str, keys: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as conn:
            cursor = conn.execute(text, keys)
            return cursor.fetchall() if cursor.description else []

    def contact(
        self,
        address: str,
        *,
        name: str = "李工",
        scope: str = "110108A001",
        severity: str = "warning",
        language: str = "zh",
        channel: str = "email",
    ) -> None:
        self.rows(
            "insert into nengliu.contact values (%s, %s, %s, %s, %s, %s) on conflict (scope, name, channel, address) "
            "do update set severity_from = excluded.severity_from, language = excluded.language",
            (scope, name, language, channel, address, severity),
        )

    def alert(
        self,
        state: str = "confirmed",
        *,
        site: str = "110108A001",
        rule: str = "quota_forecast_over",
        severity: str = "warning",
        year: int = 2014,
        evidence: dict[str, Any] | None = None,
        at: datetime = datetime(2014, 9, 1, tzinfo=ZONE),
    ) -> int:
        """Open an alert, with its transition."""
        ((site_id,),) = self.rows("select site_id from nengliu.site where site_code = %s", (site,))
        found = {**EVIDENCE, **(evidence or {})}
        new = NewAlert(rule, severity, f"{site}/01/{year}", found, site_id, site, "01", year)
        with psycopg.connect(self.url) as conn:
            row = open_alert(conn, new, Transition(None, State(state), Action.OPENED), at, FOLLOW_UP)
        return row.alert_id

    def step(self, alert_id: int, action: Action, to_state: State, actor: str = "nengliu") -> None:
        """Move an alert by itself."""
        with psycopg.connect(self.url) as conn:
            row = lock_alert(conn, alert_id)
            step = Transition(row.life.state, to_state, action)
            move_alert(conn, row, step, datetime.now(UTC), actor, FOLLOW_UP)

    def sender(
        self,
        mail: MailServer | SmtpServer | None = None,
        gate: Gate | None = None,
        named: dict[str, NamedTarget] | None = None,
        policy: Policy | None = None,
        clock: Any = None,
        stop: threading.Event | None = None,
        options: SenderOptions = QUICK,
    ) -> Sender:
        server = mail.server() if isinstance(mail, MailServer) else mail
        made = contents()
        hooks = Webhooks(WebhookOptions(SECRET, gate or Gate(["127.0.0.1"]), named or {}, timeout_s=1.0))
        channels = {"email": mail_channel(made, server, SENDER), "webhook": webhook_channel(made, hooks)}
        more = {"clock": clock} if clock is not None else {}
        return Sender(
            self.connect, channels, policy or self.policy, stop or threading.Event(), options, **more
        )

    def states(self) -> dict[str, int]:
        return dict(self.rows("select state, count(*)::int from nengliu.notification group by state"))  # type: ignore[arg-type]


def seed(database: Any) -> Any:
    """Fill a module's database with two sites, their energy, quotas and assessments."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(SEED.read_text(encoding="utf-8"))
    return database


def emptied(database: Any) -> Place:
    """A database without contacts, alerts and notifications."""
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(
            "truncate nengliu.notification, nengliu.contact, nengliu.alert, nengliu.alert_transition, "
            "nengliu.event_outbox"
        )
    return Place(database.pipeline_url, database.worker_url)


def contents(public_url: str | None = "https://nengliu.example") -> Contents:
    options = ContentOptions("beijing", ZONE, SENDER, public_url, timedelta(days=30))
    return Contents(options, Templates(), SECRET)


def at(text: str) -> Callable[[Any], datetime]:
    """A clock that stands still at a local time."""
    moment = datetime.fromisoformat(text).replace(tzinfo=ZONE).astimezone(UTC)
    return lambda _: moment


@contextmanager
def running(sender: Sender, stop: threading.Event) -> Iterator[None]:
    """A sender in a thread."""
    thread = threading.Thread(target=sender.run)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(30)
        assert not thread.is_alive()
