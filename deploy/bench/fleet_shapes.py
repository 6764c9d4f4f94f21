"""Whether generated loads look like metered ones: figures of both, and how far their distributions lie apart.

One building is one sample. Metered buildings come from a folder of hourly consumption (simulators/consumption.py),
generated ones are the electricity of the sites of a fleet whose kinds are nearest to them. Both are taken over the same
year, and no figure depends on how large a building is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import exp, sqrt
from pathlib import Path
from typing import Any

import numpy as np

from metering.errors import InputFileError
from metering.records import Floats
from simulators.consumption import UNITS_PER_KWH, Consumption, read_folder
from simulators.fleet.plan import FleetOptions
from simulators.fleet.planning import plan_fleet
from simulators.fleet.simulated_loads import SimulatedLoads

#: Kinds of generated sites that are compared: the metered buildings shipped are a university's.
COMPARABLE = ("university",)
#: A metered week with more hours at 0 than this is a gap, and left out: the publisher writes 0 for missing.
_MOST_ZEROS = 0.05
#: Buildings with fewer whole weeks in the year are left out.
_LEAST_WEEKS = 20
_WEEK = 168


@dataclass(frozen=True, slots=True)
class ShapesOptions:
    """data: folder of metered buildings; pictures: pairs of weeks to draw; sites: generated buildings."""

    data: Path
    year: int
    seed: int
    sites: int
    pictures: int


@dataclass(frozen=True, slots=True)
class Weeks:
    """A building's hourly load by whole weeks: kw float64[weeks, 7, 24], Monday first; first day of each week."""

    name: str
    first: tuple[date, ...]
    kw: Floats


#: A metered building and the number of a week of it, a generated one and the number of a week.
Pair = tuple[Weeks, int, Weeks, int]


def run_shapes(options: ShapesOptions) -> tuple[dict[str, Any], list[Pair]]:
    """The figures of both, and pairs of weeks to look at. Raises InputFileError for data that cannot be used."""
    real = real_weeks(read_folder(options.data), options.year)
    generated = generated_weeks(options.seed, options.sites, options.year)
    report = {"year": options.year, "seed": options.seed, **compare(real, generated)}
    return report, picked_weeks(real, generated, options.seed, options.pictures)


def real_weeks(buildings: Sequence[Consumption], year: int) -> list[Weeks]:
    """The weeks of metered buildings. Raises InputFileError where none has enough of them."""
    found = []
    for building in buildings:
        monday = _first_monday(year)
        start = (monday - date(1970, 1, 1)).days * 24
        hours = np.full(52 * _WEEK, np.nan)
        inside = (building.hour >= start) & (building.hour < start + len(hours))
        hours[building.hour[inside] - start] = building.energy[inside] / UNITS_PER_KWH
        weeks = hours.reshape(52, _WEEK)
        whole = (
            ~np.isnan(weeks).any(axis=1)
            & ((weeks == 0).mean(axis=1) <= _MOST_ZEROS)
            & (weeks.max(axis=1) > 0)
        )
        first = tuple(monday + timedelta(weeks=int(n)) for n in np.flatnonzero(whole))
        if len(first) >= _LEAST_WEEKS:
            found.append(Weeks(building.building, first, weeks[whole].reshape(-1, 7, 24)))
    if not found:
        raise InputFileError([f"no building has {_LEAST_WEEKS} whole weeks in {year}; use another --year"])
    return found


def generated_weeks(seed: int, sites: int, year: int) -> list[Weeks]:
    """The weeks of `sites` generated buildings of the kinds that are compared, in quarter-hours summed to hours."""
    monday = _first_monday(year)
    city = plan_fleet(FleetOptions(seed=seed, sites=sites * 12, start=monday, days=364))
    plan = city.only([n for n, s in enumerate(city.sites) if s.site_kind in COMPARABLE][:sites])
    loads = SimulatedLoads(plan)
    roots = [
        [
            i
            for i, p in enumerate(plan.points)
            if p.site == n and p.parent is None and p.item_code.startswith("01")
        ]
        for n in range(len(plan.sites))
    ]
    hours = np.zeros((len(plan.sites), 364, 24))
    for day in range(364):
        energy = loads.energy(monday + timedelta(days=day))
        for n, points in enumerate(roots):
            hours[n, day] = energy[points].sum(axis=0).reshape(24, -1).sum(axis=1) / 1e9
    first = tuple(monday + timedelta(weeks=n) for n in range(52))
    return [
        Weeks(f"{site.site_code} {site.site_kind}", first, kw.reshape(52, 7, 24))
        for site, kw in zip(plan.sites, hours, strict=True)
    ]


def _first_monday(year: int) -> date:
    first = date(year, 1, 1)
    return first + timedelta(days=-first.weekday() % 7)


