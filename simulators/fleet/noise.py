"""Random numbers that are a function of their place: of a key and an index, whatever was drawn before.

A point's noise on a day is the same whether the day is asked for first or last, alone or with a thousand other
points. Numbers come from a hash (splitmix64's finaliser: Steele, Lea, Flood 2014), all points at once; a generator
of numpy's for each point and day would cost more than the loads.
"""

from __future__ import annotations

from functools import cache
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from metering.records import Floats, Ints
from simulators.chance import key

Keys = npt.NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_BITS = 12


def keys(seed: int, purpose: str, codes: list[str]) -> Keys:
    """uint64[n]: the key of each of `codes` for a purpose."""
    return np.array([key(seed, purpose, code) for code in codes], np.uint64)


def bits(of: Keys, index: Ints) -> Keys:
    """uint64[len(of), len(index)] of random bits."""
    z = of[:, None] + (index.astype(np.uint64) * _GOLDEN)[None, :]
    z ^= z >> _S30
    z *= _M1
    z ^= z >> _S27
    z *= _M2
    z ^= z >> _S31
    return z


def uniform(of: Keys, index: Ints) -> Floats:
    """float64[len(of), len(index)], 0 to below 1."""
    return (bits(of, index) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def normal(of: Keys, index: Ints) -> Floats:
    """float64[len(of), len(index)] of standard normal numbers, within 3.7 of 0."""
    return np.take(_normal_table(), (bits(of, index) >> np.uint64(64 - _BITS)).astype(np.intp))


def smooth(of: Keys, utc_s: Ints, step_s: int) -> Floats:
    """float64[len(of), len(utc_s)]: noise that moves smoothly through a normal number every `step_s` seconds.

    Its standard deviation is 1 at every time (interpolated by weights whose squares add up to 1).
    """
    at = utc_s / step_s
    low = np.floor(at).astype(np.int64)
    knots = normal(of, np.arange(low[0], low[-1] + 2))
    part = at - low
    weight = part * part * (3 - 2 * part)
    left = 1 - weight
    scale = 1 / np.sqrt(weight * weight + left * left)
    first = low - low[0]
    noise: Floats = knots[:, first] * (left * scale) + knots[:, first + 1] * (weight * scale)
    return noise


@cache
def _normal_table() -> Floats:
    n = 1 << _BITS
    return np.array([NormalDist().inv_cdf((i + 0.5) / n) for i in range(n)])
