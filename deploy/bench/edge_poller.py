"""The poller that `bench edge` measures: one round over the buses of a file, then a line of JSON.

Run as ``python -m deploy.bench.edge_poller FILE``.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from collectors.edge.config import load_config
from collectors.edge.poller import Poller
from collectors.edge.readings import MeterReading


class _Counting:
    """A sink that counts, and says when it was put into last."""

    def __init__(self) -> None:
        self.values: dict[str, float] = {}
        self.readings = 0
        self.last = 0.0
        self._lock = threading.Lock()

    @property
    def extras_allowed(self) -> bool:
        return True

    def put(self, readings: Sequence[MeterReading]) -> None:
        with self._lock:
            for reading in readings:
                self.readings += len(reading.values)
                self.values[reading.meter] = reading.values["1.8.0"]
            self.last = time.monotonic()


def peak_rss_mb() -> float:
    """The most memory that this process has filled, in MB (2^20 bytes)."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Poll until every meter was read or has failed."""
    config, sink, stop = load_config(Path(sys.argv[1])), _Counting(), threading.Event()
    poller = Poller(config, sink, stop)
    started = time.monotonic()
    thread = threading.Thread(target=poller.run)
    thread.start()
    while thread.is_alive() and not all(h.last_ok or h.failures_in_a_row for h in poller.health()):
        stop.wait(0.02)
    ended = max(sink.last, started)
    stop.set()
    thread.join()
    failures = sum(1 for h in poller.health() if h.failures_in_a_row)
    report = {"polled_s": ended - started, "rss_mb": peak_rss_mb(), "readings": sink.readings}
    sys.stdout.write(json.dumps({**report, "failures": failures, "values": sink.values}) + "\n")


if __name__ == "__main__":
    main()
