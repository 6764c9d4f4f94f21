"""`bench edge`: how long an edge collector takes to poll simulated DL/T 645 meters, against what the speed of their
lines allows, and how much memory it fills.

The buses are TCP ports of this process whose bytes come and go at the speed of a serial line; the collector's poller
is a process of its own (`deploy.bench.edge_poller`) that polls one round. The limit is what the bytes that went over
the slowest bus take, at 11 bits a byte (8E1), and the meters' answer delay.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from metering.errors import NengliuError
from simulators.bus_lines import LineSpeed, SimulatedBus
from simulators.dlt645_meters import Dlt645Bus, Dlt645Meter

_TOTAL = 0x00010000
_BITS = 11


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """What to poll. delay_s: from the end of a request to the begin of a meter's answer."""

    meters: int = 200
    buses: int = 4
    baud: int = 2400
    delay_s: float = 0.03


def run_edge(options: EdgeOptions) -> dict[str, Any]:
    """Poll every meter once. Seconds; ratio: polled_s / line_s; rss_mb: the most that the poller's process filled."""
    with _buses(options) as buses:
        report = _poll(_config(options, buses))
        line_s = max(
            bus.wire_bytes * _BITS / options.baud + bus.answers * options.delay_s for bus in buses.values()
        )
        return {
            "meters": options.meters,
            "buses": options.buses,
            "baud": options.baud,
            "delay_s": options.delay_s,
            "line_s": round(line_s, 3),
            "polled_s": round(report["polled_s"], 3),
            "ratio": round(report["polled_s"] / line_s, 4),
            "rss_mb": round(report["rss_mb"], 1),
            "answers": sum(bus.answers for bus in buses.values()),
            "wire_bytes": sum(bus.wire_bytes for bus in buses.values()),
            "readings": report["readings"],
            "failures": report["failures"],
            "wrong": sum(1 for m, v in report["values"].items() if v != _value(int(m) - 1)),
        }


def _value(number: int) -> float:
    return round(1000 + number * 1.37, 2)


@contextmanager
def _buses(options: EdgeOptions) -> Iterator[dict[str, SimulatedBus]]:
    """The simulated buses by name; their meters are numbered from 1, bus after bus in turn."""

    def clock() -> datetime:
        return datetime.now(UTC) + timedelta(hours=8)

    buses: dict[str, SimulatedBus] = {}
    for b in range(options.buses):
        numbers = range(b, options.meters, options.buses)
        meters = [Dlt645Meter(f"{n + 1:012}", {_TOTAL: _value(n)}, clock) for n in numbers]
        speed = LineSpeed(options.baud, _BITS, options.delay_s)
        buses[f"bus-{b + 1}"] = SimulatedBus(Dlt645Bus(meters), speed)
    for bus in buses.values():
        bus.start()
    try:
        yield buses
    finally:
        for bus in buses.values():
            bus.stop()


def _config(options: EdgeOptions, buses: dict[str, SimulatedBus]) -> str:
    lines: list[str] = []
    for b, (name, bus) in enumerate(buses.items()):
        lines += ["[[bus]]", f'name = "{name}"', 'protocol = "dlt645"', f'tcp = "127.0.0.1:{bus.port}"']
        lines += ["interval_s = 86400", "timeout_s = 3.0"]
        for number in range(b, options.meters, options.buses):
            lines += ["[[bus.meter]]", f'meter = "{number + 1:012}"']
    return "\n".join(lines) + "\n"


def _poll(config: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="nengliu-bench-edge-") as folder:
        file = Path(folder) / "edge.toml"
        file.write_text(config, encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "-m", "deploy.bench.edge_poller", str(file)],
            stdout=subprocess.PIPE,
            check=False,
        )
    if done.returncode:
        raise NengliuError(f"the poller of the benchmark ended with {done.returncode}; its error is above")
    report: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return report
