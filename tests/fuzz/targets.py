"""What is tried: every decoder, with what its inputs are made from and what must hold of what it gives."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple, Protocol

from collectors.decoders import sparkplug
from collectors.decoders.base import Decoded, Decoder
from collectors.decoders.declared_formats import load_format
from collectors.decoders.sparkplug import Naming
from collectors.inflight import Fate, InFlight
from collectors.mqtt_link import Incoming
from collectors.routes import DECODERS, Routes
from collectors.sparkplug_intake import MOST_WAITING, WAIT_S, SparkplugIntake
from collectors.status import decode_status
from metering.records import RejectRecord
from simulators.hostile.topics import declared_files
from stream import codec
from stream.errors import CodecError

from . import invariants, seeds
from .inputs import RECEIVED_US, Input, Message
from .invariants import BreachError, must
from .makers import Editor, JsonEditor, Maker, ProtobufEditor, SequenceMaker, frame_editor
from .through_kafka import ThroughKafka


class Outcome(NamedTuple):
    """What became of an input. readings: how many (of a status: how many of its fields could be read); reasons: of
    rejected values; failure: reason where all of it was refused; seconds: processor time of decoding it once.
    """

    readings: int
    reasons: tuple[str, ...]
    failure: str | None
    seconds: float

    @property
    def signature(self) -> object:
        """Tells inputs apart that took different ways."""
        return min(self.readings, 4), self.failure, frozenset(self.reasons), min(len(self.reasons), 4)


class Target(Protocol):
    """A decoder to be tried. share: of all inputs, against the others' shares."""

    name: str
    share: float

    def maker(self, rng: Random) -> Maker:
        """Where its inputs come from."""
        ...

    def probe(self, given: Input) -> Outcome:
        """Decode and check. Raises BreachError, or whatever the decoder raises."""
        ...

    def end(self) -> None:
        """Check what was put off. Raises BreachError."""
        ...


#: Checks what a decoder made of a message. Raises BreachError.
Check = Callable[[Message, Decoded], None]


class DecoderTarget:
    """A decoder without state. decoder_for: by the message's topic."""

    def __init__(
        self,
        name: str,
        share: float,
        editor: Callable[[], Editor],
        decoder_for: Callable[[str], Decoder],
        check: Check,
    ) -> None:
        self.name, self.share = name, share
        self._seeds = seeds.seeds(name)
        self._editor, self._decoder_for, self._check = editor, decoder_for, check
        self._kafka = ThroughKafka()

    def maker(self, rng: Random) -> Maker:
        """Where its inputs come from."""
        return Maker(self._seeds, self._editor(), rng)

    def probe(self, given: Input) -> Outcome:
        """Decode and check. Raises BreachError, or whatever the decoder raises."""
        [message] = given
        decode = self._decoder_for(message.topic)
        began = time.thread_time()
        out = decode("g", message.payload, message.properties, RECEIVED_US)
        seconds = time.thread_time() - began
        invariants.check(out)
        self._check(message, out)
        must(decode("g", message.payload, message.properties, RECEIVED_US) == out, "again")
        self._kafka.add(message, out)
        failure = None if out.failure is None else str(out.failure[0])
        return Outcome(len(out), tuple(str(r.reason) for r in out.rejected), failure, seconds)

    def end(self) -> None:
        """Check what was put off. Raises BreachError."""
        self._kafka.flush()


class IntakeTarget:
    """Sparkplug B with what the births said: sequences of messages through the intake that remembers them."""

    name = "sparkplug_intake"

    def __init__(self, share: float) -> None:
        self.share = share
        self._seeds = seeds.seeds("sparkplug")
        self._sequences = seeds.golden_sequences()
        self._routes = Routes({"spBv1.0/+/+/{gateway}/#": "sparkplug"})

    def maker(self, rng: Random) -> Maker:
        """Where its inputs come from."""
        return SequenceMaker(self._seeds, self._sequences, ProtobufEditor(), rng)

    def probe(self, given: Input) -> Outcome:
        """Take, wait and check. Raises BreachError, or whatever the intake raises."""
        now = [0.0]
        window = InFlight()
        intake = SparkplugIntake(self._routes, window, "", clock=lambda: now[0])
        began = time.thread_time()
        readings, reasons, acknowledged = 0, [], []
        for mid in range(1, len(given) + 2):
            if mid <= len(given):
                payload, properties, topic = given[mid - 1]
                intake.take(Incoming(topic, payload, mid, False, False, properties))
                must(intake.held <= MOST_WAITING, "settled", "too many are held")
            else:
                now[0] += WAIT_S
                intake.tick()
            intake.requests()
            for record in intake.outgoing():
                count, why = _read_back(record.topic, record.value)
                readings += count
                reasons += why
                window.settled(record.entries, Fate.STORED)
            acknowledged += window.to_acknowledge()
        seconds = time.thread_time() - began
        must(acknowledged == list(range(1, len(given) + 1)), "settled", acknowledged)
        must(
            not intake.held and not window.pending and not window.pending_bytes,
            "settled",
            "something is held",
        )
        return Outcome(readings, tuple(reasons), None, seconds)

    def end(self) -> None:
        """Nothing was put off."""


