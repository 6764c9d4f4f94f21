"""Reading meters, without a line: the bytes of requests, and which answers count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from dlt645 import DLT645Protocol

from collectors.edge.cjt188_master import Cjt188Meter
from collectors.edge.dlt645_master import Dlt645Meter, ids_of
from collectors.edge.modbus_master import ModbusMeter
from collectors.edge.register_maps import load_map
from collectors.edge.talk import AnswerError, BusyError, Kind, Step
from tests.unit.edge_lines import hold

HERE = Path()
METER = "120100000000"
REQUEST = bytes.fromhex("68 00 00 00 00 01 12 68 11 04 33 33 34 33 C5 16")
ANSWER = bytes.fromhex("68 00 00 00 00 01 12 68 91 08 33 33 34 33 89 67 45 33 B1 16")


def step(meter: Dlt645Meter | Cjt188Meter | ModbusMeter, kind: Kind) -> Step:
    return next(s for s in meter.steps() if s.kind is kind)


def answer_645(control: int, data: bytes, address: str = METER) -> bytes:
    """A frame by the dlt645 library. data: plain, without the 33."""
    return bytes(DLT645Protocol.build_frame(bytes.fromhex(address)[::-1], control, data))


def item(data_id: str, data: str) -> bytes:
    return bytes.fromhex(data_id)[::-1] + bytes.fromhex(data)


def test_a_dlt645_meter_is_asked_and_read_as_the_standard_shows():
    asked, said = hold(step(Dlt645Meter(METER, wake_up=2), Kind.TOTAL).begin(), [ANSWER])
    assert asked == [b"\xfe\xfe" + REQUEST]
    assert said is not None
    assert said.values == {"1.8.0": 1234.56}


def test_requests_are_those_of_an_independent_library():
    asked, _ = hold(step(Dlt645Meter(METER), Kind.TOTAL).begin(), [b""])
    assert asked == [answer_645(0x11, item("00010000", ""))]


@pytest.mark.parametrize(
    ("what", "received"),
    [
        ("another meter's", answer_645(0x91, item("00010000", "56341200"), "110108000123")),
        ("another data id's", answer_645(0x91, item("00010100", "56341200"))),
        ("the request, echoed", REQUEST),
        ("a wrong checksum", ANSWER[:-2] + b"\xb2\x16"),
        ("half an answer", ANSWER[:-3]),
        ("a following frame", answer_645(0x92, item("00010000", "56341200") + b"\x01")),
    ],
)
def test_what_is_no_answer_to_the_request_gives_no_reading(what: str, received: bytes):
    asked, said = hold(step(Dlt645Meter(METER), Kind.TOTAL).begin(), [received])
    assert (len(asked), said) == (1, None)


def test_an_answer_is_found_between_noise_and_others():
    noise = REQUEST + answer_645(0x91, item("00010000", "99999999"), "110108000123") + b"\x68\x00\x68"
    _, said = hold(step(Dlt645Meter(METER), Kind.TOTAL).begin(), [noise + ANSWER + b"\xff\x68"])
    assert said is not None
    assert said.values == {"1.8.0": 1234.56}


def test_frames_that_follow_are_asked_for_by_number_and_put_together():
    meter = Dlt645Meter(METER, ("1.8.0", "1.8.1", "1.8.2", "1.8.3", "1.8.4"), blocks=True)
    answers = [
        answer_645(0xB1, item("0001FF00", "56341200 11000000")),
        answer_645(0xB2, item("0001FF00", "22000000 33000000") + b"\x01"),
        answer_645(0x92, item("0001FF00", "44000000") + b"\x02"),
    ]
    asked, said = hold(step(meter, Kind.TOTAL).begin(), answers)
    assert asked[1:] == [answer_645(0x12, item("0001FF00", "") + bytes([n])) for n in (1, 2)]
    assert said is not None
    assert said.values == {"1.8.0": 1234.56, "1.8.1": 0.11, "1.8.2": 0.22, "1.8.3": 0.33, "1.8.4": 0.44}


def test_a_refusal_is_an_error_with_its_code_and_no_reading():
    with pytest.raises(AnswerError, match="control D1, error 02"):
        hold(step(Dlt645Meter(METER), Kind.TOTAL).begin(), [answer_645(0xD1, b"\x02")])


def test_a_value_that_is_no_number_is_an_error():
    with pytest.raises(AnswerError, match="not decimal digits"):
        hold(step(Dlt645Meter(METER), Kind.TOTAL).begin(), [answer_645(0x91, item("00010000", "5634FF00"))])


def test_the_clock_of_a_dlt645_meter_is_read_in_its_own_time_and_never_over_midnight():
    date = answer_645(0x91, item("04000101", "06 28 02 14"))
    after = answer_645(0x91, item("04000101", "00 01 03 14"))
    clock = step(Dlt645Meter(METER, utc_offset=timedelta(hours=8)), Kind.CLOCK)
    asked, said = hold(clock.begin(), [date, answer_645(0x91, item("04000102", "05 59 23"))])
    assert said is not None
    assert said.clock == datetime(2014, 2, 28, 15, 59, 5, tzinfo=UTC)
    _, said = hold(clock.begin(), [date, answer_645(0x91, item("04000102", "02 00 00")), after])
    assert said is not None
    assert said.clock == datetime(2014, 2, 28, 16, 0, 2, tzinfo=UTC)
    assert {a[12] for a in asked} == {0x11}, "only reading"


def test_a_clock_that_shows_no_time_is_an_error():
    clock = step(Dlt645Meter(METER), Kind.CLOCK)
    date = answer_645(0x91, item("04000101", "06 31 02 14"))
    with pytest.raises(AnswerError, match="no date and time"):
        hold(clock.begin(), [date, answer_645(0x91, item("04000102", "05 59 23"))])


def test_blocks_are_asked_only_where_they_save_requests():
    assert ids_of(["1.8.0", "1.8.1"], blocks=False) == ["00010000", "00010100"]
    assert ids_of(["1.8.0", "1.8.1", "16.7.0"], blocks=True) == ["0001FF00", "02030000"]
    assert ids_of(["1.8.0", "32.7.0"], blocks=True) == ["00010000", "02010100"]


WATER = "33007800112233"


def cjt188(control: int, data: str, kind: int = 0x10, address: str = WATER) -> bytes:
    body = bytes([0x68, kind]) + bytes.fromhex(address)[::-1] + bytes([control, len(bytes.fromhex(data))])
    body += bytes.fromhex(data)
    return body + bytes([sum(body) & 0xFF, 0x16])


WATER_DATA = "78563412 2C 00000000 2C 05 59 23 28 02 14 20 00 00"


def test_a_cjt188_meter_is_asked_as_the_standard_shows():
    meter = Cjt188Meter("78330011223344", 0x10, wake_up=0, serials=count(0))
    asked, _ = hold(step(meter, Kind.TOTAL).begin(), [b""])
    assert asked == [bytes.fromhex("68 10 44 33 22 11 00 33 78 01 03 1F 90 00 80 16")]


def test_a_water_meter_gives_its_register_and_its_clock():
    meter = Cjt188Meter(WATER, 0x10)
    _, said = hold(step(meter, Kind.TOTAL).begin(), [b"\xfe\xfe" + cjt188(0x81, "1F90 01" + WATER_DATA)])
    assert said is not None
    assert said.values == {"8:1.0.0": 123456.78}
    assert said.clock == datetime(2014, 2, 28, 15, 59, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("what", "received"),
    [
        ("an earlier request's", cjt188(0x81, "1F90 00" + WATER_DATA)),
        ("another meter's", cjt188(0x81, "1F90 01" + WATER_DATA, address="33007800112234")),
        ("another type's", cjt188(0x81, "1F90 01" + WATER_DATA, kind=0x11)),
        ("another id's", cjt188(0x81, "D120 01" + WATER_DATA)),
    ],
)
def test_a_cjt188_answer_counts_only_with_its_own_serial_address_type_and_id(what: str, received: bytes):
    _, said = hold(step(Cjt188Meter(WATER, 0x10), Kind.TOTAL).begin(), [received])
    assert said is None


def test_a_cjt188_refusal_is_an_error():
    with pytest.raises(AnswerError, match="control C1"):
        hold(step(Cjt188Meter(WATER, 0x10), Kind.TOTAL).begin(), [cjt188(0xC1, "01 02 00")])


def test_a_clock_that_cannot_be_read_costs_no_reading():
    data = "1F90 01 78563412 2C 00000000 2C FF FF FF FF FF FF FF 00 00"
    _, said = hold(step(Cjt188Meter(WATER, 0x10), Kind.TOTAL).begin(), [cjt188(0x81, data)])
    assert said is not None
    assert (said.values, said.clock) == ({"8:1.0.0": 123456.78}, None)


def modbus(rtu: bool, name: str = "generic-water-uint32") -> ModbusMeter:
    return ModbusMeter(17, load_map(name, HERE), ("8:1.0.0",), (), rtu, count(0x1234))


def with_crc(frame: str) -> bytes:
    """CRC-16 bit by bit, as Modbus over Serial Line V1.02, 6.2.2 describes it."""
    crc = 0xFFFF
    for byte in bytes.fromhex(frame):
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ 0xA001 if crc & 1 else crc >> 1
    return bytes.fromhex(frame) + crc.to_bytes(2, "little")


def test_a_modbus_meter_is_read_over_rtu():
    answer = with_crc("11 03 04 00 01 E2 40")
    asked, said = hold(step(modbus(True), Kind.TOTAL).begin(), [b"\x00\x11" + answer])
    assert asked == [bytes.fromhex("11 03 00 00 00 02 C6 9B")]
    assert said is not None
    assert said.values == {"8:1.0.0": 123.456}


@pytest.mark.parametrize(
    "received",
    [
        with_crc("12 03 04 00 01 E2 40"),
        with_crc("11 04 04 00 01 E2 40"),
        with_crc("11 03 02 00 01"),
        with_crc("11 03 04 00 01 E2 40")[:-1] + b"\0",
    ],
)
def test_an_rtu_answer_of_another_unit_function_length_or_crc_does_not_count(received: bytes):
    _, said = hold(step(modbus(True), Kind.TOTAL).begin(), [received])
    assert said is None


def test_a_modbus_tcp_answer_counts_only_with_its_transaction():
    late = bytes.fromhex("1233 0000 0007 11 03 04 00 00 00 01")
    own = bytes.fromhex("1234 0000 0007 11 03 04 00 01 E2 40")
    asked, said = hold(step(modbus(False), Kind.TOTAL).begin(), [late + own])
    assert asked == [bytes.fromhex("1234 0000 0006 11 03 0000 0002")]
    assert said is not None
    assert said.values == {"8:1.0.0": 123.456}
    _, said = hold(step(modbus(False), Kind.TOTAL).begin(), [late])
    assert said is None


@pytest.mark.parametrize(("code", "error"), [(2, AnswerError), (6, BusyError), (11, BusyError)])
def test_a_modbus_exception_is_an_error_by_its_code(code: int, error: type[AnswerError]):
    with pytest.raises(AnswerError) as caught:
        hold(step(modbus(False), Kind.TOTAL).begin(), [bytes.fromhex(f"1234 0000 0003 11 83 {code:02X}")])
    assert type(caught.value) is error


def test_the_totals_of_a_map_are_read_first_and_neighbours_in_one_request():
    names = load_map("generic-float32", HERE)
    meter = ModbusMeter(1, names, ("1.8.0", "2.8.0"), tuple(r for r in names.values if "7.0" in r), rtu=False)
    assert [s.kind for s in meter.steps()] == [Kind.TOTAL, Kind.EXTRA]
    first = next(meter.steps()[0].begin()).request
    assert first[7:] == bytes.fromhex("03 0000 0004")
