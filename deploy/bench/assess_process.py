"""The process that `bench assess` measures: it runs an assessor once, or a worker's loop with what
tells people, and nothing else."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.pool import Pool
from threading import Event, Thread
from typing import Any

import psycopg

from alerts.rolling import RollingAssessor, RollingOptions
from deploy.bench.rig import cpu_s, peak_rss_mb
from deploy.logging import quiet_logging
from deploy.notifying import read_notify_settings
from deploy.services.notifier import Notifier
from deploy.services.work import Worker
from deploy.settings import Settings
from storage.derivation import Deriver


@dataclass(frozen=True, slots=True)
class Assessed:
    """A run of an assessor: seconds that passed, processor seconds here and in the database, rows assessed and written,
    alert transitions, and the most resident memory that the process has had.
    """

    seconds: float
    cpu_s: float
    assessed: int
    written: int
    transitions: int
    peak_rss_mb: float


class Assessing:
    """The process."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def assess(self, now: datetime) -> Assessed:
        """Assess what is due at a time of the wall clock."""
        found: Assessed = self._pool.apply(_assess, (now,))
        return found

    @contextmanager
    def working(self, settings: Settings) -> Iterator[None]:
        """In the block it derives and assesses by this machine's clock and tells of alerts by what `settings` say, as
        `nengliu work` does.
        """
        self._pool.apply(_start, (settings,))
        try:
            yield
        finally:
            self._pool.apply(_stop)


@contextmanager
def assessing(url: str) -> Iterator[Assessing]:
    """A process on the database of `url`."""
    with multiprocessing.get_context("spawn").Pool(1, _begin, (url,)) as pool:
        yield Assessing(pool)


class _Noted(psycopg.Connection[Any]):
    """Says, when it is closed, what its session in the database cost."""

    cpu_s = 0.0

    def close(self) -> None:
        if not self.closed:
            _Noted.cpu_s += cpu_s(self.info.backend_pid)
        super().close()


_url: str
_stopping: Event
_thread: Thread
_notifier: Notifier


def _begin(url: str) -> None:
    global _url
    _url = url
    quiet_logging()


def _connect() -> psycopg.Connection[Any]:
    return _Noted.connect(_url)


def _assess(now: datetime) -> Assessed:
    options = RollingOptions(by_event=False, debounce_s=0.0)
    assessor = RollingAssessor(_connect, options, lambda: now)
    began, before = time.perf_counter(), time.process_time() + _Noted.cpu_s
    done = assessor.run_once()
    return Assessed(
        time.perf_counter() - began,
        time.process_time() + _Noted.cpu_s - before,
        done.assessed,
        done.written,
        done.transitions,
        peak_rss_mb(os.getpid()),
    )


def _start(settings: Settings) -> None:
    global _stopping, _thread, _notifier
    _stopping = Event()
    _notifier = Notifier(settings, read_notify_settings(settings), _connect, _stopping)
    _notifier.start()
    assessor = RollingAssessor(_connect, RollingOptions(by_event=False))
    worker = Worker(Deriver(_connect), assessor.run_once, lambda: 0, _stopping)
    _thread = Thread(target=worker.run, daemon=True)
    _thread.start()


def _stop() -> None:
    _stopping.set()
    _thread.join(30)
    _notifier.join()
