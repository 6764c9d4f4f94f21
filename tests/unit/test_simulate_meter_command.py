"""`nengliu simulate meter` as a person runs it: its lines, its files, its end, and `nengliu edge` reading it."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from collectors.edge.config import load_config
from deploy.simulated_meter_files import write_registry
from deploy.simulated_meters import MeterOptions, Protocol, simulated_meters
from metering.errors import SettingError
from simulators.registry_rows import InstallationRow, PointRow, SiteRow
from storage.registry_codes import RegistryCodes
from storage.registry_files import read_folder

COMMAND = [sys.executable, "-m", "deploy.cli.app"]
BUSES = (
    ("dlt645", "--address", "110108000001", "--count", "3", "--value", "1234.56"),
    ("dlt645", "--address", "110108000100", "--wiring", "reversed-A", "--pty", "dlt645.tty"),
    ("cjt188", "--address", "33007800112233", "--type", "20", "--energy-unit", "MWh"),
    ("cjt188", "--address", "33007800112244", "--id-high-first", "--value", "999999.99", "--load", "0"),
    ("modbus-tcp", "--address", "246", "--count", "2"),
    ("modbus-rtu", "--map", "generic-uint32", "--pty", "modbus.tty", "--address", "9"),
    ("modbus-rtu", "--map", "generic-water-uint32", "--address", "12", "--value", "12.34", "--load", "0"),
)
METERS = {
    *(f"11010800000{n}" for n in (1, 2, 3)), "110108000100", "33007800112233", "33007800112244",
    "modbus-246", "modbus-247", "modbus-009", "modbus-012",
}  # fmt: skip


def environment(folder: Path) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")}
    return own | {
        "NENGLIU_STATE_DIR": str(folder),
        "NENGLIU_EDGE_CONFIG": str(folder / "edge.toml"),
        "NENGLIU_EDGE_OUTBOX": str(folder / "outbox.sqlite"),
        "NENGLIU_EDGE_MQTT_URL": "mqtt://gw-sim:none@127.0.0.1:1",
        "NENGLIU_LANGUAGE": "en",
    }


@contextmanager
def simulating(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A bus that runs; it prints its facts in a line at the start and in one at its end."""
    command = [*COMMAND, "simulate", "meter", *words, "--json"]
    own = environment(folder) | {"PYTHONPATH": os.getcwd()}
    with subprocess.Popen(command, cwd=folder, env=own, stdout=subprocess.PIPE, text=True) as bus:
        try:
            yield bus
        finally:
            if bus.poll() is None:
                bus.terminate()


def told(bus: subprocess.Popen[str]) -> dict[str, Any]:
    """The next line of a bus."""
    assert bus.stdout is not None
    line: dict[str, Any] = json.loads(bus.stdout.readline())
    return line


def in_outbox(outbox: Path) -> dict[str, dict[str, float]]:
    """Meter -> the registers of its first reading, of what waits in an outbox; none while it is being made."""
    try:
        with closing(sqlite3.connect(f"file:{outbox}?mode=ro", uri=True)) as connection:
            rows = connection.execute("select readings from message order by seq desc").fetchall()
    except sqlite3.OperationalError:
        return {}
    return {r["meter"]: r["values"] for (text,) in rows for r in json.loads(text)}


def test_the_edge_reads_a_simulated_bus_of_every_protocol_into_its_outbox(tmp_path: Path):
    with ExitStack() as stack:
        buses = []
        for n, words in enumerate(BUSES):
            more = ("--baud", "0", "--edge-toml", f"{n}.toml", "--registry-out", f"registry-{n}")
            buses.append(stack.enter_context(simulating(tmp_path, *words, *more)))
        assert [a for bus in buses for a in told(bus)["addresses"]][:2] == ["110108000001", "110108000002"]
        parts = [(tmp_path / f"{n}.toml").read_text(encoding="utf-8") for n in range(len(BUSES))]
        (tmp_path / "edge.toml").write_text("\n".join(parts), encoding="utf-8")
        assert {m.meter for bus in load_config(tmp_path / "edge.toml").buses for m in bus.meters} == METERS
        edge = stack.enter_context(
            subprocess.Popen([*COMMAND, "edge"], env=environment(tmp_path), stderr=subprocess.DEVNULL)
        )
        try:
            outbox, until = tmp_path / "outbox.sqlite", time.monotonic() + 60
            found: dict[str, dict[str, float]] = {}
            while found.keys() < METERS and time.monotonic() < until:
                assert edge.poll() is None
                time.sleep(0.05)
                found = in_outbox(outbox)
        finally:
            edge.terminate()
    assert found.keys() == METERS
    assert found["110108000001"]["1.8.0"] == pytest.approx(1234.56, abs=1)
    assert found["110108000100"]["16.7.0"] == pytest.approx(10, rel=0.3), "two phases forward, one in reverse"
    assert found["33007800112244"] == {"8:1.0.0": 999999.99}
    assert found["modbus-012"] == {"8:1.0.0": 12.34}
    assert found["33007800112233"].keys() == {"6:1.0.0"}
    assert {"1.8.0", "2.8.0", "16.7.0", "32.7.0", "31.7.0"} <= found["modbus-009"].keys()


