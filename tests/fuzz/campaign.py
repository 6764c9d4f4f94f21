"""The campaign: every chunk of every target, on as many processes as wanted."""

from __future__ import annotations

import gc
import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context

import structlog

from .chunks import Chunk, Tally, run_chunk
from .structured import run_structured, strategies
from .targets import targets

CHUNK = 10_000
#: Hypothesis makes one input of so many: its share of the time is then about a tenth.
STRUCTURED_ONE_OF = 1000

Say = Callable[[Chunk, Tally], None]


@dataclass(slots=True)
class Ending:
    """How a campaign ended. broken_off: by hand; died: chunks of which one has taken its process down with it."""

    broken_off: bool = False
    died: list[Chunk] = field(default_factory=list)


def chunks(inputs: int, names: Sequence[str]) -> list[Chunk]:
    """What makes up `inputs`, in turns, so that a campaign that is broken off has tried them all."""
    chosen = [targets()[name] for name in names]
    whole = sum(t.share for t in chosen)
    out: list[tuple[float, Chunk]] = []
    left = inputs
    for i, target in enumerate(chosen):
        own = left if i + 1 == len(chosen) else round(inputs * target.share / whole)
        left -= own
        shaped = own // STRUCTURED_ONE_OF if target.name in strategies() else 0
        sizes = [(size, False) for size in _split(own - shaped, CHUNK)]
        sizes += [(size, True) for size in _split(shaped, CHUNK // 10)]
        out += [((n + 0.5) / len(sizes), Chunk(target.name, n, *size)) for n, size in enumerate(sizes)]
    return [chunk for _, chunk in sorted(out, key=lambda o: (o[0], o[1].target))]


def _split(count: int, size: int) -> list[int]:
    return [size] * (count // size) + ([count % size] if count % size else [])


def run(chunk: Chunk, seed: int) -> Tally:
    """One chunk, in this process."""
    target = targets()[chunk.target]
    return run_structured(target, chunk, seed) if chunk.structured else run_chunk(target, chunk, seed)


def carry_out(
    todo: Sequence[Chunk], seed: int, workers: int, say: Say, work: Callable[[Chunk, int], Tally] = run
) -> Ending:
    """All chunks; `say` hears of each that is done. An interrupt lets those end that have begun. work: does one."""
    ending = Ending()
    done: set[Chunk] = set()
    with ProcessPoolExecutor(workers, get_context("spawn"), _begin) as pool:
        with _uninterrupted():
            futures = {pool.submit(work, chunk, seed): chunk for chunk in todo}

        def collect(finished: Iterable[Future[Tally]]) -> None:
            for future in finished:
                tally = future.result()
                done.add(futures[future])
                say(futures[future], tally)

        try:
            collect(as_completed(futures))
        except KeyboardInterrupt:
            ending.broken_off = True
            pool.shutdown(wait=True, cancel_futures=True)
            collect(f for f, c in futures.items() if f.done() and not f.cancelled() and c not in done)
        except BrokenProcessPool:  # chunks are begun in order
            ending.died = [chunk for chunk in todo if chunk not in done][:workers]
    return ending


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Processes that begin in here take no notice of an interrupt, from their first moment on: it is the campaign's."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _begin() -> None:
    """In a worker: logs of the code that is tried are nobody's."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    targets(), strategies()
    gc.collect()
    gc.freeze()  # what never changes need not be looked through while an input is timed
