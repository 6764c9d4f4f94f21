"""Publishes a benchmark's load, and follows what the platform has taken of it."""

from __future__ import annotations

from typing import Any

from deploy.bench.rig import Rig
from deploy.bench.taken import Taken
from deploy.load.start import Publishing, load_process


def published(rig: Rig, publishing: Publishing, taken: Taken) -> tuple[dict[str, Any], float]:
    """Publish all of it; (the process's report, Unix time when all was taken). Raises BenchError, LoadError."""
    topic = next(iter(rig.filters))
    with load_process(rig.settings, rig.credentials, topic, publishing) as process:
        process.go()
        finished = taken.wait(rig.services, lambda count: process.say(str(count)))
        return process.line(), finished


__all__ = ["Publishing", "published"]
