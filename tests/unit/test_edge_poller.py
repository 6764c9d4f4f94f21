"""Polling simulated meters over real sockets and serial lines, with what goes wrong there."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta, timezone

import pytest
from dlt645 import DLT645Protocol

from collectors.edge.bus import merged
from collectors.edge.cjt188_master import Cjt188Meter
from collectors.edge.config import BusConfig, MeterConfig, MeterOnBus
from collectors.edge.dlt645_master import Dlt645Meter as Asked
from collectors.edge.line import Place, SerialPlace, TcpPlace
from simulators.meters.counts import MeterClock
from simulators.meters.dlt645 import Dlt645Bus, Dlt645Meter
from simulators.meters.lines import Answerer, HalfDuplexLine
from simulators.meters.ports import TcpPort
from tests.unit.edge_lines import CollectingSink, health_of, polling

TOTAL = 0x00010000
A, B = "110108000001", "110108000002"


def meter(address: str, value: float = 1234.56, **more: object) -> Dlt645Meter:
    return Dlt645Meter(address, {"1.8.0": value, "16.7.0": -1.25}.copy, **more)  # type: ignore[arg-type]


def bus(place: Place, *meters: MeterOnBus, **more: object) -> BusConfig:
    named = tuple(MeterConfig(getattr(m, "address", "m"), m) for m in meters)
    settings = {"timeout_s": 0.1, "retries": 1, "interval_s": 0.2} | more
    return BusConfig("b", str(settings.pop("protocol", "dlt645")), place, named, **settings)  # type: ignore[arg-type]


@contextmanager
def served(answer: Answerer) -> Iterator[tuple[TcpPort, TcpPlace]]:
    simulated = TcpPort(HalfDuplexLine(answer))
    simulated.start()
    try:
        yield simulated, TcpPlace("127.0.0.1", simulated.port)
    finally:
        simulated.stop()


def test_every_meter_of_a_bus_is_read_once_a_round_with_the_time_of_its_answer():
    sink, before = CollectingSink(), datetime.now(UTC)
    asked = [Asked(A, extras=("16.7.0",)), Asked(B)]
    with (
        served(Dlt645Bus([meter(A), meter(B, 7.0)])) as (_, place),
        polling(sink, bus(place, *asked)) as poller,
    ):
        sink.wait_for(lambda: len(sink.of(B)) > 1)
        assert health_of(poller, A).failures_in_a_row == 0
        assert health_of(poller, B).last_ok is not None
    assert sink.of(A)[0].values == {"1.8.0": 1234.56, "16.7.0": -1.25}
    assert sink.of(B)[0].values == {"1.8.0": 7.0}
    assert before <= sink.of(A)[0].ts <= sink.of(B)[0].ts <= sink.of(A)[1].ts <= datetime.now(UTC)
    assert [r.meter for r in sink.readings[:4]] == [A, B, A, B]


def test_a_block_that_needs_a_following_frame_is_read_whole():
    registers = ("1.8.0", "1.8.1", "1.8.2", "1.8.3", "1.8.4")
    values = {"1.8.0": 630.0} | {f"1.8.{k}": 10.0 for k in range(1, 64)}
    sink = CollectingSink()
    with (
        served(Dlt645Bus([Dlt645Meter(A, values.copy)])) as (_, place),
        polling(sink, bus(place, Asked(A, registers, blocks=True))),
    ):
        sink.wait_for(lambda: bool(sink.readings))
    assert sink.of(A)[0].values == {"1.8.0": 630.0} | dict.fromkeys(registers[1:], 10.0)


def test_extras_are_left_out_while_the_sink_does_not_allow_them():
    sink = CollectingSink()
    sink.extras_allowed = False
    with served(Dlt645Bus([meter(A)])) as (_, place), polling(sink, bus(place, Asked(A, extras=("16.7.0",)))):
        sink.wait_for(lambda: bool(sink.readings))
    assert all(r.values.keys() == {"1.8.0"} for r in sink.readings)


def test_a_dead_meter_does_not_keep_the_other_from_being_read_and_is_noticed_when_it_answers_again():
    dead, sink = meter(A, silent=True), CollectingSink()
    with (
        served(Dlt645Bus([dead, meter(B)])) as (_, place),
        polling(sink, bus(place, Asked(A), Asked(B))) as poller,
    ):
        sink.wait_for(lambda: health_of(poller, A).failures_in_a_row > 4)
        assert "no answer in time" in (health_of(poller, A).last_error or "")
        assert len(sink.of(B)) >= 4
        dead.silent = False
        sink.wait_for(lambda: bool(sink.of(A)))
        sink.wait_for(lambda: health_of(poller, A).failures_in_a_row == 0)


def test_a_meter_that_refuses_its_total_is_a_failure_with_the_code_and_its_extras_are_still_read():
    sink = CollectingSink()
    with (
        served(Dlt645Bus([meter(A, refuses={TOTAL})])) as (_, place),
        polling(sink, bus(place, Asked(A, extras=("16.7.0",)))) as poller,
    ):
        sink.wait_for(lambda: health_of(poller, A).failures_in_a_row > 1)
        assert "D1, error 02" in (health_of(poller, A).last_error or "")
    assert all(r.values == {"16.7.0": -1.25} for r in sink.readings)


def test_the_clock_of_a_meter_is_measured_against_ours():
    beijing = timezone(timedelta(hours=8))
    sink = CollectingSink()
    slow = meter(A, clock=MeterClock(lambda: datetime.now(beijing), timedelta(minutes=-40)))
    with served(Dlt645Bus([slow])) as (_, place), polling(sink, bus(place, Asked(A))) as poller:
        sink.wait_for(lambda: health_of(poller, A).clock_offset_s is not None)
        assert health_of(poller, A).clock_offset_s == pytest.approx(-2400, abs=5)


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_meters_or_another_value():
    """Each answer is given only when the next request comes: everything is late by one."""
    inner = Dlt645Bus([meter(A, 1.0), meter(B, 2.0)])
    late: list[bytes] = [b""]

    def answer(received: bytes) -> tuple[bytes, bytes]:
        own, rest = inner(received)
        if own:
            late.append(own)
            return late.pop(0), rest
        return b"", rest

    sink = CollectingSink()
    with (
        served(answer) as (_, place),
        polling(sink, bus(place, Asked(A, extras=("16.7.0",)), Asked(B), retries=0)) as poller,
    ):
        sink.wait_for(lambda: health_of(poller, B).failures_in_a_row > 3)
    assert all(
        r.values.get("1.8.0", want) == want for r in sink.readings for want in [1.0 if r.meter == A else 2.0]
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"\x00\xff\x68\x16", b""), (b"", b"\x68\x68\x00"), (b"\xfe" * 9, b"\xfe\xfe")],
)
def test_garbage_around_an_answer_costs_nothing(before: bytes, after: bytes):
    inner, sink = Dlt645Bus([meter(A)]), CollectingSink()

    def answer(received: bytes) -> tuple[bytes, bytes]:
        own, rest = inner(received)
        return (before + own + after if own else b""), rest

    with served(answer) as (_, place), polling(sink, bus(place, Asked(A))) as poller:
        sink.wait_for(lambda: len(sink.readings) > 1)
        assert health_of(poller, A).failures_in_a_row == 0


def test_a_connection_that_is_cut_in_the_middle_of_an_answer_is_made_anew():
    inner, sink = Dlt645Bus([meter(A)]), CollectingSink()
    cuts = iter([True, True, False])

    def answer(received: bytes) -> tuple[bytes, bytes]:
        own, rest = inner(received)
        if own and next(cuts, False):
            simulated.cut()
            return own[:9], b""
        return own, rest

    with served(answer) as (simulated, place), polling(sink, bus(place, Asked(A), retries=0)):
        sink.wait_for(lambda: len(sink.readings) > 1)
    assert {r.values["1.8.0"] for r in sink.readings} == {1234.56}


def test_a_half_open_connection_is_given_up_and_made_anew():
    """The other side forgot the first connection without a word; only a new one is answered."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place, sink = TcpPlace("127.0.0.1", listener.getsockname()[1]), CollectingSink()
        with polling(sink, bus(place, Asked(A))):
            forgotten, _ = listener.accept()
            second, _ = listener.accept()
            answerer = threading.Thread(target=_answer_all, args=(second, Dlt645Bus([meter(A)])))
            answerer.start()
            sink.wait_for(lambda: bool(sink.readings))
        forgotten.close()
        answerer.join()


