"""A line that meters hang on: a serial device, or the TCP port of a serial device server or a Modbus TCP meter.

Half-duplex, one master: a request goes out, bytes come back until they hold the answer or its time is over. What
came before a request is thrown away, so that a late answer is not taken for that of the next request.
"""

from __future__ import annotations

import select
import socket
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

import serial

#: More bytes than any answer has: what babbles on is noise.
_MOST_BYTES = 4096

#: An answer that keeps coming may take this many time-outs in all.
_LONGEST_TIMEOUTS = 4

_CONNECT_TIMEOUT_S = 5.0

#: A connection on which this many requests in a row went unanswered may be half-open: it is made anew.
_SILENT_REQUESTS = 4


class LineAwayError(Exception):
    """The line cannot be opened: no device, no connection. The message names it."""


class LineLostError(Exception):
    """The line was lost in the middle of an exchange; the next one opens it anew. The message names it."""


class SilenceError(Exception):
    """No answer came in time. received: what came instead."""

    def __init__(self, received: bytes) -> None:
        self.received = received
        came = f"{len(received)} bytes that hold no answer to it" if received else "nothing"
        super().__init__(f"no answer in time: {came} came")


@dataclass(frozen=True, slots=True)
class TcpPlace:
    """A TCP server that stands for a bus."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class SerialPlace:
    """A serial device and how its line is set. parity: N, E or O."""

    device: str
    baud: int
    parity: str
    stop_bits: int

    def __str__(self) -> str:
        return f"serial {self.device} {self.baud} 8{self.parity}{self.stop_bits}"

    def byte_s(self) -> float:
        """What a byte takes on the line, in seconds: start bit, 8 bits, parity and stop bits."""
        return (9 + (self.parity != "N") + self.stop_bits) / self.baud


Place = TcpPlace | SerialPlace


class Port(Protocol):
    """An open line. Every method raises OSError where it is lost."""

    def write(self, data: bytes) -> None: ...

    def read(self, timeout_s: float) -> bytes:
        """What has come, at once; else what comes first within the time; else nothing."""

    def close(self) -> None: ...


class _TcpPort:
    def __init__(self, place: TcpPlace) -> None:
        self._socket = socket.create_connection((place.host, place.port), _CONNECT_TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def write(self, data: bytes) -> None:
        self._socket.settimeout(_CONNECT_TIMEOUT_S)
        self._socket.sendall(data)

    def read(self, timeout_s: float) -> bytes:
        self._socket.settimeout(max(timeout_s, 0.0))
        try:
            data = self._socket.recv(_MOST_BYTES)
        except (BlockingIOError, TimeoutError):
            return b""
        if not data:
            raise ConnectionResetError("the other side closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()


class _SerialPort:
    def __init__(self, place: SerialPlace) -> None:
        try:
            self._device = serial.Serial(
                place.device,
                place.baud,
                bytesize=8,
                parity=place.parity,
                stopbits=place.stop_bits,
                timeout=0,
                write_timeout=_CONNECT_TIMEOUT_S,
                exclusive=True,
            )
        except (termios.error, ValueError) as e:  # no OSErrors: a device that cannot do parity, speed
            raise OSError(f"{place.device} cannot be set to {place}: {e}") from e

    def write(self, data: bytes) -> None:
        self._device.write(data)

    def read(self, timeout_s: float) -> bytes:
        if not select.select([self._device.fileno()], [], [], max(timeout_s, 0.0))[0]:
            return b""
        data: bytes = self._device.read(_MOST_BYTES)
        return data

    def close(self) -> None:
        self._device.close()


def open_port(place: Place) -> Port:
    """Open a line. Raises OSError (which serial.SerialException is)."""
    return _TcpPort(place) if isinstance(place, TcpPlace) else _SerialPort(place)


class Line:
    """A line that is opened when it is needed. silence_s: how long it must have been silent before a request
    (Modbus RTU: 3.5 characters).
    """

    def __init__(self, place: Place, silence_s: float = 0.0) -> None:
        self.place = place
        self._silence_s = silence_s
        self._port: Port | None = None
        self._heard_at = 0.0
        self._unanswered = 0

    def exchange(self, request: bytes, find: Callable[[bytes], bytes | None], timeout_s: float) -> bytes:
        """Send a request and give the frame that `find` finds in what comes. Raises LineAwayError, LineLostError,
        SilenceError.

        The time-out runs from the request, and anew from every byte that comes, up to four times its length.
        """
        port = self._ready()
        try:
            port.write(request)
            frame = self._answer(port, find, timeout_s)
        except OSError as e:
            self.close()
            raise LineLostError(f"{self.place} was lost while an answer was awaited: {e}") from e
        self._unanswered = 0
        return frame

    def settle(self, quiet_s: float) -> None:
        """Throw away what comes until nothing has come for `quiet_s`."""
        if self._port is None:
            return
        end = time.monotonic() + _LONGEST_TIMEOUTS * quiet_s
        try:
            while time.monotonic() < end and self._port.read(quiet_s):
                pass
        except OSError:
            self.close()

    def close(self) -> None:
        """Close the line; the next exchange opens it again."""
        port, self._port, self._unanswered = self._port, None, 0
        if port is not None:
            with suppress(OSError):
                port.close()

    def _ready(self) -> Port:
        """The open line, with nothing left to read. One that was lost while it lay idle is opened anew.
        Raises LineAwayError.
        """
        if self._port is not None:
            try:
                self._drain(self._port)
            except OSError:
                self.close()
        port = self._port or self._open()
        wait_s = self._heard_at + self._silence_s - time.monotonic()
        if wait_s > 0:
            time.sleep(wait_s)
        return port

    def _open(self) -> Port:
        try:
            self._port = port = open_port(self.place)
            self._drain(port)
        except OSError as e:
            self.close()
            raise LineAwayError(f"{self.place} cannot be opened: {e}") from e
        return port

    def _drain(self, port: Port) -> None:
        end = time.monotonic() + _CONNECT_TIMEOUT_S
        while port.read(0.0) and time.monotonic() < end:
            self._heard_at = time.monotonic()

    def _answer(self, port: Port, find: Callable[[bytes], bytes | None], timeout_s: float) -> bytes:
        received = bytearray()
        now = time.monotonic()
        last = now + _LONGEST_TIMEOUTS * timeout_s
        until = now + timeout_s
        while now < until and len(received) < _MOST_BYTES:
            if data := port.read(until - now):
                received += data
                self._heard_at = time.monotonic()
                if (frame := find(bytes(received))) is not None:
                    return frame
                until = min(self._heard_at + timeout_s, last)
            now = time.monotonic()
        self._unanswered += 1
        if isinstance(self.place, TcpPlace) and self._unanswered >= _SILENT_REQUESTS:
            self.close()
        raise SilenceError(bytes(received))
