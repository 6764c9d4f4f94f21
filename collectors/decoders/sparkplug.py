"""Sparkplug B (specification 3.0.0): metrics into readings, with what the births said.

A metric's name is a register of the table, or <meter>/<register>; without a meter in the name it is the device's, else
the edge node's. Aliases and data types come from the births that are known. Names of the specification's own
(bdSeq, Node Control/…, Device Control/…, Properties/…) are no readings.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from collectors.decoders import timestamps
from collectors.decoders.base import MAX_REJECTED_BYTES, Decoded, Decoder, UserProperties, name_problem
from collectors.decoders.envelope import Envelope, read_envelope
from collectors.decoders.json_text import OddNumber
from collectors.decoders.native_json import value_problem
from collectors.decoders.rejected import rejected_value, shown_time
from collectors.decoders.sparkplug_payload import Metric, NotSparkplugError, Payload, read_payload
from collectors.decoders.targets import Target
from metering.errors import RejectReason
from metering.registers import register_table

NAMESPACE = "spBv1.0"
BIRTHS = ("NBIRTH", "DBIRTH")
DATA = ("NDATA", "DDATA")
DEATHS = ("NDEATH", "DDEATH")

_CONTROL = ("Node Control/", "Device Control/", "Properties/")
#: Data types whose values are whole numbers: their bits, and whether they have a sign (Sparkplug 3.0.0, 6.4.16).
_WHOLE = {1: (8, True), 2: (16, True), 3: (32, True), 4: (64, True)} | {
    5: (8, False),
    6: (16, False),
    7: (32, False),
    8: (64, False),
}
_FLOATS = (9, 10)


@dataclass(frozen=True, slots=True)
class Topic:
    """spBv1.0/{group}/{kind}/{node}[/{device}]."""

    group: str
    kind: str
    node: str
    device: str | None = None


@dataclass(frozen=True, slots=True)
class Naming:
    """What a file declares. metrics: a metric's name -> what it stands for; meters: a device, or an edge node -> its
    meter; ignore: metrics that are no registers.
    """

    metrics: Mapping[str, Target] = field(default_factory=dict)
    meters: Mapping[str, str] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Born:
    """What a birth said of a metric."""

    name: str
    datatype: int | None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A message taken apart as far as that needs no births."""

    topic: Topic
    envelope: Envelope
    payload: Payload
    received_us: int
    naming: Naming


def parse_topic(topic: str) -> Topic | None:
    """The parts of a topic; None where it is not of an edge node's births, data and deaths."""
    levels = topic.split("/")
    if len(levels) not in (4, 5) or levels[0] != NAMESPACE or not all(levels):
        return None
    _, group, kind, node, *device = levels
    if kind not in (*BIRTHS, *DATA, *DEATHS) or (kind[0] == "D") != bool(device):
        return None
    return Topic(group, kind, node, device[0] if device else None)


def parse(
    topic: Topic, data: bytes, properties: UserProperties, received_us: int, naming: Naming
) -> Parsed | Decoded:
    """Take a message apart; a Decoded with its failure where that cannot be done."""
    envelope = read_envelope(data, properties, received_us)
    if isinstance(envelope, Decoded):
        return envelope
    try:
        return Parsed(topic, envelope, read_payload(data), received_us, naming)
    except NotSparkplugError as e:
        return envelope.failed(RejectReason.MALFORMED, str(e))


def aliases_of(payload: Payload) -> dict[int, Born]:
    """What the metrics of a birth are called later."""
    return {
        m.alias: Born(m.name, m.datatype)
        for m in payload.metrics
        if m.alias is not None and m.name is not None
    }


def unknown_aliases(payload: Payload, births: Mapping[int, Born]) -> bool:
    """Whether a metric can only be named by a birth that is not there."""
    return any(m.name is None and m.alias is not None and m.alias not in births for m in payload.metrics)


def readings(parsed: Parsed, births: Mapping[int, Born]) -> Decoded:
    """Every metric as a reading or a rejected value, or neither where it is the protocol's own."""
    envelope = parsed.envelope
    out = Decoded(outbox=envelope.outbox, seq=envelope.seq)
    for metric in parsed.payload.metrics:
        _read_one(parsed, metric, births, out)
        if out.rejected_bytes > MAX_REJECTED_BYTES:
            return envelope.failed(RejectReason.TOO_LARGE, "its rejected values fill more than is taken")
    if not len(out) and not out.rejected and envelope.seq is not None:
        return envelope.failed(RejectReason.MALFORMED, "a seq, and no reading")
    return out


