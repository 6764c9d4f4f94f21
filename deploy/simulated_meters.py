"""`simulate meter`: a bus of simulated meters from what a person asks for."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from enum import StrEnum
from pathlib import Path

from metering.errors import SettingError
from simulators.meters import cjt188
from simulators.meters.cjt188 import Cjt188Bus, Cjt188Meter
from simulators.meters.counts import (
    PHASES,
    ElectricityCounts,
    HeatCounts,
    Load,
    MeterClock,
    Snapshot,
    VolumeCounts,
    Wiring,
)
from simulators.meters.dlt645 import Dlt645Bus, Dlt645Meter
from simulators.meters.lines import Answerer, HalfDuplexLine, LineSpeed
from simulators.meters.modbus import ModbusMeter, ModbusRtuBus, ModbusTcpBus
from simulators.meters.modbus_map import RegisterMap, read_map
from simulators.meters.trouble import KINDS, Trouble, TroubleShares

#: A meter's clock shows Beijing time.
_BEIJING = timezone(timedelta(hours=8))

#: 02030000 shows XX.XXXX kW, its highest bit is the sign: 79.9999 at the top of the swing.
_MOST_DLT645_KW = 66.0

_PHASE_FACTORS = {"lost": 0, "reversed": -1}
_DEFAULT_LOAD = {"electricity": 30.0, "volume": 6.0, "heat": 500.0}
_CJT188_REGISTERS = {0x20: "6:1.0.0", 0x21: "5:1.0.0", 0x30: "7:3.0.0"}
_WATER = "8:1.0.0"


class Protocol(StrEnum):
    """What simulated meters speak."""

    DLT645 = "dlt645"
    CJT188 = "cjt188"
    MODBUS_TCP = "modbus-tcp"
    MODBUS_RTU = "modbus-rtu"

    @property
    def modbus(self) -> bool:
        """Whether it is one of Modbus."""
        return self in (Protocol.MODBUS_TCP, Protocol.MODBUS_RTU)

    @property
    def digits(self) -> int:
        """Of an address; 0: it is a number from 1 to 247."""
        return {Protocol.DLT645: 12, Protocol.CJT188: 14}.get(self, 0)

    @property
    def speed(self) -> LineSpeed:
        """The usual speed of its line: 2400 8E1, 9600 8N1, a network; and a usual turn-around."""
        if self is Protocol.MODBUS_TCP:
            return LineSpeed(None, 10, 0.005)
        return LineSpeed(9600, 10, 0.02) if self.modbus else LineSpeed(2400, 11, 0.03)


@dataclass(frozen=True, slots=True)
class MeterOptions:
    """What to simulate; None: the protocol's default. load: kW, m3/h of water and gas; kind: type T of CJ/T 188;
    high_first: of the data id of CJ/T 188; map: file of a register map; broken: "KIND=SHARE"; wiring: "lost-A",
    "reversed-B"; twin: a second meter has the first one's address.
    """

    protocol: Protocol
    address: str | None = None
    count: int = 1
    value: float | None = None
    load: float | None = None
    seed: int = 1
    kind: str = "10"
    energy_unit: str = "GJ"
    high_first: bool = False
    map: Path | None = None
    baud: int | None = None
    bits: int | None = None
    turnaround_s: float | None = None
    noise: float = 0.0
    broken: Sequence[str] = ()
    wiring: Sequence[str] = ()
    twin: bool = False
    clock_offset_s: float = 0.0
    tariffs: int = 4
    ct: int = 1
    pt: int = 1


@dataclass(frozen=True, slots=True)
class SimulatedMeters:
    """A bus that can be put on a port. registers: totals of each meter, with the unit of its display."""

    options: MeterOptions
    addresses: tuple[str, ...]
    line: HalfDuplexLine
    meters: Sequence[Dlt645Meter | Cjt188Meter | ModbusMeter]
    registers: dict[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """How many of the meters were asked for something."""
        return sum(1 for m in self.meters if m.asked)


def simulated_meters(options: MeterOptions) -> SimulatedMeters:
    """The bus that is asked for. Raises SettingError naming the option that cannot be."""
    addresses = _addresses(options)
    wired = [*addresses, addresses[0]] if options.twin else list(addresses)
    trouble = Trouble(TroubleShares(options.noise, _broken(options)), options.seed)
    if options.protocol is Protocol.DLT645:
        own: tuple[Answerer, Sequence[Dlt645Meter | Cjt188Meter | ModbusMeter], dict[str, str]] = _dlt645(
            options, wired
        )
    elif options.protocol is Protocol.CJT188:
        own = _cjt188(options, wired)
    else:
        own = _modbus(options, wired)
    answer, meters, registers = own
    line = HalfDuplexLine(answer, _speed(options), trouble)
    return SimulatedMeters(options, tuple(addresses), line, meters, registers)


def _addresses(options: MeterOptions) -> list[str]:
    digits, text = options.protocol.digits, options.address or "1"
    last = 10**digits - 1 if digits else 247
    if not text.isascii() or not text.isdecimal() or not 1 <= int(text) <= last:
        shape = f"up to {digits} digits" if digits else "a unit from 1 to 247"
        raise SettingError(f"--address {text}: {options.protocol} wants {shape}, above 0")
    first = int(text)
    if first + options.count - 1 > last:
        raise SettingError(f"--address {text} --count {options.count}: addresses end at {last}")
    return [f"{n:0{digits}}" for n in range(first, first + options.count)]


def _broken(options: MeterOptions) -> dict[str, float]:
    shares: dict[str, float] = {}
    for text in options.broken:
        kind, _, share = text.partition("=")
        try:
            shares[kind] = float(share)
        except ValueError:
            shares[kind] = -1.0
        if kind not in KINDS or not 0 <= shares[kind] <= 1:
            raise SettingError(
                f"--broken {text}: give KIND=SHARE, KIND one of {', '.join(KINDS)}, SHARE 0 to 1"
            )
    if "checksum" in shares and options.protocol is Protocol.MODBUS_TCP:
        raise SettingError("--broken checksum: Modbus TCP has no checksum; use modbus-rtu")
    if sum(shares.values()) > 1:
        raise SettingError("--broken: the shares add up to more than 1")
    return shares


def _speed(options: MeterOptions) -> LineSpeed:
    usual = options.protocol.speed
    baud = usual.baud if options.baud is None else options.baud or None
    delay_s = usual.delay_s if options.turnaround_s is None else options.turnaround_s
    return LineSpeed(baud, options.bits or usual.bits, delay_s)


def _now() -> datetime:
    return datetime.now(_BEIJING)


def _clock(options: MeterOptions) -> MeterClock:
    return MeterClock(_now, timedelta(seconds=options.clock_offset_s))


def _each(options: MeterOptions, number: int, family: str) -> tuple[float, Load]:
    """The start value and the load of the meter of a number; a twin has its own start value."""
    chance = random.Random(f"meter {options.seed} {number}")
    start = round(chance.uniform(100, 5000), 2)
    if options.value is not None:
        start = options.value + (1000 if number >= options.count else 0)
    mean = _DEFAULT_LOAD[family] if options.load is None else options.load
    return start, Load.drawn(mean, chance)


def _wiring(options: MeterOptions) -> Wiring:
    factors = dict.fromkeys(PHASES, 1)
    for text in options.wiring:
        fault, _, phase = text.partition("-")
        if fault not in _PHASE_FACTORS or phase not in PHASES:
            raise SettingError(f"--wiring {text}: give lost-A or reversed-A, or B, or C")
        factors[phase] = _PHASE_FACTORS[fault]
    return Wiring((factors["A"], factors["B"], factors["C"]), options.ct, options.pt)


def _electricity(options: MeterOptions, number: int) -> Callable[[], Snapshot]:
    start, load = _each(options, number, "electricity")
    return ElectricityCounts(start, load, _now, _wiring(options), options.tariffs)


def _counts(options: MeterOptions, number: int, register: str, unit: str = "GJ") -> Callable[[], Snapshot]:
    """What a meter counts whose total is `register`."""
    if ":" not in register:
        return _electricity(options, number)
    if register in ("6:1.0.0", "5:1.0.0"):
        start, load = _each(options, number, "heat")
        per_kwh = cjt188.energy_units()[unit]
        return HeatCounts(register, start, load, _now, per_kwh, cooling=register == "5:1.0.0")
    start, load = _each(options, number, "volume")
    return VolumeCounts(register, start, load, _now)


def _dlt645(
    options: MeterOptions, addresses: list[str]
) -> tuple[Dlt645Bus, list[Dlt645Meter], dict[str, str]]:
    if options.load is not None and options.load > _MOST_DLT645_KW:
        raise SettingError(
            f"--load {options.load}: a DL/T 645 meter shows XX.XXXX kW; give at most {_MOST_DLT645_KW}"
        )
    meters = [Dlt645Meter(a, _electricity(options, n), _clock(options)) for n, a in enumerate(addresses)]
    return Dlt645Bus(meters), meters, {"1.8.0": "kWh"}


def _cjt188(
    options: MeterOptions, addresses: list[str]
) -> tuple[Cjt188Bus, list[Cjt188Meter], dict[str, str]]:
    kind = int(options.kind, 16) if len(options.kind) == 2 and options.kind.isdecimal() else 0
    if not cjt188.layout(kind):
        raise SettingError(
            f"--type {options.kind}: give 10-13 for water, 20 for heat, 21 for cooling, 30 for gas"
        )
    if options.energy_unit not in cjt188.energy_units():
        raise SettingError(
            f"--energy-unit {options.energy_unit}: give one of {', '.join(cjt188.energy_units())}"
        )
    register = _CJT188_REGISTERS.get(kind, _WATER)
    meters = [
        Cjt188Meter(
            address,
            kind,
            _counts(options, n, register, options.energy_unit),
            _clock(options),
            options.energy_unit,
            options.high_first,
        )
        for n, address in enumerate(addresses)
    ]
    unit = options.energy_unit if kind in (0x20, 0x21) else "m3"
    return Cjt188Bus(meters), meters, {register: unit}


def _modbus(
    options: MeterOptions, addresses: list[str]
) -> tuple[ModbusTcpBus | ModbusRtuBus, list[ModbusMeter], dict[str, str]]:
    if options.map is None:
        raise SettingError("--map: name the register map of the meters")
    own = read_map(options.map)
    register = _first_total(own)
    meters = [ModbusMeter(int(a), own, _counts(options, n, register)) for n, a in enumerate(addresses)]
    if missing := own.units.keys() - meters[0].values().keys():
        raise SettingError(
            f"register map {options.map}: {', '.join(sorted(missing))} cannot be simulated with it"
        )
    bus = ModbusTcpBus if options.protocol is Protocol.MODBUS_TCP else ModbusRtuBus
    return bus(meters), meters, {register: own.units[register]}


def _first_total(own: RegisterMap) -> str:
    """The register that says what kind of meter a map is of."""
    return next((r for r in own.units if r == "1.8.0" or ":" in r), next(iter(own.units)))
