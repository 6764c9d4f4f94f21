"""The progress bar of what simulated gateways send: readings acknowledged for good, their rate, the day reached."""

from __future__ import annotations

import time
from collections import deque
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from deploy.stack.steps import Steps
from simulators.sending import SendProgress, SendResult

_WINDOW_S = 3.0
_LINE_EVERY_S = 5.0


class SendBar:
    """Shows the progress on stderr: a bar on a terminal, else a line now and then."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._task: TaskID = self._progress.add_task(steps.text("发送", "Send"), total=None, detail="")
        self._seen: deque[tuple[float, int]] = deque()
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

    def show(self, at: SendProgress) -> None:
        """Draw `at`, at most ten times a second."""
        now = time.monotonic()
        if now - self._drawn < 0.1:
            return
        self._drawn = now
        self._seen.append((now, at.acknowledged))
        while len(self._seen) > 2 and self._seen[1][0] < now - _WINDOW_S:
            self._seen.popleft()
        detail = self._detail(at)
        self._progress.update(self._task, total=at.total, completed=at.acknowledged, detail=detail)
        if not self._progress.console.is_terminal and now >= self._next_line:
            self._next_line = now + _LINE_EVERY_S
            self._steps.say(f"    发送 {detail}", f"    send {detail}")

    def summary(self, result: SendResult) -> None:
        """Say what was sent."""
        rate = result.readings / result.seconds if result.seconds else 0.0
        self._steps.say(
            f"  ✓ 发送完成：{result.gateways} 个网关，{result.messages:,} 条消息，"
            f"{result.readings:,} 个读数全部得到持久确认，"
            f"{result.seconds:.1f} 秒（{rate:,.0f} 个/秒），重发 {result.resent} 条",
            f"  ✓ Sent: {result.gateways} gateways, {result.messages:,} messages, {result.readings:,} readings, "
            f"each acknowledged for good, {result.seconds:.1f} s ({rate:,.0f}/s), {result.resent} messages sent again",
        )
        for reason, n in sorted(result.rejected.items()):
            self._steps.say(f"  ✗ {n} 条消息被拒：{reason}", f"  ✗ {n} messages rejected: {reason}")

    def _detail(self, at: SendProgress) -> str:
        (t0, n0), (t1, n1) = self._seen[0], self._seen[-1]
        rate = (n1 - n0) / (t1 - t0) if t1 > t0 else 0.0
        day = f"{at.at:%Y-%m-%d}" if at.at else ""
        text = f"{at.acknowledged:,}/{at.total:,} · {rate:,.0f}/s" + (f" · {day}" if day else "")
        if at.waits_until is None:
            return text
        until = f"{at.waits_until.astimezone():%H:%M:%S}"
        return text + self._steps.text(f" · 等到 {until}", f" · waits until {until}")
