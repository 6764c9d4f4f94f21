"""Sends what the outbox holds: leases what is due, hands it to the channels in threads, writes down what came of it.

What is broken together is a route: all mail, or one webhook's target. A route takes few threads, and rests after its
other side was away; the others go on meanwhile.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from threading import Event
from typing import Any, Protocol

import psycopg
import structlog

from alerts.notify import metrics
from alerts.notify.connections import Connect, Connections
from alerts.notify.errors import DeliveryError
from alerts.notify.policy import Policy
from alerts.notify.store import (
    Clock,
    Leased,
    database_clock,
    lease_batch,
    make_digests,
    mark_failed,
    mark_sent,
    read_counts,
    release,
)
from metering.errors import DependencyAwayError

log = structlog.get_logger(__name__)

#: What a database that is away, or was restarted under us, looks like.
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, DependencyAwayError)
_LATE_S = 3600.0


class Session(Protocol):
    """Something that notifications of one route go through, one after the other."""

    def deliver(self, conn: psycopg.Connection[Any], row: Leased) -> None:
        """Return when the other side has it. Raises DeliveryError."""


#: Opens a session; a channel that cannot be used raises DeliveryError at the first delivery.
Channel = Callable[[], AbstractContextManager[Session]]


@dataclass(frozen=True, slots=True)
class SenderOptions:
    """threads: deliveries at a time, per_route of them to one route; batch: rows that a delivery takes at a time.
    lease_s: after so long another sender may take a row over; it must be longer than a delivery may take.
    rest_s, longest_rest_s: how long a route rests after its other side was away. watch_s: between two counts.
    """

    threads: int = 8
    per_route: int = 2
    batch: int = 8
    lease_s: float = 300.0
    poll_s: float = 1.0
    rest_s: float = 0.5
    longest_rest_s: float = 60.0
    watch_s: float = 10.0


@dataclass(slots=True)
class _Rest:
    """How a route fared lately: failures on end, and until when (monotonic) it rests."""

    failures: int = 0
    until: float = 0.0


@dataclass(slots=True)
class _Work:
    """What is in hand: futures and their routes."""

    running: dict[Future[None], str] = field(default_factory=dict)

    def reap(self) -> None:
        """Let go of what has ended; what it raised is raised here."""
        for future in [f for f in self.running if f.done()]:
            del self.running[future]
            future.result()


class Sender:
    """The loop; `run` in a thread of its own, in as many processes as you like."""

    def __init__(
        self,
        connect: Connect,
        channels: Mapping[str, Channel],
        policy: Policy,
        stop: Event,
        options: SenderOptions | None = None,
        clock: Clock = database_clock,
    ) -> None:
        """connect: opens a connection as the worker; channels: by the name that contacts use."""
        self._connections = Connections(connect)
        self._channels = channels
        self._policy = policy
        self._stop = stop
        self._options = options or SenderOptions()
        self._clock = clock
        self._rests: dict[str, _Rest] = {}
        self._work = _Work()
        self._watch_at = 0.0

    def run(self) -> None:
        """Send until `stop` is set; a database that is away is waited for."""
        failures = 0
        with closing(self._connections), ThreadPoolExecutor(self._options.threads, "notify") as pool:
            while not self._stop.is_set():
                try:
                    busy = self.turn(pool)
                except _AWAY as e:
                    failures += 1
                    log.warning("notifications_wait", error=str(e).strip(), failures=failures)
                    self._stop.wait(min(0.2 * 2**failures, 5.0))
                    continue
                failures = 0
                self._pause(busy)

    def run_until_idle(self) -> None:
        """Send until nothing is due and nothing is in hand."""
        with closing(self._connections), ThreadPoolExecutor(self._options.threads, "notify") as pool:
            while self.turn(pool) or self._work.running:
                wait_for(self._work.running, timeout=1.0, return_when="FIRST_COMPLETED")

    def turn(self, pool: ThreadPoolExecutor) -> bool:
        """Make digests, lease what is due and hand it out; whether anything was."""
        self._work.reap()
        with self._connections.borrowed() as conn:
            self._watch(conn)
            room = self._options.threads - len(self._work.running)
            if room <= 0:
                return False
            rows = lease_batch(
                conn,
                self._policy,
                lease=secrets.token_hex(8),
                lease_for=timedelta(seconds=self._options.lease_s),
                limit=room * self._options.batch,
                busy=self._busy_routes(),
                clock=self._clock,
            )
            leftover = self._hand_out(pool, rows)
            release(conn, leftover)
        return bool(rows) and len(leftover) < len(rows)

    def _hand_out(self, pool: ThreadPoolExecutor, rows: Sequence[Leased]) -> list[Leased]:
        """Give each route's rows to threads; those for which there is no room."""
        by_route: dict[str, list[Leased]] = {}
        for row in rows:
            by_route.setdefault(row.route, []).append(row)
        leftover: list[Leased] = []
        taken = Counter(self._work.running.values())
        for route, those in by_route.items():
            for begin in range(0, len(those), self._options.batch):
                batch = those[begin : begin + self._options.batch]
                if taken[route] >= self._options.per_route or taken.total() >= self._options.threads:
                    leftover += batch
                    continue
                taken[route] += 1
                self._work.running[pool.submit(self._deliver, route, batch)] = route
        return leftover

    def _busy_routes(self) -> list[str]:
        now, taken = time.monotonic(), Counter(self._work.running.values())
        full = [route for route, n in taken.items() if n >= self._options.per_route]
        return full + [route for route, rest in self._rests.items() if rest.until > now]

    def _deliver(self, route: str, rows: list[Leased]) -> None:
        """Deliver rows of one route one after the other; what is not tried in time is given back."""
        begun = time.monotonic()
        with self._connections.borrowed() as conn, self._session(rows[0].channel) as session:
            for n, row in enumerate(rows):
                if self._stop.is_set() or time.monotonic() - begun > self._options.lease_s / 3:
                    release(conn, rows[n:])
                    return
                error = _attempt(session, conn, row)
                if error is None:
                    mark_sent(conn, row)
                    self._rests.pop(route, None)
                    metrics.SENT.labels(row.channel).inc()
                    continue
                self._failed(conn, row, error)
                if error.route_is_down:
                    self._rest(route)
                    release(conn, rows[n + 1 :])
                    return

    @contextmanager
    def _session(self, channel: str) -> Iterator[Session]:
        opened = self._channels.get(channel)
        if opened is None:
            yield _Unknown(channel)
            return
        with opened() as session:
            yield session

    def _failed(self, conn: psycopg.Connection[Any], row: Leased, error: DeliveryError) -> None:
        last = mark_failed(conn, row, error, self._policy, self._clock)
        metrics.ATTEMPTS_FAILED.labels(row.channel).inc()
        if last:
            metrics.GIVEN_UP.labels(row.channel).inc()
        log.warning(
            "notification_given_up" if last else "notification_failed",
            notification=row.notification_id,
            channel=row.channel,
            attempts=row.attempts,
            error=str(error),
        )

    def _rest(self, route: str) -> None:
        """Let a route rest for longer and longer, as long as its other side is away."""
        rest = self._rests.setdefault(route, _Rest())
        pause = min(self._options.rest_s * 2.0 ** min(rest.failures, 20), self._options.longest_rest_s)
        rest.failures += 1
        rest.until = time.monotonic() + pause

    def _watch(self, conn: psycopg.Connection[Any]) -> None:
        if time.monotonic() < self._watch_at:
            return
        self._watch_at = time.monotonic() + self._options.watch_s
        made = make_digests(conn, self._policy, self._clock)
        metrics.DIGESTS.inc(made)
        counts = read_counts(conn)
        metrics.WAITING.set(counts.waiting)
        metrics.HELD.set(counts.held)
        metrics.FAILED.set(counts.failed)
        metrics.OLDEST.set(counts.oldest_s)
        metrics.LATE.set(counts.oldest_s > _LATE_S)

    def _pause(self, busy: bool) -> None:
        if self._work.running:
            wait_for(self._work.running, timeout=self._options.poll_s, return_when="FIRST_COMPLETED")
        elif not busy:
            self._stop.wait(self._options.poll_s)


@dataclass(frozen=True, slots=True)
class _Unknown:
    """A channel that there is none of: of a contact from before channels were checked."""

    channel: str

    def deliver(self, conn: psycopg.Connection[Any], row: Leased) -> None:  # noqa: ARG002
        raise DeliveryError(f"there is no channel {self.channel!r}", for_good=True)


def _attempt(session: Session, conn: psycopg.Connection[Any], row: Leased) -> DeliveryError | None:
    try:
        session.deliver(conn, row)
    except DeliveryError as e:
        return e
    except _AWAY:
        raise
    except Exception as e:
        # A bug that one notification brings out must not keep the others: it is an attempt that failed, visibly.
        log.exception("notification_bug", notification=row.notification_id)
        return DeliveryError(f"a fault of nengliu: {type(e).__name__}: {e}")
    return None
