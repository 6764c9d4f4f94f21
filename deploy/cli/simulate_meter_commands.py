"""`nengliu simulate meter`: a bus of simulated meters for a master to read."""

from __future__ import annotations

import json
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from deploy.simulated_meters import SimulatedMeters
    from deploy.stack.steps import Steps
    from simulators.meters.ports import PseudoTerminal, TcpPort

_SHOWN_ADDRESSES = 4


def register(simulate: typer.Typer) -> None:
    """Put the command into its group."""
    simulate.command("meter")(meter_command)


def meter_command(
    protocol: Annotated[
        str, typer.Argument(metavar="PROTOCOL", help="dlt645, cjt188, modbus-tcp, modbus-rtu.")
    ],
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where to listen; port 0: any free one.")
    ] = None,
    pty: Annotated[
        Path | None,
        typer.Option(metavar="LINK", help="Be a serial device instead: a pseudo-terminal, linked there."),
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Of the first meter; the others count up from it.")
    ] = None,
    count: Annotated[int, typer.Option(min=1, max=200, help="Meters on the bus.")] = 1,
    value: Annotated[
        float | None, typer.Option(min=0, max=999_999.99, help="What its total shows at first.")
    ] = None,
    load: Annotated[
        float | None, typer.Option(min=0, help="kW; of water and gas m3/h; 0: registers stand still.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of first values, swings, noise and broken frames.")] = 1,
    kind: Annotated[
        str, typer.Option("--type", help="cjt188: 10-13 water, 20 heat, 21 cooling, 30 gas.")
    ] = "10",
    energy_unit: Annotated[str, typer.Option(help="cjt188 20, 21: kWh, MWh, MJ or GJ.")] = "GJ",
    high_first: Annotated[
        bool, typer.Option("--id-high-first", help="cjt188: data id 90 1F; 1F 90 is refused.")
    ] = False,
    map_name: Annotated[
        str, typer.Option("--map", help="modbus: a register map by name, or a file of your own.")
    ] = "generic-float32",
    tariffs: Annotated[
        int, typer.Option(min=0, max=63, help="dlt645: over 47, a block needs two frames.")
    ] = 4,
    ct: Annotated[
        int, typer.Option("--ct-ratio", min=1, max=999_999, help="dlt645: what 04000306 says.")
    ] = 1,
    pt: Annotated[
        int, typer.Option("--pt-ratio", min=1, max=999_999, help="dlt645: what 04000307 says.")
    ] = 1,
    baud: Annotated[
        int | None, typer.Option(min=0, help="Speed of the line; default 2400, Modbus RTU 9600; 0: no limit.")
    ] = None,
    bits: Annotated[
        int | None, typer.Option(min=9, max=12, help="On the line for a byte; 8E1: 11, 8N1: 10.")
    ] = None,
    turnaround: Annotated[
        float | None, typer.Option(min=0, max=60, help="Seconds from a request to its answer.")
    ] = None,
    noise: Annotated[
        float, typer.Option(min=0, max=1, help="Share of answers with flipped bits or stray bytes.")
    ] = 0.0,
    broken: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND=SHARE", help="Share of answers that are cut, checksum, silent, late."),
    ] = None,
    wiring: Annotated[
        list[str] | None, typer.Option(metavar="FAULT-PHASE", help="Electricity: lost-A, reversed-B …")
    ] = None,
    twin: Annotated[
        bool, typer.Option("--twin", help="Another meter has the first one's address, too.")
    ] = False,
    clock_offset: Annotated[
        float, typer.Option(min=-3e9, max=3e9, help="Seconds that the meters' clocks are fast.")
    ] = 0.0,
    edge_toml: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the `edge.toml` that polls the bus.")
    ] = None,
    registry_out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write the registry that knows the meters.")
    ] = None,
    gateway: Annotated[str, typer.Option(help="The gateway that the registry names.")] = "gw-sim",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON at the start, one at the end.")
    ] = False,
) -> None:
    """Simulate a meter, or a bus of them, until Ctrl-C: a master, yours or `nengliu edge`, can read it.

    Its registers advance with the load. Silent to wrong checksums and to other addresses, as a real one is.
    """
    from deploy.settings import load_settings
    from deploy.simulated_meters import MeterOptions, Protocol, simulated_meters
    from deploy.stack.steps import Steps

    if protocol not in list(Protocol):
        raise typer.BadParameter(f"{protocol!r}: give one of {', '.join(Protocol)}")
    if listen is not None and pty is not None:
        raise typer.BadParameter("give --listen or --pty, not both")
    chosen = Protocol(protocol)
    if pty is not None and chosen is Protocol.MODBUS_TCP:
        raise typer.BadParameter("modbus-tcp is no protocol of a serial line; use modbus-rtu")
    map_file = _map_file(map_name) if chosen.modbus else None
    options = MeterOptions(
        chosen, address, count, value, load, seed, kind, energy_unit, high_first, map_file, baud, bits,
        turnaround, noise, broken or (), wiring or (), twin, clock_offset, tariffs, ct, pt,
    )  # fmt: skip
    simulated = simulated_meters(options)
    port, place = _port(simulated, listen, pty)
    polled = _toml(simulated, place, pty is not None, map_name)
    if edge_toml is not None:
        edge_toml.write_text(polled, encoding="utf-8")
    if registry_out is not None:
        from deploy.simulated_meter_files import write_registry

        write_registry(simulated, gateway, registry_out)
    steps = Steps(load_settings().language)
    stop = _until_stopped()
    port.start()
    if as_json:
        typer.echo(json.dumps(_facts(simulated, place, pty is not None)))
    else:
        _introduce(simulated, place, None if edge_toml is not None else polled, steps)
    stop.wait()
    port.stop()
    _summary(simulated, steps, as_json)


