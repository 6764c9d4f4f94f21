"""Polls the meters of one bus: a round an interval, totals first, each meter's readings put down at once."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from collectors.edge.config import BusConfig
from collectors.edge.health import MeterState
from collectors.edge.line import Line, LineAwayError, LineLostError, SilenceError
from collectors.edge.readings import MeterReading, Sink, SinkFullError
from collectors.edge.schedule import BackOff, Schedule, order
from collectors.edge.talk import AnswerError, Ask, BusyError, Kind, Said, Step

log = structlog.get_logger(__name__)

#: Longest sleep before the clock is looked at again.
_NAP_S = 1.0

#: How long a meter that is busy is left alone.
_BUSY_S = 0.3

#: Answers within this are one reading, stamped with the time of the first.
_TOGETHER_S = 1.0

#: Readings of a bus that are kept in memory while the sink takes none.
_MOST_WAITING = 10_000


@dataclass(slots=True)
class _Visit:
    """What one poll of a meter gave."""

    answers: list[tuple[datetime, dict[str, float]]] = field(default_factory=list)
    answered_at: datetime | None = None
    total_error: str | None = None
    other_error: str | None = None

    def fail(self, kind: Kind, error: str) -> None:
        if kind is Kind.TOTAL:
            self.total_error = error
        else:
            self.other_error = error


def merged(meter: str, answers: list[tuple[datetime, dict[str, float]]]) -> list[MeterReading]:
    """Answers as readings: those that came within a second of the first are one. A register is in one of them once."""
    readings: list[MeterReading] = []
    for at, values in answers:
        last = readings[-1] if readings else None
        if (
            last is not None
            and 0 <= (at - last.ts).total_seconds() <= _TOGETHER_S
            and not last.values.keys() & values.keys()
        ):
            last.values.update(values)
        elif values:
            readings.append(MeterReading(meter, at, dict(values)))
    return readings


class BusPoller:
    """One bus. `run` belongs to one thread; `states` may be read by others."""

    def __init__(self, bus: BusConfig, sink: Sink, stop: threading.Event) -> None:
        self._bus, self._sink, self._stop = bus, sink, stop
        self._line = Line(bus.place, bus.silence_s())
        self._schedule = Schedule(bus.interval_s)
        self._back_off = BackOff()
        self._waiting: deque[MeterReading] = deque()
        self._away = False
        self.states = [MeterState(bus.name, m) for m in bus.meters]

    def run(self) -> None:
        """Poll until `stop` is set."""
        try:
            while not self._stop.is_set():
                self._await_round()
                self._round()
        finally:
            self._line.close()

    def _left_s(self) -> float:
        return self._schedule.left_s(time.time(), time.monotonic())

    def _await_round(self) -> None:
        while not self._stop.is_set() and (left := self._left_s()) > 0:
            if self._waiting:
                self._put([])
            self._stop.wait(min(left, _NAP_S))

    # ------------------------------------------------------------ a round

    def _round(self) -> None:
        self._schedule.begin(time.time(), time.monotonic())
        live, dead = order(self.states)
        left = live + dead
        for state in live:
            if not self._visit_when_there(state):
                break
            left.remove(state)
        else:
            left = self._probe(dead)
        if self._stop.is_set() or not self._away:
            return
        for state in left:
            state.silent(f"{self._bus.place} is away")

    def _probe(self, dead: list[MeterState]) -> list[MeterState]:
        """Ask the dead while there is time, the first in any case; gives those that the line was away for."""
        for n, state in enumerate(dead):
            if n and self._left_s() < self._bus.timeout_s:
                break
            if not self._visit_when_there(state):
                return dead[n:]
        return []

    def _visit_when_there(self, state: MeterState) -> bool:
        """Poll a meter; while the line is away, wait for it. False: stopped, or the next round is due first."""
        while not self._stop.is_set():
            try:
                self._visit(state)
            except LineAwayError as e:
                if not self._await_line(e):
                    return False
                continue
            self._line_is_there()
            return True
        return False

    def _await_line(self, error: LineAwayError) -> bool:
        if not self._away:
            log.warning("line_away", bus=self._bus.name, error=str(error))
        self._away = True
        self._stop.wait(min(self._back_off.next_s(), max(self._left_s(), 0.0)))
        return self._left_s() > 0

    def _line_is_there(self) -> None:
        if self._away:
            log.info("line_back", bus=self._bus.name)
        self._away = False
        self._back_off.reset()

    # ------------------------------------------------------------ a meter

    def _visit(self, state: MeterState) -> None:
        """Ask a meter everything, and put down what it says. Raises LineAwayError; what was read is put down before."""
        visit = _Visit()
        try:
            self._ask_all(state, visit)
        finally:
            state.asked_at = time.monotonic()
            self._put(merged(state.config.meter, visit.answers))
        if visit.answered_at is not None:
            state.answered(visit.answered_at, visit.total_error, visit.other_error)
        else:
            state.silent(visit.total_error or visit.other_error or "nothing was asked")

    def _ask_all(self, state: MeterState, visit: _Visit) -> None:
        for step in state.config.how.steps():
            if not self._due(state, step.kind):
                continue
            alive = visit.answered_at is not None or not state.dead
            attempts = 1 + (self._bus.retries if alive else 0)
            try:
                said = self._talk(step, attempts)
            except (SilenceError, LineLostError) as e:
                visit.fail(step.kind, str(e))
                return
            except AnswerError as e:
                visit.fail(step.kind, str(e))
                visit.answered_at = datetime.now(UTC)
                continue
            visit.answered_at = now = datetime.now(UTC)
            visit.answers.append((now, said.values))
            if said.clock is not None:
                state.clock_offset_s = (said.clock - now).total_seconds()

    def _due(self, state: MeterState, kind: Kind) -> bool:
        """Whether a step is to be taken now. The clock is asked at most once a period, answered or not."""
        if kind is Kind.EXTRA:
            return self._sink.extras_allowed
        if kind is Kind.CLOCK:
            now = time.monotonic()
            if now - state.clock_at < self._bus.clock_every_s:
                return False
            state.clock_at = now
        return True

    def _talk(self, step: Step, attempts: int) -> Said:
        """Raises SilenceError, LineAwayError, LineLostError, AnswerError."""
        while True:
            try:
                return self._talk_once(step, attempts)
            except BusyError:
                attempts -= 1
                if attempts <= 0 or self._stop.wait(_BUSY_S):
                    raise

    def _talk_once(self, step: Step, attempts: int) -> Said:
        talk = step.begin()
        ask = next(talk)
        while True:
            frame = self._ask(ask, attempts)
            try:
                ask = talk.send(frame)
            except StopIteration as e:
                said: Said = e.value
                return said

    def _ask(self, ask: Ask, attempts: int) -> bytes:
        """The frame that answers. Where answers to several requests cannot be told apart, a late one to the request
        that was repeated is awaited and thrown away before anything else is asked.
        """
        for attempt in range(attempts):
            try:
                frame = self._line.exchange(ask.request, ask.find, self._bus.timeout_s)
            except (SilenceError, LineLostError):
                if attempt + 1 >= attempts or self._stop.is_set():
                    raise
                continue
            if attempt and not ask.told_apart:
                self._line.settle(self._bus.timeout_s)
            return frame
        raise AssertionError("at least one attempt")

    # ------------------------------------------------------------ the sink

    def _put(self, readings: list[MeterReading]) -> None:
        """Put down readings, with those that could not be put down before."""
        if not readings and not self._waiting:
            return
        everything = [*self._waiting, *readings]
        try:
            self._sink.put(everything)
        except SinkFullError as e:
            self._keep(everything, e)
            return
        if self._waiting:
            log.info("readings_put_down_late", bus=self._bus.name, readings=len(self._waiting))
        self._waiting.clear()

    def _keep(self, readings: list[MeterReading], error: SinkFullError) -> None:
        if not self._waiting:
            log.error("readings_wait_in_memory", bus=self._bus.name, error=str(error))
        lost = max(len(readings) - _MOST_WAITING, 0)
        if lost:
            log.error("readings_lost", bus=self._bus.name, readings=lost, error=str(error))
        self._waiting = deque(readings[lost:])
