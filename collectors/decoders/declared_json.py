"""JSON of vendors, as a TOML file declares it: adding a vendor is writing a file. EMQ Neuron is one kind of it.

    kind = "json"
    readings = "data.items"      # path to the list of objects that hold values; without: the message itself
    meter = "addr"               # path to the meter, in the object, else in the message; or meter_is = "…"
    values = "v"                 # path in the object to its values by name; without: the object itself
    ignore = ["cmd", "rssi"]     # names that are no registers; meter and time need not be named
    numbers_as_text = true       # "1234.5" is taken for a number; without: a bad_value
    meter_digits = 12            # a meter may be a whole number, written with so many digits; without: text only
    [pairs]                      # values is a list of objects with a name and a value each
    name = "k"
    value = "v"
    [time]                       # without: the user property ts, else the time of receipt
    path = "ts"
    format = "%Y%m%d%H%M%S%f"    # or rfc3339, epoch_s, epoch_ms
    zone = "Asia/Shanghai"
    [registers]
    EPtp = { register = "1.8.0", scale = 0.01 }

A name that is neither declared nor ignored is a reject (unknown_register), never silence. A time that is missing
or ambiguous is a bad_timestamp. seq and outbox are user properties.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from collectors.decoders import timestamps
from collectors.decoders.base import MAX_REJECTED_BYTES, Decoded, UserProperties, name_problem
from collectors.decoders.declared_times import TimeFormat
from collectors.decoders.envelope import Envelope, read_envelope
from collectors.decoders.json_text import NotJsonError, Pairs, dumps, loads, number_in
from collectors.decoders.native_json import value_problem
from collectors.decoders.rejected import rejected_reading, rejected_value, shown_time
from collectors.decoders.targets import Target
from metering.errors import RejectReason
from metering.registers import register_table

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things stand in a message. A path is keys from outside in; () is the object itself.

    meter: path, or None where `meter_is` or the targets say it. nodes: path to the name that picks a table of
    `tables`; without it the table is that of "". errors: path to codes of errors by name. pairs: paths to name and
    value, where values is a list of objects.
    """

    tables: Mapping[str, Mapping[str, Target]]
    readings: Path = ()
    meter: Path | None = None
    meter_is: str | None = None
    values: Path = ()
    time: Path | None = None
    time_format: TimeFormat | None = None
    node: Path | None = None
    errors: Path | None = None
    ignore: frozenset[str] = frozenset()
    pairs: tuple[Path, Path] | None = None
    numbers_as_text: bool = False
    meter_digits: int | None = None

    def decode(
        self,
        gateway: str,  # noqa: ARG002
        payload: bytes,
        user_properties: UserProperties,
        received_us: int,
    ) -> Decoded:
        """Decode a message; see collectors.decoders.base.Decoder."""
        envelope = read_envelope(payload, user_properties, received_us)
        if isinstance(envelope, Decoded):
            return envelope
        try:
            message = loads(payload)
            objects = _one(message, self.readings) if isinstance(message, Pairs) else None
        except (NotJsonError, NotThereError) as e:
            return envelope.failed(RejectReason.MALFORMED, str(e))
        if isinstance(objects, Pairs):
            objects = [objects]
        if not isinstance(objects, list) or not objects:
            return envelope.failed(
                RejectReason.MALFORMED, "no object or list of objects where readings should be"
            )
        return self._decode_all(message, objects, envelope, received_us)

    def _decode_all(
        self, message: Pairs, objects: list[Any], envelope: Envelope, received_us: int
    ) -> Decoded:
        out = Decoded(outbox=envelope.outbox, seq=envelope.seq)
        for item in objects:
            try:
                _Item(self, message, item, envelope, received_us, out).take()
            except NotThereError as e:
                out.reject(rejected_reading(RejectReason.MALFORMED, str(e), item))
            if out.rejected_bytes > MAX_REJECTED_BYTES:
                detail = f"its rejected values fill more than {MAX_REJECTED_BYTES} bytes"
                return envelope.failed(RejectReason.TOO_LARGE, detail)
        if not len(out) and not out.rejected:
            return envelope.failed(RejectReason.MALFORMED, "nothing in it is declared to be a register")
        return out


class NotThereError(ValueError):
    """A path leads nowhere, or to two values; the message says which."""


def _one(value: Any, path: Path) -> Any:
    """The value at a path. Raises NotThereError."""
    for key in path:
        found = value.get(key) if isinstance(value, Pairs) else []
        if len(found) != 1:
            raise NotThereError(f"{'.'.join(path)} is {'given twice' if found else 'missing'}")
        value = found[0]
    return value