class StatusTarget:
    """What gateways say of themselves."""

    name = "status"

    def __init__(self, share: float) -> None:
        self.share = share

    def maker(self, rng: Random) -> Maker:
        """Where its inputs come from."""
        return Maker(seeds.statuses(), JsonEditor(), rng)

    def probe(self, given: Input) -> Outcome:
        """Decode and check. Raises BreachError, or whatever the decoder raises."""
        [message] = given
        began = time.thread_time()
        out = decode_status("g", "nl/v1/g/status", message.payload, RECEIVED_US)
        seconds = time.thread_time() - began
        must(decode_status("g", "nl/v1/g/status", message.payload, RECEIVED_US) == out, "again")
        must((out is None) == (not message.payload), "whole")
        if out is None:
            return Outcome(0, (), None, seconds)
        try:
            if isinstance(out, RejectRecord):
                must(codec.decode_reject(codec.encode_reject(out)) == out, "codec")
                return Outcome(0, (), str(out.reason), seconds)
            must(codec.decode_status(codec.encode_status(out)) == out, "codec")
        except CodecError as e:
            raise BreachError("codec", str(e)) from e
        told = (out.clock_offset_s, out.outbox_depth, out.outbox_oldest_us, out.meters)
        return Outcome(1 + sum(t is not None for t in told), (), None, seconds)

    def end(self) -> None:
        """Nothing was put off."""


def _read_back(topic: str, value: bytes) -> tuple[int, list[str]]:
    """Readings of a record, and reasons of its rejects. Raises BreachError."""
    try:
        if topic == "meter.status":
            codec.decode_status(value)
            return 0, []
        if topic == "meter.rejects":
            record = codec.decode_reject(value)
            return 0, [r.reason for r in record.items] or [record.reason]
        batch = codec.decode_readings(value)
        return len(batch), [r.reason for m in batch.messages for r in m.rejected]
    except CodecError as e:
        raise BreachError("codec", str(e)) from e


def _declared(name: str, share: float, file: Path) -> DecoderTarget:
    layout = load_format(file)
    assert not isinstance(layout, Naming)
    return DecoderTarget(
        name, share, JsonEditor, lambda _: layout.decode, lambda _, out: invariants.check_translated(out)
    )


def _frames(name: str, share: float) -> DecoderTarget:
    decoder = DECODERS[name]

    def check(message: Message, out: Decoded) -> None:
        invariants.check_frames(message, out, decoder)

    return DecoderTarget(name, share, lambda: frame_editor(name), lambda _: decoder, check)


def _sparkplug(name: str, share: float, naming: Naming) -> DecoderTarget:
    @cache
    def decoder_for(topic: str) -> Decoder:
        decoder = sparkplug.decoder_of(topic, naming) or sparkplug.decoder_of("spBv1.0/g/NDATA/n", naming)
        assert decoder is not None
        return decoder

    return DecoderTarget(
        name, share, ProtobufEditor, decoder_for, lambda _, out: invariants.check_translated(out)
    )


@cache
def targets() -> Mapping[str, Target]:
    """All of them by name; declared formats are those of the golden cases and of the hostile messages."""
    names = load_format(seeds.GOLDEN / "sparkplug/declared_names/names.toml")
    assert isinstance(names, Naming)
    native = DECODERS["native_json"]
    made: list[Target] = [
        DecoderTarget("native_json", 4, JsonEditor, lambda _: native, invariants.check_native),
        _frames("dlt645", 3),
        _frames("cjt188", 3),
        _sparkplug("sparkplug", 2, Naming()),
        _sparkplug("sparkplug_names", 1, names),
        IntakeTarget(1),
        StatusTarget(1),
    ]
    for file in sorted(seeds.GOLDEN.glob("*/format.toml")):
        made.append(_declared(file.parent.name, 2 if file.parent.name == "neuron" else 1, file))
    with tempfile.TemporaryDirectory() as folder:
        made += [_declared(file.stem, 0.5, file) for file in declared_files(seeds.PLAN.names(), Path(folder))]
    return {t.name: t for t in made}
