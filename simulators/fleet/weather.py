"""Beijing's weather, made up from a seed: air temperature and daylight. A function of the time alone.

Means: about -3 °C in January, 27 °C in July, 13 °C over the year (climate normals of Beijing, from memory, high
confidence). Spells of warm and cold last days; a day's range is about 10 °C.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from math import cos, pi, radians, sin

import numpy as np

from metering.records import Floats, Ints
from simulators.chance import key
from simulators.fleet.days import DayTimes
from simulators.fleet.noise import smooth

_YEAR_MEAN_C, _YEAR_SWING_C, _COLDEST_DAY = 12.8, 15.2, 18
#: (days from knot to knot, standard deviation in °C) of spells.
_SPELLS = ((2, 2.0), (5, 1.8), (30, 1.0))
_LATITUDE = radians(40.0)
#: Local clock at the sun's highest: Beijing lies 3.6 degrees west of its zone's meridian.
_NOON = 12.24
#: Share of the day's range by hour, -0.5 to 0.5: coldest at about 6, warmest at about 15.
_DAY_SHAPE = (
    *(-0.30, -0.35, -0.39, -0.43, -0.47, -0.50, -0.48, -0.38, -0.20, 0.00, 0.18, 0.32),
    *(0.42, 0.48, 0.50, 0.49, 0.43, 0.32, 0.18, 0.05, -0.05, -0.13, -0.20, -0.26),
)


@dataclass(frozen=True, slots=True)
class DayWeather:
    """float64[n] each, at the middle of a day's intervals: air_c; felt_c, what a building feels of it; daylight, 0 at
    night to 1 on a bright day.
    """

    air_c: Floats
    felt_c: Floats
    daylight: Floats


def day_weather(seed: int, times: DayTimes) -> DayWeather:
    """The weather of a day."""
    middle = times.utc_s + times.interval_s // 2
    sky = _clouds(seed, middle)
    mean = _mean_c(seed, middle)
    hour = times.hour
    shape = np.interp(hour, np.arange(25), [*_DAY_SHAPE, _DAY_SHAPE[0]])
    swing = shape * (12.5 - 6.5 * sky)
    air = mean + swing
    before = _mean_c(seed, middle - 86400)
    return DayWeather(air, 0.55 * mean + 0.25 * before + 0.20 * air + 0.25 * swing, _daylight(times, sky))


def year_part(utc_s: Ints) -> Floats:
    """Angle of the time of year, 0 on 1 January."""
    angle: Floats = 2 * pi * ((utc_s / 86400) % 365.2425) / 365.2425
    return angle


def _mean_c(seed: int, utc_s: Ints) -> Floats:
    mean: Floats = _YEAR_MEAN_C - _YEAR_SWING_C * np.cos(year_part(utc_s) - 2 * pi * _COLDEST_DAY / 365.2425)
    for days, deviation in _SPELLS:
        mean = mean + deviation * smooth(_key(seed, f"spell {days}"), utc_s, days * 86400)[0]
    return mean


def _clouds(seed: int, utc_s: Ints) -> Floats:
    """0: clear, 1: overcast."""
    drift = smooth(_key(seed, "clouds"), utc_s, 8 * 3600)[0]
    spell = smooth(_key(seed, "fronts"), utc_s, 2 * 86400)[0]
    return np.asarray(np.clip(0.4 + 0.25 * drift + 0.3 * spell, 0, 1))


def _daylight(times: DayTimes, sky: Floats) -> Floats:
    angle = float(year_part(times.utc_s[:1])[0])
    declination = radians(-23.44) * cos(angle + 2 * pi * 10 / 365.2425)
    turn = np.radians((times.hour - _NOON) * 15)
    height = sin(_LATITUDE) * sin(declination) + np.cos(_LATITUDE) * cos(declination) * np.cos(turn)
    return np.asarray(np.clip((height + 0.03) / 0.35, 0, 1) * (1 - 0.6 * sky))


@cache
def _key(seed: int, what: str) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    return np.array([key(seed, "weather", what)], np.uint64)
