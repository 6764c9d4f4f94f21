"""Where a site stands among its peers, and what that means for its reduction. Pure.

The best of a peer group (least use per m2 in the base years) are exempt from reduction, the worst are cut by more. A
rule of the announcements of 2014-15 in Beijing (the best 5%); off unless parameters.toml says otherwise.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Any


class Band(StrEnum):
    """Where in its group a site stands."""

    BEST = "best"
    MIDDLE = "middle"
    WORST = "worst"


@dataclass(frozen=True, slots=True)
class PercentileRule:
    """enabled: whether it is applied; percent of a group that is exempt, percent that is cut by more, and by how many
    percentage points more.
    """

    enabled: bool = False
    best_percent: float = 0.0
    worst_percent: float = 0.0
    worst_extra_percent: float = 0.0


@dataclass(frozen=True, slots=True)
class PeerGroup:
    """Yearly use per m2 of the sites of one building type over the base years, rising; a dated snapshot."""

    building_type: str
    rates: tuple[float, ...]
    as_of: date

    @property
    def mean(self) -> float:
        """Mean use per m2, each site counting alike."""
        return sum(self.rates) / len(self.rates)


def peer_group(building_type: str, uses: Sequence[tuple[float, float]], as_of: date) -> PeerGroup | None:
    """The group of (yearly energy, floor area in m2) of sites; None where no site has an area."""
    rates = sorted(energy / area for energy, area in uses if area > 0)
    return PeerGroup(building_type, tuple(rates), as_of) if rates else None


def band_of(per_m2: float, rates: Sequence[float], rule: PercentileRule) -> Band:
    """Where a site with a use per m2 stands among rising `rates`, its own included.

    Never more sites than the percentage says are best or worst: those that tie at its edge are in the middle.
    """
    if bisect_right(rates, per_m2) <= _count(len(rates), rule.best_percent):
        return Band.BEST
    if len(rates) - bisect_left(rates, per_m2) <= _count(len(rates), rule.worst_percent):
        return Band.WORST
    return Band.MIDDLE


def reduction_in(band: Band, percent: float, rule: PercentileRule) -> float:
    """The reduction of a site in a band, in percent."""
    if band is Band.BEST:
        return 0.0
    return min(percent + rule.worst_extra_percent, 100.0) if band is Band.WORST else percent


def standing(per_m2: float, group: PeerGroup, percent: float, rule: PercentileRule) -> dict[str, Any]:
    """What a version of a limit says of the rule: the group as of a day, the site's place in it, the reduction."""
    band = band_of(per_m2, group.rates, rule)
    return {
        "building_type": group.building_type,
        "as_of": group.as_of.isoformat(),
        "sites": len(group.rates),
        "per_m2": per_m2,
        "rank": bisect_left(group.rates, per_m2) + 1,
        "best_percent": rule.best_percent,
        "worst_percent": rule.worst_percent,
        "band": band.value,
        "reduction_percent": reduction_in(band, percent, rule),
    }


def _count(sites: int, percent: float) -> int:
    return math.floor(sites * percent / 100.0 + 1e-9)
