"""Cases whose energy was worked out by hand from the contract, in whatever order registry and readings arrive.

Each case is a site of its own in one database. What is expected are steps (from, to, energy) that somebody wrote down,
laid over their hours at a constant rate; nothing of the product is used for it.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from fractions import Fraction
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest

from storage.derivation import Deriver
from storage.registry import import_registry
from tests.integration.energy_support import Town, derive_anew, derived, empty_database

pytestmark = pytest.mark.integration

CST = timezone(timedelta(hours=8))
T0 = datetime(2014, 3, 5, tzinfo=CST)
HOUR = timedelta(hours=1)

Hours = dict[datetime, tuple[Fraction, Fraction, Fraction]]


def at(hours: float, begin: datetime = T0) -> datetime:
    """A moment so many hours after the beginning."""
    return begin + timedelta(seconds=round(hours * 3600))


@dataclass(frozen=True)
class Step:
    """Energy between two moments; measured, or estimated, which covers nothing."""

    begin: datetime
    end: datetime
    energy: float
    estimated: bool = False


def measured(begin: float, end: float, energy: float, origin: datetime = T0) -> Step:
    return Step(at(begin, origin), at(end, origin), energy)


def gap(begin: float, end: float, energy: float, origin: datetime = T0) -> Step:
    return Step(at(begin, origin), at(end, origin), energy, True)


def hourly(first: int, last: int, energy: float = 2.0, origin: datetime = T0) -> list[Step]:
    """A step an hour."""
    return [measured(n, n + 1, energy, origin) for n in range(first, last)]


@dataclass
class Case:
    """A site: its points (code -> item, parent), the registry's rows by stage, readings, and what must come of them.

    expected: point -> steps; expected_site: item -> steps; spans: point -> when it was installed (end None: open).
    """

    name: str
    stages: list[list[dict[str, Any]]]
    readings: dict[tuple[str, str], list[tuple[datetime, float]]]
    expected: dict[str, list[Step]]
    spans: dict[str, list[tuple[datetime, datetime | None]]]
    points: dict[str, tuple[str, str | None]] = field(default_factory=lambda: {"P": ("01", None)})
    expected_site: dict[str, list[Step]] | None = None
    registry_first: bool = False

    def code(self, point: str) -> str:
        return f"{self.name}-{point}"


def install(
    meter: str = "m", point: str = "P", begin: float | datetime = 0.0, end: Any = None, **more: Any
) -> dict[str, Any]:
    """A row of installations.csv; begin and end in hours since T0, or moments."""
    moment = begin if isinstance(begin, datetime) else at(begin)
    until = end if end is None or isinstance(end, datetime) else at(end)
    return {
        "meter": meter,
        "point_code": point,
        "register": "1.8.0",
        "gateway": "gw1",
        "protocol": "json",
        "unit": "kWh",
        "digits": 6,
        "decimals": 3,
        "ratio": 1,
        "installed_at": moment,
        "removed_at": until,
        "start_value": None,
        "end_value": None,
        "interval_s": 3600,
        **more,
    }


def rising(
    first: float,
    last: float,
    value: float = 100.0,
    rate: float = 2.0,
    step: float = 1.0,
    origin: datetime = T0,
) -> list[tuple[datetime, float]]:
    """Readings every `step` hours from first to last, both included; `value` is that of the first."""
    n = round((last - first) / step)
    return [(at(first + k * step, origin), round(value + k * step * rate, 6)) for k in range(n + 1)]


def spread(steps: Sequence[Step]) -> dict[datetime, tuple[Fraction, Fraction, Fraction]]:
    """Energy, estimated energy and covered seconds by hour of UTC."""
    found: dict[datetime, list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 3)
    for step in steps:
        length = Fraction((step.end - step.begin).total_seconds())
        hour = step.begin.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        while hour < step.end:
            part = Fraction((min(hour + HOUR, step.end) - max(hour, step.begin)).total_seconds())
            energy = Fraction(str(step.energy)) * part / length
            row = found[hour]
            row[0] += energy
            if step.estimated:
                row[1] += energy
            else:
                row[2] += part
            hour += HOUR
    return {hour: (row[0], row[1], row[2]) for hour, row in found.items()}


def overlap_s(spans: Sequence[tuple[datetime, datetime | None]], begin: datetime, end: datetime) -> Fraction:
    seconds = Fraction(0)
    for a, b in spans:
        low, high = max(a, begin), end if b is None else min(b, end)
        if high > low:
            seconds += Fraction((high - low).total_seconds())
    return seconds


def simple(
    name: str,
    stages: list[list[dict[str, Any]]],
    readings: Any,
    steps: list[Step],
    spans: Any = None,
    **more: Any,
) -> Case:
    """A case of one point."""
    of = readings if isinstance(readings, dict) else {("m", "1.8.0"): readings}
    return Case(name, stages, of, {"P": steps}, {"P": spans or [(T0, None)]}, **more)


def cases() -> list[Case]:
    found: list[Case] = []
    add = found.append

    # ---- rollovers
    run = rising(0, 30, 9980.0)
    wrapped = [(t, round(v - 10000, 6) if v >= 10000 else v) for t, v in run]
    shown = dict(wrapped)

    def pick(*hours: int) -> list[tuple[datetime, float]]:
        return [(at(h), shown[at(h)]) for h in hours]

    add(
        simple(
            "rollgap",
            [[install(digits=4)]],
            pick(*range(6), *range(15, 31)),
            [*hourly(0, 5), gap(5, 15, 20), *hourly(15, 30)],
        )
    )
    add(
        simple(
            "rolllate",
            [[install(digits=4)]],
            pick(*range(6), *range(15, 31), 9, 11),
            [*hourly(0, 5), gap(5, 9, 8), gap(9, 11, 4), gap(11, 15, 8), *hourly(15, 30)],
        )
    )
    add(
        simple(
            "rollend",
            [[install(digits=4, end=10.5, end_value=1.0)]],
            pick(*range(10)),
            [*hourly(0, 9), measured(9, 10.5, 3)],
            [(T0, at(10.5))],
        )
    )

    # ---- replaced
    both = [install("a", end=10.5, end_value=121.0), install("b", begin=10.5, start_value=0.0)]
    two = {("a", "1.8.0"): rising(0, 10), ("b", "1.8.0"): rising(11, 20, 1.0)}
    seamless = hourly(0, 20)
    add(simple("replaced", [[install("a")], both], two, seamless))
    add(simple("replacedearly", [both], two, seamless))
    add(simple("replacedlater", [[install("a")], [install("a", end=10.5)], both], two, seamless))
    add(
        simple(
            "noend",
            [[install("a")], [install("a", end=10.5), install("b", begin=10.5, start_value=0.0)]],
            two,
            [*hourly(0, 10), gap(10, 10.5, 1), measured(10.5, 11, 1), *hourly(11, 20)],
        )
    )
    add(
        simple(
            "nostart",
            [[install("a")], [install("a", end=10.5, end_value=121.0), install("b", begin=10.5)]],
            two,
            [*hourly(0, 10), measured(10, 10.5, 1), *hourly(11, 20)],
        )
    )
    add(
        simple(
            "neither",
            [[install("a")], [install("a", end=10.5), install("b", begin=10.5)]],
            two,
            [*hourly(0, 10), gap(10, 10.5, 1), *hourly(11, 20)],
        )
    )
    add(
        simple(
            "atreading",
            [
                [install("a")],
                [install("a", end=10, end_value=120.0), install("b", begin=10, start_value=0.0)],
            ],
            {("a", "1.8.0"): rising(0, 10), ("b", "1.8.0"): [(at(10), 0.4), *rising(11, 20, 2.0)]},
            hourly(0, 20),
        )
    )
    add(
        simple(
            "atreadingbare",
            [[install("a")], [install("a", end=10), install("b", begin=10)]],
            {("a", "1.8.0"): rising(0, 10), ("b", "1.8.0"): rising(10, 20, 50.0)},
            [*hourly(0, 9), gap(9, 10, 2), *hourly(10, 20)],
        )
    )
    add(
        simple(
            "twoingap",
            [
                [install("a")],
                [
                    install("a", end=7.5, end_value=115.0),
                    install("b", begin=7.5, end=9, start_value=10.0, end_value=13.0),
                    install("c", begin=9, start_value=0.0),
                ],
            ],
            {("a", "1.8.0"): rising(0, 5), ("c", "1.8.0"): rising(12, 20, 6.0)},
            [*hourly(0, 5), gap(5, 7.5, 5), measured(7.5, 9, 3), gap(9, 12, 6), *hourly(12, 20)],
        )
    )
    add(
        simple(
            "usedtwice",  # the first meter comes back
            [
                [
                    install("a", end=6, end_value=112.0),
                    install("b", begin=6, end=12, start_value=0.0, end_value=12.0),
                    install("a", begin=12, start_value=200.0),
                ]
            ],
            {("a", "1.8.0"): [*rising(0, 5), *rising(13, 20, 202.0)], ("b", "1.8.0"): rising(7, 11, 2.0)},
            hourly(0, 20),
        )
    )

    wrong = install("a", end=10.5, end_value=90121.0)  # a digit of another meter's display
    add(
        simple(
            "wrongend",
            [[install("a")], [wrong, install("b", begin=10.5, start_value=0.0)]],
            two,
            [*hourly(0, 10), measured(10.5, 11, 1), *hourly(11, 20)],
        )
    )

    # ---- ratio
    add(
        simple(
            "ratiogap",
            [
                [install(ratio=10)],
                [install(ratio=10, end=8, end_value=113.0), install(begin=8, ratio=20, start_value=113.0)],
            ],
            [*rising(0, 5), *rising(12, 20, 117.0)],
            [*hourly(0, 5, 20), gap(5, 8, 30), gap(8, 12, 80), *hourly(12, 20, 40)],
        )
    )
    add(
        simple(
            "ratiobare",
            [[install(ratio=10)], [install(ratio=10, end=8), install(begin=8, ratio=20)]],
            [*rising(0, 5), *rising(12, 20, 117.0)],
            [*hourly(0, 5, 20), gap(5, 8, 60), *hourly(12, 20, 40)],
        )
    )
    add(simple("ratioedited", [[install(ratio=10)], [install(ratio=12)]], rising(0, 20), hourly(0, 20, 24)))

    # ---- intervals
    quarter = [r for r in rising(0, 6, step=0.25) if r[0] != at(1.25)]
    add(
        simple(
            "quarter",
            [[install(interval_s=900)]],
            quarter,
            [measured(n / 4, n / 4 + 0.25, 0.5) for n in range(24) if n not in (4, 5)] + [gap(1, 1.5, 1)],
        )
    )
    add(
        simple(
            "quarterbyhour",
            [[install(interval_s=900)], [install(interval_s=3600)]],
            quarter,
            [measured(n / 4, n / 4 + 0.25, 0.5) for n in range(24) if n not in (4, 5)]
            + [measured(1, 1.5, 1)],
        )
    )
    add(
        simple(
            "byday",
            [[install(interval_s=86400)]],
            [(at(h), 100.0 + h) for h in (0, 24, 72, 96, 132, 168.5)],
            [
                measured(0, 24, 24),
                gap(24, 72, 48),
                measured(72, 96, 24),
                measured(96, 132, 36),
                gap(132, 168.5, 36.5),
            ],
        )
    )
    add(
        simple(
            "dayquarter",
            [[install(interval_s=86400, end=48, end_value=148.0), install(begin=48, interval_s=900)]],
            [(at(0), 100.0), (at(24), 124.0), *rising(48, 60, 148.0, 1.0, 0.25)],
            [
                measured(0, 24, 24),
                measured(24, 48, 24),
                *[measured(48 + n / 4, 48.25 + n / 4, 0.25) for n in range(48)],
            ],
        )
    )
    add(
        simple(
            "limit",
            [[install()]],
            [(at(0), 100.0), (at(1.5), 103.0), (at(3) + timedelta(seconds=1), 106.0), (at(4), 108.0)],
            [
                measured(0, 1.5, 3),
                Step(at(1.5), at(3) + timedelta(seconds=1), 3, True),
                Step(at(3) + timedelta(seconds=1), at(4), 2),
            ],
        )
    )

    # ---- voided, first and last readings
    add(
        Case(
            "voided",
            [[install("w")], [install("w", end=0.0), install("m", begin=2)]],
            {("w", "1.8.0"): rising(0, 10), ("m", "1.8.0"): rising(4, 10)},
            {"P": hourly(4, 10)},
            {"P": [(at(2), None)]},
        )
    )
    add(simple("lateread", [[install()]], rising(6, 12), hourly(6, 12)))
    add(simple("startread", [[install(start_value=88.0)]], rising(6, 12), [gap(0, 6, 12), *hourly(6, 12)]))
    add(
        simple(
            "removed",
            [[install()], [install(end=9.5)]],
            rising(0, 5),
            [*hourly(0, 5), gap(5, 9.5, 9)],
            [(T0, at(9.5))],
        )
    )
    add(
        simple(
            "beforeafter",
            [[install(begin=3, end=8, end_value=116.0)]],
            rising(0, 12),
            hourly(3, 8),
            [(at(3), at(8))],
        )
    )
    add(simple("oneonly", [[install(end=5)]], [(at(1), 7.0)], [], [(T0, at(5))]))

    # ---- what later readings take back, and what stays
    add(
        simple(
            "zeros",
            [[install()]],
            [*rising(0, 8)[:3], (at(3), 0.0), (at(4), 0.0), (at(5), 0.0), *rising(6, 30, 112.0)],
            [*hourly(0, 2), gap(2, 6, 8), *hourly(6, 30)],
        )
    )
    add(
        simple(
            "spike",
            [[install()]],
            [(t, 5000.0 if t == at(10) else v) for t, v in rising(0, 30)],
            [*hourly(0, 9), gap(9, 11, 4), *hourly(11, 30)],
        )
    )
    add(
        simple(
            "twospikes",
            [[install()]],
            [(t, {at(10): 5000.0, at(11): 5003.0}.get(t, v)) for t, v in rising(0, 30)],
            [*hourly(0, 9), gap(9, 12, 6), *hourly(12, 30)],
        )
    )
    add(
        simple(
            "lastspike",
            [[install()]],
            [(t, 5000.0 if t == at(30) else v) for t, v in rising(0, 30)],
            hourly(0, 29),
        )
    )
    add(
        simple(
            "firstspike",
            [[install()]],
            [(t, 5000.0 if t == at(0) else v) for t, v in rising(0, 30)],
            hourly(1, 30),
        )
    )
    add(
        simple(
            "reset",
            [[install()]],
            [*rising(0, 10, 7000.0), *rising(11, 30, 1.0)],
            [*hourly(0, 10), *hourly(11, 30)],
        )
    )
    add(
        simple(
            "beyond",
            [[install(digits=4)]],
            [(t, 12000.0 if t == at(10) else v) for t, v in rising(0, 30)],
            [*hourly(0, 9), gap(9, 11, 4), *hourly(11, 30)],
            registry_first=True,
        )
    )  # else the import is refused

    # ---- units, registers
    add(
        Case(
            "heatmwh",
            [[install(register="6:1.0.0", unit="MWh")]],
            {("m", "6:1.0.0"): rising(0, 6)},
            {"P": hourly(0, 6, 7.2)},
            {"P": [(T0, None)]},
            {"P": ("04", None)},
        )
    )
    add(
        Case(
            "heatgj",
            [[install(register="6:1.0.0", unit="GJ")]],
            {("m", "6:1.0.0"): rising(0, 6)},
            {"P": hourly(0, 6, 2)},
            {"P": [(T0, None)]},
            {"P": ("04", None)},
        )
    )
    add(
        Case(
            "gas",
            [[install(register="7:3.0.0", unit="m3", ratio=10)]],
            {("m", "7:3.0.0"): rising(0, 6)},
            {"P": hourly(0, 6, 20)},
            {"P": [(T0, None)]},
            {"P": ("03", None)},
        )
    )
    tariffs = [install(register="1.8.1"), install(register="1.8.2")]
    by_tariff = {("m", "1.8.1"): rising(0, 12, 50.0, 1.5), ("m", "1.8.2"): rising(0, 12, 50.0, 0.5)}
    add(Case("tariffs", [tariffs], by_tariff, {"P": hourly(0, 12)}, {"P": [(T0, None)]}))
    add(
        Case(
            "tarifftotal",
            [tariffs, [*tariffs, install(begin=6)]],
            {**by_tariff, ("m", "1.8.0"): rising(6, 12, 7.0, 3.0)},
            {"P": [*hourly(0, 6), *hourly(6, 12, 3)]},
            {"P": [(T0, None)]},
        )
    )
    add(
        Case(
            "export",
            [[install(), install(register="2.8.0"), install("x", "Q", register="2.8.0")]],
            {
                ("m", "1.8.0"): rising(0, 6),
                ("m", "2.8.0"): rising(0, 6, rate=9),
                ("x", "2.8.0"): rising(0, 6),
            },
            {"P": hourly(0, 6), "Q": []},
            {"P": [(T0, None)], "Q": []},
            {"P": ("01", None), "Q": ("01", None)},
            {"01": hourly(0, 6)},
        )
    )

    # ---- points to sites
    add(
        Case(
            "partparent",
            [[install("p", "T", begin=4.5, end=8.5, start_value=0.0, end_value=40.0), install("c", "C")]],
            {("p", "1.8.0"): rising(5, 8, 5.0, 10.0), ("c", "1.8.0"): rising(0, 12)},
            {"T": [measured(4.5, 8.5, 40)], "C": hourly(0, 12)},
            {"T": [(at(4.5), at(8.5))], "C": [(T0, None)]},
            {"T": ("01", None), "C": ("01A", "T")},
            {"01": [*hourly(0, 4), measured(4.5, 8.5, 40), *hourly(9, 12)], "01A": hourly(0, 12)},
        )
    )
    add(
        Case(
            "prefixes",
            [[install("a", "A"), install("b", "B")]],
            {("a", "1.8.0"): rising(0, 6, rate=5), ("b", "1.8.0"): rising(0, 6)},
            {"A": hourly(0, 6, 5), "B": hourly(0, 6)},
            {"A": [(T0, None)], "B": [(T0, None)]},
            {"A": ("01A", None), "B": ("01A1", "A")},
            {"01": hourly(0, 6, 5), "01A": hourly(0, 6, 5), "01A1": hourly(0, 6)},
        )
    )
    add(
        Case(
            "skipped",  # a total over a point without a meter over one with
            [[install("t", "T", end=6, end_value=160.0), install("s", "S")]],
            {("t", "1.8.0"): rising(0, 5, rate=10), ("s", "1.8.0"): rising(0, 12)},
            {"T": hourly(0, 6, 10), "B": [], "S": hourly(0, 12)},
            {"T": [(T0, at(6))], "B": [], "S": [(T0, None)]},
            {"T": ("01", None), "B": ("01B", "T"), "S": ("01B1", "B")},
            {"01": [*hourly(0, 6, 10), *hourly(6, 12)], "01B": hourly(0, 12), "01B1": hourly(0, 12)},
        )
    )
    add(
        Case(
            "otherbranch",  # a sub-meter of another item than its total's belongs to no sum of the total's
            [[install("t", "T"), install("c", "C")]],
            {("t", "1.8.0"): rising(0, 6, rate=10), ("c", "1.8.0"): rising(0, 6)},
            {"T": hourly(0, 6, 10), "C": hourly(0, 6)},
            {"T": [(T0, None)], "C": [(T0, None)]},
            {"T": ("01A", None), "C": ("01B", "T")},
            {"01": [*hourly(0, 6, 10)], "01A": hourly(0, 6, 10), "01B": hourly(0, 6)},
        )
    )
    add(
        Case(
            "moved",
            [[install(point="A", end=10, end_value=120.0), install(point="B", begin=10, start_value=120.0)]],
            {("m", "1.8.0"): rising(0, 20)},
            {"A": hourly(0, 10), "B": hourly(10, 20)},
            {"A": [(T0, at(10))], "B": [(at(10), None)]},
            {"A": ("01A", None), "B": ("01B", None)},
            {"01": hourly(0, 20), "01A": hourly(0, 10), "01B": hourly(10, 20)},
        )
    )
    silent = [r for r in rising(0, 20) if r[0] not in (at(9), at(10), at(11))]
    add(
        Case(
            "silenttotal",
            [[install("t", "T"), install("a", "A"), install("b", "B")]],
            {("t", "1.8.0"): rising(0, 6, rate=8), ("a", "1.8.0"): rising(0, 20), ("b", "1.8.0"): silent},
            {
                "T": [*hourly(0, 6, 8), *[gap(n, n + 1, 8) for n in (6, 7, *range(12, 20))]],
                "A": hourly(0, 20),
                "B": [*hourly(0, 8), gap(8, 12, 8), *hourly(12, 20)],
            },
            {p: [(T0, None)] for p in "TAB"},
            {"T": ("01", None), "A": ("01A", "T"), "B": ("01B", "T")},
            {
                "01": [*hourly(0, 6, 8), *[gap(n, n + 1, 8) for n in (6, 7, *range(12, 20))]],
                "01A": hourly(0, 20),
                "01B": [*hourly(0, 8), gap(8, 12, 8), *hourly(12, 20)],
            },
        )
    )

    # ---- the calendar
    year = datetime(2013, 12, 31, tzinfo=CST)
    add(
        simple(
            "yearsend",
            [[install(begin=year)]],
            [*rising(0, 20, origin=year), *rising(28, 40, 156.0, origin=year)],
            [*hourly(0, 20, origin=year), gap(20, 28, 16, year), *hourly(28, 40, origin=year)],
            [(year, None)],
        )
    )
    leap = datetime(2012, 2, 28, tzinfo=CST)
    add(
        simple(
            "leapday",
            [[install(begin=leap)]],
            [*rising(0, 22, origin=leap), *rising(50, 60, 200.0, origin=leap)],
            [*hourly(0, 22, origin=leap), gap(22, 50, 56, leap), *hourly(50, 60, origin=leap)],
            [(leap, None)],
        )
    )
    return found


def london() -> list[Case]:
    """In the zone of London: the days on which its clocks change, and the summer's midnight."""
    found = []
    for name, day in (
        ("spring", datetime(2014, 3, 29, tzinfo=UTC)),
        ("autumn", datetime(2014, 10, 24, 23, tzinfo=UTC)),
    ):
        case = simple(
            name,
            [[install(begin=day)]],
            [*rising(0, 20, origin=day), *rising(32, 80, 164.0, origin=day)],
            [*hourly(0, 20, origin=day), gap(20, 32, 24, day), *hourly(32, 80, origin=day)],
            [(day, None)],
        )
        found.append(case)
    return found


