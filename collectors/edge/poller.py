"""Polls all buses at once, a thread a bus."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

from collectors.edge.bus import BusPoller
from collectors.edge.config import EdgeConfig
from collectors.edge.readings import MeterHealth, Sink


class Poller:
    """The buses of an edge collector. The readings go to `sink` from every bus's thread."""

    def __init__(self, config: EdgeConfig, sink: Sink, stop: threading.Event) -> None:
        self._stop = stop
        self._buses = [BusPoller(bus, sink, stop) for bus in config.buses]

    def run(self) -> None:
        """Poll until `stop` is set. A bus that meets a bug stops all others: `stop` is set and its error raised."""
        with ThreadPoolExecutor(len(self._buses), thread_name_prefix="bus") as pool:
            futures = [pool.submit(bus.run) for bus in self._buses]
            wait(futures, return_when=FIRST_EXCEPTION)
            self._stop.set()
        for future in futures:
            future.result()

    def health(self) -> list[MeterHealth]:
        """How every meter answers, in the file's order. Any thread."""
        return [state.health() for bus in self._buses for state in bus.states]
