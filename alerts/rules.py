"""Rules: which assessments are ground for an alert. Pure functions over assessment columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from alerts.assessment import Assessments, Level
from alerts.days import Bools, Ints
from alerts.parameters import LevelThresholds, RuleParameters

_RANK = {level: rank for rank, level in enumerate(Level)}


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by name. `about_forecast`: it fears what will be; the others state what the registers say."""

    name: str
    ground: Callable[[Assessments, LevelThresholds, RuleParameters], Bools]
    about_forecast: bool


def _forecast_over(a: Assessments, t: LevelThresholds, p: RuleParameters) -> Bools:
    # Once the sum itself is over there is nothing left to foretell: quota_over says so.
    sure = a.p50 - p.band_share * (a.p50 - a.p10)
    return np.asarray((sure > a.limit) & (a.used <= a.limit) & (a.completeness >= t.min_completeness))


def _over(a: Assessments, t: LevelThresholds, _: RuleParameters) -> Bools:
    return np.asarray(a.used > t.over * a.limit)


def _severe(a: Assessments, t: LevelThresholds, _: RuleParameters) -> Bools:
    return np.asarray(a.used > t.severe * a.limit)


def _enforcement(a: Assessments, _: LevelThresholds, __: RuleParameters) -> Bools:
    return np.asarray(a.level == _RANK[Level.ENFORCEMENT])


RULES: tuple[Rule, ...] = (
    Rule("quota_forecast_over", _forecast_over, about_forecast=True),
    Rule("quota_over", _over, about_forecast=False),
    Rule("quota_severe", _severe, about_forecast=False),
    Rule("quota_enforcement", _enforcement, about_forecast=False),
)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a rule says to each assessment, length R each; see lifecycle.Observation."""

    holds: Bools
    complete: Bools
    settled_well: Bools
    gone: Bools
    calm: Bools


def judge(rule: Rule, a: Assessments, last_day: Bools, t: LevelThresholds, p: RuleParameters) -> Verdicts:
    """Verdicts of `rule` on assessments sorted by (series, day), all in one year.

    last_day: whether the row's day is the last of its year. Days that are missing in the sequence break a run.
    """
    ground = rule.ground(a, t, p)
    if rule.about_forecast:
        ground &= ~last_day  # nothing is left to foretell
    complete = np.asarray(a.completeness >= t.min_completeness)
    kept = np.isfinite(a.limit) & (a.p50 <= a.limit) & (a.used <= a.limit) & complete
    nothing = np.zeros(len(ground), dtype=np.bool_)
    calm = nothing
    if rule.about_forecast and p.calm_days:
        within = np.asarray((a.p90 <= a.limit) & complete)
        calm = run_length(within, a.series, a.as_of) >= p.calm_days
    return Verdicts(
        holds=run_length(ground, a.series, a.as_of) >= p.days,
        complete=complete,
        settled_well=kept & last_day if rule.about_forecast else nothing,
        gone=nothing if rule.about_forecast else ~ground,
        calm=calm,
    )


def run_length(ground: Bools, series: Ints, day: Ints) -> Ints:
    """For how many days on end, up to each row, the ground has held; rows sorted by (series, day)."""
    n = len(ground)
    if n == 0:
        return np.zeros(0, dtype=np.int64)
    follows = np.zeros(n, dtype=np.bool_)
    follows[1:] = (series[1:] == series[:-1]) & (day[1:] == day[:-1] + 1)
    position = np.arange(n)
    breaks = ~ground | ~follows
    # A run that starts here counts from this row; a row without ground counts from the next.
    start = np.where(ground, position, position + 1)
    begun = np.maximum.accumulate(np.where(breaks, start, 0))
    return np.where(ground, position - begun + 1, 0)
