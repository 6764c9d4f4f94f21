"""Simulated lines: noise and broken frames by seed, what goes over them, ports that come and go."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from metering.errors import SettingError
from simulators.meters.lines import HalfDuplexLine, LineSpeed, Listener
from simulators.meters.ports import PseudoTerminal, TcpPort
from simulators.meters.trouble import KINDS, Trouble, TroubleShares, collide

ANSWER = bytes.fromhex("68 00 00 00 00 01 12 68 91 08 33 33 34 33 89 67 45 33 B1 16")


def echo(received: bytes) -> tuple[bytes, bytes]:
    """Answers each line that ends with a new line."""
    line, mark, rest = received.partition(b"\n")
    return (line.upper() + mark, rest) if mark else (b"", received)


def test_the_same_seed_gives_the_same_trouble_and_another_seed_another():
    shares = TroubleShares(0.3, dict.fromkeys(KINDS, 0.1))
    first, second, third = (Trouble(shares, seed) for seed in (1, 1, 2))
    one, same, other = ([t.spoil(ANSWER) for _ in range(200)] for t in (first, second, third))
    assert one == same != other
    assert first.done == second.done
    assert set(first.done) == {"noise", *KINDS}


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_answer_is_broken_as_its_kind_says(kind: str):
    trouble = Trouble(TroubleShares(0.0, {kind: 1.0}, late_s=3.0), 7)
    for _ in range(50):
        answer, late_s = trouble.spoil(ANSWER)
        assert late_s == (3.0 if kind == "late" else 0.0)
        if kind == "cut":
            assert ANSWER.startswith(answer)
            assert 0 < len(answer) < len(ANSWER)
        elif kind == "checksum":
            assert answer[:-2] + answer[-1:] == ANSWER[:-2] + ANSWER[-1:]
            assert answer[-2] != ANSWER[-2]
        else:
            assert answer == (b"" if kind == "silent" else ANSWER)
    assert trouble.done == {kind: 50}


def test_noise_changes_every_answer_that_it_meets():
    trouble = Trouble(TroubleShares(1.0), 3)
    assert all(trouble.spoil(ANSWER)[0] != ANSWER for _ in range(200))


def test_of_two_meters_that_talk_at_once_the_low_bits_win():
    assert collide([b"\xf0\x0f", b"\x3f\xff\x16"]) == b"\x30\x0f\x16"
    assert collide([]) == b""


def test_all_requests_of_a_stretch_are_answered_and_counted():
    line, sent = HalfDuplexLine(echo, LineSpeed(None)), []
    assert line.hear(b"a", b"b\nc\nd", sent.append) == b"d"
    assert sent == [b"AB\n", b"C\n"]
    assert (line.answers, line.wire_bytes) == (2, 5 + 5)


def test_bytes_take_their_time_by_baud_and_bits():
    assert LineSpeed(2400, 11).wire_s(16) == pytest.approx(16 * 11 / 2400)
    assert LineSpeed(None).wire_s(16) == 0.0


def test_half_a_request_is_forgotten_after_a_gap():
    listener, sent = Listener(HalfDuplexLine(echo)), []
    listener.hear(b"half", sent.append)
    listener.heard_s -= 1.0
    listener.hear(b"whole\n", sent.append)
    assert sent == [b"WHOLE\n"]


def test_a_port_serves_one_master_after_the_other_and_outlives_a_cut():
    port = TcpPort(HalfDuplexLine(echo))
    port.start()
    try:
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", port.port), 10) as master:
                master.sendall(b"x\n")
                assert master.recv(10) == b"X\n"
                port.cut()
                assert master.recv(10) == b""
    finally:
        port.stop()


def test_a_taken_port_is_refused_with_what_to_do():
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SettingError, match="port 0 takes any"),
    ):
        TcpPort(HalfDuplexLine(echo), "127.0.0.1", taken.getsockname()[1])


def test_a_pseudo_terminal_is_found_by_its_link_until_it_stops(tmp_path: Path):
    link = tmp_path / "tty"
    link.symlink_to("/nowhere")  # left behind by one that was killed
    terminal = PseudoTerminal(HalfDuplexLine(echo), link)
    terminal.start()
    try:
        for _ in range(2):
            master = os.open(link, os.O_RDWR | os.O_NOCTTY)
            os.write(master, b"x\n")
            assert os.read(master, 10) == b"X\n"
            os.close(master)
    finally:
        terminal.stop()
    assert not link.is_symlink()
    link.write_text("a file of somebody's", encoding="utf-8")
    with pytest.raises(SettingError, match="name a path that is free"):
        PseudoTerminal(HalfDuplexLine(echo), link)