# ---------------------------------------------------------------- through the product


SITE_HEAD = "site_code,name,kind,sector,building_type,district_code,floor_area_m2"
POINT_HEAD = "point_code,site_code,item_code,name,parent_point_code,rated_per_hour"


def cell(value: Any) -> str:
    return "" if value is None else value.isoformat() if isinstance(value, datetime) else str(value)


class World:
    """All cases in one database; events are (case, stage of its registry) or (case, series, readings)."""

    def __init__(self, town: Town, folder: Path, made: Sequence[Case]) -> None:
        self.town, self.folder, self.cases = town, folder, made

    def take_in(self, due: Sequence[tuple[Case, int]]) -> None:
        """One import of some cases' stages."""
        newest: dict[tuple[Any, ...], dict[str, Any]] = {}
        for case, stage in due:
            for row in case.stages[stage]:
                named = {
                    **row,
                    "meter": f"{case.name}-{row['meter']}",
                    "point_code": case.code(row["point_code"]),
                }
                newest[named["meter"], named["register"], named["installed_at"]] = named
        rows = list(newest.values())
        some = {case.name: case for case, _ in due}.values()
        lines = {
            "sites": [SITE_HEAD, *(f"{c.name},{c.name},building,buildings,A,110108,5000" for c in some)],
            "points": [
                POINT_HEAD,
                *(
                    f"{c.code(p)},{c.name},{item},{p},{c.code(parent) if parent else ''},"
                    for c in some
                    for p, (item, parent) in c.points.items()
                ),
            ],
            "installations": [",".join(rows[0]), *(",".join(cell(v) for v in r.values()) for r in rows)],
        }
        for name, text in lines.items():
            (self.folder / f"{name}.csv").write_text("\n".join(text) + "\n", encoding="utf-8")
        import_registry(self.town.connection, self.folder, "test")

    def read(self, case: Case, series: tuple[str, str], readings: Sequence[tuple[datetime, float]]) -> None:
        self.town.read(f"{case.name}-{series[0]}", readings, series[1])

    def derive(self) -> None:
        deriver = Deriver(lambda: psycopg.connect(self.town.url))
        deriver.run_all()
        deriver.close()

    def everything(self) -> dict[str, list[Any]]:
        """Rows of the views of energy, by view."""
        wanted = "period, consumption, estimated, completeness"
        found = {}
        for grain in ("hour", "day", "month", "year"):
            for view, keys in (("energy", "point_code"), ("site_energy", "site_code, item_code")):
                found[f"{view}_{grain}"] = self.town.rows(f"select {keys}, {wanted} from api.{view}_{grain}")
        return found


