"""`bench soak`: messages of one reading for a long time, at a steady rate, and how much memory every service fills.

Memory is called flat where the median of the last third of the time is at most a tenth, or 16 MB, above that of the
second third: what a service fills once, caches and pools, has come by then.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from deploy.bench.publish import Publishing, published
from deploy.bench.rig import BenchError, Service, bench_rig, require_local_stack, write_load_registry
from deploy.bench.taken import in_database
from deploy.clients import connect_database
from deploy.load.rows import Load
from deploy.settings import Settings
from deploy.stack.steps import Step, Steps

_GROWTH, _GROWTH_MB = 0.10, 16.0
#: Meters of a gateway, each of which has a message of its own.
_METERS = 500


@dataclass(frozen=True, slots=True)
class SoakOptions:
    """rate: messages a second; every_s: time between two looks at the memory."""

    minutes: float = 30.0
    rate: float = 4000.0
    gateways: int = 8
    every_s: float = 5.0


@dataclass(slots=True)
class Curve:
    """Resident memory of a service over time: s since the begin, MB."""

    name: str
    seconds: list[float] = field(default_factory=list)
    rss_mb: list[float] = field(default_factory=list)


def run_soak(settings: Settings, options: SoakOptions, steps: Steps) -> tuple[dict[str, Any], list[Curve]]:
    """Report and curves. Raises BenchError, DependencyAwayError."""
    require_local_stack(settings, "soak")
    tag = f"bench-{secrets.token_hex(3)}"
    messages = max(1, round(options.minutes * 60 * options.rate / options.gateways))
    load = Load(tag, options.gateways, messages, 1, cycle=min(_METERS, messages))
    gateways = [f"{tag}-{g}" for g in range(options.gateways)]
    filters = {f"{tag}/{{gateway}}/readings": "native_json"}
    with bench_rig(settings, tag, gateways, filters, lambda folder: write_load_registry(folder, load)) as rig:
        for kind in ("bridge", "writer", "worker"):
            rig.start(kind)
        with connect_database(settings, "owner", autocommit=True, database=rig.database) as connection:
            taken = in_database(connection, load)
            taken.pause_s = 0.5
            started = time.monotonic()
            with steps.step(
                f"发送 {options.minutes:g} 分钟", f"Send for {options.minutes:g} minutes", long=True
            ) as step:
                watch = _Watch(rig.services, options, step)
                try:
                    report, _ = published(rig, Publishing(load, 500, options.rate), taken)
                finally:
                    curves = watch.end()
            seconds = time.monotonic() - started
            stored = taken.stored()
        for service in rig.services:
            service.measure()
        return _report(options, load, stored, report, seconds, rig.services, curves), curves


class _Watch:
    """Looks at the memory of services from a thread of its own, until `end`."""

    def __init__(self, services: Sequence[Service], options: SoakOptions, step: Step) -> None:
        self._services, self._options, self._step = services, options, step
        self._curves = [Curve(s.name) for s in services]
        self._stop = Event()
        self._thread = Thread(target=self._run, name="soak-watch", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        began = time.monotonic()
        while True:
            passed = time.monotonic() - began
            for service, curve in zip(self._services, self._curves, strict=True):
                curve.seconds.append(round(passed, 1))
                curve.rss_mb.append(service.rss_mb())
            self._step.advance(passed, self._options.minutes * 60)
            if self._stop.wait(self._options.every_s):
                return

    def end(self) -> list[Curve]:
        """Stop looking."""
        self._stop.set()
        self._thread.join()
        return self._curves


def growth(curve: Curve) -> dict[str, float | bool]:
    """MB: medians of the second and the last third, the highest; and whether that is flat. Raises BenchError on a curve
    of fewer than three points.
    """
    third = len(curve.rss_mb) // 3
    if not third:
        raise BenchError("too short to say anything: fewer than three looks at the memory")
    middle, last = (
        statistics.median(curve.rss_mb[third : 2 * third]),
        statistics.median(curve.rss_mb[2 * third :]),
    )
    flat = last - middle <= max(_GROWTH_MB, _GROWTH * middle)
    return {"middle_mb": middle, "last_mb": last, "peak_mb": max(curve.rss_mb), "flat": flat}


def _report(
    options: SoakOptions,
    load: Load,
    stored: int,
    report: dict[str, Any],
    seconds: float,
    services: Sequence[Service],
    curves: Sequence[Curve],
) -> dict[str, Any]:
    return {
        "minutes": options.minutes,
        "messages": load.gateways * load.messages,
        "messages_per_s": round(load.gateways * load.messages / seconds),
        "lost": load.readings - stored,
        "publish_to_durable_ack_s": report["latency_s"],
        "cpu_s": {s.name: round(s.cpu_s, 1) for s in services},
        "rss": {c.name: growth(c) for c in curves},
    }
