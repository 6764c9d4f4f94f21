"""Serves the pages of notifications over HTTP: a small server in the worker, behind a proxy that speaks TLS."""

from __future__ import annotations

import socket
import traceback
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import BoundedSemaphore, Thread
from typing import Any

import psycopg
import structlog

from alerts.notify.metrics import PAGES
from alerts.notify.page import LONGEST_FORM, Answer, Pages, Request
from metering.errors import DependencyAwayError

log = structlog.get_logger(__name__)

#: Requests at a time, and how long each may take to say what it wants; others are hung up on.
_AT_A_TIME = 32
_TIMEOUT_S = 10.0
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, DependencyAwayError)


class PageServer(ThreadingHTTPServer):
    """Listens on an address; `start` serves in a thread. Raises OSError where the port is taken."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address: str, port: int, pages: Pages) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.pages = pages
        self._room = BoundedSemaphore(_AT_A_TIME)
        super().__init__((address, port), _Handler)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        Thread(target=self.serve_forever, args=(0.2,), name="pages", daemon=True).start()

    def stop(self) -> None:
        """Serve no more."""
        self.shutdown()
        self.server_close()

    def server_bind(self) -> None:
        """Without the library's look-up of our own name, which may take long and is used nowhere."""
        TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        """In a thread, where there is room for one more."""
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, one request."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002
        """A connection that broke is none of ours; a fault of ours is logged."""
        # Without the values of variables: a link is one of them.
        log.error("page_failed", traceback=traceback.format_exc())


class _Handler(BaseHTTPRequestHandler):
    """One request a connection, of bounded size, in bounded time."""

    server: PageServer
    timeout = _TIMEOUT_S
    protocol_version = "HTTP/1.0"
    server_version = "nengliu"
    sys_version = ""

    def handle(self) -> None:
        """A client that goes away or dawdles is let go."""
        try:
            super().handle()
        except OSError:
            self.close_connection = True

    def do_GET(self) -> None:
        """Show, and change nothing."""
        self._send(self._asked(b""))

    do_HEAD = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_TRACE = do_GET

    def do_POST(self) -> None:
        """Acknowledge."""
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit() and len(length) < 10) or int(length) > LONGEST_FORM:
            self._send(Answer(413, b"", "too_large"))
            return
        self._send(self._asked(self.rfile.read(int(length))))

    def _asked(self, body: bytes) -> Answer:
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            return self.server.pages.answer(Request(self.command, self.path, headers, body))
        except _AWAY as e:
            log.warning("page_waits", error=str(e).strip())
            return Answer(503, b"The database is away; try again soon.\n", "away", {"Retry-After": "30"})

    def _send(self, answer: Answer) -> None:
        PAGES.labels(answer.outcome).inc()
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:
        """A request's line holds the link: it is not logged."""
