"""Records of one transaction: decoded, in the order of their partitions, with the offsets they reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import structlog
from kafka import TopicPartition

from metering.records import Advance, Intake, Partition, ReadingBatch, RejectRecord, StatusRecord
from stream import codec, metrics
from stream.errors import CodecError
from stream.poison import poison_reject
from stream.topics import READINGS, REJECTS

log = structlog.get_logger(__name__)


class Batch:
    """Collects consumed records (kafka-python's ConsumerRecord) into an Intake."""

    def __init__(
        self,
        prefix: str,
        positions: Mapping[TopicPartition, int],
        partitions: Mapping[TopicPartition, Partition],
    ) -> None:
        self._readings_topic = prefix + READINGS
        self._rejects_topic = prefix + REJECTS
        self._positions = positions
        self._partitions = partitions
        self._readings: list[ReadingBatch] = []
        self._rejects: list[RejectRecord] = []
        self._statuses: list[StatusRecord] = []
        self.following: dict[TopicPartition, int] = {}
        self.counts: Counter[TopicPartition] = Counter()
        self.size = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def jumps(self, found: Mapping[TopicPartition, list[Any]]) -> bool:
        """Whether records do not follow what was taken last: perhaps the topic is another one by now."""
        return any(
            records[0].offset != self.following.get(tp, self._positions[tp])
            for tp, records in found.items()
            if tp in self._positions and records
        )

    def add(self, found: Mapping[TopicPartition, list[Any]]) -> None:
        """Take the records of one poll. A partition whose position is not known yet is left out."""
        for tp, records in found.items():
            if tp in self._positions and records:
                self._add_partition(tp, records)

    def _add_partition(self, tp: TopicPartition, records: list[Any]) -> None:
        expected = self.following.get(tp, self._positions[tp])
        if expected and records[0].offset != expected:
            _tell_jump(tp, expected, records[0].offset)
        for record in records:
            self._add_record(tp, record)
        self.following[tp] = records[-1].offset + 1
        self.counts[tp] += len(records)
        self._length += len(records)

    def _add_record(self, tp: TopicPartition, record: Any) -> None:
        value = record.value or b""
        self.size += len(value)
        try:
            if tp.topic == self._readings_topic:
                self._readings.append(codec.decode_readings(value))
            elif tp.topic == self._rejects_topic:
                self._rejects.append(codec.decode_reject(value))
            else:
                self._statuses.append(codec.decode_status(value))
        except CodecError as e:
            self._rejects.append(poison_reject(record, e))

    def intake(self) -> Intake:
        """What one transaction of the sink takes."""
        return Intake(
            readings=tuple(self._readings),
            rejects=tuple(self._rejects),
            statuses=tuple(self._statuses),
            advances=tuple(
                Advance(self._partitions[tp], self._positions[tp], following)
                for tp, following in self.following.items()
            ),
        )


def _tell_jump(tp: TopicPartition, wanted: int, found: int) -> None:
    """Kafka could not go on where we stand, and gave its oldest records: say what that means.

    Later ones: retention was faster than we, what lay between is gone. Earlier ones: the log ended before our offset,
    so it was shortened; from its beginning nothing that it holds is missed, and repeats are harmless.
    """
    place = {"topic": tp.topic, "partition": tp.partition, "wanted": wanted, "found": found}
    if found > wanted:
        metrics.SKIPPED.labels(tp.topic).inc(found - wanted)
        log.error(
            "offsets_gone", **place, meaning="retention passed the stored offset; what lay between is gone"
        )
    else:
        metrics.SHORTENED.labels(tp.topic).inc()
        log.error(
            "log_shortened", **place, meaning="Kafka lost records that it had; taking all that it has again"
        )
