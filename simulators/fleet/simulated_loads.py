"""True loads of a fleet: what each use takes, by activity, season, weather, habit and chance; and sums above it.

Stateless: a day follows from the plan's seed, the point and the day. Points with a use are worked out a few hundred at
a time with numpy, so that a large fleet needs little more than its result; the others add up their children and a loss,
in whole units.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from metering.records import Floats, Ints
from simulators.fleet.days import DayTimes, campus_day_kind, day_kind, day_times, is_heated
from simulators.fleet.instant_values import InstantValues
from simulators.fleet.loads import Instants
from simulators.fleet.noise import Keys, keys, normal, smooth, uniform
from simulators.fleet.plan import FleetPlan
from simulators.fleet.tables import (
    HOLIDAY,
    SATURDAY,
    SUNDAY,
    VACATION,
    WORKDAY,
    Use,
    districts,
    profile_names,
    profile_table,
    site_kinds,
    uses,
)
from simulators.fleet.weather import DayWeather, day_weather, year_part

#: Points that are worked out together: their arrays stay in the processor's cache.
_BLOCK = 256
#: Energies are whole multiples of this many 1e-9 units, so that the last bit of a float does not show.
_GRAIN = 1000
_GRAINS = 10**9 // _GRAIN
#: Steps of the activity tables in a day.
_TABLE = 288
#: Usual peak as a share of the rated capacity, drawn between the two.
_USUAL_PEAK = (0.55, 0.82)
#: Loss above children as a share of their sum: at no load, and how much more at full load, drawn between the two.
_LOSS, _LOSS_MORE = (0.010, 0.025), (0.0, 0.035)
#: What comes and goes over weeks: standard deviation of a branch, of a whole site; seconds from knot to knot.
_DRIFT, _SITE_DRIFT, _DRIFT_S = 0.07, 0.11, 25 * 86400
#: Shares of a site's activity that are switched on and off at once.
_ABRUPT = (0.0, 0.25, 0.5, 0.7, 0.9)
_FIRST_YEAR = 2010
#: Minute of the day until which a night goes by the day before.
_NIGHT_ENDS = 4 * 60
#: Share of its rating from which on a load is held back.
_BENDS_AT = 0.8
#: Years over which growth adds up.
_GROWING_YEARS = 8.0


@dataclass(frozen=True, slots=True)
class _Leaves:
    """What is constant of points with a use; arrays of equal length, one element a point."""

    index: Ints
    site: Ints
    key: Keys
    profile: Ints
    own_profile: Ints
    low: Floats
    peak: Floats
    rated: Floats
    constant: Floats
    daylight: Floats
    cool: Floats
    heat: Floats
    steps: Floats
    step_share: Floats
    swing: Floats
    jitter: Floats
    abrupt: Ints
    shift: Floats
    stretch: Floats
    growth: Floats

    def block(self, part: slice) -> _Leaves:
        return _Leaves(*(getattr(self, name)[part] for name in self.__slots__))


class SimulatedLoads:
    """Implements simulators.fleet.loads.Loads."""

    def __init__(self, plan: FleetPlan) -> None:
        self._plan = plan
        self._zone = ZoneInfo(plan.options.timezone)
        self._sites = _Sites(plan)
        self._leaves = _leaves(plan, self._sites)
        self._sums = _Sums(plan)
        self._instants = InstantValues(plan)

    def energy(self, day: date) -> Ints:
        """int64[points, n] in 1e-9 of the item's unit."""
        times = day_times(day, self._plan.options.interval_s, self._zone)
        weather = day_weather(self._plan.options.seed, times)
        habits = self._sites.on(day, times)
        energy = np.zeros((len(self._plan.points), len(times)), np.int64)
        for first in range(0, len(self._leaves.index), _BLOCK):
            block = self._leaves.block(slice(first, first + _BLOCK))
            energy[block.index] = _use(block, habits, times, weather)
        self._sums.add(energy)
        return energy

    def instants(self, day: date, energy: Ints) -> list[Instants]:
        """Instant values that fit `energy`, at the ends of the intervals."""
        times = day_times(day, self._plan.options.interval_s, self._zone)
        return self._instants.on(times, day_weather(self._plan.options.seed, times), energy)


