"""The pilot's rule on metered buildings: who was over the base year's use, and which day what would have warned of it.

Limits of 2014 and 2015 are the use of 2011, whole or less the reductions that Beijing announced (6% in 2014, 12% in
2015). Over by more than 20%, and that two years running, is what 民用建筑节能管理办法 (Beijing, 2014) punishes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from alerts.backtest_alerts import warned_years
from alerts.parameters import LevelThresholds, RuleParameters

BASE_YEAR = 2011
YEARS = (2014, 2015)
#: Reductions on the base year's use: none, and as announced.
REDUCTIONS: dict[str, dict[int, float]] = {
    "base": {2014: 0.0, 2015: 0.0},
    "reduced": {2014: 0.06, 2015: 0.12},
}


@dataclass(frozen=True, slots=True)
class Judged:
    """A building-year under a limit. Days are days of the year, from 0, at whose end a thing was known.

    ratio: use / limit. passed: the limit was passed. warned: the forecast rule's first alert; resolved: when its last
    was, if it was; stood: whether one stood when the limit was passed. confirmed: the first day on which one was more
    than provisional; confirmed_days: for how long when the limit was passed, None: none was. severe_warned: the same
    rule's first alert for 1.2 times the limit. run_rate: first day on which the mean use so far, spread over the year,
    was over the limit for as many days on end as the rule waits; run_rate_standing: whether it was so on the day before
    the limit was passed, or before the year's end.
    """

    building: str
    year: int
    ratio: float
    days: int
    passed: int | None
    warned: int | None
    resolved: int | None
    stood: bool
    confirmed: int | None
    confirmed_days: int | None
    severe_warned: int | None
    run_rate: int | None
    run_rate_standing: bool

    def before_end(self, day: int | None) -> int | None:
        """Days from the end of `day` to the end of the year."""
        return None if day is None else self.days - 1 - day


def judge_years(
    daily: pd.DataFrame,
    limits: Mapping[tuple[str, int], float],
    rule: RuleParameters,
    levels: LevelThresholds,
) -> list[Judged]:
    """Every building-year of `daily` (Backtest.run with step_days=1) that has a limit."""
    out = []
    for _, rows in daily.sort_values("as_of").groupby(["building", "year"]):
        building, year = str(rows["building"].iloc[0]), int(rows["year"].iloc[0])
        limit = limits.get((building, year))
        if limit is None:
            continue
        (quota,) = warned_years(rows, {building: limit}, rule, levels)
        (severe,) = warned_years(rows, {building: levels.severe * limit}, rule, levels)
        fears = rows["run_rate"].to_numpy() > limit
        last = len(rows) if quota.passed is None else quota.passed
        out.append(
            Judged(
                building=building,
                year=year,
                ratio=float(rows["total"].iloc[0]) / limit,
                days=len(rows) + 1,
                passed=quota.passed,
                warned=quota.spells[0][0] if quota.spells else None,
                resolved=quota.spells[-1][2] if quota.spells else None,
                stood=quota.lead_days is not None,
                confirmed=next((c for _, c, _ in quota.spells if c is not None), None),
                confirmed_days=quota.confirmed_days,
                severe_warned=severe.spells[0][0] if severe.spells else None,
                run_rate=_first_run(fears[:last], rule.days),
                run_rate_standing=bool(last and fears[last - 1]),
            )
        )
    return out


def pilot_limits(energy: pd.DataFrame, reduction: Mapping[int, float]) -> dict[tuple[str, int], float]:
    """Limit by building and year: the base year's use less the reduction; none for a building without base year."""
    base = energy.loc[f"{BASE_YEAR}-01-01" : f"{BASE_YEAR}-12-31"].sum(min_count=365)
    return {
        (str(b), year): float(use) * (1.0 - cut)
        for b, use in base.dropna().items()
        for year, cut in reduction.items()
    }


def twice(years: Iterable[Judged], over: float) -> list[str]:
    """Buildings whose use was more than `over` times the limit in every one of YEARS."""
    found: dict[str, set[int]] = {}
    for y in years:
        if y.ratio > over:
            found.setdefault(y.building, set()).add(y.year)
    return sorted(b for b, ys in found.items() if ys >= set(YEARS))


def in_sum(years: Sequence[Judged], levels: LevelThresholds) -> dict[str, float | int | list[str]]:
    """Counts of building-years, and median days before the year's end of the first word of those that were over."""
    over = [y for y in years if y.ratio > levels.over]
    kept = [y for y in years if y.ratio <= levels.over]
    warned = [y for y in over if y.stood]
    by_rate = [y for y in over if y.run_rate is not None]
    return {
        "building_years": len(years),
        "over": len(over),
        "over_severely": sum(y.ratio > levels.severe for y in years),
        "over_twice": twice(years, levels.over),
        "severe_twice": twice(years, levels.severe),
        "warned": len(warned),
        "warned_days_before_end": _median(y.before_end(y.warned) for y in warned),
        "warned_days_before_limit": _median((y.passed or 0) - (y.warned or 0) for y in warned),
        "confirmed": sum(y.confirmed_days is not None for y in over),
        "confirmed_days_before_end": _median(
            y.before_end(y.confirmed) for y in over if y.confirmed_days is not None
        ),
        "confirmed_days_before_limit": _median(y.confirmed_days for y in over),
        "false": sum(y.warned is not None for y in kept),
        "false_confirmed": sum(y.confirmed is not None for y in kept),
        "false_to_end": sum(y.warned is not None and y.resolved is None for y in kept),
        "run_rate_warned": len(by_rate),
        "run_rate_days_before_end": _median(y.before_end(y.run_rate) for y in by_rate),
        "run_rate_false": sum(y.run_rate is not None for y in kept),
        "run_rate_false_at_end": sum(y.run_rate_standing for y in kept),
    }


def _first_run(holds: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], days: int) -> int | None:
    run = 0
    for day, held in enumerate(holds):
        run = run + 1 if held else 0
        if run >= days:
            return day
    return None


def _median(values: Iterable[int | None]) -> float:
    known = [v for v in values if v is not None]
    return float(np.median(known)) if known else float("nan")