def _answer_all(connection: socket.socket, answer: Answerer) -> None:
    kept = b""
    with connection:
        while data := connection.recv(4096):
            out, kept = answer(kept + data)
            connection.sendall(out)


def test_a_line_that_is_away_is_awaited_and_its_meters_are_read_when_it_comes():
    with socket.create_server(("127.0.0.1", 0)) as reserved:
        port = reserved.getsockname()[1]
    sink = CollectingSink()
    with polling(sink, bus(TcpPlace("127.0.0.1", port), Asked(A))) as poller:
        sink.wait_for(lambda: health_of(poller, A).failures_in_a_row > 1)
        assert "is away" in (health_of(poller, A).last_error or "")
        with socket.create_server(("127.0.0.1", port)) as listener:
            connection, _ = listener.accept()
            answerer = threading.Thread(target=_answer_all, args=(connection, Dlt645Bus([meter(A)])))
            answerer.start()
            sink.wait_for(lambda: bool(sink.readings))
    answerer.join()


def test_readings_that_the_sink_refuses_are_kept_and_put_down_later():
    sink = CollectingSink()
    sink.full = True
    with served(Dlt645Bus([meter(A)])) as (_, place), polling(sink, bus(place, Asked(A))):
        sink.wait_for(lambda: sink.refused > 3)
        sink.full = False
        sink.wait_for(lambda: len(sink.readings) > 2)
    times = [r.ts for r in sink.readings]
    assert times == sorted(set(times)), "each once, in order"


