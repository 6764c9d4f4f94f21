"""The edge collector's file: what it means, and every fault named with its place."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from collectors.edge.cjt188_master import Cjt188Meter
from collectors.edge.config import load_config
from collectors.edge.dlt645_master import Dlt645Meter
from collectors.edge.line import SerialPlace, TcpPlace
from collectors.edge.modbus_master import ModbusMeter
from deploy.cli.edge_commands import edge
from metering.errors import SettingError

GOOD = """
[[bus]]
name = "cellar"
protocol = "dlt645"
serial = "/dev/ttyUSB0"
meter_utc_offset_h = 0
[[bus.meter]]
meter = "110108000123"
extras = ["16.7.0"]

[[bus]]
name = "heat"
protocol = "cjt188"
tcp = "10.0.0.7:4001"
[[bus.meter]]
meter = "33007800112233"
type = "20"

[[bus]]
name = "plant"
protocol = "modbus"
serial = "/dev/ttyUSB1"
interval_s = 60
[[bus.meter]]
meter = "chiller-1"
unit = 7
map = "generic-uint32"
registers = ["1.8.0"]
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "edge.toml"
    file.write_text(text, encoding="utf-8")
    return file


def test_a_file_says_which_buses_and_meters_there_are(tmp_path: Path):
    cellar, heat, plant = load_config(write(tmp_path, GOOD)).buses
    assert cellar.place == SerialPlace("/dev/ttyUSB0", 2400, "E", 1)
    assert (cellar.interval_s, cellar.timeout_s, cellar.retries) == (900, 2, 2)
    assert cellar.meters[0].how == Dlt645Meter(
        "110108000123", ("1.8.0",), ("16.7.0",), utc_offset=timedelta(0)
    )
    assert heat.place == TcpPlace("10.0.0.7", 4001)
    assert heat.meters[0].how == Cjt188Meter("33007800112233", 0x20)
    assert plant.place == SerialPlace("/dev/ttyUSB1", 9600, "N", 1)
    how = plant.meters[0].how
    assert isinstance(how, ModbusMeter)
    assert (how.unit, how.rtu, how.registers) == (7, True, ("1.8.0",))
    assert how.extras == ("2.8.0", "16.7.0", "32.7.0", "31.7.0")[1:]
    assert plant.silence_s() == pytest.approx(3.5 * 10 / 9600)


BAD = """
bauds = 1
[[bus]]
name = "a"
protocol = "dlt645"
serial = "/dev/ttyUSB0"
baud = "fast"
retires = 3
[[bus.meter]]
meter = "12345"
[[bus.meter]]
meter = "110108000123"
registers = ["1.8.0", "8:1.0.0", "nonsense"]
unit = 3
[[bus]]
name = "a"
protocol = "modbus"
serial = "/dev/ttyUSB0"
framing = "tcp"
[[bus.meter]]
meter = "110108000123"
unit = 300
map = "nobody"
[[bus]]
name = "c"
protocol = "cjt188"
tcp = "nowhere"
[[bus.meter]]
meter = "33007800112233"
type = "99"
[[bus]]
name = "d"
protocol = "telepathy"
"""


def test_every_fault_of_a_file_is_named_at_once_with_its_place(tmp_path: Path):
    file = write(tmp_path, BAD)
    with pytest.raises(SettingError) as caught:
        load_config(file)
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(file)) for line in lines)
    for expected in (
        "bauds: is not a key here",
        "bus a: baud: 'fast' is not a whole number",
        "bus a: retires: is not a key here",
        "bus a: meter 12345: meter: '12345' is not an address of 12 digits",
        "bus a: meter 110108000123: registers: '8:1.0.0' cannot be read here",
        "bus a: meter 110108000123: registers: 'nonsense' is not in the table of registers",
        "bus a: meter 110108000123: unit: is not a key here",
        "bus a: framing: a serial line is rtu",
        "bus a: meter 110108000123: unit: 300 is not a whole number from 1 to 247",
        "bus a: meter 110108000123: map: register map 'nobody' does not exist; shipped are generic-float32",
        "bus c: tcp: 'nowhere' is not host:port",
        "bus c: meter 33007800112233: type: '99' with data id '1F90' is not in the table",
        "bus d: protocol: 'telepathy' is not dlt645, cjt188 or modbus",
        "bus d: tcp, serial: give one of them",
        "bus d: meter: is missing",
        "bus a is there twice",
        "serial /dev/ttyUSB0 is shared by two buses",
        "meter 110108000123 is there twice",
    ):
        assert any(expected in line for line in lines), expected


def test_a_file_that_is_no_toml_or_not_there_is_named(tmp_path: Path):
    with pytest.raises(SettingError, match=r"edge.toml is not TOML"):
        load_config(write(tmp_path, "[[bus"))
    with pytest.raises(SettingError, match=r"nothing.toml .*cannot be read"):
        load_config(tmp_path / "nothing.toml")


OWN = """
source = "the manual of the meter"
confidence = "read"
[registers."1.8.0"]
address = 0x10
type = "float64"
unit = "MWh"
"""


def modbus_with(map_name: str) -> str:
    return f"""
[[bus]]
name = "m"
protocol = "modbus"
tcp = "127.0.0.1:502"
[[bus.meter]]
meter = "x"
unit = 1
map = "{map_name}"
"""


def test_a_map_of_ones_own_is_found_beside_the_file(tmp_path: Path):
    (tmp_path / "own.toml").write_text(OWN, encoding="utf-8")
    how = load_config(write(tmp_path, modbus_with("own.toml"))).buses[0].meters[0].how
    assert isinstance(how, ModbusMeter)
    assert how.registers == ("1.8.0",)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("float64", "float16"), "register 1.8.0: Invalid enum value 'float16'"),
        (("MWh", "m3"), "unit 'm3' cannot be"),
        (("1.8.0", "1.9.0"), "register 1.9.0: is not in the table"),
        (("0x10", "0xFFFE"), "address 65534 is not between"),
        (("unit =", "scale = 0\nunit ="), "scale 0 is not between"),
        (("unit =", "scal = 1\nunit ="), "unknown field `scal`"),
        (('source = "the manual of the meter"', ""), "missing required field `source`"),
    ],
)
def test_a_fault_in_a_map_is_named_with_its_register(tmp_path: Path, change: tuple[str, str], expected: str):
    (tmp_path / "own.toml").write_text(OWN.replace(*change), encoding="utf-8")
    with pytest.raises(SettingError) as caught:
        load_config(write(tmp_path, modbus_with("own.toml")))
    assert expected in str(caught.value)
    assert "bus m: meter x: map: register map 'own.toml'" in str(caught.value)


def test_the_example_that_is_printed_is_a_configuration(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    edge(example=True)
    (tmp_path / "edge.toml").write_text(capsys.readouterr().out, encoding="utf-8")
    assert [b.protocol for b in load_config(tmp_path / "edge.toml").buses] == ["dlt645", "cjt188", "modbus"]
