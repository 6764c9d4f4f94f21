"""Simulated DL/T 645 meters as an independent library reads them, and what a meter does not answer."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest
from dlt645 import DLT645Protocol
from dlt645.service.clientsvc.client_service import MeterClientService

from simulators.meters.counts import ElectricityCounts, Load, MeterClock, Wiring
from simulators.meters.dlt645 import Dlt645Bus, Dlt645Meter
from simulators.meters.lines import HalfDuplexLine
from simulators.meters.ports import PseudoTerminal, TcpPort

BEIJING = timezone(timedelta(hours=8))
NOON = datetime(2014, 3, 1, 12, 0, 5, tzinfo=BEIJING)
A = "120100000000"
ANY = "AA" * 6
BROADCAST = "99" * 6


def standing(address: str = A, value: float = 1234.56, tariffs: int = 4, **wiring: int) -> Dlt645Meter:
    """A meter whose time stands at noon of 2014-03-01, with 30 kW."""
    counts = ElectricityCounts(value, Load(30.0), lambda: NOON, Wiring(**wiring), tariffs)  # type: ignore[arg-type]
    return Dlt645Meter(address, counts, MeterClock(lambda: NOON))


def asked(bus: Dlt645Bus, control: int, data: bytes = b"", address: str = A) -> tuple[int, bytes] | None:
    """Control code and data of the answer as the library reads it; None: silence."""
    request = bytes(DLT645Protocol.build_frame(bytes.fromhex(address)[::-1], control, data))
    answer, rest = bus(request)
    assert not rest
    if not answer:
        return None
    frame = DLT645Protocol.deserialize(answer)
    assert frame is not None
    return frame.ctrl_code, bytes(frame.data)


def data_id(text: str) -> bytes:
    return bytes.fromhex(text)[::-1]


def wire(address: str) -> str:
    """Address digits in the order of the line, as the library's client wants them."""
    return bytes.fromhex(address)[::-1].hex()


@contextmanager
def client(*meters: Dlt645Meter) -> Iterator[MeterClientService]:
    """The library's client, connected to a bus of meters."""
    port = TcpPort(HalfDuplexLine(Dlt645Bus(meters)))
    port.start()
    service = MeterClientService.new_tcp_client("127.0.0.1", port.port, 10)
    try:
        yield service
    finally:
        service.disconnect()
        port.stop()


def test_the_example_of_the_standard_comes_byte_by_byte():
    bus = Dlt645Bus([Dlt645Meter(A, lambda: {"1.8.0": 1234.56})])
    answer, _ = bus(bytes.fromhex("68 00 00 00 00 01 12 68 11 04 33 33 34 33 C5 16"))
    assert (
        answer.lstrip(b"\xfe").hex(" ").upper()
        == "68 00 00 00 00 01 12 68 91 08 33 33 34 33 89 67 45 33 B1 16"
    )


def test_an_independent_client_reads_every_kind_of_value():
    with client(standing(ct=40, pt=10)) as reader:
        assert reader.set_address(wire(A))
        value = {di: reader.read_00(di).value for di in (0, 0x00010000, 0x00020000)}
        assert value == {0: 1234.56, 0x00010000: 1234.56, 0x00020000: 0.0}
        tariffs = [reader.read_00(0x00010000 + (k << 8)).value for k in (1, 2, 3, 4)]
        assert sum(round(t * 100) for t in tariffs) == 123456
        instant = {di: reader.read_02(di).value for di in (0x02010100, 0x02020200, 0x02030000, 0x02060000)}
        assert instant[0x02030000] == pytest.approx(30.0)
        assert instant[0x02010100] == pytest.approx(220, abs=3)
        assert instant[0x02020200] == pytest.approx(10_000 / 220 / 0.95, rel=0.02)
        assert instant[0x02060000] == 0.95
        assert reader.read_04(0x04000101).value == "14030106", "Saturday is 06, Sunday 00"
        assert reader.read_04(0x04000102).value == "120005"
        assert reader.read_04(0x04000401).value == A


