"""Which buses the edge collector polls, and which meters hang on them: one TOML file.

    [[bus]]
    name = "cellar"
    protocol = "dlt645"              # dlt645, cjt188, modbus
    serial = "/dev/ttyUSB0"          # or: tcp = "10.0.0.7:4001"
    baud = 2400                      # by default 2400 8E1, modbus 9600 8N1
    parity = "E"                     # N, E, O
    stop_bits = 1
    timeout_s = 2.0                  # until an answer's first byte, and between its bytes
    retries = 2                      # how often an unanswered request is sent again
    interval_s = 900                 # every meter is read once in it
    meter_utc_offset_h = 8           # of the meters' clocks (dlt645, cjt188)
    clock_every_s = 21600            # how often the meters' clocks are read (dlt645)
    wake_up = 4                      # FE bytes before a request (dlt645, cjt188)
    framing = "tcp"                  # modbus: tcp or rtu; by default tcp on tcp, rtu on serial

    [[bus.meter]]
    meter = "110108000123"           # 12 digits (dlt645), 14 (cjt188), any name (modbus)
    registers = ["1.8.0"]            # totals: what counts up. By default 1.8.0; modbus: all of the map
    extras = ["16.7.0"]              # left out while the disk is nearly full. By default none; modbus: all of the map
    blocks = false                   # dlt645: ids that hold several registers may be asked
    type = "10"                      # cjt188: type T of the meter, hexadecimal
    data_id = "1F90"                 # cjt188: as it goes over the line
    unit = 1                         # modbus: unit id
    map = "generic-float32"          # modbus: a register map by name, or a file of your own

Every fault of the file is reported at once, by bus, meter and key.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from collectors.decoders.base import name_problem
from collectors.edge import dlt645_master
from collectors.edge.cjt188_master import Cjt188Meter, register_of
from collectors.edge.dlt645_master import Dlt645Meter
from collectors.edge.line import Place, SerialPlace, TcpPlace
from collectors.edge.modbus_master import ModbusMeter
from collectors.edge.register_maps import RegisterMap, load_map
from metering.errors import SettingError
from metering.registers import register_table

MeterOnBus = Dlt645Meter | Cjt188Meter | ModbusMeter


@dataclass(frozen=True, slots=True)
class MeterConfig:
    """A meter: the name that its readings carry, and how it is read."""

    meter: str
    how: MeterOnBus


@dataclass(frozen=True, slots=True)
class BusConfig:
    """A bus with its meters; see the head of this module. Times in seconds."""

    name: str
    protocol: str
    place: Place
    meters: tuple[MeterConfig, ...]
    timeout_s: float = 2.0
    retries: int = 2
    interval_s: float = 900.0
    clock_every_s: float = 21_600.0

    def silence_s(self) -> float:
        """How long the line is silent before a request: 3.5 characters on a serial Modbus line, 1.75 ms at least
        (Modbus over Serial Line V1.02, 2.5.1.1).
        """
        if self.protocol != "modbus" or not isinstance(self.place, SerialPlace):
            return 0.0
        return max(3.5 * self.place.byte_s(), 0.00175)


@dataclass(frozen=True, slots=True)
class EdgeConfig:
    """All buses that an edge collector polls."""

    buses: tuple[BusConfig, ...]


class _Table:
    """A table of the file: its keys are taken one by one, each problem is kept, and so is what nobody took."""

    def __init__(self, where: str, data: dict[str, Any], problems: list[str]) -> None:
        self.where, self._data, self._problems = where, dict(data), problems

    def problem(self, key: str, what: str) -> None:
        self._problems.append(f"{self.where}: {key}: {what}")

    def has(self, key: str) -> bool:
        return key in self._data

    def raw(self, key: str, default: Any = None) -> Any:
        return self._data.pop(key, default)

    def take(self, key: str, default: Any, fits: Callable[[Any], bool], expected: str) -> Any:
        """The value of a key that `fits`, else the default with a problem. A default of None: it must be there."""
        if key not in self._data:
            if default is None:
                self.problem(key, f"is missing; give {expected}")
            return default
        value = self._data.pop(key)
        if fits(value):
            return value
        self.problem(key, f"{value!r} is not {expected}")
        return default

    def text(self, key: str, default: str | None, expected: str, *choices: str) -> str:
        return str(
            self.take(
                key,
                default,
                lambda v: isinstance(v, str) and v != "" and (not choices or v in choices),
                expected,
            )
            or ""
        )

    def whole(self, key: str, default: int | None, low: int, high: int) -> int:
        value = self.take(
            key,
            default,
            lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high,
            f"a whole number from {low} to {high}",
        )
        return low if value is None else int(value)

    def number(self, key: str, default: float, low: float, high: float) -> float:
        return float(
            self.take(
                key, default, lambda v: _is_number(v) and low <= v <= high, f"a number from {low} to {high}"
            )
        )

    def flag(self, key: str) -> bool:
        return bool(self.take(key, False, lambda v: isinstance(v, bool), "true or false"))

    def registers(self, key: str, known: frozenset[str]) -> tuple[str, ...] | None:
        """A list of registers; None where the key is not there."""
        if key not in self._data:
            return None
        value = self._data.pop(key)
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            self.problem(key, f"{value!r} is not a list of registers")
            return ()
        for register in value:
            if register not in register_table():
                self.problem(key, f"{register!r} is not in the table of registers")
            elif register not in known:
                self.problem(key, f"{register!r} cannot be read here; there are {', '.join(sorted(known))}")
        if len(set(value)) < len(value):
            self.problem(key, "a register comes twice")
        return tuple(r for r in value if r in known)

    def finish(self) -> None:
        for key in self._data:
            self.problem(key, "is not a key here")


@dataclass(slots=True)
class _Reading:
    """What is known while the file is read."""

    folder: Path
    problems: list[str] = field(default_factory=list)
    maps: dict[str, RegisterMap | None] = field(default_factory=dict)
    meters: list[str] = field(default_factory=list)

    def map(self, table: _Table) -> RegisterMap | None:
        """The map that a meter names; None where it cannot be used, its own faults reported once."""
        name = table.text("map", None, "a register map")
        if name and name not in self.maps:
            try:
                self.maps[name] = load_map(name, self.folder)
            except SettingError as e:
                self.maps[name] = None
                self.problems += [f"{table.where}: map: {line}" for line in str(e).splitlines()]
        return self.maps.get(name)


def load_config(path: Path) -> EdgeConfig:
    """The buses that a file declares. Raises SettingError, a line for each fault: file, bus, meter, key."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as e:
        raise SettingError(
            f"edge configuration {path} (NENGLIU_EDGE_CONFIG) cannot be read: {e.strerror}; "
            "`nengliu edge --example` prints one to start from"
        ) from e
    except ValueError as e:
        raise SettingError(f"edge configuration {path} is not TOML: {e}") from e
    reading = _Reading(path.parent)
    top = _Table(str(path), data, reading.problems)
    tables = _tables(top, "bus")
    top.finish()
    buses = [_bus(reading, top.where, n, t) for n, t in enumerate(tables, 1)]
    _check_together(str(path), buses, reading)
    if reading.problems:
        raise SettingError("\n".join(reading.problems))
    return EdgeConfig(tuple(buses))