@dataclass(frozen=True, slots=True)
class _Habits:
    """A day of the sites, an element or row a site.

    kind, kind_before int64[sites]: of the day, of the day before; busy float64[sites, n]: activity against the usual;
    drift float64[sites, 1]: all that a site takes, over weeks; off_scale float64[sites]: activity on days off against
    the profile's; warmer_c float64[sites].
    """

    kind: Ints
    kind_before: Ints
    busy: Floats
    drift: Floats
    off_scale: Floats
    warmer_c: Floats
    heated: bool


class _Sites:
    """What is constant of sites, and what a day makes of it."""

    def __init__(self, plan: FleetPlan) -> None:
        seed = plan.options.seed
        codes = [s.site_code for s in plan.sites]
        kinds = {k.site_kind: k for k in site_kinds()}
        warmer = {d.code: d.warmer_c for d in districts()}
        profiles = profile_names()
        self.profile = np.array([profiles.index(kinds[s.site_kind].profile) for s in plan.sites])
        self._has_vacation = ~np.isnan(profile_table()[self.profile, VACATION, 0])
        self._warmer_c = np.array([warmer[s.district_code] for s in plan.sites])
        self._keys = keys(seed, "habits", codes)
        traits = uniform(keys(seed, "traits", codes), np.arange(9))
        self.shift, self.stretch = traits[:, 0] * 2 - 1, traits[:, 1] * 2 - 1
        self.always_on = _between([kinds[s.site_kind].always_on for s in plan.sites], traits[:, 2] ** 1.3)
        self.growth = traits[:, 3]
        self._off_scale = _between([kinds[s.site_kind].day_off for s in plan.sites], traits[:, 4])
        self.restless = 0.8 + 4.0 * traits[:, 5] ** 4
        self._winter = -0.08 + 0.40 * traits[:, 8] ** 1.5
        self.abrupt, self.weathered = traits[:, 6], 0.5 + 1.2 * traits[:, 7]

    def on(self, day: date, times: DayTimes) -> _Habits:
        kind, before = self._kind(day), self._kind(day - timedelta(days=1))
        number = np.array([day.toordinal(), day.toordinal() // 7 + 10**7, day.toordinal() + 10**8])
        drawn = normal(self._keys, number[:2])
        odd = uniform(self._keys, number[2:])[:, 0]
        level = 1 + self.restless * (0.04 * drawn[:, 0] + 0.03 * drawn[:, 1])
        level = np.where(odd < 0.006, level * 0.6, np.where(odd > 0.994, level * 1.2, level))
        level *= 1 + self._winter * np.cos(year_part(times.utc_s[:1]))
        level = np.clip(level, 0.2, 1.8)
        hours = smooth(self._keys, times.utc_s, 3 * 3600)
        busy = level[:, None] * (1 + 0.025 * hours)
        drift = 1 + _SITE_DRIFT * smooth(self._keys + np.uint64(1), times.utc_s[:1], _DRIFT_S)
        return _Habits(kind, before, busy, drift, self._off_scale, self._warmer_c, is_heated(day))

    def _kind(self, day: date) -> Ints:
        return np.where(self._has_vacation, campus_day_kind(day), day_kind(day))


def _leaves(plan: FleetPlan, sites: _Sites) -> _Leaves:
    seed = plan.options.seed
    index = [i for i, p in enumerate(plan.points) if p.use]
    points = [plan.points[i] for i in index]
    site = np.array([p.site for p in points], np.int64)
    used = [uses()[p.use] for p in points]
    codes = [p.point_code for p in points]
    drawn = uniform(keys(seed, "branch", codes), np.arange(5))
    rated = np.array([p.rated_per_hour for p in points])
    own = sites.profile[site]
    names = profile_names()
    profile = np.array(
        [names.index(u.profile) if u.profile else o for u, o in zip(used, own.tolist(), strict=True)]
    )
    always_on = 0.65 * sites.always_on[site] + 0.35 * drawn[:, 0]
    weathered = np.where([u.item_code.startswith("01B") for u in used], sites.weathered[site], 1.0)
    electric = np.array([u.item_code.startswith("01") for u in used])
    restless = np.where(electric, sites.restless[site], 1.0)
    return _Leaves(
        index=np.array(index, np.int64),
        site=site,
        key=keys(seed, "noise", codes),
        profile=profile,
        own_profile=own,
        low=_between([u.low for u in used], always_on),
        peak=rated * _between([_USUAL_PEAK], drawn[:, 1]),
        rated=rated,
        constant=_column(used, lambda u: u.constant),
        daylight=_column(used, lambda u: u.daylight),
        cool=_column(used, lambda u: u.cool) * weathered,
        heat=_column(used, lambda u: u.heat) * weathered,
        steps=_column(used, lambda u: u.steps),
        step_share=_column(used, lambda u: u.step_share),
        swing=np.minimum(_column(used, lambda u: u.swing) * restless, 0.16),
        jitter=np.minimum(_column(used, lambda u: u.jitter) * restless, 0.20),
        abrupt=np.floor(sites.abrupt[site] * len(_ABRUPT)).astype(np.int64),
        shift=55 * sites.shift[site] + 15 * (2 * drawn[:, 2] - 1),
        stretch=0.14 * sites.stretch[site] + 0.04 * (2 * drawn[:, 3] - 1),
        growth=-0.008 + 0.03 * (0.6 * sites.growth[site] + 0.4 * drawn[:, 4]),
    )


def _between(ends: Sequence[tuple[float, float]], part: Floats) -> Floats:
    low, high = np.array(ends).T
    return np.asarray(low + (high - low) * part)


def _column(used: Sequence[Use], of: Callable[[Use], float]) -> Floats:
    return np.array([of(u) for u in used], np.float64)


def _use(leaves: _Leaves, habits: _Habits, times: DayTimes, weather: DayWeather) -> Ints:
    """int64[points, n]: energy of points with a use."""
    activity = _activity(leaves, habits, times) * habits.busy[leaves.site]
    moved = activity * _weather_share(leaves, habits, weather)
    load = leaves.low[:, None] + (1 - leaves.low)[:, None] * moved
    load *= habits.drift[leaves.site] * (
        1 + _DRIFT * smooth(leaves.key + np.uint64(3), times.utc_s[:1], _DRIFT_S)
    )
    load = _unrest(leaves, times, load)
    years = min(max(times.day.year + times.day.timetuple().tm_yday / 366 - _FIRST_YEAR, 0.0), _GROWING_YEARS)
    per_hour = _limited(load * (leaves.peak * (1 + leaves.growth * years))[:, None], leaves.rated[:, None])
    grains = np.floor(per_hour * (times.interval_s / 3600 * _GRAINS)).astype(np.int64)
    return grains * _GRAIN


def _activity(leaves: _Leaves, habits: _Habits, times: DayTimes) -> Floats:
    """float64[points, n]: how busy a point's use is, about 0 to 1, each with hours a little of its own.

    A night belongs to the day before.
    """
    minute = times.minute + _stretched(times)[None, :] * leaves.stretch[:, None] - leaves.shift[:, None]
    at = np.floor(minute * (_TABLE / 1440)).astype(np.int64) % _TABLE
    night = int(np.count_nonzero(times.minute < _NIGHT_ENDS))
    parts = []
    for kinds, part in ((habits.kind_before, at[:, :night]), (habits.kind, at[:, night:])):
        row, scale = _habit(leaves, kinds[leaves.site], habits.off_scale[leaves.site])
        parts.append(_activity_table().ravel()[row[:, None] + part] * scale[:, None])
    return np.concatenate(parts, axis=1)


def _habit(leaves: _Leaves, kind: Ints, off_scale: Floats) -> tuple[Ints, Floats]:
    """Of each point on its kind of day: its first element in the activity table, and by how much that is scaled."""
    usual = _usual_level()
    lacks = np.isnan(profile_table()[leaves.profile, kind, 0])
    shown = np.where(lacks, WORKDAY, kind)
    scale = np.where(lacks, usual[leaves.own_profile, kind] / usual[leaves.own_profile, WORKDAY], 1.0)
    follows = lacks | (leaves.profile == leaves.own_profile)
    off = (kind == SATURDAY) | (kind == SUNDAY) | (kind == HOLIDAY)
    scale = np.where(off & follows, scale * off_scale, scale)
    row = ((leaves.abrupt * len(usual) + leaves.profile) * len(usual[0]) + shown) * _TABLE
    return row, np.minimum(scale, 1.15)


def _stretched(times: DayTimes) -> Floats:
    """float64[n]: minutes from the middle of the day, going back to none at midnight."""
    middle = 13 * 60
    from_middle = times.minute - middle
    part = from_middle / np.where(from_middle < 0, middle, 1440 - middle)
    return np.asarray(from_middle * (1 - part * part))


def _weather_share(leaves: _Leaves, habits: _Habits, weather: DayWeather) -> Floats:
    """float64[points, n]: share of its full load that the weather asks of a point's use."""
    felt = weather.felt_c[None, :] + habits.warmer_c[leaves.site][:, None]
    cool = np.clip((felt - 20) / 12, 0, 1.15)
    share = leaves.constant[:, None] * (1 - leaves.daylight[:, None] * weather.daylight[None, :])
    share = share + leaves.cool[:, None] * cool
    if habits.heated:
        share = share + leaves.heat[:, None] * np.clip((19 - felt) / 27, 0, 1.1)
    return share


def _unrest(leaves: _Leaves, times: DayTimes, load: Floats) -> Floats:
    """`load` with noise of hours, of minutes, and equipment that is switched in steps; never below nothing."""
    slow = smooth(leaves.key, times.utc_s, 3 * 3600)
    middle = smooth(leaves.key + np.uint64(1), times.utc_s, 3600)
    fast = normal(leaves.key + np.uint64(2), times.utc_s // times.interval_s)
    noise = leaves.swing[:, None] * slow + leaves.jitter[:, None] * (1.0 * middle + 0.6 * fast)
    load = np.maximum(load * (1 + noise), 0.25 * load)
    steps = np.maximum(leaves.steps, 1)[:, None]
    stages = load * steps
    stepped = np.rint(stages + 0.35 * middle * np.minimum(stages, 1)) / steps
    return np.maximum(load + leaves.step_share[:, None] * (stepped - load), 0.0)


def _limited(per_hour: Floats, rated: Floats) -> Floats:
    """`per_hour`, bent below `rated` from _BENDS_AT of it on: a branch nears its limit and does not stay at it."""
    knee = _BENDS_AT * rated
    over = np.maximum(per_hour - knee, 0.0)
    return np.asarray(np.minimum(per_hour, knee) + over * (rated - knee) / (over + rated - knee))


@cache
def _activity_table() -> Floats:
    """float64[len(_ABRUPT), profiles, day kinds, _TABLE]: profiles by five minutes, hours run into each other; then
    more and more like equipment that is on or off.
    """
    hours = np.nan_to_num(profile_table())
    around = np.concatenate([hours[:, :, -1:], hours, hours[:, :, :1]], axis=2)
    at = (np.arange(_TABLE) + 0.5) * 24 / _TABLE + 0.5
    low = np.floor(at).astype(np.int64)
    part = at - low
    table = around[:, :, low] * (1 - part) + around[:, :, low + 1] * part
    switched = np.clip((table - 0.3) / 0.18, 0, 1) * (0.85 + 0.15 * table)
    return np.stack([table + share * (switched - table) for share in _ABRUPT])


@cache
def _usual_level() -> Floats:
    """float64[profiles, day kinds]: mean activity of a day; of a kind that a profile lacks, the workday's."""
    mean = profile_table().mean(axis=2)
    return np.asarray(np.where(np.isnan(mean), mean[:, :1], mean))


class _Sums:
    """Totals above their children, deepest first, with a loss that grows with the load."""

    def __init__(self, plan: FleetPlan) -> None:
        points = plan.points
        depth = [0] * len(points)
        children: dict[int, list[int]] = {}
        for i, p in enumerate(points):
            if p.parent is not None:
                depth[i] = depth[p.parent] + 1
                children.setdefault(p.parent, []).append(i)
        drawn = uniform(keys(plan.options.seed, "loss", [p.point_code for p in points]), np.arange(2))
        self._loss = _LOSS[0] + (_LOSS[1] - _LOSS[0]) * drawn[:, 0]
        self._more = _LOSS_MORE[0] + (_LOSS_MORE[1] - _LOSS_MORE[0]) * drawn[:, 1]
        self._rated = np.array([p.rated_per_hour for p in points])
        self._hours = plan.options.interval_s / 3600
        self._levels: list[tuple[Ints, Ints, npt.NDArray[np.intp]]] = []
        for level in sorted({depth[i] for i in children}, reverse=True):
            parents = [i for i in children if depth[i] == level]
            below = [children[i] for i in parents]
            starts = np.cumsum([0, *(len(b) for b in below[:-1])])
            self._levels.append((np.array(parents), np.array([c for b in below for c in b]), starts))

    def add(self, energy: Ints) -> None:
        """Fill the rows of totals of int64[points, n] `energy`."""
        for parents, below, starts in self._levels:
            total = np.add.reduceat(energy[below], starts, axis=0)
            full = self._rated[parents] * (self._hours * 1e9)
            share = self._loss[parents][:, None] + self._more[parents][:, None] * (total / full[:, None])
            energy[parents] = total + np.floor(total * share / _GRAIN).astype(np.int64) * _GRAIN