def test_the_address_is_read_by_wildcards():
    with client(standing()) as reader:
        assert reader.read_address().value == wire(A)


def test_a_client_reads_200_meters_of_one_bus():
    names = [f"{n:012}" for n in range(1, 201)]
    with client(*[standing(name, float(name)) for name in names]) as reader:
        for name in names:
            reader.set_address(wire(name))
            assert reader.read_00(0x00010000).value == float(name)


def test_a_client_reads_a_pseudo_terminal():
    terminal = PseudoTerminal(HalfDuplexLine(Dlt645Bus([standing()])))
    terminal.start()
    reader = MeterClientService.new_rtu_client(terminal.device, 9600, 8, 1, "N", 10)
    try:
        reader.set_address(wire(A))
        assert reader.read_00(0x00010000).value == 1234.56
    finally:
        reader.disconnect()
        terminal.stop()


def test_a_lost_phase_shows_no_voltage_and_reversed_transformers_count_in_reverse():
    lost = standing(factors=(1, 0, 1))  # type: ignore[arg-type]
    with client(lost) as reader:
        reader.set_address(wire(A))
        assert (reader.read_02(0x02010200).value, reader.read_02(0x02020200).value) == (0.0, 0.0)
        assert reader.read_02(0x02030000).value == pytest.approx(20.0)
    moment = [NOON]
    counts = ElectricityCounts(100.0, Load(30.0), lambda: moment[0], Wiring((-1, -1, -1)))
    moment[0] += timedelta(hours=1)
    with client(Dlt645Meter(A, counts)) as reader:
        reader.set_address(wire(A))
        assert reader.read_02(0x02030000).value == pytest.approx(-30.0, rel=0.3)
        assert reader.read_02(0x02020100).value < 0
        assert reader.read_00(0x00010000).value == 100.0
        assert reader.read_00(0x00020000).value == pytest.approx(30.0, rel=0.1)


def test_a_block_holds_total_and_tariffs_in_order():
    control, data = asked(Dlt645Bus([standing()]), 0x11, data_id("0001FF00")) or (0, b"")
    assert (control, data[:4], len(data)) == (0x91, data_id("0001FF00"), 4 + 5 * 4)
    numbers = [int(data[i : i + 4][::-1].hex()) for i in range(4, 24, 4)]
    assert numbers[0] == 123456 == sum(numbers[1:])


def test_a_block_too_long_for_a_frame_goes_on_in_a_following_one():
    bus = Dlt645Bus([standing(tariffs=63)])
    block = data_id("0001FF00")
    control, data = asked(bus, 0x11, block) or (0, b"")
    assert (control, len(data)) == (0xB1, 196)
    for _ in range(2):  # asked again, as after a lost answer
        control, more = asked(bus, 0x12, block + b"\x01") or (0, b"")
        assert (control, more[:4], more[-1]) == (0x92, block, 1)
    whole = data[4:] + more[4:-1]
    numbers = [int(whole[i : i + 4][::-1].hex()) for i in range(0, len(whole), 4)]
    assert len(numbers) == 64
    assert numbers[0] == 123456 == sum(numbers[1:])
    assert asked(bus, 0x12, block + b"\x02") == (0xD2, b"\x02")
    assert asked(bus, 0x12, data_id("0002FF00") + b"\x01") == (0xD2, b"\x02")


@pytest.mark.parametrize(
    ("control", "data", "error"),
    [
        (0x11, data_id("0A0B0C0D"), (0xD1, b"\x02")),
        (0x11, data_id("00010500"), (0xD1, b"\x02")),  # a tariff that this meter has not
        (0x11, b"\x00\x00", (0xD1, b"\x01")),
        (0x12, data_id("00010000") + b"\x01", (0xD2, b"\x02")),
        (0x14, data_id("04000102") + b"\x00" * 11, (0xD4, b"\x04")),
        (0x16, b"\x99" * 4, (0xD6, b"\x01")),
    ],
)
def test_what_cannot_be_had_is_refused_with_the_error_byte(
    control: int, data: bytes, error: tuple[int, bytes]
):
    assert asked(Dlt645Bus([standing()]), control, data) == error


