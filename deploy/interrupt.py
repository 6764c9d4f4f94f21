"""Ctrl-C that asks to stop: what is under way is finished."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_interrupt(stop: Callable[[], object]) -> Iterator[None]:
    """In the block, the first Ctrl-C calls `stop`, from between two instructions; a second one is KeyboardInterrupt.

    For the main thread only, as signals are.
    """

    def handle(_: int, __: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
