"""The bridge: MQTT into Kafka, and durable acknowledgements back.

One thread owns the connection to the broker and everything that is in flight. Kafka's producer reports from
its own thread through a queue and a wake-up; acknowledgements come from a third thread through the AckDesk.
A PUBLISH is acknowledged to the broker in order and only after Kafka has its record. If Kafka stays away,
nothing is acknowledged and the broker stops sending at its receive-maximum, or the bridge stops reading at
its bound of bytes: memory stays bounded either way. If Kafka refuses a record for good, the producer is
made anew and the connection dropped, so that the broker sends again everything that was not acknowledged.
"""

from __future__ import annotations

import select
import ssl
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Event, Thread

import structlog

from collectors import metrics
from collectors.acks import AckDesk, ack_payload, is_topic_level
from collectors.inflight import Entry, Fate, InFlight
from collectors.intake import Intake, Outgoing
from collectors.mqtt_link import LinkOptions, MqttLink
from collectors.routes import Routes, ack_topic
from collectors.throttle import Limits
from collectors.tls_errors import explained
from collectors.wakeup import WakeUp
from metering.errors import DependencyAwayError, SettingError
from metering.records import RejectRecord
from stream.backoff import Backoff
from stream.codec import decode_ack, encode_reject
from stream.errors import CodecError, ProducerFailedError, RecordTooLargeError
from stream.producer import Producer
from stream.reader import read_topic
from stream.server import KafkaServer
from stream.topics import ACKS, READINGS, REJECTS, STATUS, settled_group_members

log = structlog.get_logger(__name__)

#: How long, and until how many, messages gather while Kafka is busy.
_HOLD_S = 0.01
_HOLD_MESSAGES = 500

#: How long a bridge that leaves takes what the broker still has for it.
_DRAIN_S = 15.0
#: How long a bridge that leaves waits to learn who goes on: longer than a killed one's session in the group.
_SETTLE_S = 13.0


@dataclass(frozen=True, slots=True)
class BridgeOptions:
    """How a bridge runs. `client_id` is stable over restarts: the broker keeps its session by it."""

    host: str
    port: int
    username: str | None
    password: str | None
    client_id: str
    kafka: KafkaServer
    topic_prefix: str = ""
    share_group: str = "nengliu"
    receive_maximum: int = 2000
    max_in_flight_bytes: int = 64 * 1024 * 1024
    max_ack_messages: int = 200
    session_expiry_s: int = 86_400
    limits: Limits | None = None
    tls: ssl.SSLContext | None = None


