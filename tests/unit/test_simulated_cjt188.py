"""Simulated CJ/T 188 meters against captured and hand-worked frames.

tests/golden/simulated_cjt188/<case>/: meter.toml (the meter and what it shows), exchange.txt (> a request, < the
answer to it, < alone for silence; # begins a comment). A new case is a new folder and needs no code.
"""

from __future__ import annotations

import tomllib
from datetime import timedelta, timezone
from pathlib import Path

import pytest

from simulators.meters.cjt188 import Cjt188Bus, Cjt188Meter
from simulators.meters.counts import MeterClock

CASES = sorted((Path(__file__).parent.parent / "golden" / "simulated_cjt188").iterdir())


def bus_of(folder: Path) -> Cjt188Bus:
    said = tomllib.loads((folder / "meter.toml").read_text(encoding="utf-8"))
    clock = said["clock"].replace(tzinfo=timezone(timedelta(hours=8)))
    meter = Cjt188Meter(
        said["address"],
        int(said["kind"], 16),
        lambda: said["values"],
        MeterClock(lambda: clock),
        said.get("energy_unit", "GJ"),
        said.get("high_first", False),
        bytes.fromhex(said.get("status", "0000")),
    )
    return Cjt188Bus([meter])


@pytest.mark.parametrize("folder", CASES, ids=lambda p: p.name)
def test_an_exchange_is_as_it_was_worked_by_hand(folder: Path):
    bus = bus_of(folder)
    lines = (folder / "exchange.txt").read_text(encoding="utf-8").splitlines()
    said = [(line[0], bytes.fromhex(line[1:])) for line in lines if line[0] != "#"]
    assert [sign for sign, _ in said] == [">", "<"] * (len(said) // 2)
    for (_, request), (_, answer) in zip(said[::2], said[1::2], strict=True):
        assert bus(request)[0].hex(" ") == answer.hex(" ")


def test_a_wildcard_that_two_meters_answer_is_not_understood():
    silent_clock = bus_of(CASES[0]).meters[0].clock
    values = {"total": 1.0, "settled": 0.0}
    bus = Cjt188Bus([Cjt188Meter(f"{n:014}", 0x10, lambda: values, silent_clock) for n in (12, 34)])
    answer, _ = bus(bytes.fromhex("68 AA AA AA AA AA AA AA AA 03 03 0A 81 49 92 16"))
    frame = answer.lstrip(b"\xfe")
    assert sum(frame[:-2]) % 256 != frame[-2]
