"""Sparkplug B payloads as bytes: the messages of the Sparkplug specification 3.0.0, section 6.4, as data.

Only the fields that say something about readings are declared, the others are skipped as unknown. Text is
declared as bytes (the same on the wire), so that text that is not UTF-8 costs its metric, not its message;
data sets, templates and extensions are bytes, too: they are never readings.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

_PAYLOAD = {"timestamp": (1, "UINT64"), "metrics": (2, "Metric"), "seq": (3, "UINT64")}
_METRIC = {
    "name": (1, "BYTES"),
    "alias": (2, "UINT64"),
    "timestamp": (3, "UINT64"),
    "datatype": (4, "UINT32"),
    "is_null": (7, "BOOL"),
    "int_value": (10, "UINT32"),
    "long_value": (11, "UINT64"),
    "float_value": (12, "FLOAT"),
    "double_value": (13, "DOUBLE"),
    "boolean_value": (14, "BOOL"),
    "string_value": (15, "BYTES"),
    "bytes_value": (16, "BYTES"),
    "dataset_value": (17, "BYTES"),
    "template_value": (18, "BYTES"),
    "extension_value": (19, "BYTES"),
}
_BOOLEAN = 11

REBIRTH = "Node Control/Rebirth"


class NotSparkplugError(ValueError):
    """The bytes are no Sparkplug B payload."""


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric as it came; None: not there. ts_ms: milliseconds since 1970. kind: the name of the value's field."""

    name: str | None
    alias: int | None
    ts_ms: int | None
    datatype: int | None
    is_null: bool
    kind: str | None
    value: Any


@dataclass(frozen=True, slots=True)
class Payload:
    """A payload as it came."""

    ts_ms: int | None
    seq: int | None
    metrics: tuple[Metric, ...]


def _declare(file: Any, name: str, fields: dict[str, tuple[int, str]]) -> None:
    message = file.message_type.add(name=name)
    if name == "Metric":
        message.oneof_decl.add(name="value")
    for field, (number, kind) in fields.items():
        declared = message.field.add(name=field, number=number)
        if kind == "Metric":
            declared.label, declared.type = declared.LABEL_REPEATED, declared.TYPE_MESSAGE
            declared.type_name = ".nengliu.sparkplug.Metric"
            continue
        declared.label, declared.type = declared.LABEL_OPTIONAL, getattr(declared, f"TYPE_{kind}")
        if field.endswith("_value"):
            declared.oneof_index = 0


def _message_class() -> Any:
    file = descriptor_pb2.FileDescriptorProto(
        name="nengliu/sparkplug.proto", package="nengliu.sparkplug", syntax="proto2"
    )
    _declare(file, "Metric", _METRIC)
    _declare(file, "Payload", _PAYLOAD)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("nengliu.sparkplug.Payload"))


_Payload = _message_class()


def read_payload(data: bytes) -> Payload:
    """Take a payload apart. Raises NotSparkplugError."""
    message = _Payload()
    try:
        message.ParseFromString(data)
    except DecodeError as e:
        raise NotSparkplugError(f"not a Sparkplug B payload: {e}") from e
    return Payload(_given(message, "timestamp"), _given(message, "seq"), tuple(map(_metric, message.metrics)))


def _given(message: Any, field: str) -> Any:
    return getattr(message, field) if message.HasField(field) else None


def _metric(m: Any) -> Metric:
    name = _given(m, "name")
    kind = m.WhichOneof("value")
    return Metric(
        name.decode("utf-8", "backslashreplace") if name else None,
        _given(m, "alias"),
        _given(m, "timestamp"),
        _given(m, "datatype"),
        m.is_null,
        kind,
        None if kind is None else getattr(m, kind),
    )


def rebirth_request(now_ms: int) -> bytes:
    """The payload of an NCMD that asks an edge node for its births (Sparkplug 3.0.0, 6.4.26)."""
    message = _Payload(timestamp=now_ms)
    message.metrics.add(name=REBIRTH.encode(), timestamp=now_ms, datatype=_BOOLEAN, boolean_value=True)
    return bytes(message.SerializeToString())
