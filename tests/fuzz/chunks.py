"""A chunk: some thousand inputs of one target, the same ones for the same seed, and what became of them."""

from __future__ import annotations

import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from random import Random
from types import FrameType

from .inputs import Input, size_of
from .invariants import BreachError
from .targets import Outcome, Target
from .through_kafka import CulpritError

#: Processor time that one input may take before it counts as endless.
ENDLESS_S = 30.0
_KEPT_FINDINGS = 20


@dataclass(frozen=True, slots=True)
class Chunk:
    """target: its name; number: which of the target's chunks; size: inputs; structured: of Hypothesis."""

    target: str
    number: int
    size: int
    structured: bool = False


@dataclass(frozen=True, slots=True)
class Finding:
    """An input that must be looked at. what: tells findings apart (the rule, or the exception and its place)."""

    target: str
    what: str
    breach: bool
    told: str
    given: Input


@dataclass(slots=True)
class Tally:
    """What became of inputs. seconds: processor time; with_readings: inputs that gave any; refused: inputs by the
    reason for which they were refused whole; rejected: values by reason; slowest: (milliseconds, bytes);
    slowest_per_kb: milliseconds a kilobyte of the slowest input over 10 kB.
    """

    inputs: int = 0
    payload_bytes: int = 0
    seconds: float = 0.0
    with_readings: int = 0
    readings: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    exceptions: int = 0
    breaches: int = 0
    slowest: tuple[float, int] = (0.0, 0)
    slowest_per_kb: float = 0.0
    findings: list[Finding] = field(default_factory=list)

    def count(self, given: Input, outcome: Outcome) -> None:
        """Count a sound input in."""
        size = size_of(given)
        self.readings += outcome.readings
        self.with_readings += outcome.readings > 0
        if outcome.failure is not None:
            self.refused[outcome.failure] += 1
        self.rejected.update(outcome.reasons)
        self.slowest = max(self.slowest, (outcome.seconds * 1000, size))
        if size > 10_000:
            self.slowest_per_kb = max(self.slowest_per_kb, outcome.seconds * 1e6 / size)

    def found(self, finding: Finding) -> None:
        """Count an unsound input in; a few of them are kept."""
        if finding.breach:
            self.breaches += 1
        else:
            self.exceptions += 1
        known = {f.what for f in self.findings}
        if finding.what not in known and len(known) < _KEPT_FINDINGS:
            self.findings.append(finding)

    def add(self, other: Tally) -> None:
        """Count another's in."""
        self.inputs += other.inputs
        self.payload_bytes += other.payload_bytes
        self.seconds += other.seconds
        self.with_readings += other.with_readings
        self.readings += other.readings
        self.refused += other.refused
        self.rejected += other.rejected
        self.exceptions += other.exceptions
        self.breaches += other.breaches
        self.slowest = max(self.slowest, other.slowest)
        self.slowest_per_kb = max(self.slowest_per_kb, other.slowest_per_kb)
        known = {f.what for f in self.findings}
        self.findings += [f for f in other.findings if f.what not in known]


class EndlessError(Exception):
    """An input takes longer than anything may."""


@contextmanager
def bounded() -> Iterator[Callable[[], None]]:
    """Gives a function to call before each input: one that takes over ENDLESS_S of processor time raises EndlessError.
    Only in a main thread.
    """

    def stop(signum: int, frame: FrameType | None) -> None:
        raise EndlessError(f"over {ENDLESS_S:.0f} s of processor time")

    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        yield lambda: signal.setitimer(signal.ITIMER_VIRTUAL, ENDLESS_S) and None
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def finding(target: Target, given: Input, error: Exception) -> Finding:
    """What an error says of an input."""
    if isinstance(error, CulpritError):
        given = (error.message,)
    if isinstance(error, BreachError):
        return Finding(target.name, error.rule, True, str(error), given)
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{type(error).__name__} at {last.filename.rpartition('/')[2]}:{last.lineno}"
    told = "".join(traceback.format_exception(error, limit=-12))
    return Finding(target.name, place, False, told, given)


def try_one(target: Target, given: Input) -> Outcome | Finding:
    """Probe one input."""
    try:
        outcome = target.probe(given)
    except Exception as e:  # noqa: BLE001 - whatever it raises is what is looked for
        return finding(target, given, e)
    return outcome


Take = Callable[[Input], "Outcome | Finding"]


@contextmanager
def taking(target: Target, tally: Tally) -> Iterator[tuple[Callable[[], None], Take]]:
    """What to call before an input is made, and with it: it is tried and counted in. Its processor time is taken."""

    def take(given: Input) -> Outcome | Finding:
        tally.inputs += 1
        tally.payload_bytes += size_of(given)
        result = try_one(target, given)
        if isinstance(result, Finding):
            tally.found(result)
        else:
            tally.count(given, result)
        return result

    began = time.process_time()
    with bounded() as next_one:
        yield next_one, take
        if put_off := end(target):
            tally.found(put_off)
    tally.seconds = time.process_time() - began


def run_chunk(target: Target, chunk: Chunk, seed: int) -> Tally:
    """Make and try the inputs of a chunk."""
    tally = Tally()
    maker = target.maker(Random(f"{seed} {chunk.target} {chunk.number}"))
    with taking(target, tally) as (next_one, take):
        for _ in range(chunk.size):
            next_one()
            given = maker.make()
            result = take(given)
            if not isinstance(result, Finding):
                maker.learn(given, result.signature)
    return tally


def end(target: Target) -> Finding | None:
    """Check what a target has put off."""
    try:
        target.end()
    except BreachError as e:
        return finding(target, (), e)
    return None
