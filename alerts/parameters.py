"""Thresholds and parameters as frozen types, read from parameters.toml and forecast_bands.csv beside this file."""

from __future__ import annotations

import csv
import tomllib
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

import numpy as np

from alerts.days import Floats
from alerts.finding_rules import FindingRule
from alerts.forecast import ForecastParameters
from alerts.lifecycle import Care
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
    calm_days: after so many days on end with p90 within the limit its alert is resolved (0: not before the year ends).
    """

    severity: str
    days: int
    band_share: float = 0.0
    calm_days: int = 0

    @property
    def longest_run(self) -> int:
        """How many days on end the rule looks at, at most."""
        return max(self.days, self.calm_days)


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
class Parameters:
    """Everything that assessments and rules are parameterised by. rules: by name; care: by
    severity; findings: rules about findings, by name."""

    levels: LevelThresholds
    limits: LimitParameters
    forecast: ForecastParameters
    rules: dict[str, RuleParameters]
    care: dict[str, Care]
    findings: dict[str, FindingRule]
    months: MonthRule
    profile_band: Band
    run_rate_band: Band


@cache
def shipped_parameters() -> Parameters:
    """The parameters that come with the software."""
    data = tomllib.loads(files("alerts").joinpath("parameters.toml").read_text(encoding="utf-8"))
    bands = _bands()
    return Parameters(
        levels=LevelThresholds(**data["levels"]),
        limits=LimitParameters(**data["limits"], percentiles=PercentileRule(**data["percentiles"])),
        forecast=ForecastParameters(**data["forecast"]),
        rules={name: RuleParameters(**rule) for name, rule in data["rules"].items()},
        findings={
            name: FindingRule(**{**rule, "kinds": tuple(rule["kinds"])})
            for name, rule in data["findings"].items()
        },
        months=MonthRule(**data["months"]),
        care={severity: Care(**care) for severity, care in data["care"].items()},
        profile_band=bands["profile"],
        run_rate_band=bands["run_rate"],
    )


def _bands() -> dict[str, Band]:
    rows: dict[str, list[tuple[float, float, float]]] = {}
    with files("alerts").joinpath("forecast_bands.csv").open(encoding="utf-8") as f:
        for row in csv.DictReader(line for line in f if not line.startswith("#")):
            values = (float(row["missing_share"]), float(row["q10"]), float(row["q90"]))
            rows.setdefault(row["method"], []).append(values)
    tables = {method: np.array(sorted(values)) for method, values in rows.items()}
    return {method: Band(t[:, 0].copy(), t[:, 1].copy(), t[:, 2].copy()) for method, t in tables.items()}
