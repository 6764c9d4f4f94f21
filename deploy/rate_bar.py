"""A progress bar with the rate that things really come at, over the last seconds; a line now and then elsewhere."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.stack.steps import Steps

_LINE_EVERY_S = 5.0


class RateBar:
    """Shows the progress on stderr: a bar on a terminal, else a line now and then.

    zh, en: what is done; window_s: seconds that the rate is of.
    """

    def __init__(self, steps: Steps, zh: str, en: str, window_s: float = 3.0) -> None:
        self.steps = steps
        self._title = zh, en
        self._window_s = window_s
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(steps.text(zh, en), total=None, detail="")
        self._seen: deque[tuple[float, float]] = deque()
        self._next_line = 0.0
        self._drawn = 0.0

    def __enter__(self) -> Self:
        if self._progress.console.is_terminal:
            self._progress.start()
        self._next_line = time.monotonic() + _LINE_EVERY_S
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def draw(self, done: int, total: int | None, more: str = "") -> None:
        """Draw `done` of `total` and `more`, at most ten times a second."""
        now = time.monotonic()
        if now - self._drawn < 0.1:
            return
        self._drawn = now
        self._seen.append((now, done))
        while len(self._seen) > 2 and self._seen[1][0] < now - self._window_s:
            self._seen.popleft()
        (t0, n0), (t1, n1) = self._seen[0], self._seen[-1]
        rate = (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0
        of = f"/{total:,}" if total is not None else ""
        detail = f"{done:,}{of} · {rate:,.0f}/s" + (f" · {more}" if more else "")
        self._progress.update(self._task, total=total, completed=done, detail=detail)
        if not self._progress.console.is_terminal and now >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            zh, en = self._title
            self.steps.say(f"    {zh} {detail}", f"    {en[0].lower()}{en[1:]} {detail}")