def arrive(world: World, order: str, seed: int) -> dict[str, list[Any]]:
    """Everything comes, and is derived, in some order; what it came to."""
    rng = random.Random(seed)
    stages = [(case, n) for case in world.cases for n in range(len(case.stages))]
    readings = [
        (case, series, [r]) for case in world.cases for series, rows in case.readings.items() for r in rows
    ]
    if order == "at once":
        for n in range(max(len(c.stages) for c in world.cases)):
            world.take_in([(case, stage) for case, stage in stages if stage == n])
        for case in world.cases:
            for series, rows in case.readings.items():
                world.read(case, series, rows)
        world.derive()
        return world.everything()
    batches: list[list[Any]] = [[] for _ in range(6)]
    for case in world.cases:
        when = sorted(0 if case.registry_first else rng.randrange(len(batches)) for _ in case.stages)
        for n, batch in enumerate(when):
            batches[batch].append((case, n))
    if order == "reversed":
        readings.sort(key=lambda e: e[2][0][0], reverse=True)
        chunk = -(-len(readings) // len(batches))
        for n, event in enumerate(readings):
            batches[n // chunk].append(event)
    else:
        for event in readings:
            batches[rng.randrange(len(batches))].append(event)
    for batch in batches:
        due = [e for e in batch if len(e) == 2]
        for n in range(3):
            if some := [e for e in due if e[1] == n]:
                world.take_in(some)
        grouped: dict[tuple[str, tuple[str, str]], list[Any]] = defaultdict(list)
        of = {case.name: case for case in world.cases}
        for event in batch:
            if len(event) == 3:
                grouped[event[0].name, event[1]] += event[2]
        for (name, series), rows in grouped.items():
            world.read(of[name], series, rows)
        world.derive()
    return world.everything()


def expectation(case: Case, zone: Any) -> dict[str, dict[tuple[Any, ...], tuple[float, float, float | None]]]:
    """By view the rows of a case: points' and the site's hours, days, months and years."""
    found: dict[str, dict[tuple[Any, ...], Any]] = defaultdict(dict)
    owners: list[tuple[str, tuple[str, ...], list[Step], Any]] = [
        ("energy", (case.code(p),), steps, case.spans[p]) for p, steps in case.expected.items()
    ]
    if case.expected_site is None:
        [(item, _)] = case.points.values()
        owners += [("site_energy", (case.name, item), case.expected["P"], case.spans["P"])]
    else:
        owners += [
            ("site_energy", (case.name, item), steps, None) for item, steps in case.expected_site.items()
        ]
    for view, key, steps, spans in owners:
        hours = spread(steps)
        for grain in ("hour", "day", "month", "year"):
            sums: dict[Any, list[Fraction]] = defaultdict(lambda: [Fraction(0)] * 3)
            for hour, row in hours.items():
                for n in range(3):
                    sums[_period(hour, grain, zone)][n] += row[n]
            for period, (energy, estimated, covered) in sums.items():
                whole = None
                if spans is not None:
                    installed = overlap_s(spans, *_bounds(period, grain, zone))
                    whole = float(covered / installed)
                found[f"{view}_{grain}"][(*key, period)] = (float(energy), float(estimated), whole)
    return found


def _period(hour: datetime, grain: str, zone: Any) -> Any:
    if grain == "hour":
        return hour
    day = hour.astimezone(zone).date()
    return day if grain == "day" else day.replace(day=1) if grain == "month" else date(day.year, 1, 1)


def _bounds(period: Any, grain: str, zone: Any) -> tuple[datetime, datetime]:
    if grain == "hour":
        return period, period + HOUR
    following = period + timedelta(days={"day": 1, "month": 31, "year": 366}[grain])
    if grain == "month":
        following = following.replace(day=1)
    elif grain == "year":
        following = date(period.year + 1, 1, 1)
    begin, end = (datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in (period, following))
    return begin, end


def differences(found: dict[str, list[Any]], made: Sequence[Case], zone: Any) -> list[str]:
    problems = []
    for case in made:
        for view, expected in expectation(case, zone).items():
            keys = 2 if view.startswith("energy") else 3
            own = {
                r[:keys]: r[keys:]
                for r in found[view]
                if (r[0].startswith(f"{case.name}-") if keys == 2 else r[0] == case.name)
            }
            for key in sorted({**own, **expected}, key=str):
                want, have = expected.get(key), own.get(key)
                if want is None or have is None or not _equal(want, have):
                    problems.append(f"{view} {key}: expected {want}, found {have}")
    return problems


def _equal(want: Any, have: Any) -> bool:
    pairs = [(w, h) for w, h in zip(want, have, strict=True) if w is not None]
    return all(h == pytest.approx(w, abs=1e-6) for w, h in pairs)


@pytest.fixture
def world(database, tmp_path, request) -> Iterator[World]:
    zone, made = request.param
    with (
        empty_database(database.superuser_url, zone, registry=True),
        psycopg.connect(database.pipeline_url, autocommit=True) as connection,
    ):
        yield World(Town(connection, database.worker_url, database.superuser_url), tmp_path, made)


HERE = ("Asia/Shanghai", cases())
THERE = ("Europe/London", london())


@pytest.mark.parametrize("order", ["at once", "reversed", "shuffled"])
@pytest.mark.parametrize("world", [HERE], ids=["Shanghai"], indirect=True)
def test_energy_is_as_worked_out_by_hand_in_whatever_order_it_comes(world, order, database):
    problems = differences(arrive(world, order, 7), world.cases, ZoneInfo(HERE[0]))
    assert not problems, "\n".join(problems)
    if order != "at once":
        found = derived(world.town.connection)
        assert found == derive_anew(world.town.connection, database)


@pytest.mark.parametrize("world", [THERE], ids=["London"], indirect=True)
def test_days_on_which_clocks_change_are_as_worked_out_by_hand(world):
    problems = differences(arrive(world, "shuffled", 7), world.cases, ZoneInfo(THERE[0]))
    assert not problems, "\n".join(problems)
