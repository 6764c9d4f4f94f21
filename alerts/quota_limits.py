"""Limits of quotas, computed from base years. Pure.

Methods (see docs/decisions/alert-rules.md for their sources): `manual` takes the value given; `base_year` and
`mean_years` take the mean of the site's own use in the base years; `own_or_peers` the smaller of that and floor
area x the mean use per m2 of the sites of the same building type; each less `reduction_percent`. `norm` (area x the
norm of the type) needs a table of norms, which is not there yet. A value that is given is taken whatever the method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any


@dataclass(frozen=True, slots=True)
class Terms:
    """What a quota says of its limit. limit_value: as given, None: to be computed (in the item's unit)."""

    method: str
    limit_value: float | None
    base_years: tuple[int, ...]
    reduction_percent: float | None


@dataclass(frozen=True, slots=True)
class BaseYear:
    """A site's use of an item in a base year, as known (NaN: not known in the item's unit).

    coverage: share of the whole year with good readings.
    """

    year: int
    energy: float
    coverage: float
    ended: bool


@dataclass(frozen=True, slots=True)
class PeerMean:
    """Mean yearly use per m2 of `sites` sites of one building type, each over the base years; a dated snapshot."""

    building_type: str
    per_m2: float
    sites: int
    as_of: date


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit's value in the item's unit, and what it was computed from, as JSON."""

    value: float
    basis: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NoLimit:
    """Why there is no limit (yet), in English and Chinese."""

    reason: str
    reason_zh: str


OWN_METHODS = frozenset({"base_year", "mean_years"})
PEER_METHOD = "own_or_peers"


def compute_limit(
    terms: Terms,
    uses: Mapping[int, BaseYear],
    min_coverage: float,
    floor_area_m2: float | None = None,
    peers: PeerMean | None = None,
) -> Limit | NoLimit:
    """The limit of a quota from its terms and the own use of the base years, or why there is none."""
    if terms.limit_value is not None:
        return Limit(terms.limit_value, {"given": True, "method": terms.method})
    if terms.method not in OWN_METHODS and terms.method != PEER_METHOD:
        return _why_not(terms.method)
    own = own_mean(terms.base_years, uses, min_coverage)
    if isinstance(own, NoLimit):
        return own
    value = own
    basis: dict[str, Any] = {
        "given": False,
        "method": terms.method,
        "base_years": {
            str(y): {"energy": uses[y].energy, "coverage": round(uses[y].coverage, 6)}
            for y in terms.base_years
        },
        "reduction_percent": terms.reduction_percent or 0.0,
    }
    if terms.method == PEER_METHOD:
        if peers is None or not floor_area_m2:
            return NoLimit(
                "own_or_peers needs the site's floor area and building type, and peers with base years",
                "own_or_peers 需要建筑面积、建筑类型和有基准年数据的同类建筑",
            )
        value = min(own, floor_area_m2 * peers.per_m2)
        basis["peers"] = {
            "building_type": peers.building_type,
            "per_m2": peers.per_m2,
            "sites": peers.sites,
            "as_of": peers.as_of.isoformat(),
        }
    return Limit(round(value * (1.0 - (terms.reduction_percent or 0.0) / 100.0), 6), basis)


def own_mean(years: Sequence[int], uses: Mapping[int, BaseYear], min_coverage: float) -> float | NoLimit:
    """Mean use of the base years, where every one of them has ended and is covered well enough."""
    if not years:
        return NoLimit("no base years are named", "没有写明基准年")
    for year in years:
        use = uses.get(year)
        if use is None:
            return NoLimit(f"nothing is known of the base year {year}", f"没有基准年 {year} 的数据")
        if not use.ended:
            return NoLimit(f"the base year {year} has not ended", f"基准年 {year} 尚未结束")
        if math.isnan(use.energy):
            return NoLimit(
                f"no conversion factor covers all that was used in the base year {year}",
                f"基准年 {year} 的用能中有分项没有折算系数",
            )
        if not use.coverage >= min_coverage:
            return NoLimit(
                f"good readings cover {use.coverage:.1%} of the base year {year}; {min_coverage:.0%} is needed",
                f"基准年 {year} 的有效读数只覆盖 {use.coverage:.1%}, 需要 {min_coverage:.0%}",
            )
    return sum(uses[y].energy for y in years) / len(years)


def peer_mean(building_type: str, intensities: Sequence[tuple[float, float]], as_of: date) -> PeerMean | None:
    """Mean of (yearly energy, floor area in m2) of the sites of a type, each site counting alike."""
    rates = [energy / area for energy, area in intensities if area > 0]
    if not rates:
        return None
    return PeerMean(building_type, sum(rates) / len(rates), len(rates), as_of)


def moved(old: float, new: float, min_move: float) -> bool:
    """Whether a computed limit moved enough for a new version."""
    return abs(new - old) > min_move * abs(old)


def _why_not(method: str) -> NoLimit:
    if method == "norm":
        return NoLimit(
            "method norm needs the table of norms, which this version does not have: give limit_value",
            "方法 norm 需要定额表, 本版本没有: 请给出 limit_value",
        )
    if method == "manual":
        return NoLimit("method manual needs limit_value", "方法 manual 需要 limit_value")
    known = "manual, base_year, mean_years, own_or_peers, norm"
    return NoLimit(f"method {method} is not known; known: {known}", f"未知的方法 {method}; 已知: {known}")
