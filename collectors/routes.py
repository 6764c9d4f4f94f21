"""Which topic is decoded how, and which gateway a topic names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from collectors.decoders import cjt188, dlt645, native_json, sparkplug
from collectors.decoders.base import MAX_NAME, Decoder
from collectors.decoders.sparkplug import Naming
from metering.errors import SettingError

#: Decoders by the name that settings use.
DECODERS: dict[str, Decoder] = {
    "native_json": native_json.decode,
    "dlt645": dlt645.decode,
    "cjt188": cjt188.decode,
}

NATIVE_FILTERS: dict[str, str] = {
    "nl/v1/{gateway}/readings": "native_json",
    "nl/v1/{gateway}/dlt645": "dlt645",
    "nl/v1/{gateway}/cjt188": "cjt188",
}
#: Formats whose messages need what earlier ones said: exactly one bridge at a time takes them, unshared. Files may
#: declare more of them, with names of their own.
STATEFUL: dict[str, Naming] = {"sparkplug": Naming()}

STATUS_FILTER = "nl/v1/{gateway}/status"

_CACHE_SIZE = 20_000
#: Longer topics are not remembered: a gateway may send a new one of 64 KiB each time, and fill the memory.
_LONGEST_CACHED = 256


def ack_topic(gateway: str) -> str:
    """Where a gateway's durable acknowledgements go."""
    return f"nl/v1/{gateway}/ack"


@dataclass(frozen=True, slots=True)
class Filter:
    """A topic filter that holds {gateway} once, as a whole level."""

    text: str

    def __post_init__(self) -> None:
        levels = self.text.split("/")
        if levels.count("{gateway}") != 1 or self.text.count("{gateway}") != 1:
            raise SettingError(
                f"topic filter {self.text!r} must hold {{gateway}} once, as a level of its own"
            )
        for i, level in enumerate(levels):
            if level == "+" or level == "{gateway}" or (level == "#" and i == len(levels) - 1):
                continue
            if "#" in level or "+" in level or (level.startswith("$") and i == 0):
                raise SettingError(f"topic filter {self.text!r} is not a valid MQTT filter")

    @property
    def subscription(self) -> str:
        """The MQTT filter that takes it of every gateway."""
        return self.text.replace("{gateway}", "+")

    def of(self, gateway: str) -> str:
        """The MQTT filter that takes it of one gateway."""
        return self.text.replace("{gateway}", gateway)

    def gateway_in(self, topic: str) -> str | None:
        """The gateway that a topic names; None if the topic does not match."""
        wanted, given = self.text.split("/"), topic.split("/")
        if wanted[-1] == "#":
            if len(given) < len(wanted) - 1:
                return None
        elif len(given) != len(wanted):
            return None
        gateway = None
        for w, g in zip(wanted, given, strict=False):
            if w == "#":
                break
            if w == "{gateway}":
                gateway = g
            elif w not in ("+", g):
                return None
        return gateway or None


@dataclass(frozen=True, slots=True)
class Route:
    """What to do with a topic: `decoder` is None for status messages, `naming` is for formats with state."""

    gateway: str
    name: str
    decoder: Decoder | None
    naming: Naming | None = None


class Routes:
    """The table of filters, most specific first as given."""

    def __init__(
        self,
        extra: Mapping[str, str] | None = None,
        declared: Mapping[str, Decoder | Naming] | None = None,
        native: bool = True,
    ) -> None:
        """`extra`: further topic filter -> decoder name; `declared`: further decoders by name, or namings of Sparkplug;
        `native`: whether the native topics are taken.

        Raises SettingError naming the wrong entry.
        """
        if not native and not extra:
            raise SettingError(
                "NENGLIU_MQTT_NATIVE is off and NENGLIU_MQTT_FILTERS is empty: nothing would be taken"
            )
        if taken := sorted({*DECODERS, *STATEFUL} & (declared or {}).keys()):
            raise SettingError(f"a declared format cannot be named {taken[0]!r}: that is one of our own")
        decoders: dict[str, Decoder | Naming] = {**DECODERS, **STATEFUL, **(declared or {})}
        self._table: list[tuple[Filter, str, Decoder]] = []
        self._stateful: list[tuple[Filter, str, Naming]] = []
        for text, name in {**(NATIVE_FILTERS if native else {}), **(extra or {})}.items():
            if name not in decoders:
                known = ", ".join(sorted(decoders))
                raise SettingError(f"topic filter {text!r} names the decoder {name!r}; there are: {known}")
            decoder = decoders[name]
            if isinstance(decoder, Naming):
                self._stateful.append((_sparkplug_filter(text), name, decoder))
            else:
                self._table.append((Filter(text), name, decoder))
        self._status = Filter(STATUS_FILTER)
        self._cache: dict[str, Route | None] = {}

    @property
    def reading_filters(self) -> list[str]:
        """MQTT filters of the topics that carry readings."""
        return [f.subscription for f, _, _ in self._table]

    @property
    def stateful_filters(self) -> list[str]:
        """MQTT filters of the topics that carry readings of formats with state."""
        return [f.subscription for f, _, _ in self._stateful]

    @property
    def status_filter(self) -> str:
        """MQTT filter of the status topics."""
        return self._status.subscription

    def of(self, topic: str) -> Route | None:
        """The route of a topic; None if nothing of ours matches it."""
        try:
            return self._cache[topic]
        except KeyError:
            if len(topic) > _LONGEST_CACHED:
                return self._find(topic)
            if len(self._cache) >= _CACHE_SIZE:
                self._cache.clear()
            route = self._cache[topic] = self._find(topic)
            return route

    def _find(self, topic: str) -> Route | None:
        gateway = self._status.gateway_in(topic)
        if gateway is not None and len(gateway) <= MAX_NAME:
            return Route(gateway, "status", None)
        for pattern, name, decoder in self._table:
            gateway = pattern.gateway_in(topic)
            if gateway is not None and len(gateway) <= MAX_NAME:
                return Route(gateway, name, decoder)
        for pattern, name, naming in self._stateful:
            gateway, stateless = pattern.gateway_in(topic), sparkplug.decoder_of(topic, naming)
            if gateway is not None and len(gateway) <= MAX_NAME and stateless is not None:
                return Route(gateway, name, stateless, naming)
        return None


def _sparkplug_filter(text: str) -> Filter:
    levels = text.split("/")
    if len(levels) < 5 or levels[0] != sparkplug.NAMESPACE or levels[3] != "{gateway}" or "#" not in levels:
        raise SettingError(
            f"topic filter {text!r} is not of Sparkplug B: use spBv1.0/+/+/{{gateway}}/# or a group in place of "
            "the first +"
        )
    return Filter(text)
