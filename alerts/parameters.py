"""Thresholds and parameters of assessments, forecasts and rules as frozen types; values: parameter_file.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import numpy as np

from alerts.days import Floats
from alerts.finding_rules import FindingRule
from alerts.forecast import ForecastParameters
from alerts.lifecycle import Care
from alerts.load_rules import LoadParameters
from alerts.month_rule import MonthRule
from alerts.percentiles import PercentileRule


@dataclass(frozen=True, slots=True)
class LevelThresholds:
    """Shares of the limit at which a level holds, and the completeness that a forecast's verdict needs."""

    over: float
    severe: float
    min_completeness: float


@dataclass(frozen=True, slots=True)
class LimitParameters:
    """min_coverage: share of a base year that good registers must cover; min_move: relative step to a new version."""

    min_coverage: float
    min_move: float
    percentiles: PercentileRule = field(default_factory=PercentileRule)


@dataclass(frozen=True, slots=True)
class RuleParameters:
    """A rule's severity, and for how many assessed days on end its ground must hold before an alert opens.

    Of a rule about the forecast: band_share: how far down from p50 to p10 the forecast must still be over the limit;
    confirm_share: the same, for as many days, for its alert to be more than provisional; seasonal_items: items, by
    their first characters, of which a site that has no year before tells too little for that;
    calm_days: after so many days on end with p90 within the limit its alert is resolved (0: not before the year ends);
    of a rule about a state: without its ground. Of the pace: margin: by which share of what should have been used it
    must be ahead; min_share: from which share of the year's expected use on. enabled: a rule that is not opens nothing;
    what it told of before ends as ever.
    """

    severity: str
    days: int
    band_share: float = 0.0
    confirm_share: float = 0.0
    seasonal_items: tuple[str, ...] = ()
    calm_days: int = 0
    margin: float = 0.0
    min_share: float = 0.0
    enabled: bool = True

    @property
    def longest_run(self) -> int:
        """How many days on end the rule looks at, at most."""
        return max(self.days, self.calm_days)


@dataclass(frozen=True, slots=True)
class DoubtParameters:
    """How long alerts wait for what an exchanged meter or ratio may have added, and from which step on (doubts.py)."""

    days: int
    least_scale: float


@dataclass(frozen=True, slots=True)
class Band:
    """Quantiles of ln(actual / expected) of energy still to come, by the share of the year that is missing."""

    share: Floats
    q10: Floats
    q90: Floats

    def quantiles(self, share: Floats) -> tuple[Floats, Floats]:
        """q10 and q90 at each share (0..1), linear between the table's rows."""
        return np.interp(share, self.share, self.q10), np.interp(share, self.share, self.q90)


@dataclass(frozen=True, slots=True)
class BandParameters:
    """How a series' own past errors widen or narrow the table of bands (forecast_band.own_scale).

    prior_years: for how many years of own errors the table counts. min_share: errors of forecasts with less of the
    year to come than this are not looked at. most: an error counts at most as so many half-widths of the table.
    """

    prior_years: float
    min_share: float
    most: float


@dataclass(frozen=True, slots=True)
class Parameters:
    """Everything that assessments and rules are parameterised by. rules: by name; care: by severity; findings: rules
    about findings, loads: about loads, by name.

    of_types, of_sites: what is other of rules (or of "months") for a building type or a site code, by (that, name);
    what is said of a site counts before what is said of its type.
    """

    levels: LevelThresholds
    limits: LimitParameters
    forecast: ForecastParameters
    rules: dict[str, RuleParameters]
    care: dict[str, Care]
    findings: dict[str, FindingRule]
    months: MonthRule
    doubt: DoubtParameters
    loads: dict[str, LoadParameters]
    band: BandParameters
    profile_band: Band
    run_rate_band: Band
    of_types: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)
    of_sites: Mapping[tuple[str, str], Mapping[str, Any]] = field(default_factory=dict)

    def rule(self, name: str, site_code: str, building_type: str | None) -> RuleParameters:
        """A rule about quotas as it is for a site."""
        return replace(self.rules[name], **self._own(name, site_code, building_type))

    def load(self, name: str, site_code: str, building_type: str | None) -> LoadParameters:
        """A rule about loads as it is for a site."""
        return replace(self.loads[name], **self._own(name, site_code, building_type))

    def finding(self, name: str, site_code: str | None, building_type: str | None) -> FindingRule:
        """A rule about findings as it is for those of a site; None: of no site, or of several."""
        return replace(self.findings[name], **self._own(name, site_code or "", building_type))

    def least_patience(self, name: str) -> timedelta:
        """After how long a finding is ground for a rule, where that is soonest."""
        said = [*self.of_types.items(), *self.of_sites.items()]
        own = [float(says["after_h"]) for (_, rule), says in said if rule == name and "after_h" in says]
        return timedelta(hours=min([*own, self.findings[name].after_h]))

    def month(self, site_code: str, building_type: str | None) -> MonthRule:
        """The rule about months as it is for a site."""
        return replace(self.months, **self._own("months", site_code, building_type))

    @property
    def longest_run(self) -> int:
        """How many days on end any rule about quotas looks at, at most."""
        said = [*self.of_types.items(), *self.of_sites.items()]
        own = [int(v) for (_, rule), says in said if rule in self.rules for v in _days_of(says)]
        return max([*own, *(p.longest_run for p in self.rules.values())])

    def _own(self, name: str, site_code: str, building_type: str | None) -> dict[str, Any]:
        of_type = self.of_types.get((building_type or "", name), {})
        return {**of_type, **self.of_sites.get((site_code, name), {})}


def _days_of(says: Mapping[str, Any]) -> Iterator[int]:
    return (says[key] for key in ("days", "calm_days") if key in says)
