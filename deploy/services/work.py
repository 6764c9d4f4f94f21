"""`nengliu work`: a worker. Derives what changed, assesses what is due, relays the events that came of it.

It polls: asking whether anything changed costs a fraction of a millisecond, while a NOTIFY in every transaction of
the writers would queue their commits one behind the other.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event
from typing import Any

import psycopg
import structlog
from prometheus_client import start_http_server

from alerts.event_clock import read_event_clock
from alerts.metrics import EVENTS_RELAYED
from alerts.notify.metrics import FORGOTTEN
from alerts.notify.store import forget_old
from alerts.parameter_file import read_parameters
from alerts.rolling import RollingAssessor, RollingOptions
from deploy.clients import connect_database, kafka_server
from deploy.logging import configure_logging
from deploy.notifying import read_notify_settings
from deploy.services.notifier import Notifier
from deploy.settings import Clock, Settings
from metering.errors import DependencyAwayError
from metering.findings import SilenceRule
from storage.clocks import watch_clocks
from storage.derivation import Deriver
from storage.derive_metrics import AWAY
from storage.event_outbox import OutboxEvent, relay_events
from storage.findings import FindingOptions, watch_findings
from storage.levels import watch_levels
from storage.outboxes import watch_outboxes
from storage.retention import apply_retention, kept
from stream.backoff import Backoff
from stream.errors import ProducerFailedError
from stream.producer import Producer
from stream.server import KafkaServer
from stream.topics import ALERT_EVENTS

log = structlog.get_logger(__name__)

#: What a server that is away, or was restarted under us, looks like.
_AWAY = (psycopg.OperationalError, psycopg.InterfaceError, DependencyAwayError, ProducerFailedError)


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Pauses of the loop, in seconds.

    poll_s: between looks where nothing waits. assess_s, relay_s, watch_s, findings_s, retention_s: least time between
    two assessments, two looks for events, two counts of the backlog, two looks for what is silent, missing or wrong,
    and two for readings and notifications that are old enough to go. assess_behind_s: least time between two
    assessments, and ten times what the last took, while changes have waited to be derived for longer than behind_s:
    what is not derived yet is not worth assessing.
    """

    poll_s: float = 0.2
    assess_s: float = 1.0
    behind_s: float = 60.0
    assess_behind_s: float = 120.0
    relay_s: float = 1.0
    watch_s: float = 5.0
    findings_s: float = 60.0
    retention_s: float = 3600.0


class Worker:
    """The loop: derive until nothing is left, then assess and relay; wait for servers that are away."""

    def __init__(
        self,
        deriver: Deriver,
        assess: Callable[[], object],
        relay: Callable[[], int],
        stop: Event,
        options: WorkerOptions | None = None,
        find: Callable[[], object] = lambda: None,
        retain: Callable[[], object] = lambda: None,
    ) -> None:
        self._deriver = deriver
        self._find = find
        self._retain = retain
        self._assess = assess
        self._relay = relay
        self._stop = stop
        self._options = options or WorkerOptions()
        self._due: dict[str, float] = {}
        self._behind = False
        self._assess_behind = time.monotonic() + self._options.assess_behind_s

    def run(self) -> None:
        """Work until `stop` is set."""
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                busy = self._turn()
            except _AWAY as e:
                AWAY.set(1)
                log.warning("worker_waits", error=str(e).strip(), failures=backoff.failures + 1)
                self._deriver.close()
                backoff.wait(self._stop)
                continue
            if backoff.failures:
                log.info("worker_resumes", failures=backoff.failures)
            backoff.reset()
            AWAY.set(0)
            if not busy:
                self._stop.wait(self._options.poll_s)

    def _turn(self) -> bool:
        """One batch of derivation, and whatever else is due; whether more may wait."""
        done = self._deriver.run_once()
        if done.sites:
            log.info(
                "derived",
                sites=done.sites,
                changes=done.changes,
                readings=done.readings,
                hours=done.hours,
                seconds=round(done.seconds, 3),
            )
        if self._is_due("watch", self._options.watch_s):
            self._deriver.mark_due_removals()
            self._behind = self._deriver.backlog().oldest_s > self._options.behind_s
        if self._is_due("findings", self._options.findings_s):
            self._find()
        if not done.sites and self._is_due("retention", self._options.retention_s):
            self._retain()
        self._assess_if_due()
        if self._is_due("relay", self._options.relay_s):
            while self._relay() and not self._stop.is_set():
                pass
        return done.sites > 0

    def _assess_if_due(self) -> None:
        now = time.monotonic()
        if now < (self._assess_behind if self._behind else self._due.get("assess", float("-inf"))):
            return
        self._assess()
        done = time.monotonic()
        self._due["assess"] = now + self._options.assess_s
        self._assess_behind = done + max(self._options.assess_behind_s, 10 * (done - now))

    def _is_due(self, what: str, every_s: float) -> bool:
        now = time.monotonic()
        if now < self._due.get(what, float("-inf")):
            return False
        self._due[what] = now + every_s
        return True


