"""Modbus meters that pymodbus' own server plays, over TCP and with RTU frames."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymodbus.framer import FramerType
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from collectors.edge.config import load_config
from tests.unit.edge_lines import CollectingSink, health_of, polling


@contextmanager
def server(framer: FramerType, *units: int) -> Iterator[int]:
    """The port of a server of units laid out as generic-uint32 is: 16909.06 kWh, 2.56 kWh, -1.5 kW, 230.1 V, -5 A."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def begin() -> tuple[ModbusTcpServer, int]:
        words = [
            SimData(0, values=[0xFA24, 0xFFFF, 2301, 0xFE0C], datatype=DataType.REGISTERS),
            SimData(0x100, values=[0xCD1A, 0x0019, 256, 0], datatype=DataType.REGISTERS),
        ]
        devices = [SimDevice(unit, simdata=words) for unit in units]
        own = ModbusTcpServer(devices, framer=framer, address=("127.0.0.1", 0))
        await own.serve_forever(background=True)
        return own, own.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]

    async def end(own: ModbusTcpServer) -> None:
        await own.shutdown()

    own, port = asyncio.run_coroutine_threadsafe(begin(), loop).result(10)
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(end(own), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


CONFIG = """
[[bus]]
name = "plant"
protocol = "modbus"
tcp = "127.0.0.1:{port}"
framing = "{framing}"
interval_s = 1
timeout_s = 0.5
retries = 1
[[bus.meter]]
meter = "chiller"
unit = 7
map = "generic-uint32"
[[bus.meter]]
meter = "nobody"
unit = 8
map = "{second}"
"""


@pytest.mark.parametrize(("framing", "framer"), [("tcp", FramerType.SOCKET), ("rtu", FramerType.RTU)])
def test_a_meter_is_read_by_its_map_and_a_wrong_address_is_its_own_failure(
    framing: str, framer: FramerType, tmp_path: Path
):
    file, sink = tmp_path / "edge.toml", CollectingSink()
    (tmp_path / "elsewhere.toml").write_text(
        'source = "none"\nconfidence = "none"\n'
        '[registers."1.8.0"]\naddress = 0x900\ntype = "uint32"\nunit = "kWh"\n',
        encoding="utf-8",
    )
    with server(framer, 7, 8) as port:
        file.write_text(CONFIG.format(port=port, framing=framing, second="elsewhere.toml"), encoding="utf-8")
        with polling(sink, *load_config(file).buses) as poller:
            sink.wait_for(lambda: health_of(poller, "nobody").failures_in_a_row > 0)
            sink.wait_for(lambda: bool(sink.of("chiller")))
            assert health_of(poller, "chiller").failures_in_a_row == 0
            assert "exception 02, illegal data address" in (health_of(poller, "nobody").last_error or "")
    assert {r: v for reading in sink.of("chiller")[:1] for r, v in reading.values.items()} == {
        "1.8.0": 16909.06,
        "2.8.0": 2.56,
        "16.7.0": -1.5,
        "32.7.0": 230.1,
        "31.7.0": -5.0,
    }
    assert not sink.of("nobody")
