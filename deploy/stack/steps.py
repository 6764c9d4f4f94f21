"""Tells a person what is being done: one line a step with its time, a bar on the long ones.

On a terminal a step is live (spinner, bar); elsewhere it is plain lines. All of it goes to stderr, so that what
`--json` prints on stdout stays pure.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn


class Step:
    """A step under way; `advance` moves its bar, `note` says what came of it."""

    def __init__(self, progress: Progress | None, task: TaskID | None) -> None:
        self._progress = progress
        self._task = task
        self.noted = ""

    def note(self, text: str) -> None:
        """Say what came of the step; shown at its end."""
        self.noted = text

    def advance(self, done: float, total: float) -> None:
        """Set the bar to `done` of `total`, any unit."""
        if self._progress is not None and self._task is not None:
            self._progress.update(self._task, completed=done, total=total)


class Steps:
    """Prints steps in the language of `language` ("zh" or "en")."""

    def __init__(self, language: str = "en", stream: TextIO | None = None) -> None:
        self._zh = language == "zh"
        self._console = Console(file=stream or sys.stderr, highlight=False)

    def text(self, zh: str, en: str) -> str:
        """The one of the two texts that is in the chosen language."""
        return zh if self._zh else en

    def say(self, zh: str, en: str) -> None:
        """Print one line."""
        self._console.print(self.text(zh, en), markup=False, soft_wrap=True)

    @contextmanager
    def step(self, zh: str, en: str, *, long: bool = False) -> Iterator[Step]:
        """Run the block as one step; `long` ones announce themselves before they start, where there is no terminal."""
        title = self.text(zh, en)
        started = time.monotonic()
        if self._console.is_terminal:
            with self._live(title) as step:
                yield step
        else:
            if long:
                self._console.print(f"  … {title}", markup=False, soft_wrap=True)
            step = Step(None, None)
            yield step
        took = time.monotonic() - started
        note = f" ({step.noted})" if step.noted else ""
        self._console.print(f"  ✓ {title}{note}  {took:.1f} s", markup=False, soft_wrap=True)

    @contextmanager
    def _live(self, title: str) -> Iterator[Step]:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield Step(progress, progress.add_task(title, total=None))


class SilentSteps(Steps):
    """Steps that print nothing; for tests and for commands that print data only."""

    def say(self, zh: str, en: str) -> None:
        """Print nothing."""

    @contextmanager
    def step(self, zh: str, en: str, *, long: bool = False) -> Iterator[Step]:  # noqa: ARG002
        """Run the block."""
        yield Step(None, None)
