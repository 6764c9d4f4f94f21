"""`bench derive`: how fast readings become energy at every level, what one late reading costs, whether cost depends on
what is stored, and what memory a worker takes. See docs/decisions/bench-derive.md.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from deploy.bench.derive_city import measure_city_day
from deploy.bench.derive_points import measure_late, measure_memory, measure_stored
from deploy.bench.parts import DerivePart
from deploy.bench.rig import machine_facts, require_local_stack
from deploy.settings import Settings
from deploy.stack.steps import Steps
from simulators.city import City, CityOptions

#: MyEMS normalizes 11,750 meter-hours a second, measured on the same kind of machine.
_MYEMS_HOURS_PER_S = 11_750
GOALS = {
    "city-day": {"ratio": 0.4, "hours_per_s": 10 * _MYEMS_HOURS_PER_S},
    "late": {"p95_ms": 200.0},
    "stored": {"ratio": 1.2},
    "memory": {"peak_rss_mb": 500.0},
}
#: Figures that are to be at least the goal; the others at most.
_AT_LEAST = {("city-day", "ratio"), ("city-day", "hours_per_s")}


@dataclass(frozen=True, slots=True)
class DeriveBench:
    """What to measure on.

    city_sites: buildings of the city, of city_points points each, read every city_interval_s. sites, points,
    interval_s: the same of the thousand points of the other parts. year_days, few_days, many_days: what is stored
    there. tries: late readings; rounds: further days; workers: processes that derive.
    """

    city_sites: int = 11_258
    city_points: int = 30
    city_interval_s: int = 900
    sites: int = 50
    points: int = 20
    interval_s: int = 3600
    year_days: int = 365
    few_days: int = 30
    many_days: int = 1096
    tries: int = 50
    rounds: int = 7
    workers: int = 2

    @classmethod
    def scaled(cls, scale: float, interval_s: int = 3600, tries: int = 50, workers: int = 2) -> DeriveBench:
        """With a share of the buildings and points, at least one building."""
        whole = cls()
        return cls(
            city_sites=max(2, round(whole.city_sites * scale)),
            sites=max(1, round(whole.sites * scale)),
            interval_s=interval_s,
            tries=tries,
            workers=workers,
        )


def run_derive(
    settings: Settings, options: DeriveBench, parts: Sequence[DerivePart], steps: Steps
) -> dict[str, Any]:
    """Measure the parts; the report. Raises BenchError, DependencyAwayError."""
    require_local_stack(settings, "derive")
    today = datetime.now(ZoneInfo(settings.timezone)).date()
    bench = _Bench(settings, options, today, f"bench-{secrets.token_hex(3)}", steps)
    figures = {part.value: bench.measure(part) for part in parts}
    return {
        **figures,
        "goals": {part: GOALS[part] for part in figures},
        "missed": [text for part, found in figures.items() for text in missed(part, found)],
        "machine": machine_facts(),
    }


def missed(part: str, figures: dict[str, Any]) -> list[str]:
    """The goals that a part's figures miss, and what came out wrong."""
    found = []
    for name, goal in GOALS[part].items():
        least = (part, name) in _AT_LEAST
        if figures[name] < goal if least else figures[name] > goal:
            found.append(f"{part}: {name} {figures[name]:g}, want at {'least' if least else 'most'} {goal:g}")
    wrong = figures.get("wrong", 0)
    if any(wrong.values()) if isinstance(wrong, dict) else wrong:
        found.append(f"{part}: wrong {wrong}")
    return found


@dataclass(frozen=True, slots=True)
class _Bench:
    settings: Settings
    options: DeriveBench
    today: date
    tag: str
    steps: Steps

    def measure(self, part: DerivePart) -> dict[str, Any]:
        o, name = self.options, f"{self.tag}_{part.value}".replace("-", "_")
        given = self.settings, name
        kinds: dict[DerivePart, Callable[[], dict[str, Any]]] = {
            DerivePart.CITY_DAY: lambda: measure_city_day(*given, City(self._city(1)), o.workers, self.steps),
            DerivePart.LATE: lambda: measure_late(
                *given, self._points(o.year_days), o.tries, o.workers, self.steps
            ),
            DerivePart.STORED: lambda: measure_stored(
                *given,
                self._points(o.rounds),
                (o.few_days, o.many_days),
                o.rounds,
                o.workers,
                self.steps,
            ),
            DerivePart.MEMORY: lambda: measure_memory(
                self.settings, f"{self.tag}-memory", self._old(), self._city(1), self.steps
            ),
        }
        return kinds[part]()

    def _city(self, days: int) -> CityOptions:
        """The city; yesterday is its last day."""
        o = self.options
        return self._ending_yesterday(days, o.city_sites, o.city_points, o.city_interval_s)

    def _points(self, days: int) -> CityOptions:
        return self._ending_yesterday(days, self.options.sites, self.options.points, self.options.interval_s)

    def _old(self) -> CityOptions:
        """As many points as the other parts have, as sites of the city, with years of readings."""
        o = self.options
        sites = min(-(-o.sites * o.points // o.city_points), o.city_sites - 1)
        return self._ending_yesterday(o.many_days, sites, o.city_points, o.interval_s)

    def _ending_yesterday(self, days: int, sites: int, points: int, interval_s: int) -> CityOptions:
        start = self.today - timedelta(days=days)
        return CityOptions(start, days, sites, points, 1, interval_s, self.settings.timezone)