def figures(weeks: Weeks) -> dict[str, float]:
    """What is compared of a building. Days off are Saturdays and Sundays, here as there."""
    kw = weeks.kw
    workdays, weekend = kw[:, :5], kw[:, 5:]
    usual = workdays.mean(axis=(0, 1))
    daily = workdays.mean(axis=2)
    flat = kw.reshape(-1)
    return {
        "load_factor_day": float(np.median(daily / workdays.max(axis=2))),
        "load_factor_week": float(np.median(kw.mean(axis=(1, 2)) / kw.max(axis=(1, 2)))),
        "night_to_day": float(usual[0:5].mean() / usual[10:16].mean()),
        "weekend_to_workday": float(weekend.mean() / workdays.mean()),
        "peak_hour": float(usual.argmax()),
        "morning_rise_hour": _rise_hour(usual),
        "day_to_day": float(np.median(np.abs(np.diff(daily, axis=1))) / daily.mean()),
        "season": float(kw.mean(axis=(1, 2)).std() / kw.mean()),
        "autocorrelation_1h": _autocorrelation(flat, 1),
        "autocorrelation_24h": _autocorrelation(flat, 24),
        "roughness": float(np.median(np.abs(flat[1:-1] - (flat[:-2] + flat[2:]) / 2)) / flat.mean()),
    }


def _rise_hour(usual: Floats) -> float:
    """Hour at which the morning is half way from night to day."""
    low, high = usual[2:6].mean(), usual[10:14].mean()
    above = np.flatnonzero(usual[4:13] >= (low + high) / 2)
    return float(above[0] + 4) if len(above) else 13.0


def _autocorrelation(values: Floats, lag: int) -> float:
    centred = values - values.mean()
    return float((centred[lag:] * centred[:-lag]).sum() / max(float((centred**2).sum()), 1e-12))


def two_sample(a: Floats, b: Floats) -> tuple[float, float]:
    """Kolmogorov-Smirnov: (D, p) of two samples; p by the limiting distribution with Stephens's correction."""
    values = np.concatenate([a, b])
    below_a = np.searchsorted(np.sort(a), values, side="right") / len(a)
    below_b = np.searchsorted(np.sort(b), values, side="right") / len(b)
    d = float(np.abs(below_a - below_b).max())
    n = sqrt(len(a) * len(b) / (len(a) + len(b)))
    x = (n + 0.12 + 0.11 / n) * d
    p = 2 * sum((-1) ** (k - 1) * exp(-2 * (k * x) ** 2) for k in range(1, 101)) if x > 0.2 else 1.0
    return d, min(max(p, 0.0), 1.0)


def profile(weeks: Weeks) -> Floats:
    """float64[48]: mean workday and mean day off, of the building's mean load."""
    days = [weeks.kw[:, :5].mean(axis=(0, 1)), weeks.kw[:, 5:].mean(axis=(0, 1))]
    return np.asarray(np.concatenate(days) / weeks.kw.mean())


def compare(real: Sequence[Weeks], generated: Sequence[Weeks]) -> dict[str, Any]:
    """By figure: medians and 10th to 90th percentile of both, D and p; and how far profiles lie from their nearest."""
    ours, theirs = [figures(w) for w in generated], [figures(w) for w in real]
    return {
        "real_buildings": len(real),
        "generated_buildings": len(generated),
        "figures": {
            name: _figure(np.array([f[name] for f in theirs]), np.array([f[name] for f in ours]))
            for name in ours[0]
        },
        "profile_distance": _distances([profile(w) for w in real], [profile(w) for w in generated]),
    }


def _figure(real: Floats, generated: Floats) -> dict[str, Any]:
    d, p = two_sample(real, generated)
    return {
        "real": [round(float(q), 3) for q in np.percentile(real, (10, 50, 90))],
        "generated": [round(float(q), 3) for q in np.percentile(generated, (10, 50, 90))],
        "d": round(d, 3),
        "p": round(p, 4),
    }


def _distances(real: Sequence[Floats], generated: Sequence[Floats]) -> dict[str, Any]:
    """Root mean square distance of each profile to the nearest real one of another building."""
    among = [
        min(_rms(a, b) for j, b in enumerate(real) if j != i) for i, a in enumerate(real) if len(real) > 1
    ]
    between = [min(_rms(a, b) for b in real) for a in generated]
    return _figure(np.array(among or [0.0]), np.array(between))


def _rms(a: Floats, b: Floats) -> float:
    return float(np.sqrt(((a - b) ** 2).mean()))


def picked_weeks(real: Sequence[Weeks], generated: Sequence[Weeks], seed: int, n: int) -> list[Pair]:
    """`n` pairs of a metered and a generated week, drawn by chance: neither is chosen to match the other."""
    chance = np.random.default_rng(seed)
    order_real, order_ours = chance.permutation(len(real)), chance.permutation(len(generated))
    pairs = []
    for k in range(n):
        a, b = real[order_real[k % len(real)]], generated[order_ours[k % len(generated)]]
        pairs.append((a, int(chance.integers(len(a.first))), b, int(chance.integers(len(b.first)))))
    return pairs
