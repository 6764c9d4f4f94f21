"""Where the inputs of a chunk come from: seeds, and what was found to say something new, edited again and again.

An input whose outcome is new is kept to be edited further, so that edits go deeper than any few at once would.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from collectors.decoders.base import MAX_PAYLOAD_BYTES

from . import byte_edits, frame_edits, json_edits, property_edits, protobuf_edits
from .chance import below, few, pick
from .inputs import Input, Message

#: One input of so many is a large one.
_ONE_LARGE_OF = 4000
_KEPT = 400

#: Edits a payload; others: payloads to take pieces of.
Editor = Callable[[bytes, Random, Sequence[bytes]], bytes]

_KINDS = ("NBIRTH", "DBIRTH", "NDATA", "NDATA", "DDATA", "DDATA", "NDEATH", "DDEATH")


class Shaped:
    """Edits of a tree where the payload has one, of bytes elsewhere; trees are kept of what is edited often."""

    def __init__(self, share: float) -> None:
        self._share = share

    def __call__(self, data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
        if rng.random() >= self._share:
            return byte_edits.edited(data, rng, others)
        data = self._edit_tree(data, rng, others)
        return byte_edits.edited(data, rng, others) if rng.random() < 0.1 else data

    def _edit_tree(self, data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
        raise NotImplementedError


class JsonEditor(Shaped):
    """Edits JSON."""

    def __init__(self) -> None:
        super().__init__(0.7)
        self._known: dict[bytes, json_edits.Sample] = {}

    def _sample(self, data: bytes) -> json_edits.Sample:
        known = self._known.get(data)
        if known is None:
            if len(self._known) > 2 * _KEPT:
                self._known.clear()
            known = self._known[data] = json_edits.sample(data)
        return known

    def _edit_tree(self, data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
        given = self._sample(data)
        if given.spans is None:
            return byte_edits.edited(data, rng, others)
        return json_edits.edited(given, rng, (self._sample(pick(rng, others)),))


class ProtobufEditor(Shaped):
    """Edits Sparkplug B payloads."""

    def __init__(self) -> None:
        super().__init__(0.75)
        self._known: dict[bytes, protobuf_edits.Fields | None] = {}

    def _fields(self, data: bytes) -> protobuf_edits.Fields | None:
        if data not in self._known:
            if len(self._known) > 2 * _KEPT:
                self._known.clear()
            self._known[data] = protobuf_edits.parsed(data)
        return self._known[data]

    def _edit_tree(self, data: bytes, rng: Random, others: Sequence[bytes]) -> bytes:
        fields = self._fields(data)
        if fields is None:
            return byte_edits.edited(data, rng, others)
        return protobuf_edits.edited(fields, rng, (self._fields(pick(rng, others)) or (),))


def frame_editor(name: str) -> Editor:
    """Edits and makes frames of a bus."""
    bus = frame_edits.BUSES[name]
    return lambda data, rng, others: frame_edits.edited(bus, data, rng, others)


class Maker:
    """Makes one input after another, the same ones for the same generator."""

    def __init__(self, seeds: Sequence[Message], edit: Editor, rng: Random) -> None:
        self._edit, self._rng = edit, rng
        self._messages = list(seeds)
        self._payloads = [m.payload for m in seeds]
        self._fixed = len(seeds)
        self._seen: set[object] = set()

    def make(self) -> Input:
        """The next input."""
        return (self._message(),)

    def _message(self) -> Message:
        rng = self._rng
        payload, properties, topic = pick(rng, self._messages)
        if rng.random() < 1 / _ONE_LARGE_OF:
            payload = byte_edits.blown_up(payload, rng, MAX_PAYLOAD_BYTES)
        else:
            payload = self._edit(payload, rng, self._payloads)
        return Message(payload, property_edits.edited(properties, rng), topic)

    def learn(self, given: Input, signature: object) -> None:
        """Keep an input whose outcome is new."""
        if signature in self._seen:
            return
        self._seen.add(signature)
        for message in given:
            if len(message.payload) > byte_edits.LONGEST:
                continue
            if len(self._messages) < self._fixed + _KEPT:
                self._messages.append(message)
                self._payloads.append(message.payload)
            else:
                at = self._fixed + below(self._rng, _KEPT)
                self._messages[at], self._payloads[at] = message, message.payload


class SequenceMaker(Maker):
    """Makes sequences of Sparkplug B messages: of one node and two devices, in any order."""

    def __init__(
        self, seeds: Sequence[Message], sequences: Sequence[Input], edit: Editor, rng: Random
    ) -> None:
        super().__init__(seeds, edit, rng)
        self._sequences = sequences

    def make(self) -> Input:
        rng = self._rng
        if rng.random() < 0.5:
            told = list(pick(rng, self._sequences))
            for _ in range(few(rng, 3)):
                told[below(rng, len(told))] = self._message()
            if rng.random() < 0.3:
                del told[below(rng, len(told))]
        else:
            told = [self._message() for _ in range(few(rng, 6))]
        return tuple(self._readdressed(m) for m in told)

    def _readdressed(self, message: Message) -> Message:
        rng = self._rng
        if rng.random() < 0.5:
            return message
        kind = pick(rng, _KINDS)
        device = pick(rng, ("/a", "/b")) if kind[0] == "D" else ""
        return message._replace(topic=f"spBv1.0/g/{kind}/n{device}")
