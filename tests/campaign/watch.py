"""Watches from outside what is committed, to tell when data flows again after a fault."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from deploy.clients import connect_database
from deploy.settings import Settings
from metering.errors import DependencyAwayError

_EVERY_S = 0.2
_COUNTS = (
    "select gateway, sum(received)::bigint from api.ingest_ledger where gateway = any(%s) group by gateway"
)


class Watch:
    """Values received of each gateway, as committed, over time. Asks the database directly, not through a link."""

    def __init__(self, settings: Settings, gateways: Sequence[str]) -> None:
        self._settings, self._gateways = settings, list(gateways)
        self._seen: list[tuple[float, dict[str, int]]] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch")
        self._thread.start()

    def _run(self) -> None:
        connection: psycopg.Connection[Any] | None = None
        while not self._stop.wait(_EVERY_S):
            try:
                connection = connection or connect_database(self._settings, "owner", autocommit=True)
                connection.execute("set statement_timeout = '5s'")
                rows = connection.execute(_COUNTS, [self._gateways]).fetchall()
            except (psycopg.OperationalError, DependencyAwayError):
                if connection is not None:
                    connection.close()
                connection = None
            else:
                self._seen.append((time.monotonic(), {gateway: int(n) for gateway, n in rows}))
        if connection is not None:
            connection.close()

    def flowing(self) -> bool:
        """Whether something of every gateway was committed."""
        return bool(self._seen) and len(self._seen[-1][1]) == len(self._gateways)

    def recovery_s(self, over: float, every: bool = False) -> float | None:
        """Seconds from `over` to the first newly committed row, or until there was one of `every` gateway; None: not
        yet.
        """
        seen = [(at, counts) for at, counts in list(self._seen) if at >= over]
        for at, counts in seen[1:]:
            new = [counts.get(g, 0) > seen[0][1].get(g, 0) for g in self._gateways]
            if all(new) if every else any(new):
                return at - over
        return None

    def close(self) -> None:
        """Stop watching."""
        self._stop.set()
        self._thread.join()