def _map_file(name: str) -> Path:
    """The file of a map, by its name or path, in which the edge collector finds no fault either."""
    from importlib.resources import files

    from collectors.edge.register_maps import load_map

    load_map(name, Path())
    if "/" in name or name.endswith(".toml"):
        return Path(name).resolve()
    return Path(str(files("collectors.edge").joinpath("maps", f"{name}.toml")))


def _port(
    simulated: SimulatedMeters, listen: str | None, pty: Path | None
) -> tuple[TcpPort | PseudoTerminal, str]:
    """The port of the bus, and how a master names it."""
    from metering.errors import SettingError
    from simulators.meters.ports import PseudoTerminal, TcpPort

    if pty is not None:
        return PseudoTerminal(simulated.line, pty.absolute()), str(pty.absolute())
    host, _, port = (listen or "127.0.0.1:0").rpartition(":")
    if not host or not port.isascii() or not port.isdecimal():
        raise SettingError(f"--listen {listen}: give HOST:PORT, as 127.0.0.1:4001")
    made = TcpPort(simulated.line, host.strip("[]"), int(port))
    return made, f"{host}:{made.port}"


def _toml(simulated: SimulatedMeters, place: str, serial: bool, map_name: str) -> str:
    from deploy.simulated_meter_files import edge_toml

    own = "/" in map_name or map_name.endswith(".toml")
    return edge_toml(simulated, place, serial, str(Path(map_name).resolve()) if own else map_name)


def _until_stopped() -> threading.Event:
    """Set by Ctrl-C and SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def _facts(simulated: SimulatedMeters, place: str, serial: bool) -> dict[str, Any]:
    speed = simulated.line.speed
    return {
        "protocol": str(simulated.options.protocol),
        "serial" if serial else "tcp": place,
        "addresses": list(simulated.addresses),
        "registers": simulated.registers,
        "baud": speed.baud,
        "bits": speed.bits,
        "turnaround_s": speed.delay_s,
        "seed": simulated.options.seed,
    }


def _introduce(simulated: SimulatedMeters, place: str, polled: str | None, steps: Steps) -> None:
    speed, addresses = simulated.line.speed, simulated.addresses
    shown = ", ".join(addresses[:_SHOWN_ADDRESSES]) + (
        f" … {addresses[-1]}" if len(addresses) > _SHOWN_ADDRESSES else ""
    )
    plural = "" if len(addresses) == 1 else "s"
    line = steps.text("不限速", "no limit") if speed.baud is None else f"{speed.baud} bit/s"
    typer.echo(
        steps.text(
            f"{simulated.options.protocol} 仿真总线在 {place}，{len(addresses)} 块表：{shown}\n"
            f"  线路 {line}，应答延时 {speed.delay_s * 1000:g} ms；按 Ctrl-C 结束",
            f"Simulated {simulated.options.protocol} bus at {place}, {len(addresses)} meter{plural}: {shown}\n"
            f"  line {line}, answers after {speed.delay_s * 1000:g} ms; Ctrl-C ends it",
        )
    )
    if polled is not None:
        typer.echo(
            steps.text(
                "  用 nengliu edge 采集它（edge.toml）：", "  To poll it with nengliu edge (edge.toml):"
            )
        )
        typer.echo("\n" + polled)


def _summary(simulated: SimulatedMeters, steps: Steps, as_json: bool) -> None:
    line = simulated.line
    spoilt = dict(line.trouble.done) if line.trouble is not None else {}
    if as_json:
        told = {
            "answers": line.answers,
            "wire_bytes": line.wire_bytes,
            "asked": simulated.asked,
            "spoilt": spoilt,
        }
        typer.echo(json.dumps(told))
        return
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(spoilt.items())) or "–"
    typer.echo(
        steps.text(
            f"\n已结束：应答 {line.answers} 次，线路 {line.wire_bytes} 字节；"
            f"{len(simulated.meters)} 块表中 {simulated.asked} 块被读过；有意损坏：{kinds}",
            f"\nEnded: {line.answers} answers, {line.wire_bytes} bytes over the line; "
            f"{simulated.asked} of {len(simulated.meters)} meters were asked; spoilt on purpose: {kinds}",
        )
    )
