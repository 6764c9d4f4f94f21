"""Connections that are kept between deliveries: making one costs more than what is asked over it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock
from typing import Any

import psycopg

Connect = Callable[[], psycopg.Connection[Any]]


class Connections:
    """Idle connections, in autocommit; for several threads at once."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._idle: list[psycopg.Connection[Any]] = []
        self._lock = Lock()

    @contextmanager
    def borrowed(self) -> Iterator[psycopg.Connection[Any]]:
        """A connection for the time being. One over which something went wrong is closed and not lent again."""
        conn = self._kept() or self._made()
        try:
            yield conn
        except BaseException:
            conn.close()
            raise
        with self._lock:
            self._idle.append(conn)

    def _kept(self) -> psycopg.Connection[Any] | None:
        """One that is idle and still works: a server that was restarted meanwhile costs no delivery."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                conn = self._idle.pop()
            try:
                conn.execute("select 1")
            except psycopg.Error:
                conn.close()
            else:
                return conn

    def _made(self) -> psycopg.Connection[Any]:
        conn = self._connect()
        conn.autocommit = True
        return conn

    def close(self) -> None:
        """Close those that nobody has."""
        with self._lock:
            idle, self._idle = self._idle, []
        for conn in idle:
            conn.close()
