"""A process of the campaign: started, killed, stopped, continued and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.bench.rig import rss_mb

ROOT = Path(__file__).resolve().parents[2]


class StuckError(Exception):
    """Something that must happen did not; the message says what."""


class Child:
    """`python -m` something. `ready_metric`: the metric on `port` that is 1 while a message can go through it."""

    def __init__(
        self,
        name: str,
        module: Sequence[str],
        environment: Mapping[str, str],
        log: Path,
        port: int | None = None,
        ready_metric: str = "",
    ) -> None:
        self.name, self.log = name, log
        self._module, self._environment = list(module), dict(environment)
        self._port, self._ready_metric = port, ready_metric
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns at once."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("NENGLIU_")}
        command = ["setpriv", "--pdeathsig", "KILL", "--", sys.executable, "-m", *self._module]
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                command,
                env={**inherited, "PYTHONPATH": str(ROOT), **self._environment},
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
            )

    @property
    def alive(self) -> bool:
        """Whether it runs, or is stopped."""
        return self.process is not None and self.process.poll() is None

    def rss_mb(self) -> float:
        """Its resident memory; 0 where it does not run."""
        return rss_mb(self.process.pid) if self.process is not None and self.alive else 0.0

    def ready(self) -> bool:
        """Whether a message can go through it."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=2) as answer:
                return f"\n{self._ready_metric} 1.0\n" in answer.read().decode()
        except OSError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if it runs."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """kill -9."""
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def stop(self, within_s: float = 30.0) -> int:
        """SIGTERM, as a clean stop is asked for; its exit code. Killed where it does not end."""
        assert self.process is not None
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9
