"""Ends the sleep of a thread that waits on sockets, from any other thread."""

from __future__ import annotations

import socket
from contextlib import suppress


class WakeUp:
    """A descriptor that is readable from the first `call` until `hear`.

    Who calls has put down what there is to do before; who hears looks for that afterwards.
    """

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._called = False

    def fileno(self) -> int:
        """The descriptor to wait on."""
        return self._reader.fileno()

    def call(self) -> None:
        """Any thread: end the sleep, the present one or the next."""
        if not self._called:
            self._called = True
            with suppress(OSError):  # full: it rings anyway; closed: nobody sleeps any more
                self._writer.send(b"\0")

    def hear(self) -> None:
        """The sleeping thread: stop ringing, before looking for what there is to do."""
        with suppress(BlockingIOError):
            self._reader.recv(4096)
        # Only now: a call before the bytes were taken would have its own taken too, and silence all later ones.
        self._called = False

    def close(self) -> None:
        """Give the sockets back."""
        self._reader.close()
        self._writer.close()
