"""A run: hostile messages of every class and good ones among them, as a rule of its seed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from random import Random

from simulators.hostile import frames, mqtt, native, sparkplug, vendors
from simulators.hostile.cases import Kind, Leaf, Message, Names, Reading, Spot
from simulators.hostile.cases import Sequence as Numbers
from simulators.hostile.good import good

KINDS: tuple[Kind, ...] = (
    *native.KINDS,
    *frames.KINDS,
    *vendors.KINDS,
    *sparkplug.KINDS,
    *mqtt.KINDS,
)

#: The class name of a message that is good.
GOOD = "good"


@dataclass(frozen=True, slots=True)
class Plan:
    """messages: hostile ones; good_share: good ones to one hostile one; now_us: when the run begins."""

    prefix: str
    messages: int
    seed: int
    now_us: int
    gateways: int = 8
    good_share: float = 0.25

    def names(self) -> list[Names]:
        """The gateways; the last one is a right Sparkplug node."""
        return [self._names(g) for g in range(self.gateways)]

    def _names(self, g: int) -> Names:
        return Names(
            prefix=self.prefix,
            gateway=f"{self.prefix}-{g}",
            meter=f"{self.prefix}-m{g}",
            power_meter=f"{202600000000 + g}",
            water_meter=f"{30260000000000 + g}",
            stranger=f"{self.prefix}-m{(g + 1) % self.gateways}",
        )


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of a run: of which gateway, of which class."""

    gateway: int
    kind: str
    message: Message


class Run:
    """The messages of a plan, once through."""

    def __init__(self, plan: Plan, kinds: Sequence[Kind] = KINDS) -> None:
        self._plan, self._kinds = plan, kinds
        self._rng = Random(plan.seed)
        self._names = plan.names()
        self._numbers = [Numbers() for _ in self._names]
        self._last: list[Reading | None] = [None] * len(self._names)
        self._n = 0
        node = self._names[-1]
        self._node_spot = self._spot(len(self._names) - 1)
        self._node = sparkplug.good_node(self._node_spot, node.meter)

    def messages(self) -> Iterator[Sent]:
        """Every hostile message, in an order of the seed's, and good ones between; every class at least once."""
        plan, rng = self._plan, self._rng
        bounds = list(accumulate(k.share for k in self._kinds))
        first = rng.sample(self._kinds, len(self._kinds))
        for i in range(max(plan.messages, len(first))):
            kind = first[i] if i < len(first) else rng.choices(self._kinds, cum_weights=bounds)[0]
            yield self._hostile(kind)
            if rng.random() < plan.good_share:
                yield self._good()
        yield self._good()

    def _spot(self, gateway: int) -> Spot:
        return Spot(
            self._names[gateway],
            self._n,
            self._plan.now_us,
            self._rng,
            self._numbers[gateway],
            self._last[gateway],
        )

    def _hostile(self, kind: Kind) -> Sent:
        gateway = self._rng.randrange(len(self._names) - 1)
        self._n += 1
        spot = self._spot(gateway)
        return self._remembered(gateway, spot, kind.name, kind.make(spot))

    def _good(self) -> Sent:
        self._n += 1
        gateway = self._rng.randrange(len(self._names))
        if gateway == len(self._names) - 1:
            self._node_spot.n = self._n
            return Sent(gateway, GOOD, next(self._node))
        spot = self._spot(gateway)
        return self._remembered(gateway, spot, GOOD, good(spot))

    def _remembered(self, gateway: int, spot: Spot, kind: str, message: Message) -> Sent:
        """Keep its reading, which a later one contradicts: of the same topic and QoS, so that the order is sure."""
        if message.stored and message.qos == 1 and message.topic == spot.topic(Leaf.NATIVE):
            self._last[gateway] = message.stored[-1]
        return Sent(gateway, kind, message)
