"""`bench fleet`: how fast one core makes a fleet's readings, energy, registers and JSON, and what memory that fills.

Nothing is published. The limit is what msgspec takes to encode the very same messages once they are there as objects:
making the readings cannot be faster than writing them. Each run is a process of its own, so that memory is its own.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import msgspec

from deploy.fleet import prepare_fleet
from deploy.simulation import lines
from simulators.fleet.plan import FleetOptions
from simulators.scenario.files import NO_SCENARIO, read_scenario

_ENCODED = 2_000


@dataclass(frozen=True, slots=True)
class FleetBench:
    """What to make. scenario: None for no faults; longer: of the second run, in times the days."""

    seed: int = 1
    sites: int = 50
    days: int = 14
    start: date = date(2014, 3, 3)
    scenario: str | None = None
    longer: int = 4


def run_fleet(options: FleetBench, tell: Callable[[str], None] = lambda _: None) -> dict[str, Any]:
    """Figures: readings_per_s of one core, ratio to the limit, and rss_mb of a short and a longer run."""
    tell(f"{options.sites} sites, {options.days} days")
    short = _apart(options)
    tell(f"{options.sites} sites, {options.days * options.longer} days")
    long = _apart(replace(options, days=options.days * options.longer))
    return {
        "sites": options.sites,
        "days": options.days,
        "scenario": options.scenario or "none",
        **{k: short[k] for k in ("points", "readings", "messages", "cpu_s")},
        "readings_per_s": round(short["readings"] / short["cpu_s"]),
        "limit_readings_per_s": round(short["limit"]),
        "ratio": round(short["readings"] / short["cpu_s"] / short["limit"], 3),
        "longer": {k: long[k] for k in ("readings", "cpu_s", "rss_mb")},
        "rss_mb": short["rss_mb"],
        "rss_growth_mb": round(long["rss_mb"] - short["rss_mb"], 1),
    }


def _apart(options: FleetBench) -> dict[str, Any]:
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (options,))


def _measure(options: FleetBench) -> dict[str, Any]:
    scenario = NO_SCENARIO if options.scenario is None else read_scenario(options.scenario)
    begun = time.process_time()
    simulation = prepare_fleet(
        FleetOptions(options.seed, options.sites, options.start, options.days), scenario
    )
    messages, kept = 0, []
    for line in lines(simulation, None):
        messages += 1
        if messages <= _ENCODED:
            kept.append(line)
    cpu_s = time.process_time() - begun
    rss_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "points": len(simulation.run.source.points),
        "readings": simulation.run.readings,
        "messages": messages,
        "cpu_s": round(cpu_s, 3),
        "rss_mb": round(rss_mb, 1),
        "limit": _encoding(kept),
    }


def _encoding(kept: list[bytes]) -> float:
    """Values that msgspec encodes a second of processor time, of these messages as they are."""
    objects = [m for m in map(json.loads, kept) if "readings" in m]
    values = sum(len(r["values"]) for m in objects for r in m["readings"])
    encode = msgspec.json.Encoder().encode
    begun, rounds = time.process_time(), 0
    while time.process_time() - begun < 0.5:
        for m in objects:
            encode(m)
        rounds += 1
    return values * rounds / (time.process_time() - begun)
