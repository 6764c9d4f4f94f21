"""Mail and web servers that fail at random, in every way that a real one does, and remember what they took.

What counts as taken is what the server had whole, whether or not it then managed to say so: a sender that was told
nothing sends again, and the repeat must carry the same key.
"""

from __future__ import annotations

import email
import json
import random
import socketserver
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.policy import default
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Lock, Thread
from typing import Any

from alerts.notify.signing import verify

#: What a mail server does wrong, by its share of all faults.
MAIL_FAULTS = (
    "hangs up",
    "421 greeting",
    "hangs",
    "451 recipient",
    "drops in DATA",
    "451 mail",
    "takes and drops",
)
WEB_FAULTS = ("hangs up", "500", "503", "302", "hangs", "takes and drops")


@dataclass
class Taken:
    """What arrived: (alert, whom) -> its keys, with how often each came. first: when (monotonic) it first did."""

    keys: dict[tuple[str, str], Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    first: dict[tuple[str, str], float] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    wrong: int = 0
    lock: Lock = field(default_factory=Lock)

    def take(self, alert: str, whom: str, key: str, genuine: bool) -> None:
        """Remember an arrival."""
        with self.lock:
            self.keys[alert, whom][key] += 1
            self.first.setdefault((alert, whom), time.monotonic())
            self.wrong += not genuine

    def first_at(self, alert: str, whom: str) -> float | None:
        """When (monotonic) somebody was first told of an alert; None: not yet."""
        with self.lock:
            return self.first.get((alert, whom))

    def all_keys(self) -> Counter[str]:
        """How often each key came."""
        found: Counter[str] = Counter()
        with self.lock:
            for keys in self.keys.values():
                found.update(keys)
        return found


class Chance:
    """Draws faults: a share of all tries, each kind alike."""

    def __init__(self, seed: int, share: float, kinds: tuple[str, ...], taken: Taken) -> None:
        self._random = random.Random(seed)
        self._share = share
        self._kinds = kinds
        self._taken = taken

    def draw(self) -> str | None:
        """The fault of the next try; None: it goes well."""
        with self._taken.lock:
            if self._random.random() >= self._share:
                return None
            fault = self._random.choice(self._kinds)
            self._taken.faults[fault] += 1
            return fault


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed in the middle is what this is about."""


@contextmanager
def failing_mail(taken: Taken, chance: Chance, stop: Event) -> Iterator[int]:
    """An SMTP server (RFC 5321, as much as a client needs); its port."""

    class Handler(socketserver.StreamRequestHandler):
        timeout = 30.0

        def say(self, text: str) -> None:
            self.wfile.write(text.encode() + b"\r\n")

        def handle(self) -> None:
            fault = chance.draw()
            if fault == "hangs up":
                return
            self.say("421 too busy" if fault == "421 greeting" else "220 bench")
            whom = ""
            while line := self.rfile.readline(2000):
                word = line[:4].upper()
                if word in (b"EHLO", b"HELO"):
                    if fault == "hangs":
                        stop.wait(30)
                        return
                    self.say("250 bench")
                elif word == b"RCPT":
                    whom = line.decode("ascii", "replace").partition("<")[2].partition(">")[0]
                    self.say("451 later" if fault == "451 recipient" else "250 ok")
                elif word == b"DATA":
                    self.say("354 go on")
                    if fault == "drops in DATA":
                        self.rfile.readline(2000)
                        return
                    self._took(self._read_mail(), whom, fault)
                    if fault == "takes and drops":
                        return
                    self.say("451 later" if fault == "451 mail" else "250 taken")
                    fault = chance.draw()
                    if fault == "hangs up":
                        return
                elif word == b"QUIT":
                    self.say("221 bye")
                    return
                else:
                    if word == b"RSET":
                        fault = None
                    self.say("250 ok")

        def _read_mail(self) -> bytes:
            lines = []
            while (line := self.rfile.readline()) and line != b".\r\n":
                lines.append(line.removeprefix(b".") if line.startswith(b"..") else line)
            if not line:
                raise ConnectionError("the sender was gone before the end of the mail")
            return b"".join(lines)

        def _took(self, raw: bytes, whom: str, fault: str | None) -> None:
            if fault == "451 mail":
                return
            message = email.message_from_bytes(raw, policy=default)
            key = str(message["X-Nengliu-Key"])
            alert = str(message["References"]).removeprefix("<alert-").partition(".")[0]
            taken.take(alert, whom, key, str(message["Message-ID"]).startswith(f"<{key}@"))

    with _serving(_Server(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def failing_web(
    taken: Taken, chance: Chance, stop: Event, secret_of: Callable[[str], bytes], now: Callable[[], int]
) -> Iterator[int]:
    """A web server that checks signatures; its port. secret_of: the secret of calls to an address."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 30.0

        def do_POST(self) -> None:
            fault = chance.draw()
            if fault == "hangs up":
                return
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if len(body) < int(self.headers["Content-Length"]):
                return
            if fault == "hangs":
                stop.wait(30)
                return
            if fault in (None, "takes and drops"):
                self._took(body)
            if fault == "takes and drops":
                return
            self.send_response(int(fault) if fault else 204)
            if fault == "302":
                self.send_header("Location", f"http://{self.headers['Host']}/elsewhere")
            if fault == "503":
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def _took(self, body: bytes) -> None:
            told = json.loads(body)
            headers = self.headers
            key = headers["webhook-id"]
            secret = secret_of(f"http://{headers['Host']}{self.path}")
            genuine = key == told["key"] == headers["Idempotency-Key"] and verify(
                secret, key, headers["webhook-timestamp"], headers["webhook-signature"], body, now()
            )
            taken.take(str(told["alerts"][0]["alert_id"]), self.path, key, genuine)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: there are thousands."""

    class Web(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 128

        def handle_error(self, request: Any, client_address: Any) -> None:
            """As above."""

    with _serving(Web(("127.0.0.1", 0), Handler)) as port:
        yield port


@contextmanager
def _serving(server: socketserver.TCPServer) -> Iterator[int]:
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
