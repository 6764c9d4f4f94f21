"""A bus behind a serial device server, simulated: a TCP port whose bytes come and go at the speed of a serial line.

Half-duplex, as RS-485 is: the answer begins when the request is over and the meter has thought, and the next
request waits until the answer is over. Frames are the business of whoever answers.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

#: Takes what has come, gives (an answer, empty if there is none, and what is left of the bytes).
Answerer = Callable[[bytes], tuple[bytes, bytes]]


@dataclass(slots=True)
class LineSpeed:
    """baud: None is without limit; bits: of a byte, start, parity and stop bits in it (8E1: 11); delay_s: from
    the end of a request to the begin of the answer.
    """

    baud: int | None = None
    bits: int = 11
    delay_s: float = 0.0

    def wire_s(self, count: int) -> float:
        """What `count` bytes take."""
        return 0.0 if self.baud is None else count * self.bits / self.baud


@dataclass
class SimulatedBus:
    """Serves one connection after the other on a port of this machine. `wire_bytes` and `answers` count what went
    over the line; `first_s` and `last_s` say when its first byte came and its last went, by the monotonic clock.
    """

    answer: Answerer
    speed: LineSpeed = field(default_factory=LineSpeed)
    wire_bytes: int = 0
    answers: int = 0
    first_s: float | None = None
    last_s: float | None = None

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._connection: socket.socket | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="bus", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Serve until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End, and cut the connection."""
        self._stopped.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        self._thread.join()

    def cut(self) -> None:
        """Break the connection that there is, as a power cut of the device server does."""
        connection = self._connection
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        while not self._stopped.is_set():
            try:
                self._connection, _ = self._listener.accept()
            except OSError:
                return
            with self._connection, suppress(ConnectionError):
                self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._talk(self._connection)

    def _talk(self, connection: socket.socket) -> None:
        kept = b""
        while not self._stopped.is_set():
            data = connection.recv(4096)
            if not data:
                return
            if self.first_s is None:
                self.first_s = time.monotonic()
            time.sleep(self.speed.wire_s(len(data)))
            answer, kept = self.answer(kept + data)
            self.wire_bytes += len(data) + len(answer)
            if answer:
                self.answers += 1
                time.sleep(self.speed.delay_s + self.speed.wire_s(len(answer)))
                connection.sendall(answer)
                self.last_s = time.monotonic()
