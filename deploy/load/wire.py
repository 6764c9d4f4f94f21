"""Sockets that do not block, plain or in TLS, of MQTT clients of our own."""

from __future__ import annotations

import socket
import ssl

_CHUNK = 64 * 1024


def send(wire: socket.socket, data: bytes | bytearray) -> int:
    """Send the beginning of `data`; how many bytes of it went, 0 where the socket takes none now. Raises OSError."""
    try:
        return wire.send(data[:_CHUNK])
    except (BlockingIOError, ssl.SSLWantWriteError):
        return 0


def receive(wire: socket.socket) -> bytes:
    """What is there, empty where nothing is. Raises OSError, also where the other side has ended the connection."""
    try:
        data = wire.recv(_CHUNK)
    except (BlockingIOError, ssl.SSLWantReadError):
        return b""
    if not data:
        raise ConnectionResetError("the broker ended the connection")
    if isinstance(wire, ssl.SSLSocket):
        while waiting := wire.pending():  # decrypted: the socket does not tell of it
            data += wire.recv(waiting)
    return data
