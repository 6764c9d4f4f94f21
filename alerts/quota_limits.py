"""Limits of quotas, computed from base years, peers or norms. Pure.

Methods (see docs/decisions/quota-ledger.md for their sources): `manual` takes the value given; `base_year` and
`mean_years` take the mean of the site's own use in the base years; `own_or_peers` the smaller of that and floor
area x the mean use per m2 of the sites of the same building type; `norm` takes floor area x the norm of the building
type (metering/norms.py); each less `reduction_percent`, which percentile rules may change where there are base years.
A value that is given is taken whatever the method.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from alerts.percentiles import PeerGroup, PercentileRule, standing
from metering.norms import NoNorm, correction_of, norm_for, parse_norm_terms


@dataclass(frozen=True, slots=True)
class Terms:
    """What a quota says of its limit. limit_value: as given, None: to be computed (in the item's unit); norm: as
    metering.norms.parse_norm_terms reads it.
    """

    method: str
    limit_value: float | None
    base_years: tuple[int, ...]
    reduction_percent: float | None
    norm: str | None = None
    item_code: str = "01"


@dataclass(frozen=True, slots=True)
class Place:
    """What of the site a limit may rest on."""

    building_type: str | None = None
    floor_area_m2: float | None = None


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
NORM_METHOD = "norm"


def compute_limit(
    terms: Terms,
    uses: Mapping[int, BaseYear],
    min_coverage: float,
    place: Place = Place(),
    peers: PeerGroup | None = None,
    percentiles: PercentileRule = PercentileRule(),
) -> Limit | NoLimit:
    """The limit of a quota from its terms, the own use of the base years and the peers', or why there is none."""
    if terms.limit_value is not None:
        return Limit(terms.limit_value, {"given": True, "method": terms.method})
    if terms.method == NORM_METHOD:
        return _by_norm(terms, place)
    if terms.method not in OWN_METHODS and terms.method != PEER_METHOD:
        return _why_not(terms.method)
    own = own_mean(terms.base_years, uses, min_coverage)
    if isinstance(own, NoLimit):
        return own
    value, percent = own, terms.reduction_percent or 0.0
    basis: dict[str, Any] = {
        "given": False,
        "method": terms.method,
        "base_years": {
            str(y): {"energy": uses[y].energy, "coverage": round(uses[y].coverage, 6)}
            for y in terms.base_years
        },
        "reduction_percent": percent,
    }
    if terms.method == PEER_METHOD:
        if peers is None or not place.floor_area_m2:
            return NoLimit(
                "own_or_peers needs the site's floor area and building type, and peers with base years",
                "own_or_peers 需要建筑面积、建筑类型和有基准年数据的同类建筑",
            )
        value = min(own, place.floor_area_m2 * peers.mean)
        basis["peers"] = {
            "building_type": peers.building_type,
            "per_m2": peers.mean,
            "sites": len(peers.rates),
            "as_of": peers.as_of.isoformat(),
            "floor_area_m2": place.floor_area_m2,
            "smaller": "own" if value == own else "peers",
        }
    if percentiles.enabled and peers is not None and place.floor_area_m2:
        basis["percentile"] = standing(own / place.floor_area_m2, peers, percent, percentiles)
        percent = basis["percentile"]["reduction_percent"]
    return Limit(_less(value, percent), basis)


def _by_norm(terms: Terms, place: Place) -> Limit | NoLimit:
    wanted = parse_norm_terms(terms.norm)
    norm = norm_for(wanted, place.building_type, terms.item_code)
    if isinstance(norm, NoNorm):
        return NoLimit(norm.reason, norm.reason_zh)
    if not place.floor_area_m2:
        return NoLimit("method norm needs the site's floor area", "方法 norm 需要建筑面积")
    per_m2, correction = norm.value(wanted.kind), correction_of(wanted)
    percent = terms.reduction_percent or 0.0
    basis = {
        "given": False,
        "method": terms.method,
        "norm": {
            "norm": norm.norm,
            "terms": terms.norm,
            "kind": wanted.kind,
            "per_m2": per_m2,
            "unit": norm.unit,
            "building_type": norm.building_type,
            "floor_area_m2": place.floor_area_m2,
            "source": norm.source,
            "confidence": norm.confidence,
        },
        "reduction_percent": percent,
    }
    if wanted.corrections:
        # The norm is for the corrected value, measured x correction; the limit is for the measured one.
        basis["correction"] = {**dict(wanted.corrections), "factor": correction}
    return Limit(_less(place.floor_area_m2 * per_m2 / correction, percent), basis)


def _less(value: float, percent: float) -> float:
    return round(value * (1.0 - percent / 100.0), 6)


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
    mean = sum(uses[y].energy for y in years) / len(years)
    if mean <= 0:
        return NoLimit("the base years show no use at all", "基准年没有任何用能")
    return mean


def moved(old: float, new: float, min_move: float) -> bool:
    """Whether a computed limit moved enough for a new version."""
    return abs(new - old) > min_move * abs(old)


def _why_not(method: str) -> NoLimit:
    if method == "manual":
        return NoLimit("method manual needs limit_value", "方法 manual 需要 limit_value")
    known = "manual, base_year, mean_years, own_or_peers, norm"
    return NoLimit(f"method {method} is not known; known: {known}", f"未知的方法 {method}; 已知: {known}")
