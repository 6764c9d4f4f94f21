"""`bench meter`: how fast simulated DL/T 645 meters answer, against what the speed of their lines allows, and what
they cost.

All buses are in one process of their own. A master on each asks meter after meter for its total, the next at once
when the answer is whole, and checks address, data id and checksum. Counted from the first request to the last
answer; the limit is what the bytes that went over the slowest bus take, and the meters' turn-around. Processor time
is the process's own, from /proc.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.simulated_meters import MeterOptions, Protocol, simulated_meters
from metering.errors import NengliuError
from simulators.meters.frames import bcd
from simulators.meters.ports import TcpPort

_TOTAL = bytes.fromhex("00000100")
_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class MeterBench:
    """What to ask. baud: 0 is without limit; turnaround_s: from the end of a request to the begin of its answer."""

    meters: int = 200
    buses: int = 4
    baud: int = 2400
    turnaround_s: float = 0.03
    rounds: int = 2


@dataclass(frozen=True, slots=True)
class _Asked:
    wire_bytes: int
    answers: int
    wrong: int


def run_meter(options: MeterBench) -> dict[str, Any]:
    """Ask every meter `rounds` times. ratio: asked_s / line_s, None without a limit; cores: cpu_s / asked_s."""
    with _serving(options) as (pid, ports):
        cpu_before, started = _cpu_s(pid), time.monotonic()
        with ThreadPoolExecutor(options.buses) as pool:
            asked = list(
                pool.map(lambda bus: _ask(bus[1], _addresses(options, bus[0]), options), enumerate(ports))
            )
        asked_s, cpu_s = time.monotonic() - started, _cpu_s(pid) - cpu_before
    line_s = max((_line_s(a, options) for a in asked), default=0.0)
    answers = sum(a.answers for a in asked)
    return {
        "meters": options.meters,
        "buses": options.buses,
        "baud": options.baud,
        "turnaround_s": options.turnaround_s,
        "answers": answers,
        "wrong": sum(a.wrong for a in asked),
        "wire_bytes": sum(a.wire_bytes for a in asked),
        "line_s": round(line_s, 3),
        "asked_s": round(asked_s, 3),
        "ratio": round(asked_s / line_s, 4) if line_s else None,
        "answers_per_s": round(answers / asked_s, 1),
        "cpu_s": round(cpu_s, 2),
        "cores": round(cpu_s / asked_s, 3),
    }


def _line_s(asked: _Asked, options: MeterBench) -> float:
    wire_s = asked.wire_bytes * Protocol.DLT645.speed.bits / options.baud if options.baud else 0.0
    return wire_s + asked.answers * options.turnaround_s


def _addresses(options: MeterBench, bus: int) -> list[str]:
    """Of the meters of a bus: they are numbered from 1, as many on each bus as can be."""
    share, more = divmod(options.meters, options.buses)
    return [f"{n:012}" for n in range(1, share + (bus < more) + 1)]


def _ask(port: int, addresses: list[str], options: MeterBench) -> _Asked:
    wire_bytes = answers = wrong = 0
    with socket.create_connection(("127.0.0.1", port), _TIMEOUT_S) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(options.rounds):
            for address in addresses:
                request = _frame(address, 0x11, _TOTAL)
                line.sendall(request)
                answer = _answer(line)
                answers += 1
                wire_bytes += len(request) + len(answer)
                wrong += not _fits(answer.lstrip(b"\xfe"), address)
    return _Asked(wire_bytes, answers, wrong)


def _frame(address: str, control: int, data: bytes) -> bytes:
    body = (
        b"\x68" + bcd(address) + b"\x68" + bytes([control, len(data)]) + bytes((n + 0x33) % 256 for n in data)
    )
    return body + bytes([sum(body) % 256, 0x16])


def _answer(line: socket.socket) -> bytes:
    """What comes until a frame is whole."""
    came = b""
    while True:
        data = line.recv(4096)
        if not data:
            raise NengliuError("the simulated meters closed the connection; their error is above")
        came += data
        at = came.find(b"\x68")
        if at >= 0 and len(came) >= at + 12 and len(came) >= at + 12 + came[at + 9]:
            return came


def _fits(frame: bytes, address: str) -> bool:
    head = b"\x68" + bcd(address) + b"\x68\x91\x08" + bytes((n + 0x33) % 256 for n in _TOTAL)
    return frame.startswith(head) and frame[-1] == 0x16 and sum(frame[:-2]) % 256 == frame[-2]


def _cpu_s(pid: int) -> float:
    """Processor time of a process, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def _serving(options: MeterBench) -> Iterator[tuple[int, list[int]]]:
    """The process of the buses: its id and their ports."""
    words = [str(w) for w in (options.meters, options.buses, options.baud, options.turnaround_s)]
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.bench.meter", *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.pid, [int(port) for port in process.stdout.readline().split()]
        finally:
            process.stdin.close()


def _serve(options: MeterBench) -> None:
    """Serve the buses until stdin ends; prints their ports."""
    ports = []
    for b in range(options.buses):
        bus = MeterOptions(
            Protocol.DLT645,
            count=len(_addresses(options, b)),
            baud=options.baud,
            turnaround_s=options.turnaround_s,
            seed=b,
        )
        ports.append(TcpPort(simulated_meters(bus).line))
    for port in ports:
        port.start()
    print(*(port.port for port in ports), flush=True)  # noqa: T201
    sys.stdin.read()
    for port in ports:
        port.stop()


if __name__ == "__main__":
    meters, buses, baud, turnaround = sys.argv[1:]
    _serve(MeterBench(int(meters), int(buses), int(baud), float(turnaround)))