def test_it_ends_cleanly_at_ctrl_c_with_a_summary_and_takes_its_link_away(tmp_path: Path):
    with simulating(tmp_path, "dlt645", "--count", "2", "--pty", "tty", "--seed", "5") as bus:
        facts = told(bus)
        assert facts["serial"] == str(tmp_path / "tty")
        assert facts["addresses"] == ["000000000001", "000000000002"]
        assert (facts["baud"], facts["bits"], facts["seed"]) == (2400, 11, 5)
        assert (tmp_path / "tty").is_symlink()
        bus.send_signal(signal.SIGINT)
        assert told(bus) == {"answers": 0, "wire_bytes": 0, "asked": 0, "spoilt": {}}
        assert bus.wait(20) == 0
    assert not (tmp_path / "tty").is_symlink()


def options(protocol: str, **more: Any) -> MeterOptions:
    return MeterOptions(Protocol(protocol), **more)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (options("dlt645", address="12a"), "--address 12a"),
        (options("dlt645", address="1234567890123"), "up to 12 digits"),
        (options("dlt645", address="999999999999", count=2), "--count 2"),
        (options("modbus-rtu", address="248"), "a unit from 1 to 247"),
        (options("dlt645", broken=["torn=0.1"]), "--broken torn"),
        (options("dlt645", broken=["cut=0.6", "late=0.6"]), "more than 1"),
        (options("modbus-tcp", broken=["checksum=0.1"]), "Modbus TCP has no checksum"),
        (options("dlt645", wiring=["lost-D"]), "--wiring lost-D"),
        (options("dlt645", load=80.0), "--load 80"),
        (options("cjt188", kind="40"), "--type 40"),
        (options("cjt188", kind="20", energy_unit="kcal"), "--energy-unit kcal"),
        (options("modbus-tcp"), "--map"),
    ],
    ids=lambda v: v if isinstance(v, str) else "",
)
def test_what_cannot_be_simulated_is_refused_by_its_option(wrong: MeterOptions, named: str):
    with pytest.raises(SettingError, match=named):
        simulated_meters(wrong)


def test_the_registry_of_a_bus_has_every_meter_as_the_importer_reads_it(tmp_path: Path):
    write_registry(simulated_meters(options("dlt645", count=2, ct=40, pt=100)), "gw-1", tmp_path)
    registry = read_folder(tmp_path, RegistryCodes())
    assert registry.problems == []
    assert [p.value.point_code for p in registry.points.values()] == ["SIM-000000000001", "SIM-000000000002"]
    found = [i.value for i in registry.installations.values()]
    assert {(i.gateway, i.ratio, i.interval_s) for i in found} == {("gw-1", 4000, 60)}
    for name, row in (("sites", SiteRow), ("points", PointRow), ("installations", InstallationRow)):
        header, *_ = (tmp_path / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert header.split(",") == [f.name for f in fields(row)]


def test_the_same_seed_gives_the_same_meters_and_every_meter_its_own():
    first, same, other = (
        [m.values()["1.8.0"] for m in simulated_meters(options("dlt645", count=5, seed=s, load=0.0)).meters]
        for s in (1, 1, 2)
    )
    assert first == same != other
    assert len(set(first)) == 5


def test_a_twin_has_the_first_address_and_another_value():
    made = simulated_meters(options("dlt645", count=2, twin=True, value=5.0, load=0.0))
    assert made.addresses == ("000000000001", "000000000002")
    assert [m.values()["1.8.0"] for m in made.meters] == [5.0, 5.0, 1005.0]
    request = bytes.fromhex("68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16")
    answer, _ = made.line.answer(request)
    frame = answer.lstrip(b"\xfe")
    assert sum(frame[:-2]) % 256 != frame[-2]
