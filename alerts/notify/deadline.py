"""An end to everything that is said over a connection, however slowly the other side drips."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Timer


@contextmanager
def deadline(wire: Callable[[], socket.socket | None], after_s: float) -> Iterator[None]:
    """Shut the connection down where what is inside has not ended after `after_s`: whoever waits on it gets an end of
    file. A timeout of the socket alone starts anew with each byte.
    """

    def end() -> None:
        sock = wire()
        if sock is not None:
            with suppress(OSError):
                socket.socket.shutdown(
                    sock, socket.SHUT_RDWR
                )  # the plain one, under TLS too: it waits for nobody

    timer = Timer(after_s, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