class Bridge:
    """Runs until stopped. Raises what nobody foresaw; a supervisor starts it again and nothing is lost."""

    _gauges = metrics.SHARED

    def __init__(self, options: BridgeOptions, routes: Routes, stop: Event) -> None:
        self._options = options
        self._stop = stop
        self._inflight = InFlight()
        self._intake = self._make_intake(routes)
        self._link = MqttLink(
            LinkOptions(
                host=options.host,
                port=options.port,
                username=options.username,
                password=options.password,
                client_id=options.client_id,
                subscriptions=self._subscriptions(routes),
                receive_maximum=options.receive_maximum,
                session_expiry_s=options.session_expiry_s,
                tls=options.tls,
            ),
            self._intake.take,
        )
        self._desk = AckDesk()
        self._ack_group = f"{options.topic_prefix}nengliu-bridge-{options.share_group}"
        self._reader = Thread(target=self._run_beside, name="beside", daemon=True)
        self._settled: deque[tuple[Producer, list[Entry], BaseException | None]] = deque()
        self._poison: deque[RejectRecord] = deque()
        self._wake_up = WakeUp()
        self._producer: Producer | None = None
        self._beside_failure: BaseException | None = None
        self._outstanding = 0
        self._sent_at = 0.0

    def _make_intake(self, routes: Routes) -> Intake:
        o = self._options
        return Intake(routes, self._inflight, o.topic_prefix, o.limits, o.client_id)

    def _subscriptions(self, routes: Routes) -> tuple[str, ...]:
        shared = [f"$share/{self._options.share_group}/{f}" for f in routes.reading_filters]
        return (*shared, routes.status_filter)

    # ------------------------------------------------------------ life

    def run(self) -> None:
        """Bridge until `stop` is set, then finish what is in flight for a few seconds and leave."""
        self._reader.start()
        try:
            self._run_sessions()
        finally:
            self._stop.set()
            self._desk.close()
            if self._producer is not None:
                self._producer.close()
            self._reader.join(timeout=10)
            self._wake_up.close()

    def _run_sessions(self) -> None:
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                if not self._await_turn():
                    return
                self._ensure_producer()
                self._link.connect()
                metrics.CONNECTS.inc()
                self._inflight.connected()
                self._session(backoff)
                if not self._stop.is_set():
                    log.warning("mqtt_lost", reason=self._link.lost, failures=backoff.failures)
            except OSError as e:
                said = explained(e, "NENGLIU_MQTT")
                log.warning("mqtt_away", host=self._options.host, port=self._options.port, error=said)
            except ProducerFailedError as e:
                log.error(
                    "producer_failed", error=str(e), action="making a new producer; the broker sends again"
                )
                self._drop_producer()
            except DependencyAwayError as e:
                log.warning("kafka_away", error=str(e), failures=backoff.failures)
            finally:
                self._gauges.connected.set(0)
                self._link.drop("session over")
            backoff.wait(self._stop)

    def _await_turn(self) -> bool:
        """Wait until this bridge may connect; False: a stop came first."""
        return not self._stop.is_set()

    def _is_ours(self) -> bool:
        """Whether this bridge may stay connected."""
        return True

    def _ensure_producer(self) -> None:
        if self._producer is not None:
            return
        topics = tuple(self._options.topic_prefix + t for t in (READINGS, REJECTS, STATUS))
        self._gauges.kafka_away.set(1)
        self._producer = Producer(self._options.kafka, self._options.client_id, topics)
        self._gauges.kafka_away.set(0)

    def _drop_producer(self) -> None:
        """End a producer that failed; what it had not delivered counts as failed."""
        if self._producer is not None:
            self._producer.close(timeout_s=0)
            self._producer = None
            self._outstanding = 0
        self._settle()
        self._intake.discard()
        self._inflight.fail_pending()

    # ------------------------------------------------------------ one connection

    def _session(self, backoff: Backoff) -> None:
        """Serve one connection until it is lost or a stop is asked for."""
        started = next_misc = time.monotonic()
        welcomed = False
        while self._link.lost is None and not self._stop.is_set() and self._is_ours():
            self._round()
            now = time.monotonic()
            if now >= next_misc:
                self._link.misc(reading=not self._full)
                self._check_threads()
                next_misc = now + 1.0
            if self._link.ready:
                if not welcomed:
                    self._welcome(backoff)
                    welcomed = True
            elif now - started > 10:
                self._link.drop("no answer to CONNECT within 10 s")
        if self._stop.is_set() and self._link.lost is None:
            self._finish()

    def _welcome(self, backoff: Backoff) -> None:
        backoff.reset()
        self._gauges.connected.set(1)
        log.info("mqtt_connected", host=self._options.host, session_kept=self._link.session_present)

    def _round(self) -> None:
        """Wait for something to happen, and deal with it: receive, hand to Kafka, acknowledge."""
        if self._wait(_HOLD_S if self._intake.waiting else 0.5):
            self._link.read()
        if self._poison or (self._intake.waiting and self._time_to_send()):
            self._forward()
        self._settle()
        self._link.acknowledge(self._inflight.to_acknowledge())
        self._publish_down()
        if self._link.denied:
            raise SettingError(
                f"the broker does not grant the bridge its subscriptions ({'; '.join(self._link.denied)}): "
                "give its user the right to subscribe"
            )

    def _time_to_send(self) -> bool:
        """While Kafka is busy with what it was given, messages gather for a moment: fewer, larger records.

        An idle Kafka gets a message at once, so a quiet bridge adds no delay.
        """
        now = time.monotonic()
        if self._outstanding and now - self._sent_at < _HOLD_S and self._intake.waiting < _HOLD_MESSAGES:
            return False
        self._sent_at = now
        return True

    @property
    def _full(self) -> bool:
        """Whether nothing more is to be read until Kafka has taken what is there."""
        return self._inflight.pending_bytes >= self._options.max_in_flight_bytes

    def _wait(self, timeout_s: float) -> bool:
        """Sleep until the broker or another thread has something; whether the broker's socket may be read."""
        full = self._full
        self._gauges.paused.set(full)
        decrypted = not full and self._link.has_decrypted
        poll = select.poll()
        poll.register(self._wake_up, select.POLLIN)
        fd = self._link.fileno()
        if fd is not None:
            events = (0 if full else select.POLLIN) | (select.POLLOUT if self._link.wants_write else 0)
            poll.register(fd, events)
        readable = decrypted
        for ready, event in poll.poll(0 if decrypted else timeout_s * 1000):
            if ready != fd:
                self._wake_up.hear()
                continue
            if event & select.POLLOUT:
                self._link.write()
            readable |= bool(event & (select.POLLIN | select.POLLHUP | select.POLLERR))
        return readable

    def _finish(self) -> None:
        """Before leaving: let Kafka take what it was given, acknowledge that, say good-bye.

        Where other bridges go on, this one's session ends, or the broker would keep giving it its share of what is
        published. The last one's session stays, so that nothing is lost until a bridge is back.
        """
        self._flush()
        drained = self._others_go_on() and self._drain()
        if self._link.lost is None:
            self._link.disconnect(end_session=drained)
        log.info("mqtt_left", session="ended" if drained else "kept")

    def _flush(self) -> None:
        """Hand everything received to Kafka and acknowledge what it takes within a few seconds."""
        self._forward()
        deadline = time.monotonic() + 5
        while self._inflight.pending and time.monotonic() < deadline:
            self._wait_for_kafka(0.2)
        self._settle()
        self._link.acknowledge(self._inflight.to_acknowledge())

    def _others_go_on(self) -> bool:
        """Whether other bridges read acknowledgements, as every bridge does until it stops.

        Each leaves the group before it looks, so of several that stop at once the last finds nobody and keeps its
        session; one that was killed a moment ago does not count. False where Kafka does not say.
        """
        self._desk.close()
        self._reader.join(timeout=5)
        if self._reader.is_alive():
            return False
        try:
            return bool(settled_group_members(self._options.kafka, self._ack_group, _SETTLE_S))
        except DependencyAwayError as e:
            log.warning("kafka_away", error=str(e), action="the broker keeps our session")
            return False

    def _drain(self) -> bool:
        """Unsubscribe, and take what the broker had for us; whether nothing is left.

        It answers an UNSUBSCRIBE after what it sent before, so an answer without a PUBLISH since the request, while
        none waits for its PUBACK, says that nothing is left.
        """
        deadline = time.monotonic() + _DRAIN_S
        while self._link.lost is None and time.monotonic() < deadline:
            taken, answered = self._intake.taken, self._link.unsubscribed
            idle = not self._inflight.unanswered
            self._link.unsubscribe()
            while self._link.unsubscribed == answered and self._link.lost is None:
                if time.monotonic() > deadline:
                    return False
                self._round()
            self._flush()
            if idle and self._intake.taken == taken and not self._inflight.unanswered:
                return self._link.lost is None
        return False

    def _wait_for_kafka(self, timeout_s: float) -> None:
        select.select([self._wake_up], [], [], timeout_s)
        self._wake_up.hear()
        self._settle()
        self._link.acknowledge(self._inflight.to_acknowledge())

    # ------------------------------------------------------------ into Kafka

    def _forward(self) -> None:
        """Send what was just received; raises ProducerFailedError."""
        while self._poison:
            record = self._poison.popleft()
            rejects = self._options.topic_prefix + REJECTS
            self._send(Outgoing(rejects, record.gateway, encode_reject(record), []))
        for out in self._intake.outgoing():
            self._send(out)
        self._gauges.in_flight.set(self._inflight.pending)
        self._gauges.in_flight_bytes.set(self._inflight.pending_bytes)

    def _send(self, out: Outgoing) -> None:
        producer = self._producer
        if producer is None:
            raise ProducerFailedError("there is no producer")
        try:
            producer.send(out.topic, out.key, out.value, self._reporter(producer, out.entries))
            self._outstanding += 1
        except RecordTooLargeError:
            for small in self._intake.too_large(out):
                producer.send(small.topic, small.key, small.value, self._reporter(producer, small.entries))
                self._outstanding += 1

    def _reporter(self, producer: Producer, entries: list[Entry]) -> Callable[[BaseException | None], None]:
        def report(error: BaseException | None) -> None:
            self._settled.append((producer, entries, error))
            self._wake_up.call()

        return report

    def _settle(self) -> None:
        """Take Kafka's answers; raises ProducerFailedError if one is a refusal."""
        refused: BaseException | None = None
        while self._settled:
            producer, entries, error = self._settled.popleft()
            self._outstanding -= producer is self._producer
            self._inflight.settled(entries, Fate.STORED if error is None else Fate.FAILED)
            if producer is self._producer:
                refused = refused or error
            if error is None:
                metrics.LAST_SUCCESS.set_to_current_time()
        self._gauges.in_flight.set(self._inflight.pending)
        self._gauges.in_flight_bytes.set(self._inflight.pending_bytes)
        if refused is not None:
            raise ProducerFailedError(f"Kafka refused a record: {refused}")

    # ------------------------------------------------------------ acknowledgements to gateways

    def _run_beside(self) -> None:
        """Thread: `_listen`, and what ends it."""
        try:
            self._listen()
        except BaseException as e:
            self._beside_failure = e  # raised again by the main thread, which ends the service
            self._wake_up.call()
            raise

    def _listen(self) -> None:
        """From meter.acks to the desk, until the stop."""
        o = self._options
        read_topic(
            o.kafka,
            o.topic_prefix + ACKS,
            self._ack_group,
            f"{o.client_id}-acks",
            self._take_ack,
            self._poison.append,
            self._stop,
        )

    def _take_ack(self, value: bytes) -> None:
        ack = decode_ack(value)
        if not is_topic_level(ack.gateway):
            raise CodecError(f"no topic of a gateway can be made of {ack.gateway[:80]!r}")
        self._desk.put(ack)
        self._wake_up.call()

    def _publish_down(self) -> None:
        """What the gateways are told: acknowledgements."""
        if not len(self._desk) or not self._link.ready or self._link.lost:
            return
        room = self._options.max_ack_messages - self._link.unconfirmed
        for gateway, outbox, stored, rejected in self._desk.take(max(0, room)):
            self._link.publish(ack_topic(gateway), ack_payload(outbox, stored, rejected, datetime.now(UTC)))
            metrics.ACK_MESSAGES.inc()
        metrics.ACK_WAITING.set(len(self._desk))

    # ------------------------------------------------------------ threads

    def _check_threads(self) -> None:
        if self._beside_failure is not None:
            raise RuntimeError("the thread that listens to Kafka has ended") from self._beside_failure
        if self._producer is not None and not self._producer.alive:
            raise ProducerFailedError("the producer's thread has ended")