class KafkaEvents:
    """Publishes events of the outbox; makes its producer when there is something to publish."""

    def __init__(self, server: Callable[[], KafkaServer], topic_prefix: str, timeout_s: float = 30.0) -> None:
        self._server = server
        self._prefix = topic_prefix
        self._timeout_s = timeout_s
        self._producer: Producer | None = None

    def publish(self, events: Sequence[OutboxEvent]) -> None:
        """Return when Kafka has all of them; DependencyAwayError or ProducerFailedError where it has not."""
        if self._producer is None:
            topic = self._prefix + ALERT_EVENTS
            self._producer = Producer(self._server(), "nengliu-worker", (topic,))
        refused: list[BaseException] = []

        def done(error: BaseException | None) -> None:
            if error is not None:
                refused.append(error)

        try:
            for event in events:
                self._producer.send(
                    self._prefix + event.topic,
                    event.key,
                    encode_event(event),
                    done,
                )
            if not self._producer.flush(self._timeout_s) or refused:
                raise ProducerFailedError(f"Kafka did not take {len(events)} events: {refused[:1]}")
        except ProducerFailedError:
            self.close()
            raise
        EVENTS_RELAYED.inc(len(events))

    def close(self) -> None:
        """Give the producer up."""
        if self._producer is not None:
            self._producer.close(0)
            self._producer = None


def encode_event(event: OutboxEvent) -> bytes:
    """The record's value: the event as JSON, with the event_id that a consumer knows a repeat by."""
    return json.dumps({"event_id": event.event_id, **event.value}, ensure_ascii=False).encode()


def clock_of(settings: Settings) -> Callable[[psycopg.Connection[Any]], datetime | None]:
    """The clock in use; event time from now on, None where it has not begun."""
    started = datetime.now(UTC)

    def now(connection: psycopg.Connection[Any]) -> datetime | None:
        if settings.clock is Clock.EVENT:
            return read_event_clock(connection, settings.event_patience, started)[0].mark.at
        row = connection.execute("select clock_timestamp()").fetchone()
        return None if row is None else row[0]

    return now


def findings_watcher(
    settings: Settings, connect: Callable[[], psycopg.Connection[Any]]
) -> Callable[[], bool]:
    """What looks for silence and gaps, by the clock in use; then for gateways that were replaced, clocks that are wrong
    and changes of level, which know no clock.
    """
    rule = SilenceRule(settings.silence_intervals, settings.silence_meter, settings.silence_gateway)
    options = FindingOptions(rule, settings.gap_patience, settings.clock is Clock.EVENT)
    now = clock_of(settings)

    def find() -> bool:
        with connect() as connection:
            done = watch_findings(connection, now, options)
            watch_levels(connection)
            return all([done, watch_outboxes(connection), watch_clocks(connection)])

    return find


def retention_keeper(
    settings: Settings, connect: Callable[[], psycopg.Connection[Any]]
) -> Callable[[], None]:
    """What drops readings that are old enough, by the clock in use; where they are kept for ever it only tells."""
    years, now = settings.readings_keep_years, clock_of(settings)

    def retain() -> None:
        with connect() as connection:
            connection.autocommit = True
            moment = None if years is None else now(connection)
            if years is None or moment is None:
                kept(connection)
            else:
                apply_retention(connection, years, moment)

    return retain


def notification_keeper(
    settings: Settings, connect: Callable[[], psycopg.Connection[Any]]
) -> Callable[[], None]:
    """What deletes notifications of long ago, by the wall clock; where they are kept for ever it does nothing."""
    years = settings.notifications_keep_years

    def retain() -> None:
        if years is not None:
            with connect() as connection:
                connection.autocommit = True
                FORGOTTEN.inc(forget_old(connection, years, settings.link_days))

    return retain


def main(settings: Settings) -> None:
    """Run a worker until SIGTERM or SIGINT; the database and Kafka may be away, they are waited for."""
    configure_logging(settings)
    stop = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if settings.worker_metrics_port:
        start_http_server(settings.worker_metrics_port, addr=settings.host)

    notify = read_notify_settings(settings)

    def connect() -> psycopg.Connection[Any]:
        return connect_database(settings, "worker")

    notifier = Notifier(settings, notify, connect, stop)
    deriver = Deriver(connect)
    by_event = settings.clock is Clock.EVENT
    options = RollingOptions(
        by_event, settings.event_patience, parameters=read_parameters(settings.alert_parameters)
    )
    assessor = RollingAssessor(connect, options)
    keepers = retention_keeper(settings, connect), notification_keeper(settings, connect)
    events = KafkaEvents(lambda: kafka_server(settings, "worker"), settings.kafka_topic_prefix)
    log.info("worker_started", clock=settings.clock.value)
    notifier.start()
    try:
        Worker(
            deriver,
            assessor.run_once,
            lambda: relay_events(connect, events.publish),
            stop,
            WorkerOptions(findings_s=settings.findings_every),
            findings_watcher(settings, connect),
            lambda: [keep() for keep in keepers],
        ).run()
    finally:
        stop.set()
        notifier.join()
        deriver.close()
        events.close()
    log.info("worker_stopped")