def decoder_of(topic: str, naming: Naming) -> Decoder | None:
    """A decoder that knows no births but its own message's, for bytes that are decoded again; None: no such topic."""
    parts = parse_topic(topic)
    if parts is None:
        return None

    def decode(
        gateway: str,  # noqa: ARG001
        payload: bytes,
        user_properties: UserProperties,
        received_us: int,
    ) -> Decoded:
        parsed = parse(parts, payload, user_properties, received_us, naming)
        if isinstance(parsed, Decoded):
            return parsed
        out = readings(parsed, {})
        if not len(out) and not out.rejected and out.failure is None:
            return parsed.envelope.failed(RejectReason.MALFORMED, "no reading")
        return out

    return decode


def _read_one(parsed: Parsed, metric: Metric, births: Mapping[int, Born], out: Decoded) -> None:
    born = births.get(metric.alias) if metric.alias is not None else None
    name = metric.name if metric.name is not None else (born.name if born else None)
    if name is not None and (name == "bdSeq" or name.startswith(_CONTROL) or name in parsed.naming.ignore):
        return
    target = parsed.naming.metrics.get(name or "")
    meter, register = _named(parsed, name, target)
    ts_us, time_problem = _time(parsed, metric)
    datatype = metric.datatype if metric.datatype is not None else (born.datatype if born else None)
    value = _value(metric, datatype)
    if target is not None:
        value = target.scaled(value)
    problem = time_problem
    if name is None:
        register = "?" if metric.alias is None else f"alias:{metric.alias}"
        problem = RejectReason.UNKNOWN_ALIAS, f"no birth says what {register} is"
        if metric.alias is None:
            problem = RejectReason.MALFORMED, "a metric with neither name nor alias"
    elif wrong := name_problem(meter, "meter"):
        problem = RejectReason.MALFORMED, wrong
    problem = problem or value_problem(register, value)
    if problem is None:
        out.meters.append(meter)
        out.registers.append(register)
        out.ts_us.append(ts_us)
        out.values.append(float(value))
        return
    out.reject(rejected_value(problem, meter, shown_time(ts_us, ts_us), register, value))


def _named(parsed: Parsed, name: str | None, target: Target | None) -> tuple[str, str]:
    """(meter, register)."""
    owner = parsed.topic.device or parsed.topic.node
    owner = parsed.naming.meters.get(owner, owner)
    if target is not None:
        return target.meter or owner, target.register
    meter, _, register = (name or "").rpartition("/")
    if register not in register_table():  # no register: the name may have slashes for its own reasons
        return owner, name or ""
    return meter or owner, register


def _time(parsed: Parsed, metric: Metric) -> tuple[int, tuple[str, str] | None]:
    """The metric's own time, else the payload's, else the user property's, else the receipt's."""
    ts_ms = metric.ts_ms if metric.ts_ms is not None else parsed.payload.ts_ms
    if ts_ms is None:
        known = parsed.envelope.ts_us
        return parsed.received_us if known is None else known, None
    ts_us = timestamps.from_epoch(ts_ms, 1_000)
    if ts_us is None or not timestamps.in_range(ts_us, parsed.received_us):
        detail = f"timestamp {ts_ms} ms is before 2000 or over 1 h ahead of its receipt"
        return ts_us or 0, (RejectReason.TIMESTAMP_OUT_OF_RANGE, detail)
    return ts_us, None


def _value(metric: Metric, datatype: int | None) -> Any:
    """The metric's number; what is none as JSON shows it. A whole number whose sign is not known is refused."""
    kind, value = metric.kind, metric.value
    if metric.is_null or kind is None:
        return None
    if kind in ("float_value", "double_value"):
        if not math.isfinite(value):
            return OddNumber("NaN" if math.isnan(value) else f"{'-' if value < 0 else ''}1e999")
        return _short(value) if kind == "float_value" else value
    if kind in ("int_value", "long_value"):
        return _whole(value, 32 if kind == "int_value" else 64, datatype)
    if kind == "boolean_value":
        return value
    return value.decode("utf-8", "backslashreplace") if kind == "string_value" else f"<{kind}>"


def _whole(value: int, bits: int, datatype: int | None) -> Any:
    if datatype is None or datatype in _FLOATS:
        return value if value < 1 << (bits - 1) else f"{value}, with or without a sign"
    if datatype not in _WHOLE:
        return f"{value}, of data type {datatype}"
    size, signed = _WHOLE[datatype]
    if signed and value >= 1 << (bits - 1):
        value -= 1 << bits
    low, high = (-(1 << (size - 1)), 1 << (size - 1)) if signed else (0, 1 << size)
    return value if low <= value < high else f"{value}, not of data type {datatype}"


def _short(value: float) -> float:
    """The shortest decimal number that is this 32-bit float: what the meter showed, not its binary neighbour."""
    packed = struct.pack("<f", value)
    for digits in range(6, 9):
        short = float(f"{value:.{digits}g}")
        try:
            if struct.pack("<f", short) == packed:
                return short
        except OverflowError:
            continue
    return value