def test_a_meter_is_silent_to_other_addresses_answers_and_wrong_checksums():
    bus = Dlt645Bus([standing()])
    assert asked(bus, 0x11, data_id("00010000"), "120100000001") is None
    assert asked(bus, 0x91, data_id("00010000")) is None
    assert asked(bus, 0x11, data_id("00010000"), BROADCAST) is None
    request = bytes(DLT645Protocol.build_frame(data_id(A), 0x11, data_id("00010000")))
    for at in range(4, len(request)):
        spoilt = request[:at] + bytes([request[at] ^ 0x01]) + request[at + 1 :]
        assert bus(spoilt)[0] == b"", f"byte {at}"
    assert bus(request)[0]


def test_high_bytes_of_an_address_may_be_wildcards():
    bus = Dlt645Bus([standing("120100000001"), standing("120100000102")])
    assert (asked(bus, 0x13, b"", "AAAAAAAAAA01") or (0, b""))[1] == data_id("120100000001")
    assert (asked(bus, 0x13, b"", "AAAAAAAA0102") or (0, b""))[1] == data_id("120100000102")
    assert asked(bus, 0x13, b"", "AAAAAAAAAA09") is None


def test_two_meters_that_answer_at_once_are_not_understood():
    answer, _ = Dlt645Bus([standing(value=1.0), standing(value=2.5)])(
        bytes(DLT645Protocol.build_frame(data_id(A), 0x11, data_id("00010000")))
    )
    assert answer
    with pytest.raises(ValueError, match="No complete frame"):
        DLT645Protocol.deserialize(answer)


@pytest.mark.parametrize(
    ("told", "shows"),
    [
        (NOON + timedelta(minutes=4), NOON + timedelta(minutes=4)),
        (NOON + timedelta(minutes=6), NOON),  # too far to be set by a broadcast
    ],
)
def test_a_broadcast_sets_the_clock_and_nobody_answers(told: datetime, shows: datetime):
    meter = standing()
    data = bytes.fromhex(f"{told:%y%m%d%H%M%S}")[::-1]
    assert asked(Dlt645Bus([meter]), 0x08, data, BROADCAST) is None
    assert meter.clock is not None
    assert meter.clock.shows() == shows
    assert asked(Dlt645Bus([meter]), 0x08, b"\xff" * 6, BROADCAST) is None


def test_a_request_may_come_byte_by_byte_behind_wake_up_bytes_and_junk():
    bus = Dlt645Bus([standing()])
    kept = b""
    for byte in (
        b"\x00\x68\xab" + b"\xfe" * 4 + bytes.fromhex("68 00 00 00 00 01 12 68 11 04 33 33 34 33 C5 16")
    ):
        answer, kept = bus(kept + bytes([byte]))
    assert answer


def test_masters_may_be_connected_at_once_and_each_hears_its_own_answers():
    port = TcpPort(HalfDuplexLine(Dlt645Bus([standing(), standing("000000000002", 2.0)])))
    port.start()
    try:
        place = ("127.0.0.1", port.port)
        with socket.create_connection(place, 10) as one, socket.create_connection(place, 10) as other:
            for connection, address in ((one, A), (other, "000000000002")) * 3:
                connection.sendall(
                    bytes(DLT645Protocol.build_frame(data_id(address), 0x11, data_id("00010000")))
                )
            for connection, address in ((one, A), (other, "000000000002")):
                came = b""
                while len(came) < 3 * 24:
                    came += connection.recv(4096)
                for _ in range(3):
                    came, frame = DLT645Protocol.deserialize_with_remaining(came)
                    assert frame is not None
                    assert bytes(frame.addr) == data_id(address)
    finally:
        port.stop()
    assert port.line.answers == 6
