"""Formats that TOML files declare: kind "json" (see declared_json.py), "neuron" (EMQ Neuron) and "sparkplug".

    kind = "neuron"
    ignore = ["heartbeat"]
    [nodes."meters-1"]           # the name of a node in Neuron, then its tags
    EPtp = { meter = "110108000123", register = "1.8.0", scale = 0.01 }

Neuron sends {"timestamp": milliseconds, "node": …, "group": …, "values": {tag: value}, "errors": {tag: code}}.

    kind = "sparkplug"           # names of metrics, for nodes that do not use registers; the rest is Sparkplug B
    ignore = ["Temperature"]
    [metrics]
    "Energy/Active Import" = { register = "1.8.0", scale = 0.001 }
    [meters]                     # a device, or an edge node: its meter, where that is not its name
    EM24-1 = "110108000123"

A format's name is its file's, without .toml.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec

from collectors.decoders.base import Decoder, name_problem
from collectors.decoders.declared_json import Layout
from collectors.decoders.declared_times import time_format
from collectors.decoders.sparkplug import Naming
from collectors.decoders.targets import target
from metering.errors import SettingError


class _Register(msgspec.Struct, forbid_unknown_fields=True):
    register: str
    scale: Any = 1


class _Tag(msgspec.Struct, forbid_unknown_fields=True):
    meter: str
    register: str
    scale: Any = 1


class _Time(msgspec.Struct, forbid_unknown_fields=True):
    path: str
    format: str
    zone: str | None = None


class _Pairs(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    value: str


class _Json(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="json"):
    registers: dict[str, _Register]
    readings: str = ""
    meter: str | None = None
    meter_is: str | None = None
    values: str = ""
    time: _Time | None = None
    ignore: list[str] = []
    pairs: _Pairs | None = None
    numbers_as_text: bool = False
    meter_digits: Annotated[int, msgspec.Meta(ge=1, le=20)] | None = None

    def layout(self) -> Layout:
        """Raises ValueError."""
        if (self.meter is None) == (self.meter_is is None):
            raise ValueError("give meter, a path, or meter_is, a meter")
        if self.meter_is is not None and (problem := name_problem(self.meter_is, "meter_is")):
            raise ValueError(problem)
        if self.meter_digits is not None and self.meter is None:
            raise ValueError("meter_digits says how meter is written, and there is no meter")
        if self.pairs is not None and not (self.values and self.pairs.name and self.pairs.value):
            raise ValueError("pairs needs values, the path to the list, and paths to name and value in each")
        return Layout(
            tables={"": {name: target(name, r.register, r.scale) for name, r in self.registers.items()}},
            readings=_path(self.readings),
            meter=None if self.meter is None else _path(self.meter),
            meter_is=self.meter_is,
            values=_path(self.values),
            time=None if self.time is None else _path(self.time.path),
            time_format=None if self.time is None else time_format(self.time.format, self.time.zone),
            ignore=frozenset(self.ignore),
            pairs=None if self.pairs is None else (_path(self.pairs.name), _path(self.pairs.value)),
            numbers_as_text=self.numbers_as_text,
            meter_digits=self.meter_digits,
        )


class _Neuron(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="neuron"):
    nodes: dict[str, dict[str, _Tag]]
    ignore: list[str] = []

    def layout(self) -> Layout:
        """Raises ValueError."""
        return Layout(
            tables={
                node: {name: target(name, t.register, t.scale, t.meter) for name, t in tags.items()}
                for node, tags in self.nodes.items()
            },
            values=("values",),
            time=("timestamp",),
            time_format=time_format("epoch_ms", None),
            node=("node",),
            errors=("errors",),
            ignore=frozenset(self.ignore),
        )


class _Metric(msgspec.Struct, forbid_unknown_fields=True):
    register: str
    scale: Any = 1
    meter: str | None = None


class _Sparkplug(msgspec.Struct, forbid_unknown_fields=True, tag_field="kind", tag="sparkplug"):
    metrics: dict[str, _Metric]
    meters: dict[str, str] = {}
    ignore: list[str] = []

    def layout(self) -> Naming:
        """Raises ValueError."""
        for owner, meter in self.meters.items():
            if problem := name_problem(meter, f"meter of {owner}"):
                raise ValueError(problem)
        return Naming(
            metrics={name: target(name, m.register, m.scale, m.meter) for name, m in self.metrics.items()},
            meters=self.meters,
            ignore=frozenset(self.ignore),
        )


def _path(text: str) -> tuple[str, ...]:
    return tuple(text.split(".")) if text else ()


def load_format(file: Path) -> Layout | Naming:
    """The format that a file declares. Raises SettingError naming file and fault."""
    try:
        declared = tomllib.loads(file.read_text(encoding="utf-8"), parse_float=Decimal)
        return msgspec.convert(declared, _Json | _Neuron | _Sparkplug).layout()
    except OSError as e:
        raise SettingError(
            f"decoder file {file} cannot be read: {e.strerror}; see NENGLIU_DECODER_FILES"
        ) from e
    except (ValueError, msgspec.ValidationError) as e:
        raise SettingError(f"decoder file {file}: {e}") from e


def load_formats(paths: Iterable[Path]) -> dict[str, Decoder | Naming]:
    """Decoders, and namings of Sparkplug metrics, by name: their files' names. Raises SettingError."""
    formats: dict[str, Decoder | Naming] = {}
    for file in paths:
        if file.stem in formats:
            raise SettingError(f"decoder file {file}: another file declares a format {file.stem!r}, too")
        declared = load_format(file)
        formats[file.stem] = declared if isinstance(declared, Naming) else declared.decode
    return formats
