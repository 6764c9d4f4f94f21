"""`bench edge`: how long an edge collector takes to poll simulated DL/T 645 meters, against what the speed of their
lines allows, and how much memory it fills.

The buses are TCP ports of this process whose bytes come and go at the speed of a serial line. The collector is
`nengliu edge` itself, with its outbox and its publisher, whose broker is away. Counted from the first byte that came
over a bus to the last that went. The limit is what the bytes that went over the slowest bus take, at 11 bits a byte
(8E1), and the meters' answer delay.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from collectors.edge.outbox import Outbox, outbox_state
from metering.errors import NengliuError
from simulators.meters.counts import MeterClock
from simulators.meters.dlt645 import Dlt645Bus, Dlt645Meter
from simulators.meters.lines import HalfDuplexLine, LineSpeed
from simulators.meters.ports import TcpPort

_TOTAL = "1.8.0"
_BITS = 11
_NO_BROKER = 1  # nobody listens on port 1: everything that is polled stays in the outbox


@dataclass(frozen=True, slots=True)
class EdgeOptions:
    """What to poll. delay_s: from the end of a request to the begin of a meter's answer."""

    meters: int = 200
    buses: int = 4
    baud: int = 2400
    delay_s: float = 0.03


def run_edge(options: EdgeOptions) -> dict[str, Any]:
    """Poll every meter once. Seconds; ratio: polled_s / line_s; rss_mb: the most that the process filled."""
    with _buses(options) as buses:
        values, rss_mb = _collect(_config(options, buses), options)
        lines = [bus.line for bus in buses.values()]
        line_s = max(
            line.wire_bytes * _BITS / options.baud + line.answers * options.delay_s for line in lines
        )
        polled_s = max(line.last_s or 0.0 for line in lines) - min(line.first_s or 0.0 for line in lines)
        return {
            "meters": options.meters,
            "buses": options.buses,
            "baud": options.baud,
            "delay_s": options.delay_s,
            "line_s": round(line_s, 3),
            "polled_s": round(polled_s, 3),
            "ratio": round(polled_s / line_s, 4),
            "rss_mb": round(rss_mb, 1),
            "answers": sum(line.answers for line in lines),
            "wire_bytes": sum(line.wire_bytes for line in lines),
            "kept": len(values),
            "missing": options.meters - len(values),
            "wrong": sum(1 for meter, value in values.items() if value != _value(int(meter) - 1)),
        }


def _value(number: int) -> float:
    return round(1000 + number * 1.37, 2)


@contextmanager
def _buses(options: EdgeOptions) -> Iterator[dict[str, TcpPort]]:
    """The simulated buses by name; their meters are numbered from 1, bus after bus in turn."""

    clock = MeterClock(lambda: datetime.now(timezone(timedelta(hours=8))))
    buses: dict[str, TcpPort] = {}
    for b in range(options.buses):
        numbers = range(b, options.meters, options.buses)
        meters = [Dlt645Meter(f"{n + 1:012}", {_TOTAL: _value(n)}.copy, clock) for n in numbers]
        speed = LineSpeed(options.baud, _BITS, options.delay_s)
        buses[f"bus-{b + 1}"] = TcpPort(HalfDuplexLine(Dlt645Bus(meters), speed))
    for bus in buses.values():
        bus.start()
    try:
        yield buses
    finally:
        for bus in buses.values():
            bus.stop()


def _config(options: EdgeOptions, buses: dict[str, TcpPort]) -> str:
    lines: list[str] = []
    for b, (name, bus) in enumerate(buses.items()):
        lines += ["[[bus]]", f'name = "{name}"', 'protocol = "dlt645"', f'tcp = "127.0.0.1:{bus.port}"']
        lines += ["interval_s = 86400", "timeout_s = 3.0"]
        for number in range(b, options.meters, options.buses):
            lines += ["[[bus.meter]]", f'meter = "{number + 1:012}"']
    return "\n".join(lines) + "\n"


def _collect(config: str, options: EdgeOptions) -> tuple[dict[str, float], float]:
    """What `nengliu edge` keeps of one round (meter -> total), and the memory it filled, in MB of 2^20 bytes."""
    with tempfile.TemporaryDirectory(prefix="nengliu-bench-edge-") as folder:
        file, outbox = Path(folder) / "edge.toml", Path(folder) / "outbox.sqlite"
        file.write_text(config, encoding="utf-8")
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")} | {
            "NENGLIU_STATE_DIR": folder,
            "NENGLIU_EDGE_CONFIG": str(file),
            "NENGLIU_EDGE_OUTBOX": str(outbox),
            "NENGLIU_EDGE_MQTT_URL": f"mqtt://bench:none@127.0.0.1:{_NO_BROKER}",
            "NENGLIU_LOG_LEVEL": "error",
        }
        command = [sys.executable, "-m", "deploy.cli.app", "edge"]
        with subprocess.Popen(command, env=environment) as edge:
            try:
                _wait_for(outbox, edge, options)
                rss_mb = _peak_rss_mb(edge.pid)
            finally:
                edge.terminate()
        return _totals(outbox), rss_mb


def _wait_for(outbox: Path, edge: subprocess.Popen[bytes], options: EdgeOptions) -> None:
    """Until the outbox has every meter, or nothing new for so long that nothing more will come."""
    waiting, patience_s = 0, 30.0
    deadline = time.monotonic() + patience_s
    while waiting < options.meters and time.monotonic() < deadline:
        if edge.poll() is not None:
            raise NengliuError(f"the edge collector ended with {edge.returncode}; its error is above")
        time.sleep(0.05)
        found = outbox_state(outbox).waiting if outbox.is_file() else 0
        if found > waiting:
            waiting, deadline = found, time.monotonic() + patience_s


def _peak_rss_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def _totals(outbox: Path) -> dict[str, float]:
    kept = Outbox(outbox)
    try:
        readings = [r for m in kept.between(0, kept.last_seq, kept.last_seq) for r in json.loads(m.readings)]
    finally:
        kept.close()
    return {r["meter"]: r["values"][_TOTAL] for r in readings}