def _tables(table: _Table, key: str) -> list[dict[str, Any]]:
    return list(
        table.take(
            key,
            None,
            lambda v: isinstance(v, list) and v != [] and all(isinstance(t, dict) for t in v),
            f"one or more [[{key}]]",
        )
        or []
    )


def _check_together(where: str, buses: list[BusConfig], reading: _Reading) -> None:
    """Names, places and meters that are there twice."""
    for what, names in (
        ("bus {} is there twice", [b.name for b in buses]),
        ("{} is shared by two buses; put their meters on one", [str(_shared(b.place)) for b in buses]),
        ("meter {} is there twice", reading.meters),
    ):
        reading.problems += [
            f"{where}: " + what.format(n) for n in sorted({n for n in names if names.count(n) > 1})
        ]


def _shared(place: Place) -> str:
    """A line that only one master may use: a serial device however it is set, a port of a server."""
    return f"serial {Path(place.device).resolve()}" if isinstance(place, SerialPlace) else str(place)


def _bus(reading: _Reading, file: str, number: int, data: dict[str, Any]) -> BusConfig:
    table = _Table(f"{file}: bus {data.get('name', number)}", data, reading.problems)
    name = table.text("name", None, "a name")
    protocol = table.text("protocol", None, "dlt645, cjt188 or modbus", "dlt645", "cjt188", "modbus")
    place = _place(table, protocol)
    build = _builder(reading, table, protocol, isinstance(place, SerialPlace))
    timeout_s = table.number("timeout_s", 2.0, 0.01, 60)
    interval_s = table.number("interval_s", 900.0, 1, 86_400)
    retries = table.whole("retries", 2, 0, 10)
    clock_every_s = table.number("clock_every_s", 21_600.0, 1, 1e7) if protocol == "dlt645" else 21_600.0
    tables = _tables(table, "meter")
    table.finish()
    meters = [_meter(reading, table.where, n, t, build) for n, t in enumerate(tables, 1)]
    _check_units(table, meters)
    found = tuple(m for m in meters if m is not None)
    return BusConfig(name, protocol, place, found, timeout_s, retries, interval_s, clock_every_s)


def _check_units(table: _Table, meters: list[MeterConfig | None]) -> None:
    units = [m.how.unit for m in meters if m is not None and isinstance(m.how, ModbusMeter)]
    for unit in sorted({u for u in units if units.count(u) > 1}):
        table.problem("unit", f"{unit} is there twice")


