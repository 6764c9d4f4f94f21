"""Simulated Modbus meters as pymodbus' own client reads them, over TCP and RTU."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from pymodbus.client import ModbusSerialClient, ModbusTcpClient

from metering.errors import SettingError
from simulators.meters import modbus
from simulators.meters.lines import HalfDuplexLine
from simulators.meters.modbus import ModbusMeter, ModbusRtuBus, ModbusTcpBus, crc16
from simulators.meters.modbus_map import read_map
from simulators.meters.ports import PseudoTerminal, TcpPort

TYPES = ModbusTcpClient.DATATYPE
VALUES = {"1.8.0": 16909.06, "2.8.0": 2.56, "16.7.0": -1.5, "32.7.0": 230.1, "31.7.0": 99.0}
MAP = """
[registers."1.8.0"]
address = 0x0100
type = "uint32"
word_order = "little"
scale = 0.01
unit = "kWh"
[registers."2.8.0"]
address = 0x0106
type = "float64"
unit = "Wh"
[registers."16.7.0"]
function = "input"
address = 0
type = "int32"
scale = 0.001
unit = "kW"
[registers."32.7.0"]
function = "input"
address = 2
type = "float32"
byte_order = "little"
unit = "V"
[registers."31.7.0"]
function = "input"
address = 4
type = "int16"
scale = 0.001
unit = "A"
"""


@pytest.fixture
def meters(tmp_path: Path) -> list[ModbusMeter]:
    """Units 1 to 200 with the same values."""
    (tmp_path / "map.toml").write_text(MAP, encoding="utf-8")
    own = read_map(tmp_path / "map.toml")
    return [ModbusMeter(unit, own, lambda: VALUES) for unit in range(1, 201)]


@contextmanager
def connected(meters: list[ModbusMeter], rtu: bool) -> Iterator[ModbusTcpClient | ModbusSerialClient]:
    port: PseudoTerminal | TcpPort
    client: ModbusTcpClient | ModbusSerialClient
    if rtu:
        port = PseudoTerminal(HalfDuplexLine(ModbusRtuBus(meters)))
        client = ModbusSerialClient(port.device, baudrate=115200, timeout=5, retries=0)
    else:
        port = TcpPort(HalfDuplexLine(ModbusTcpBus(meters)))
        client = ModbusTcpClient("127.0.0.1", port=port.port, timeout=5, retries=0)
    port.start()
    try:
        assert client.connect()
        yield client
    finally:
        client.close()
        port.stop()


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])
def test_pymodbus_reads_every_type_and_order(meters: list[ModbusMeter], rtu: bool):
    with connected(meters, rtu) as client:
        holding = client.read_holding_registers(0x100, count=10, device_id=7).registers
        assert client.convert_from_registers(holding[:2], TYPES.UINT32, "little") == 1690906
        assert holding[2:6] == [0, 0, 0, 0], "nothing stands between"
        assert client.convert_from_registers(holding[6:], TYPES.FLOAT64) == 2560.0
        inputs = client.read_input_registers(0, count=5, device_id=7).registers
        assert client.convert_from_registers(inputs[:2], TYPES.INT32) == -1500
        turned = [(w & 0xFF) << 8 | w >> 8 for w in inputs[2:4]]
        assert client.convert_from_registers(turned, TYPES.FLOAT32) == pytest.approx(230.1)
        assert client.convert_from_registers(inputs[4:], TYPES.INT16) == 32767, "it stops at its end"


@pytest.mark.parametrize("rtu", [False, True], ids=["tcp", "rtu"])
def test_pymodbus_hears_the_exceptions_of_the_standard(meters: list[ModbusMeter], rtu: bool):
    with connected(meters, rtu) as client:
        assert client.read_coils(0, count=1, device_id=1).exception_code == 1
        assert client.write_register(0x100, 1, device_id=1).exception_code == 1
        assert client.read_holding_registers(0x109, count=2, device_id=1).exception_code == 2
        assert client.read_holding_registers(0x0FF, count=1, device_id=1).exception_code == 2
        assert not client.read_holding_registers(0x109, count=1, device_id=1).isError()


def test_a_wrong_quantity_is_refused(meters: list[ModbusMeter]):
    for count in (b"\x00\x00", b"\x00\x7e"):
        assert meters[0].answer(b"\x03\x01\x00" + count) == b"\x83\x03"


def test_pymodbus_reads_200_units_of_one_bus(meters: list[ModbusMeter]):
    with connected(meters, rtu=False) as client:
        for unit in range(1, 201):
            assert client.read_holding_registers(0x100, count=2, device_id=unit).registers == [0xCD1A, 0x0019]


def test_the_crc_is_that_of_the_specification():
    """Modbus over Serial Line V1.02, 6.2.2: 02 07 gives 41 12 on the line."""
    assert crc16(b"\x02\x07") == 0x1241


def test_rtu_meters_are_silent_to_wrong_crcs_to_others_and_to_the_broadcast(meters: list[ModbusMeter]):
    bus = ModbusRtuBus(meters)

    def framed(unit: int) -> bytes:
        body = bytes([unit]) + bytes.fromhex("03 01 00 00 02")
        return body + crc16(body).to_bytes(2, "little")

    assert bus(framed(0))[0] == bus(framed(201))[0] == b""
    good = framed(1)
    for at in range(len(good)):
        assert bus(good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1 :])[0] == b"", f"byte {at}"
    assert bus(b"\x00\xff" + good)[0], "junk before a request costs nothing"


def heard_in_pieces(bus: ModbusRtuBus, data: bytes, size: int) -> tuple[bytes, bytes]:
    """All answers to what comes in pieces, and what is kept at the end."""
    answers = kept = b""
    for at in range(0, len(data), size):
        answer, kept = bus(kept + data[at : at + size])
        answers += answer
    return answers, kept


@pytest.mark.parametrize(
    "pattern",
    [None, b"\x01\x10\x10\x10\x10\x10\xf7\xf7\xf7\xf7\xf7", b"\x01\x63"],
    ids=["any", "longest", "unknown"],
)
@pytest.mark.parametrize("size", [64, 4096, 65536])
def test_noise_costs_bounded_work_and_a_request_after_it_is_answered(
    meters: list[ModbusMeter], monkeypatch: pytest.MonkeyPatch, pattern: bytes | None, size: int
):
    # One of 65,536 tries is a right CRC by chance, and is answered; this noise has none.
    noise = random.Random(6).randbytes(65536) if pattern is None else (pattern * 65536)[:65536]
    work = 0

    def counting(data: bytes, crc=crc16) -> int:
        nonlocal work
        work += len(data)
        return crc(data)

    monkeypatch.setattr(modbus, "crc16", counting)
    bus = ModbusRtuBus(meters)
    answers, kept = heard_in_pieces(bus, noise, size)
    assert answers == b""
    assert len(kept) <= 256
    looked_at = 65536 * (1 + 256 / size)  # what is kept is looked at again
    assert work <= looked_at * (256 if pattern else 4)
    request = bytes.fromhex("01 03 01 00 00 02")
    answer, rest = bus(kept + request + crc16(request).to_bytes(2, "little"))
    assert (answer[:3].hex(), rest) == ("010304", b"")


def test_a_function_that_no_meter_has_is_refused_and_costs_nothing_else(meters: list[ModbusMeter]):
    """Whole and alone, as between two silences; of known length also behind junk."""
    for function, junk in ((0x63, b""), (0x2B, b"\x00\xff\x00")):
        body = bytes([1, function, 0x0E, 1, 0])
        framed = body + crc16(body).to_bytes(2, "little")
        answer, rest = ModbusRtuBus(meters)(junk + framed)
        assert (answer[:3], rest) == (bytes([1, function | 0x80, 1]), b"")


def test_tcp_meters_are_silent_to_other_units_and_answer_with_the_transaction(meters: list[ModbusMeter]):
    bus = ModbusTcpBus(meters)
    request = bytes.fromhex("AB CD 00 00 00 06 01 03 01 00 00 02")
    answer, rest = bus(request + request[:9])
    assert (answer[:2].hex(), answer[4:8].hex(), rest) == ("abcd", "00070103", request[:9])
    assert bus(request[:6] + b"\xf8" + request[7:])[0] == b""
    assert bus(b"\x00\x00\x12\x34" + request[4:]) == (b"", b""), "no Modbus"


def test_every_map_that_is_shipped_can_be_simulated():
    maps = sorted((Path(__file__).parents[2] / "collectors" / "edge" / "maps").glob("*.toml"))
    assert maps
    assert all(read_map(m).units for m in maps)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('type = "float16"', "type: 'float16'"),
        ('type = "int16"\nunit = "kcal"', "unit: 'kcal'"),
        ('type = "int16"\naddress = 70000', "address"),
    ],
)
def test_a_map_that_cannot_be_used_is_refused_by_register_and_key(tmp_path: Path, line: str, told: str):
    text = '[registers."1.8.0"]\n' + line
    text += "" if "unit" in line else '\nunit = "kWh"'
    text += "" if "address" in line else "\naddress = 0"
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SettingError, match=r"1\.8\.0.*" + told):
        read_map(tmp_path / "m.toml")
