"""Simulated buses take whatever a master sends: nothing raises, nothing piles up, a good request still gets through."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.simulated_meters import MeterOptions, Protocol, simulated_meters
from simulators.meters.lines import Answerer
from simulators.meters.modbus import crc16

MAP = Path(__file__).parents[2] / "collectors" / "edge" / "maps" / "generic-uint32.toml"


def summed(body: bytes) -> bytes:
    return body + bytes([sum(body) % 256, 0x16])


def dlt645(address: bytes, control: int, data: bytes) -> bytes:
    body = b"\x68" + address + b"\x68" + bytes([control, len(data)]) + bytes((n + 0x33) % 256 for n in data)
    return summed(body)


def cjt188(address: bytes, control: int, data: bytes) -> bytes:
    return summed(b"\x68\x10" + address + b"\x00" + bytes([control, len(data)]) + data)


def rtu(address: bytes, control: int, data: bytes) -> bytes:
    body = bytes([address[0], control]) + data
    return body + crc16(body).to_bytes(2, "little")


def tcp(address: bytes, control: int, data: bytes) -> bytes:
    return b"\x00\x01\x00\x00" + bytes([0, len(data) + 2, address[0], control]) + data


Framed = Callable[[bytes, int, bytes], bytes]
CASES: dict[Protocol, tuple[Framed, int, bytes]] = {
    Protocol.DLT645: (dlt645, 0x11, bytes.fromhex("00000100")),
    Protocol.CJT188: (cjt188, 0x01, bytes.fromhex("1F9000")),
    Protocol.MODBUS_RTU: (rtu, 0x03, bytes.fromhex("01000002")),
    Protocol.MODBUS_TCP: (tcp, 0x03, bytes.fromhex("01000002")),
}
OWN = b"\x01\x00\x00\x00\x00\x00"
addresses = st.sampled_from([OWN, b"\x99" * 6, b"\xaa" * 6, b"\x02\xaa\xaa\xaa\xaa\xaa"]) | st.binary(
    min_size=6, max_size=6
)


@cache
def bus(protocol: Protocol) -> Answerer:
    return simulated_meters(MeterOptions(protocol, count=3, map=MAP)).line.answer


@pytest.mark.parametrize("protocol", list(Protocol))
@given(st.lists(st.binary(max_size=40), max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_bytes_raise_and_none_pile_up(protocol: Protocol, chunks: list[bytes]):
    kept = b""
    for chunk in chunks:
        _, kept = bus(protocol)(kept + chunk)
        assert len(kept) <= sum(map(len, chunks))


@pytest.mark.parametrize("protocol", list(Protocol))
@given(addresses, st.integers(0, 255), st.binary(max_size=30))
@settings(max_examples=100, deadline=None)
def test_no_whole_request_raises_and_the_next_is_answered(
    protocol: Protocol, address: bytes, control: int, data: bytes
):
    framed, read, wanted = CASES[protocol]
    _, rest = bus(protocol)(framed(address, control, data))
    good = framed(OWN, read, wanted)
    answer, _ = bus(protocol)((rest if protocol is not Protocol.MODBUS_RTU else b"") + good)
    assert answer