class _Broken:
    def steps(self) -> list[object]:
        raise RuntimeError("a bug")


def test_a_bus_that_meets_a_bug_ends_the_poller_with_its_error():
    sink = CollectingSink()
    with (
        served(Dlt645Bus([meter(A)])) as (_, place),
        pytest.raises(RuntimeError, match="a bug"),
        polling(sink, bus(place, Asked(A)), bus(place, _Broken())) as poller,  # type: ignore[arg-type]
    ):
        sink.wait_for(poller._stop.is_set)


def test_a_meter_on_a_serial_line_is_read_as_the_library_answers():
    """The other end of a pseudo-terminal, which has no parity; request and answer by the dlt645 library."""
    master, slave = os.openpty()
    place, sink = SerialPlace(os.ttyname(slave), 2400, "N", 1), CollectingSink()
    request = bytes(DLT645Protocol.build_frame(bytes.fromhex(A)[::-1], 0x11, bytes.fromhex("00000100")))
    answer = bytes(
        DLT645Protocol.build_frame(bytes.fromhex(A)[::-1], 0x91, bytes.fromhex("0000010056341200"))
    )

    def respond() -> None:
        heard = b""
        while not heard.endswith(request):
            heard += os.read(master, 64)
        os.write(master, answer)

    responder = threading.Thread(target=respond)
    responder.start()
    with polling(sink, bus(place, Asked(A), timeout_s=2.0)):
        sink.wait_for(lambda: bool(sink.readings))
    responder.join()
    os.close(master)
    os.close(slave)
    assert sink.readings[0].values == {"1.8.0": 1234.56}


def test_answers_that_come_together_are_one_reading_and_late_ones_keep_their_own_time():
    start = datetime(2014, 3, 1, tzinfo=UTC)
    later, much_later = start + timedelta(seconds=0.9), start + timedelta(seconds=6)
    readings = merged("m", [(start, {"1.8.0": 1.0}), (later, {"2.8.0": 2.0}), (much_later, {"16.7.0": 3.0})])
    assert [(r.ts, r.values) for r in readings] == [
        (start, {"1.8.0": 1.0, "2.8.0": 2.0}),
        (much_later, {"16.7.0": 3.0}),
    ]


def test_a_heat_meter_is_read_with_its_clock_over_a_line():
    """Answers as CJ/T 188-2004 lays them out for heat; the meter's clock is an hour slow."""
    address, sink = "20140301000001", CollectingSink()

    def answer(received: bytes) -> tuple[bytes, bytes]:
        at = received.find(b"\x68\x20")
        if at < 0 or len(received) < at + 16:
            return b"", received
        clock = datetime.now(UTC) + timedelta(hours=7)
        data = received[at + 11 : at + 14] + bytes.fromhex("00000000 11 56341200 11 00000000 17 00000000 35")
        data += bytes.fromhex("00000000 2C 504500 203000 001000")
        data += bytes.fromhex(f"{clock:%Y%m%d%H%M%S}")[::-1] + b"\x00\x00"
        body = received[at : at + 9] + bytes([0x81, len(data)]) + data
        return body + bytes([sum(body) & 0xFF, 0x16]), b""

    with (
        served(answer) as (_, place),
        polling(sink, bus(place, Cjt188Meter(address, 0x20), protocol="cjt188")) as poller,
    ):
        sink.wait_for(lambda: health_of(poller, address).clock_offset_s is not None)
        assert health_of(poller, address).clock_offset_s == pytest.approx(-3600, abs=5)
        sink.wait_for(lambda: bool(sink.readings))
    assert sink.readings[0].values == {"6:1.0.0": 1234.56}


def test_a_serial_device_that_is_unplugged_is_awaited_and_ends_nothing():
    master, slave = os.openpty()
    place, sink = SerialPlace(os.ttyname(slave), 2400, "N", 1), CollectingSink()
    with polling(sink, bus(place, Asked(A))) as poller:
        sink.wait_for(lambda: "no answer in time" in (health_of(poller, A).last_error or ""))
        os.close(master)
        os.close(slave)
        sink.wait_for(lambda: "is away" in (health_of(poller, A).last_error or ""))