class _Item:
    """One object with values: what it says goes into `out`."""

    def __init__(
        self, layout: Layout, message: Pairs, item: Any, envelope: Envelope, received_us: int, out: Decoded
    ) -> None:
        self._layout, self._message, self._item = layout, message, item
        self._envelope, self._received_us, self._out = envelope, received_us, out

    def take(self) -> None:
        """Take all values. Raises NotThereError where the object as a whole cannot be used."""
        layout = self._layout
        values = self._values()
        node = "" if layout.node is None else self._somewhere(layout.node)
        if layout.node is not None and (bad := name_problem(node, ".".join(layout.node))):
            raise NotThereError(bad)
        table = layout.tables.get(node, {})
        meter = self._meter(node)
        ts, ts_us, problem_of = self._time()
        skipped = self._skipped()
        for name, value in values:
            if name in skipped or self._out.rejected_bytes > MAX_REJECTED_BYTES:
                continue
            target = table.get(name)
            whose = (target.meter if target else None) or meter
            problem = problem_of
            if target is None:
                problem = (
                    RejectReason.UNKNOWN_REGISTER,
                    f"{dumps(name)[:60]} is not declared to be a register",
                )
            self._put(whose, target, name, value, ts, ts_us, problem)
        self._errors(table, meter, ts)

    def _values(self) -> list[tuple[str, Any]]:
        """Names with their values."""
        values = _one(self._item, self._layout.values)
        if self._layout.pairs is None:
            if not isinstance(values, Pairs):
                raise NotThereError("its values are not an object")
            return values
        if not isinstance(values, list) or isinstance(values, Pairs):
            raise NotThereError("its values are not a list")
        named = [tuple(_one(entry, path) for path in self._layout.pairs) for entry in values]
        if not all(isinstance(name, str) for name, _ in named):
            raise NotThereError("a name among its values is not text")
        return [(name, value) for name, value in named]

    def _skipped(self) -> frozenset[str]:
        layout = self._layout
        if layout.values:
            return layout.ignore
        return layout.ignore | {p[0] for p in (layout.meter, layout.time) if p}

    def _somewhere(self, path: Path) -> Any:
        """The value at a path in the object, else in the message."""
        try:
            return _one(self._item, path)
        except NotThereError:
            return _one(self._message, path)

    def _meter(self, node: str) -> str:
        layout = self._layout
        if layout.meter is None:
            return layout.meter_is or node
        meter = self._somewhere(layout.meter)
        if layout.meter_digits and isinstance(meter, int) and 0 <= meter < 10**layout.meter_digits:
            meter = str(int(meter)).zfill(layout.meter_digits) if not isinstance(meter, bool) else meter
        if problem := name_problem(meter, "meter"):
            raise NotThereError(problem)
        return str(meter)

    def _time(self) -> tuple[Any, int | None, tuple[str, str] | None]:
        """The time as a reject shows it, in microseconds, and what is wrong with it."""
        layout = self._layout
        if layout.time is None or layout.time_format is None:
            given = self._envelope.ts_us
            known = self._received_us if given is None else given
            return shown_time(None, known), known, None
        try:
            ts = self._somewhere(layout.time)
        except NotThereError as e:
            return None, None, (RejectReason.BAD_TIMESTAMP, str(e))
        ts_us = layout.time_format.parse(ts)
        shown = f"time {dumps(ts)[:60]}"
        if ts_us is None:
            detail = f"{shown} is not one of format {layout.time_format.name}, or is shown twice or skipped by clocks"
            return shown_time(ts, None), None, (RejectReason.BAD_TIMESTAMP, detail)
        if not timestamps.in_range(ts_us, self._received_us):
            where = "before 2000" if ts_us < timestamps.EARLIEST_US else "over 1 h ahead of its receipt"
            problem = RejectReason.TIMESTAMP_OUT_OF_RANGE, f"{shown} is {where}"
            return shown_time(ts, ts_us), None, problem
        return shown_time(ts, ts_us), ts_us, None

    def _put(
        self,
        meter: str,
        target: Target | None,
        name: str,
        value: Any,
        ts: Any,
        ts_us: int | None,
        problem: tuple[str, str] | None,
    ) -> None:
        if self._layout.numbers_as_text and isinstance(value, str):
            value = number_in(value)
        scaled = value if target is None else target.scaled(value)
        if target is not None:
            problem = problem or value_problem(target.register, scaled)
        if problem is None and target is not None and ts_us is not None:
            out = self._out
            out.meters.append(meter)
            out.registers.append(target.register)
            out.ts_us.append(ts_us)
            out.values.append(float(scaled))
            return
        assert problem is not None
        register = _unknown(name) if target is None else target.register
        self._out.reject(rejected_value(problem, meter, ts, register, scaled))

    def _errors(self, table: Mapping[str, Target], meter: str, ts: Any) -> None:
        """What the gateway could not read is a reject, too."""
        if self._layout.errors is None:
            return
        try:
            errors = _one(self._item, self._layout.errors)
        except NotThereError:
            return
        for name, code in errors if isinstance(errors, Pairs) else ():
            if name in self._layout.ignore or self._out.rejected_bytes > MAX_REJECTED_BYTES:
                continue
            target = table.get(name)
            detail = f"{dumps(name)[:60]} could not be read: error {dumps(code)[:30]}"
            whose = (target.meter if target else None) or meter
            register = _unknown(name) if target is None else target.register
            problem = RejectReason.ERROR_ANSWER, detail
            self._out.reject(rejected_value(problem, whose, ts, register, None))


def _unknown(name: str) -> str:
    """A name that is not declared, in a reject: never a register by chance, as its scale is not known."""
    return f"undeclared:{name}" if name in register_table() else name
