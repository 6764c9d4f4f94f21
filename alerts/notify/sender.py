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
    renew,
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
    lease_s: after so long another sender takes over what one that is gone had in hand; who lives renews its leases
    every renew_s, for hold_s at most, which must be longer than a delivery may take.
    rest_s, longest_rest_s: how long a route rests after its other side was away. watch_s: between two counts.
    """

    threads: int = 8
    per_route: int = 2
    batch: int = 8
    lease_s: float = 30.0
    renew_s: float = 5.0
    hold_s: float = 300.0
    poll_s: float = 1.0
    rest_s: float = 0.5
    longest_rest_s: float = 60.0
    watch_s: float = 10.0


@dataclass(slots=True)
class _Rest:
    """How a route fared lately: failures on end, and until when (monotonic) it rests."""

    failures: int = 0
    until: float = 0.0


@dataclass(frozen=True, slots=True)
class _InHand:
    """Rows of a route that a thread delivers, since when (monotonic)."""

    route: str
    rows: tuple[Leased, ...]
    begun: float


@dataclass(slots=True)
class _Work:
    """What is in hand."""

    running: dict[Future[None], _InHand] = field(default_factory=dict)

    def routes(self) -> Counter[str]:
        """How many threads each route has."""
        return Counter(those.route for those in self.running.values())

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
        self._renew_at = 0.0

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
            self._renew(conn)
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
        taken = self._work.routes()
        for route, those in by_route.items():
            for begin in range(0, len(those), self._options.batch):
                batch = those[begin : begin + self._options.batch]
                if self._is_full(route, taken) or taken.total() >= self._options.threads:
                    leftover += batch
                    continue
                taken[route] += 1
                in_hand = _InHand(route, tuple(batch), time.monotonic())
                self._work.running[pool.submit(self._deliver, in_hand)] = in_hand
        return leftover

    def _busy_routes(self) -> list[str]:
        now, taken, rests = time.monotonic(), self._work.routes(), dict(self._rests)
        full = [route for route in {*taken, *rests} if self._is_full(route, taken)]
        return full + [route for route, rest in rests.items() if rest.until > now]

    def _is_full(self, route: str, taken: Counter[str]) -> bool:
        """Whether a route may have no further thread. One whose other side was away has one, and all such together half
        of them: however many dawdle, the others are served.
        """
        if route not in self._rests:
            return taken[route] >= self._options.per_route
        troubled = sum(n for other, n in taken.items() if other in self._rests)
        return taken[route] > 0 or troubled >= max(1, self._options.threads // 2)

    def _renew(self, conn: psycopg.Connection[Any]) -> None:
        """Keep what is in hand from being taken for that of a sender that is gone."""
        now = time.monotonic()
        if now < self._renew_at:
            return
        self._renew_at = now + self._options.renew_s
        rows = [
            r
            for those in self._work.running.values()
            if now - those.begun < self._options.hold_s
            for r in those.rows
        ]
        renew(conn, rows, timedelta(seconds=self._options.lease_s), self._clock)

    def _deliver(self, in_hand: _InHand) -> None:
        """Deliver rows of one route one after the other; what is not tried in time is given back."""
        route, rows, begun = in_hand.route, in_hand.rows, in_hand.begun
        with self._connections.borrowed() as conn, self._session(rows[0].channel) as session:
            for n, row in enumerate(rows):
                if self._stop.is_set() or time.monotonic() - begun > self._options.hold_s / 3:
                    release(conn, rows[n:])
                    return
                error = _attempt(session, conn, row)
                if error is None:
                    took_s = mark_sent(conn, row)
                    self._rests.pop(route, None)
                    metrics.SENT.labels(row.channel).inc()
                    if took_s is not None:
                        metrics.SECONDS.labels(row.channel).observe(took_s)
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
