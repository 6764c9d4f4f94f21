"""What is known of Sparkplug edge nodes: their births, and whether what they say can still be named by them.

Pure state, no I/O, bounded: the nodes not heard longest are forgotten first, and are asked for a rebirth when they
speak again. After a gap in seq a birth may have been missed, so aliases are doubtful until the next NBIRTH.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from collectors.decoders.sparkplug import Born, Parsed, Topic, aliases_of, unknown_aliases

MAX_ALIASES = 1_000_000
MAX_NODES = 20_000

Key = tuple[str, str]
_NOTHING: Mapping[int, Born] = {}


def key_of(topic: Topic) -> Key:
    """What tells edge nodes apart: (group, node)."""
    return topic.group, topic.node


@dataclass(slots=True)
class Node:
    """An edge node. births: device (None: the node itself) -> alias -> metric; seq: that of its last message."""

    births: dict[str | None, dict[int, Born]] = field(default_factory=dict)
    seq: int | None = None
    bd_seq: int | None = None
    doubtful: bool = False

    @property
    def size(self) -> int:
        """Aliases and devices that it takes room for."""
        return sum(len(b) + 1 for b in self.births.values())


class Nodes:
    """All edge nodes of this bridge."""

    def __init__(self, most_nodes: int = MAX_NODES, most_aliases: int = MAX_ALIASES) -> None:
        self._most = most_nodes, most_aliases
        self._nodes: OrderedDict[Key, Node] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._nodes)

    @property
    def size(self) -> int:
        """Aliases and devices kept in all."""
        return self._size

    def heard(self, parsed: Parsed, again: bool = False) -> bool:
        """Take what a message says of its node; `again`: the broker sent it before, so its seq says nothing.

        Returns whether it ends the node's session, so that nothing from before can be named any more.
        """
        topic, payload = parsed.topic, parsed.payload
        node = self._nodes.setdefault(key_of(topic), Node())
        self._nodes.move_to_end(key_of(topic))
        before = node.size
        ended = False
        if topic.kind == "NDEATH":
            ended = self._died(node, parsed)
        elif topic.kind == "NBIRTH":
            node.births = {None: aliases_of(payload)}
            node.seq, node.bd_seq, node.doubtful = payload.seq, _bd_seq(parsed), False
        else:
            if not again:
                self._count(node, payload.seq)
            if topic.kind == "DBIRTH":
                node.births[topic.device] = aliases_of(payload)
            elif topic.kind == "DDEATH":
                node.births.pop(topic.device, None)
        self._size += node.size - before
        self._forget()
        return ended

    @staticmethod
    def _count(node: Node, seq: int | None) -> None:
        """seq counts 0 to 255 over all messages of a node but NDEATH (Sparkplug 3.0.0, 6.4.26)."""
        if node.seq is not None and seq != (node.seq + 1) % 256:
            node.doubtful = True
        node.seq = seq

    @staticmethod
    def _died(node: Node, parsed: Parsed) -> bool:
        """A death of an earlier session, told late, is none of the present one."""
        died = _bd_seq(parsed)
        if node.bd_seq is not None and died is not None and died != node.bd_seq:
            return False
        node.births, node.seq, node.bd_seq, node.doubtful = {}, None, None, False
        return True

    def _forget(self) -> None:
        nodes, aliases = self._most
        while len(self._nodes) > nodes or (self._size > aliases and len(self._nodes) > 1):
            _, gone = self._nodes.popitem(last=False)
            self._size -= gone.size

    def births(self, topic: Topic) -> Mapping[int, Born]:
        """alias -> metric of the topic's node or device; nothing where that is not sure."""
        node = self._nodes.get(key_of(topic))
        if node is None or node.doubtful:
            return _NOTHING
        return node.births.get(topic.device, _NOTHING)

    def can_name(self, parsed: Parsed) -> bool:
        """Whether every metric of a message has a name."""
        return not unknown_aliases(parsed.payload, self.births(parsed.topic))

    def wants_rebirth(self, topic: Topic) -> bool:
        """Whether a gap in seq may have hidden a birth."""
        node = self._nodes.get(key_of(topic))
        return node is not None and node.doubtful


def _bd_seq(parsed: Parsed) -> int | None:
    for m in parsed.payload.metrics:
        if m.name == "bdSeq" and m.kind in ("int_value", "long_value"):
            return int(m.value)
    return None
