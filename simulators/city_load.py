"""What the meters of a city show: registers of a block of buildings over all days, as arrays.

A leaf takes its share of the building's day: by season, weekday and hour as its profile and the building's type say,
with some noise. A parent is the sum of its children and a loss. Registers count in hundredths, so sums are exact.
"""

from __future__ import annotations

from datetime import timedelta

import numpy as np

from simulators.city import DECIMALS, City, Floats, Ints, PointPattern, city_rng, city_table

#: What a parent shows above the sum of its children.
LOSS = 0.02
_DAY_NOISE, _QUARTER_NOISE = 0.08, 0.3
_WEEKDAYS = 5
#: Carrier of an item -> column of types.csv, what a m2 takes of it in a year.
_RATES = {"01": "kwh_per_m2", "02": "water_m3_per_m2", "03": "gas_m3_per_m2", "04": "heat_gj_per_m2"}


def block_values(city: City, block: int) -> Floats:
    """What the display shows at each time; shape (sites of the block, points, times). Never falls."""
    sites = city.sites_of(block)
    ticks = _cumulated(city, block)
    ticks += city.start_ticks[sites][:, :, np.newaxis]
    shown: Floats = ticks / 10**DECIMALS
    return shown


def rated_per_hour(city: City) -> Floats:
    """What a point can take in an hour, in its unit; shape (sites, points)."""
    rate = np.array([[float(row[_RATES[p.item_code[:2]]]) for p in city.patterns] for row in _types()])
    share = np.array([p.share for p in city.patterns])
    mean = rate[city.type_ix] * share * city.floor_area_m2[:, np.newaxis] / 8760
    rated: Floats = np.round(mean * 12 * np.maximum(1.0, city.thrift)[:, np.newaxis] + 1, 1)
    return rated


def _types() -> tuple[dict[str, str], ...]:
    return city_table("types")


def _cumulated(city: City, block: int) -> Ints:
    """What each point took since the begin, in hundredths; shape as `block_values`."""
    children = {p.number: [c for c in city.patterns if c.parent == p.number] for p in city.patterns}
    ticks = np.zeros((city.site_count(block), len(city.patterns), len(city.ts_us)), np.int64)
    whole = _leaf_shares(city, children)
    rng = city_rng(city.options.seed, "load", block)
    for p in reversed(city.patterns):  # children come after their parents
        if below := children[p.number]:
            total = sum(ticks[:, c.number - 1] for c in below)
            ticks[:, p.number - 1] = np.rint(total * (1 + LOSS))
        else:
            took = _leaf(city, block, p, p.share / whole[p.item_code[:2]], rng)
            ticks[:, p.number - 1] = np.rint(took.cumsum(axis=1) * 10**DECIMALS)
    return ticks


def _leaf_shares(city: City, children: dict[int, list[PointPattern]]) -> dict[str, float]:
    """The sum of the leaves' shares, by carrier."""
    sums: dict[str, float] = {}
    for p in city.patterns:
        if not children[p.number]:
            sums[p.item_code[:2]] = sums.get(p.item_code[:2], 0.0) + p.share
    return sums


def _leaf(city: City, block: int, p: PointPattern, share: float, rng: np.random.Generator) -> Floats:
    """What a leaf takes in each interval, in its unit; shape (sites, times)."""
    sites = city.sites_of(block)
    types = city.type_ix[sites]
    rate = np.array([float(row[_RATES[p.item_code[:2]]]) for row in _types()])
    day = rate[types] * city.floor_area_m2[sites] * city.thrift[sites] * share / 365
    days, times = city.options.days, len(city.ts_us)
    level = _season(city, p.profile) * np.exp(rng.normal(0.0, _DAY_NOISE, (len(types), days)))
    shape = _shapes(city, p.profile)[types]  # (sites, days, hours)
    # The day and the hour that each interval begins in.
    begins = city.ts_us - city.options.interval_s * 1_000_000
    day_ix = np.searchsorted(city.day_start_us, begins, "right") - 1
    hour = np.minimum((begins - city.day_start_us[day_ix]) // 3_600_000_000, 23)
    noise = 1 + _QUARTER_NOISE * (rng.random((len(types), times), np.float32) - 0.5)
    each: Floats = (day[:, np.newaxis] * level)[:, day_ix] * shape[:, day_ix, hour] * noise
    return each * (city.options.interval_s / 3600)


def _season(city: City, profile: str) -> Floats:
    """The level of each day by its month; shape (days,)."""
    row = next(row for row in city_table("profiles") if row["profile"] == profile)
    days = [city.options.start + timedelta(days=n) for n in range(city.options.days)]
    return np.array([float(row[f"m{d.month:02d}"]) for d in days])


def _shapes(city: City, profile: str) -> Floats:
    """Of each type of building and day the share of the day's level in each hour; shape (types, days, 24)."""
    row = next(row for row in city_table("profiles") if row["profile"] == profile)
    standby, shoulder = float(row["standby"]), float(row["shoulder_h"])
    weekend = np.array(
        [(city.options.start + timedelta(days=n)).weekday() >= _WEEKDAYS for n in range(city.options.days)]
    )
    hours = np.arange(24) + 0.5
    shapes = []
    for t in _types():
        opens, closes = float(t["opens"]), float(t["closes"])
        ramp = max(shoulder, 0.5)
        busy = np.clip((hours - opens + ramp) / ramp, 0, 1) * np.clip((closes + ramp - hours) / ramp, 0, 1)
        if shoulder < 0:  # what is on while it is dark
            busy = ((hours < 6) | (hours > 18)).astype(np.float64)
        norm = (standby + (1 - standby) * busy).sum()
        activity = np.where(weekend, float(t["weekend"]), 1.0)
        shapes.append((standby + (1 - standby) * busy * activity[:, np.newaxis]) / norm)
    return np.array(shapes)
