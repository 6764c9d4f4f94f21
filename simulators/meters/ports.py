"""Where a master finds a simulated line: a TCP port, as a serial device server or a Modbus TCP meter has, or a
pseudo-terminal, as a serial adapter has.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import tty
from contextlib import suppress
from pathlib import Path

from metering.errors import SettingError
from simulators.meters.lines import HalfDuplexLine, Listener

_CHUNK = 4096


class TcpPort:
    """Serves a line on a TCP port; port 0: any free one. Several masters may be connected, each hears the answers
    to its own requests. Raises SettingError where the port cannot be had.
    """

    def __init__(self, line: HalfDuplexLine, host: str = "127.0.0.1", port: int = 0) -> None:
        self.line = line
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._listener = socket.create_server((host, port), family=family)
        except (OSError, OverflowError) as e:
            raise SettingError(f"--listen {host}:{port} cannot be had: {e}; port 0 takes any free one") from e
        self._connections: dict[int, socket.socket] = {}
        self._threads: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, name="bus", daemon=True)

    @property
    def port(self) -> int:
        """Where it listens."""
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Serve until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End, and cut the connections."""
        self.line.stop()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        self.cut()
        for thread in self._threads:
            thread.join()

    def cut(self) -> None:
        """Break the connections that there are, as a power cut of the device server does."""
        for connection in list(self._connections.values()):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self.line.stopped:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections[id(connection)] = connection
            thread = threading.Thread(target=self._serve, args=(connection,), name="master", daemon=True)
            self._threads = [t for t in self._threads if t.is_alive()] + [thread]
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        listener = Listener(self.line)
        with connection, suppress(ConnectionError):
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while not self.line.stopped and (data := connection.recv(_CHUNK)):
                listener.hear(data, connection.sendall)
        self._connections.pop(id(connection), None)


class PseudoTerminal:
    """Serves a line on a pseudo-terminal, `device`; link: a symbolic link to it, there until `stop`. Raises
    SettingError where the link cannot be made.
    """

    def __init__(self, line: HalfDuplexLine, link: Path | None = None) -> None:
        self.line, self.link = line, link
        # The other end stays open here, so that masters may come and go.
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        self.device = os.ttyname(self._slave)
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._serve, name="bus", daemon=True)
        if link is not None:
            self._make(link)

    def _make(self, link: Path) -> None:
        try:
            if link.is_symlink():
                link.unlink()
            link.symlink_to(self.device)
        except OSError as e:
            raise SettingError(f"--pty {link} cannot be made: {e.strerror}; name a path that is free") from e

    def start(self) -> None:
        """Serve until `stop`."""
        self._thread.start()

    def stop(self) -> None:
        """End, and remove the link."""
        self.line.stop()
        os.write(self._waker, b"x")
        self._thread.join()
        if self.link is not None and self.link.is_symlink() and os.readlink(self.link) == self.device:
            self.link.unlink()
        for descriptor in (self._master, self._slave, self._wake, self._waker):
            os.close(descriptor)

    def _serve(self) -> None:
        listener = Listener(self.line)
        while True:
            ready, _, _ = select.select([self._master, self._wake], [], [])
            if self._wake in ready:
                return
            listener.hear(os.read(self._master, _CHUNK), self._send)

    def _send(self, answer: bytes) -> None:
        """Nobody may be reading: what does not fit is lost, as on a line."""
        _, free, _ = select.select([], [self._master], [], 0)
        if free:
            os.write(self._master, answer)
