"""What makes a simulated bus part of a site: the `edge.toml` that polls it, and the registry that knows its meters."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from functools import partial
from pathlib import Path

from deploy.simulated_meters import Protocol, SimulatedMeters
from simulators.registry_rows import InstallationRow, PointRow, RegistryRows, SiteRow, write_rows

INTERVAL_S = 60

_SITE = "110108H901"
_ITEMS = {"8": "02", "7": "03", "6": "04", "5": "05"}


def meter_names(simulated: SimulatedMeters) -> list[str]:
    """The numbers that readings carry: addresses; of Modbus meters, which have only a unit, names."""
    if simulated.options.protocol.modbus:
        return [f"modbus-{int(a):03}" for a in simulated.addresses]
    return list(simulated.addresses)


def edge_toml(simulated: SimulatedMeters, place: str, serial: bool, map_name: str) -> str:
    """The configuration of an edge collector that polls the bus. place: host:port, or a device where `serial`."""
    options, speed = simulated.options, simulated.line.speed
    name = f"{options.protocol}-{place.rpartition('/')[2].rpartition(':')[2]}"
    lines = ["[[bus]]", f'name = "{name}"', f'protocol = "{str(options.protocol).partition("-")[0]}"']
    if serial:
        lines += [f'serial = "{place}"', f"baud = {speed.baud or 9600}"]
        lines += ['parity = "N"                     # a pseudo-terminal has none']
    else:
        lines += [f'tcp = "{place}"']
    if options.protocol is Protocol.MODBUS_RTU and not serial:
        lines += ['framing = "rtu"']
    lines += [f"interval_s = {INTERVAL_S}", f"timeout_s = {_timeout_s(simulated):.1f}"]
    for address, name in zip(simulated.addresses, meter_names(simulated), strict=True):
        lines += ["", "[[bus.meter]]", f'meter = "{name}"', *_keys(simulated, address, map_name)]
    return "\n".join(lines) + "\n"


def _keys(simulated: SimulatedMeters, address: str, map_name: str) -> list[str]:
    options = simulated.options
    if options.protocol is Protocol.DLT645:
        return ['registers = ["1.8.0"]', 'extras = ["16.7.0"]']
    if options.protocol is Protocol.CJT188:
        return [f'type = "{options.kind}"', *(['data_id = "901F"'] if options.high_first else [])]
    return [f"unit = {int(address)}", f'map = "{map_name}"']


def _timeout_s(simulated: SimulatedMeters) -> float:
    """Long enough for a request and a long answer at the speed of the line."""
    speed = simulated.line.speed
    return max(2.0, speed.delay_s + speed.wire_s(160) + 1.0)


def write_registry(simulated: SimulatedMeters, gateway: str, folder: Path) -> None:
    """Write the registry's CSV files: a site, and a point for each meter's total.

    Installed from the first of the year on, so that the files of two days agree with each other.
    """
    options = simulated.options
    names = meter_names(simulated)
    zone = timezone(timedelta(hours=8))
    installed = datetime(datetime.now(zone).year, 1, 1, tzinfo=zone)
    [(register, unit)] = simulated.registers.items()
    protocol = str(options.protocol).partition("-")[0]
    item = _ITEMS.get(register.partition(":")[0], "01") if ":" in register else "01"
    ratio = Decimal(options.ct * options.pt)
    since = partial(InstallationRow, installed_at=installed, interval_s=INTERVAL_S)
    rows = RegistryRows(
        [SiteRow(_SITE, "仿真站点 · Simulated site", "building", "buildings", "H", _SITE[:6], 5000)],
        [PointRow(f"SIM-{n}", _SITE, item, n) for n in names],
        [since(n, f"SIM-{n}", register, gateway, protocol, unit, 6, 2, ratio) for n in names],
    )
    write_rows(folder, rows)
