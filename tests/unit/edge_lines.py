"""Ends of the edge collector for tests: conversations without a line, and a sink for a poller that runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from collectors.edge.config import BusConfig, EdgeConfig
from collectors.edge.poller import Poller
from collectors.edge.readings import MeterHealth, MeterReading, SinkFullError
from collectors.edge.talk import Said, Talk


def hold(talk: Talk, answers: Sequence[bytes]) -> tuple[list[bytes], Said | None]:
    """The requests of a conversation that hears `answers`, one a request, and what it gave; None where an answer
    is none to its request, or there are too few.
    """
    asked: list[bytes] = []
    ask = next(talk)
    for answer in answers:
        asked.append(ask.request)
        frame = ask.find(answer)
        if frame is None:
            return asked, None
        try:
            ask = talk.send(frame)
        except StopIteration as e:
            return asked, e.value
    return [*asked, ask.request], None


class CollectingSink:
    """Keeps readings in memory; `full`: refuses them as a full disk does."""

    def __init__(self) -> None:
        self.readings: list[MeterReading] = []
        self.extras_allowed = True
        self.full = False
        self.refused = 0
        self._changed = threading.Condition()

    def put(self, readings: Sequence[MeterReading]) -> None:
        with self._changed:
            if self.full:
                self.refused += 1
                self._changed.notify_all()
                raise SinkFullError("the outbox is full")
            self.readings += readings
            self._changed.notify_all()

    def wait_for(self, condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
        """Until a condition holds; it is looked at when readings come, and now and then."""
        end = time.monotonic() + timeout_s
        with self._changed:
            while not condition():
                assert time.monotonic() < end, "the condition did not come about"
                self._changed.wait(0.02)

    def of(self, meter: str) -> list[MeterReading]:
        return [r for r in self.readings if r.meter == meter]


@contextmanager
def polling(sink: CollectingSink, *buses: BusConfig) -> Iterator[Poller]:
    """A poller that runs; ends it afterwards and raises what it raised."""
    stop = threading.Event()
    poller = Poller(EdgeConfig(buses), sink, stop)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(poller.run)
        try:
            yield poller
        finally:
            stop.set()
        running.result()


def health_of(poller: Poller, meter: str) -> MeterHealth:
    return next(h for h in poller.health() if h.meter == meter)
