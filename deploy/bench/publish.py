"""Starts the process that publishes a benchmark's load, and follows what the platform has taken of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import IO, Any

from deploy.bench.rig import BenchError, Rig
from deploy.bench.rows import Load
from deploy.bench.taken import Taken
from deploy.clients import mqtt_connection
from deploy.stack.status import read_tls

_STALL_S = 60.0
#: Messages on their way at most: the local stack's broker keeps 100,000 for a bridge.
_AHEAD = 80_000


@dataclass(frozen=True, slots=True)
class Publishing:
    """window: messages a publisher may have that the broker has not acknowledged; rate: messages a second of all, 0: as
    fast as they are taken; durable: wait for the durable acknowledgements.
    """

    load: Load
    window: int
    rate: float = 0.0
    durable: bool = True


def published(rig: Rig, publishing: Publishing, taken: Taken) -> tuple[dict[str, Any], float]:
    """Publish all of it; (the process's report, Unix time when all was taken). Raises BenchError."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.bench.load"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            _say(process.stdin, json.dumps(_task(rig, publishing)))
            if process.stdout.readline().strip() != "ready":
                raise BenchError("the load process could not connect its publishers")
            _say(process.stdin, "go")
            stdin = process.stdin
            finished = taken.wait(rig.services, lambda count: _say(stdin, str(count)))
            report = json.loads(process.stdout.readline() or "{}")
        except BaseException:
            process.kill()
            raise
        if not report:
            raise BenchError("the load process failed; see above")
        return report, finished


def _task(rig: Rig, publishing: Publishing) -> dict[str, Any]:
    endpoint = mqtt_connection(rig.settings, "bridge")
    tls = read_tls(rig.settings)
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "ca_file": str(tls.ca_file) if tls else None,
        "gateways": [[c.gateway, c.password] for c in rig.credentials],
        "topic": next(iter(rig.filters)),
        "load": asdict(publishing.load),
        "window": publishing.window,
        "rate": publishing.rate,
        "durable": publishing.durable,
        "ahead": _AHEAD,
        "timeout_s": _STALL_S,
    }


def _say(stdin: IO[str], line: str) -> None:
    """Past the stream's buffer, which would raise at its closing: once it has sent everything nobody reads."""
    with suppress(BrokenPipeError):
        os.write(stdin.fileno(), f"{line}\n".encode())