def _place(table: _Table, protocol: str) -> Place:
    if table.has("tcp") == table.has("serial"):
        table.problem("tcp, serial", "give one of them")
    modbus = protocol == "modbus"
    if not table.has("serial"):
        return _tcp(table)
    table.raw("tcp")
    return SerialPlace(
        table.text("serial", None, "a device"),
        table.whole("baud", 9600 if modbus else 2400, 300, 4_000_000),
        table.text("parity", "N" if modbus else "E", "N, E or O", "N", "E", "O"),
        table.whole("stop_bits", 1, 1, 2),
    )


def _tcp(table: _Table) -> TcpPlace:
    text = table.raw("tcp", "")
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    if not host or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
        if text:
            table.problem("tcp", f"{text!r} is not host:port")
        return TcpPlace("", 0)
    return TcpPlace(host.strip("[]"), int(port))


#: Reads the keys of a meter; None where they are wrong.
_Build = Callable[[_Table, str], MeterOnBus | None]


def _builder(reading: _Reading, table: _Table, protocol: str, serial: bool) -> _Build:
    """Takes the keys of a bus that its protocol has, and gives what takes those of its meters."""
    if protocol == "modbus":
        framing = table.text("framing", "rtu" if serial else "tcp", "tcp or rtu", "tcp", "rtu")
        if serial and framing == "tcp":
            table.problem("framing", "a serial line is rtu")
        return lambda t, _: _modbus(reading, t, framing == "rtu")
    wake_up = table.whole("wake_up", 4, 0, 32)
    offset = timedelta(hours=table.number("meter_utc_offset_h", 8, -23, 23))
    if protocol == "cjt188":
        return lambda t, meter: _cjt188(t, meter, wake_up, offset)
    return lambda t, meter: _dlt645(t, meter, wake_up, offset)


def _meter(
    reading: _Reading, where: str, number: int, data: dict[str, Any], build: _Build
) -> MeterConfig | None:
    table = _Table(f"{where}: meter {data.get('meter', number)}", data, reading.problems)
    meter = table.text("meter", None, "its number")
    reading.meters += [meter] if meter else []
    if meter and (problem := name_problem(meter, "it")):
        table.problem("meter", problem)
    how = build(table, meter)
    table.finish()
    return None if how is None else MeterConfig(meter, how)


def _dlt645(table: _Table, meter: str, wake_up: int, offset: timedelta) -> MeterOnBus:
    _check_digits(table, meter, 12)
    registers, extras = _wanted(table, dlt645_master.known_registers(), ("1.8.0",), ())
    return Dlt645Meter(meter, registers, extras, table.flag("blocks"), wake_up, offset)


def _cjt188(table: _Table, meter: str, wake_up: int, offset: timedelta) -> MeterOnBus | None:
    _check_digits(table, meter, 14)
    kind = table.text("type", None, "the type T of the meter, two hexadecimal digits")
    data_id = table.text("data_id", "1F90", "a data id of four hexadecimal digits")
    register = register_of(int(kind, 16), data_id.upper()) if _is_hex(kind, 2) else None
    if register is None:
        if kind:
            table.problem("type", f"{kind!r} with data id {data_id!r} is not in the table of CJ/T 188 meters")
        return None
    _wanted(table, frozenset({register}), (register,), ())
    return Cjt188Meter(meter, int(kind, 16), data_id.upper(), wake_up, offset)


def _modbus(reading: _Reading, table: _Table, rtu: bool) -> MeterOnBus | None:
    unit = table.whole("unit", None, 1, 247)
    register_map = reading.map(table)
    if register_map is None:
        table.raw("registers")
        table.raw("extras")
        return None
    values = register_map.values.values()
    totals = tuple(v.register for v in values if not v.extra)
    extras = tuple(v.register for v in values if v.extra)
    registers, extras = _wanted(table, frozenset(register_map.values), totals, extras)
    return ModbusMeter(unit, register_map, registers, extras, rtu)


def _wanted(
    table: _Table, known: frozenset[str], totals: tuple[str, ...], extras: tuple[str, ...]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Registers and extras of a meter; without the keys those given."""
    named, named_extras = table.registers("registers", known), table.registers("extras", known)
    registers = totals if named is None else named
    chosen = tuple(r for r in extras if r not in registers) if named_extras is None else named_extras
    for register in sorted(set(registers) & set(chosen)):
        table.problem("extras", f"{register!r} is among registers, too")
    if not registers and not chosen:
        table.problem("registers", "there is nothing to read")
    return registers, chosen


def _check_digits(table: _Table, meter: str, count: int) -> None:
    if meter and not (len(meter) == count and meter.isascii() and meter.isdecimal()):
        table.problem("meter", f"{meter!r} is not an address of {count} digits")


def _is_hex(text: str, count: int) -> bool:
    return len(text) == count and all(c in "0123456789abcdefABCDEF" for c in text)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
