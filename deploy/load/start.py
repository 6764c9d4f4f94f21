"""Starts the process that publishes a load, and talks to it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any

from deploy.clients import mqtt_connection
from deploy.gateways import Credential
from deploy.load.rows import Load
from deploy.settings import Settings
from deploy.stack.status import read_tls
from metering.errors import NengliuError

#: Messages on their way at most: the local stack's broker keeps 100,000 for a bridge. And of each gateway where
#: acknowledgements are counted: as an edge's outbox has (NENGLIU_EDGE_WINDOW).
_AHEAD, _AHEAD_OF_GATEWAY = 80_000, 200


class LoadError(NengliuError):
    """The load could not be sent; the message says where it stopped."""


@dataclass(frozen=True, slots=True)
class Publishing:
    """What to publish and how.

    window: messages a connection may have that the broker has not acknowledged; rate: messages a second of all, 0: as
    fast as they are taken; durable: wait for the durable acknowledgements, as long as one comes within `patience_s`;
    connections: how many the gateways share, 0: one each; seconds: for how long, None: until all is sent; by_acks: it
    counts itself what the platform has taken, and tells how far it is.
    """

    load: Load
    window: int
    rate: float = 0.0
    durable: bool = True
    connections: int = 0
    seconds: float | None = None
    by_acks: bool = False
    patience_s: float = 60.0


class LoadProcess:
    """The process, once its connections are made; `go` starts the clock."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def say(self, line: str) -> None:
        """Past the stream's buffer, which would raise at its closing: once it has sent everything nobody reads."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            os.write(self._process.stdin.fileno(), f"{line}\n".encode())

    def go(self) -> None:
        """Let it begin."""
        self.say("go")

    def line(self) -> dict[str, Any]:
        """The next that it tells: how far it is, or at the end its report. Raises LoadError where it has failed."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise LoadError("the load process failed; see above")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def load_process(
    settings: Settings, credentials: Sequence[Credential], topic: str, publishing: Publishing
) -> Iterator[LoadProcess]:
    """The process that will publish a load, ready to go; killed where the block fails. Ctrl-C does not reach it.

    credentials: of the load's gateways; topic: with {gateway} in it. Raises LoadError.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    with subprocess.Popen(
        [sys.executable, "-m", "deploy.load.process"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        load = LoadProcess(process)
        try:
            load.say(json.dumps(_task(settings, credentials, topic, publishing)))
            if process.stdout.readline().strip() != "ready":
                raise LoadError("the load process could not connect its publishers; see above")
            yield load
        except BaseException:
            process.kill()
            raise


def _task(
    settings: Settings, credentials: Sequence[Credential], topic: str, publishing: Publishing
) -> dict[str, Any]:
    endpoint = mqtt_connection(settings, "bridge")
    tls = read_tls(settings)
    return {
        "host": endpoint.host,
        "port": endpoint.port,
        "ca_file": str(tls.ca_file) if tls else None,
        "gateways": [[c.gateway, c.password] for c in credentials],
        "topic": topic,
        "load": asdict(publishing.load),
        "window": publishing.window,
        "rate": publishing.rate,
        "durable": publishing.durable,
        "ahead": min(_AHEAD, _AHEAD_OF_GATEWAY * publishing.load.gateways) if publishing.by_acks else _AHEAD,
        "connections": publishing.connections or publishing.load.gateways,
        "seconds": publishing.seconds,
        "by_acks": publishing.by_acks,
        "tell": publishing.by_acks,
        "timeout_s": publishing.patience_s,
    }
