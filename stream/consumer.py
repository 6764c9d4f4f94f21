"""The writer's consumer loop: Kafka records into a sink that commits rows and offsets in one transaction.

Positions come from the sink, never from Kafka's own offset store: after an assignment every partition is
paused, its stored position is read and sought, and only then does it flow. A batch is bounded in records,
bytes and time. Between the poll and the commit a rebalance may take partitions away: then the batch is
dropped (nothing was committed) and every partition that is still ours starts again at its stored position.
A writer that finds that another one was further (OwnershipLostError) leaves the group and joins again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from threading import Event
from typing import Protocol, TypeVar

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, TopicPartition
from kafka.errors import KafkaError

from metering.errors import DependencyAwayError
from metering.records import Intake, IntakeResult, OwnershipLostError, Partition
from stream import metrics
from stream.acks import AckPublisher
from stream.backoff import Backoff
from stream.batch import Batch
from stream.errors import ProducerFailedError
from stream.group_consumer import group_consumer
from stream.producer import Producer
from stream.server import KafkaServer, kafka_away
from stream.topics import ACKS, MAX_RECORD_BYTES, READINGS, REJECTS, STATUS, topic_identity

log = structlog.get_logger(__name__)

T = TypeVar("T")

#: How old the topics' ids may be by which a topic that was made anew is recognised in the middle of work.
_METADATA_AGE_MS = 5_000
#: How long we may not have polled and still trust that: who polls is told of a deletion by Kafka. A topic made anew
#: faster than that is recognised by its id within _METADATA_AGE_MS: some of it is then taken twice, none is missed.
HELD_UP_S = 0.5


class Sink(Protocol):
    """Where records go: rows, ledger and offsets in one transaction."""

    def positions(self, partitions: Sequence[Partition]) -> dict[Partition, int]:
        """The stored next offset of each partition; one that is missing starts at 0."""
        ...

    def topic_ids(self) -> dict[str, str]:
        """Topic -> the id under which its offsets were stored last."""
        ...

    def write(self, intake: Intake) -> IntakeResult:
        """Commit all of it or nothing. Raises OwnershipLostError, DependencyAwayError."""
        ...


@dataclass(frozen=True, slots=True)
class ConsumerOptions:
    """How a writer consumes. `away` are the errors that mean that the sink cannot be reached now."""

    kafka: KafkaServer
    topic_prefix: str = ""
    group: str = "nengliu-writer"
    client_id: str = "nengliu-writer"
    max_records: int = 2000
    max_bytes: int = 8 * 1024 * 1024
    max_wait_s: float = 0.05
    session_timeout_ms: int = 10_000
    away: tuple[type[Exception], ...] = (DependencyAwayError,)


class _Listener(ConsumerRebalanceListener):  # type: ignore[misc]  # kafka-python is not typed
    """Stops the flow of what was assigned until its position is known."""

    def __init__(self, loop: WriterLoop) -> None:
        self._loop = loop

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self._loop.revoked(list(revoked))

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self._loop.assigned(list(assigned))


class WriterLoop:
    """One group member. Not thread-safe; `run` owns the thread until `stop` is set."""

    def __init__(self, options: ConsumerOptions, sink: Sink, stop: Event) -> None:
        self._options = options
        self._sink = sink
        self._stop = stop
        self._topics = [options.topic_prefix + t for t in (READINGS, REJECTS, STATUS)]
        self._consumer: KafkaConsumer
        self._partitions: dict[TopicPartition, Partition] = {}
        self._positions: dict[TopicPartition, int] = {}
        self._known_ids: dict[str, str] = {}
        self._seek_wanted = False
        self._epoch = 0
        self._polled_at = 0.0
        self._held_up = True  # until records have come and their topics were looked at
        self._rebalancing_since: float | None = None

    # ------------------------------------------------------------ life

    def run(self) -> None:
        """Consume until `stop`. Servers that are away are waited for; a bug is raised."""
        backoff = Backoff()
        while not self._stop.is_set():
            try:
                self._session(backoff)
            except OwnershipLostError as e:
                metrics.OWNERSHIP_LOST.inc()
                log.warning("ownership_lost", detail=str(e), action="leaving the group and joining again")
            except (KafkaError, DependencyAwayError, ProducerFailedError) as e:
                log.warning("kafka_away", error=str(e), failures=backoff.failures)
            backoff.wait(self._stop)

    def _session(self, backoff: Backoff) -> None:
        """Join the group and consume until something ends it."""
        o = self._options
        producer = Producer(o.kafka, f"{o.client_id}-acks", (o.topic_prefix + ACKS,))
        try:
            self._consumer = self._join()
            try:
                self._consume(AckPublisher(producer, o.topic_prefix + ACKS), backoff)
            finally:
                with suppress(KafkaError):
                    self._consumer.close(autocommit=False, timeout_ms=3_000)
        finally:
            producer.close()
            self._forget()

    def _join(self) -> KafkaConsumer:
        o = self._options
        self._forget()
        try:
            consumer = group_consumer(
                o.kafka,
                client_id=o.client_id,
                group_id=o.topic_prefix + o.group,
                enable_auto_commit=False,
                auto_offset_reset="earliest",
                session_timeout_ms=o.session_timeout_ms,
                heartbeat_interval_ms=o.session_timeout_ms // 4,
                max_poll_records=o.max_records,
                max_partition_fetch_bytes=max(MAX_RECORD_BYTES // 2, 1024 * 1024),
                fetch_max_bytes=2 * o.max_bytes,
                fetch_max_wait_ms=100,
                metadata_max_age_ms=_METADATA_AGE_MS,
            )
            self._rebalancing_since = time.monotonic()
            consumer.subscribe(self._topics, listener=_Listener(self))
        except (KafkaError, OSError) as e:
            raise kafka_away(o.kafka, e) from e
        return consumer

    def _forget(self) -> None:
        self._rebalancing_since = None
        self._partitions.clear()
        self._positions.clear()
        self._seek_wanted = False
        self._epoch += 1
        metrics.ASSIGNED.set(0)
        metrics.READY.set(0)

    # ------------------------------------------------------------ assignment

    def revoked(self, partitions: list[TopicPartition]) -> None:
        """Partitions are no longer ours; an open batch is worthless."""
        metrics.REBALANCES.inc()
        self._epoch += 1
        self._rebalancing_since = time.monotonic()
        for tp in partitions:
            self._positions.pop(tp, None)
        self._seek_wanted = True
        log.info("partitions_revoked", partitions=_names(partitions))

    def assigned(self, partitions: list[TopicPartition]) -> None:
        """Partitions are ours: hold them until their position is known."""
        metrics.REBALANCES.inc()
        self._epoch += 1
        self._rebalancing_since = None
        if partitions:
            self._consumer.pause(*partitions)
        self._seek_wanted = True
        log.info("partitions_assigned", partitions=_names(partitions))

    def _check_rebalance(self) -> None:
        """Join again where partitions were taken and none given within two sessions; raises DependencyAwayError.

        kafka-python may wait without end for a rebalance that is over for Kafka, if topics vanish in its midst.
        """
        patience_s = 2 * self._options.session_timeout_ms / 1000
        since = self._rebalancing_since
        if since is not None and time.monotonic() - since > patience_s:
            raise DependencyAwayError(
                f"no end of the group's rebalance after {patience_s:g} s; joining again"
            )

    def _seek_all(self) -> None:
        """Put every assigned partition to its stored position and let it flow."""
        assignment = sorted(self._consumer.assignment())
        metrics.ASSIGNED.set(len(assignment))
        if not assignment:  # more writers than partitions
            metrics.READY.set(1)
            self._seek_wanted = False
            return
        identity = topic_identity(self._options.kafka, self._topics)
        partitions = {
            tp: Partition(identity.cluster_id, identity.topic_ids[tp.topic], tp.topic, tp.partition)
            for tp in assignment
        }
        epoch = self._epoch
        stored = self._while_away(lambda: self._sink.positions(list(partitions.values())), epoch)
        if stored is None or self._epoch != epoch:
            return
        if not self._known_ids:
            self._known_ids = self._while_away(self._sink.topic_ids, epoch) or {}
        self._tell_recreated(partitions)
        self._partitions = partitions
        for tp, partition in partitions.items():
            self._positions[tp] = stored.get(partition, 0)
            self._consumer.seek(tp, self._positions[tp])
        self._consumer.resume(*assignment)
        metrics.READY.set(1)
        self._seek_wanted = False

    def _tell_recreated(self, partitions: Mapping[TopicPartition, Partition]) -> None:
        """Say which topics are others than those that this writer, or one before it, read."""
        for topic, topic_id in {p.topic: p.topic_id for p in partitions.values()}.items():
            known = self._known_ids.setdefault(topic, topic_id)
            if known != topic_id:
                self._known_ids[topic] = topic_id
                metrics.RECREATED.labels(topic).inc()
                log.error(
                    "topic_recreated",
                    topic=topic,
                    was=known,
                    now=topic_id,
                    meaning="what the old one still held is gone; reading the new one from its beginning",
                )

    def _is_another_topic(self, check: bool) -> bool:
        """Whether a topic of ours was made anew, so that its offsets mean other records.

        The consumer's metadata tell within seconds; `check`: ask Kafka now, as records do not follow each other or we
        have not listened for a while.
        """
        ids = {p.topic: p.topic_id for p in self._partitions.values()}
        if check:
            return any(
                topic_id != ids[topic]
                for topic, topic_id in topic_identity(self._options.kafka, ids).topic_ids.items()
            )
        found = {topic: self._consumer._cluster.topic_id(topic) for topic in ids}
        return any(now is not None and str(now) != ids[topic] for topic, now in found.items())

    # ------------------------------------------------------------ batches

    def _consume(self, acks: AckPublisher, backoff: Backoff) -> None:
        while not self._stop.is_set():
            acks.check()
            self._check_rebalance()
            if self._seek_wanted:
                self._seek_all()
            batch = self._collect()
            if batch is None or not len(batch):
                continue
            epoch = self._epoch
            started = time.monotonic()
            write = partial(self._sink.write, batch.intake())
            result = self._while_away(write, epoch)
            if result is None:
                continue
            backoff.reset()
            self._committed(batch, time.monotonic() - started)
            acks.publish(result.acks)

    def _collect(self) -> Batch | None:
        """Poll until the batch is full or its time is over; None if a rebalance made it worthless."""
        o = self._options
        epoch = self._epoch
        batch = Batch(o.topic_prefix, self._positions, self._partitions)
        self._held_up |= time.monotonic() - self._polled_at > HELD_UP_S
        found = self._consumer.poll(timeout_ms=500, max_records=o.max_records)
        self._polled_at = time.monotonic()
        deadline = time.monotonic() + o.max_wait_s
        while True:
            if self._epoch != epoch:
                return None
            if found:
                if self._is_another_topic(check=self._held_up or batch.jumps(found)):
                    self._epoch += 1
                    self._seek_wanted = True
                    return None
                self._held_up = False
            batch.add(found)
            left = deadline - time.monotonic()
            if not len(batch) or left <= 0 or len(batch) >= o.max_records or batch.size >= o.max_bytes:
                return batch
            found = self._consumer.poll(timeout_ms=int(left * 1000), max_records=o.max_records - len(batch))
            self._polled_at = time.monotonic()

    def _committed(self, batch: Batch, seconds: float) -> None:
        self._positions.update(batch.following)
        metrics.BATCH_SECONDS.observe(seconds)
        metrics.BATCH_RECORDS.observe(len(batch))
        metrics.LAST_SUCCESS.set_to_current_time()
        for tp, position in batch.following.items():
            metrics.CONSUMED.labels(tp.topic).inc(batch.counts[tp])
            with suppress(KafkaError):
                end = self._consumer.highwater(tp)
                if end is not None:
                    metrics.LAG.labels(tp.topic, str(tp.partition)).set(max(0, end - position))

    def _while_away(self, attempt: Callable[[], T], epoch: int) -> T | None:
        """Try until the sink answers, keeping our place meanwhile; None if a stop or a rebalance ended it."""
        backoff = Backoff()
        while True:
            try:
                result = attempt()
            except self._options.away as e:
                metrics.SINK_AWAY.set(1)
                log.warning("sink_away", error=str(e).strip(), failures=backoff.failures)
            else:
                metrics.SINK_AWAY.set(0)
                if backoff.failures:
                    log.info("sink_back", failures=backoff.failures)
                return result
            if self._hold_place(backoff.next_delay()) or self._epoch != epoch:
                self._seek_wanted = True
                return None

    def _hold_place(self, seconds: float) -> bool:
        """Keep the group membership for a while without taking records; True if a stop was asked for."""
        assignment = self._consumer.assignment()
        if assignment:
            self._consumer.pause(*assignment)
        deadline = time.monotonic() + seconds
        while not self._stop.is_set() and (left := deadline - time.monotonic()) > 0:
            found = self._consumer.poll(timeout_ms=int(min(left, 0.2) * 1000))
            if found:  # not paused: a rebalance gave partitions; start over from the stored positions
                self._epoch += 1
                break
            self._stop.wait(min(0.05, max(0.0, deadline - time.monotonic())))
        if not self._seek_wanted and assignment == self._consumer.assignment():
            self._consumer.resume(*assignment)
        return self._stop.is_set()


def _names(partitions: Iterable[TopicPartition]) -> list[str]:
    return sorted(f"{tp.topic}/{tp.partition}" for tp in partitions)


def run_writer_loop(options: ConsumerOptions, sink: Sink, stop: Event) -> None:
    """Consume meter.readings, meter.rejects and meter.status into `sink` until `stop` is set; the write
    service's loop.
    """
    WriterLoop(options, sink, stop).run()
