"""The progress bar of what simulated gateways send: readings acknowledged for good, their rate, the day reached."""

from __future__ import annotations

from collections.abc import Mapping

from deploy.rate_bar import RateBar
from deploy.stack.steps import Steps
from simulators.sending import SendProgress, SendResult


class SendBar(RateBar):
    """Shows the progress on stderr: a bar on a terminal, else a line now and then."""

    def __init__(self, steps: Steps) -> None:
        super().__init__(steps, "发送", "Send")

    def show(self, at: SendProgress) -> None:
        """Draw `at`, at most ten times a second."""
        more = [f"{at.at:%Y-%m-%d}"] if at.at else []
        if at.waits_until is not None:
            until = f"{at.waits_until.astimezone():%H:%M:%S}"
            more.append(self.steps.text(f"等到 {until}", f"waits until {until}"))
        self.draw(at.acknowledged, at.total, " · ".join(more))

    def summary(self, result: SendResult, wrong: Mapping[str, int] | None = None) -> None:
        """Say what was sent. wrong: what was rejected and should not have been, None: all of it."""
        rate = result.readings / result.seconds if result.seconds else 0.0
        self.steps.say(
            f"  ✓ 发送完成：{result.gateways} 个网关，{result.messages:,} 条消息，"
            f"{result.readings:,} 个读数全部得到持久确认，"
            f"{result.seconds:.1f} 秒（{rate:,.0f} 个/秒），重发 {result.resent} 条",
            f"  ✓ Sent: {result.gateways} gateways, {result.messages:,} messages, {result.readings:,} readings, "
            f"each acknowledged for good, {result.seconds:.1f} s ({rate:,.0f}/s), {result.resent} messages sent again",
        )
        for reason, n in sorted(result.rejected.items()):
            if wrong is None or reason in wrong:
                self.steps.say(f"  ✗ {n} 条消息被拒：{reason}", f"  ✗ {n} messages rejected: {reason}")
            else:
                self.steps.say(
                    f"  · {n} 条消息被拒：{reason}（场景如此）",
                    f"  · {n} messages rejected: {reason}, as the scenario means",
                )
