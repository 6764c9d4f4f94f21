"""Rules: which assessments are ground for an alert. Pure functions over assessment columns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np

from alerts.assessment import Assessments, Level
from alerts.days import Bools, Floats, Ints
from alerts.forecast import METHOD_RUN_RATE
from alerts.parameters import LevelThresholds, RuleParameters

_RANK = {level: rank for rank, level in enumerate(Level)}


class About(StrEnum):
    """What a rule is about, and so how its alert ends without a person.

    FACT: what the registers say; retracted where a correction takes the ground away. FORECAST: what is feared;
    resolved where it has been unlikely for long enough, or did not come true. STATE: how things stand; resolved when it
    has not been so for long enough.
    """

    FACT = "fact"
    FORECAST = "forecast"
    STATE = "state"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule by name; needs_data: its evidence must be complete enough, else its alert stays provisional."""

    name: str
    ground: Callable[[Assessments, LevelThresholds, RuleParameters], Bools]
    about: About
    needs_data: bool = True


def _forecast_over(a: Assessments, t: LevelThresholds, p: RuleParameters) -> Bools:
    # Once the sum itself is over there is nothing left to foretell: quota_over says so.
    sure = a.p50 - p.band_share * (a.p50 - a.p10)
    return np.asarray((sure > a.limit) & (a.used <= a.limit) & (a.completeness >= t.min_completeness))


def _pace(a: Assessments, t: LevelThresholds, p: RuleParameters) -> Bools:
    # Where the year is likely to end over the limit, that is what is to be said.
    ahead = a.used > (1.0 + p.margin) * a.share * a.limit
    kept = (a.used <= a.limit) & (a.p50 <= a.limit)
    return np.asarray(ahead & kept & (a.share >= p.min_share) & (a.completeness >= t.min_completeness))


def _no_verdict(a: Assessments, t: LevelThresholds, _: RuleParameters) -> Bools:
    # A meter that is read once a month waits for most of it, and nobody has to act.
    known = a.completeness if a.waiting is None else a.completeness + a.waiting
    return np.asarray(np.isfinite(a.limit) & (a.used <= a.limit) & (known < t.min_completeness))


def _over(a: Assessments, t: LevelThresholds, _: RuleParameters) -> Bools:
    return np.asarray(a.used > t.over * a.limit)


def _severe(a: Assessments, t: LevelThresholds, _: RuleParameters) -> Bools:
    return np.asarray(a.used > t.severe * a.limit)


def _enforcement(a: Assessments, t: LevelThresholds, _: RuleParameters) -> Bools:
    return np.asarray((a.level == _RANK[Level.ENFORCEMENT]) & (a.used > t.severe * a.limit))


RULES: tuple[Rule, ...] = (
    Rule("quota_forecast_over", _forecast_over, About.FORECAST),
    Rule("quota_over", _over, About.FACT),
    Rule("quota_severe", _severe, About.FACT),
    Rule("quota_enforcement", _enforcement, About.FACT),
    Rule("quota_pace", _pace, About.STATE),
    Rule("quota_no_verdict", _no_verdict, About.STATE, needs_data=False),
)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a rule says to each assessment, length R each; see lifecycle.Observation."""

    holds: Bools
    complete: Bools
    settled_well: Bools
    gone: Bools
    calm: Bools
    unlimited: Bools


def judge(
    rule: Rule,
    a: Assessments,
    last_day: Bools,
    t: LevelThresholds,
    p: RuleParameters,
    doubt: Floats | None = None,
    seasonal: Bools | None = None,
) -> Verdicts:
    """Verdicts of `rule` on assessments sorted by (series, day), all in one year.

    last_day: whether the row's day is the last of its year; doubt: how much of each row's use may be none (None:
    nothing); seasonal: whether it follows the weather (None: nothing does). Days that are missing in the sequence break
    a run.
    """
    ground = rule.ground(a, t, p)
    if rule.about is About.FORECAST:
        ground &= ~last_day  # nothing is left to foretell
    complete = np.asarray(a.completeness >= t.min_completeness)
    if doubt is not None:
        complete = complete & _beyond_doubt(rule, a, t, p, doubt)
    nothing = np.zeros(len(ground), dtype=np.bool_)
    settled_well = calm = nothing
    firm = complete
    if rule.about is About.FORECAST:
        firm = complete & _firm(rule, a, t, p, seasonal)
        kept = np.isfinite(a.limit) & (a.p50 <= a.limit) & (a.used <= a.limit) & complete
        settled_well = kept & last_day
    if rule.about is not About.FACT and p.calm_days:
        within = ~ground if rule.about is About.STATE else np.asarray((a.p90 <= a.limit) & complete)
        calm = run_length(within, a.series, a.as_of) >= p.calm_days
    return Verdicts(
        holds=run_length(ground, a.series, a.as_of) >= p.days,
        complete=firm if rule.needs_data else ~nothing,
        settled_well=settled_well,
        gone=~ground if rule.about is About.FACT else nothing,
        calm=calm,
        unlimited=~np.isfinite(a.limit),
    )


def _firm(rule: Rule, a: Assessments, t: LevelThresholds, p: RuleParameters, seasonal: Bools | None) -> Bools:
    """Whether a forecast says enough for an alert that is confirmed."""
    sure = rule.ground(a, t, replace(p, band_share=max(p.band_share, p.confirm_share)))
    firm = run_length(sure, a.series, a.as_of) >= p.days
    return firm if seasonal is None else firm & ~(seasonal & (a.method == METHOD_RUN_RATE))


def _beyond_doubt(rule: Rule, a: Assessments, t: LevelThresholds, p: RuleParameters, doubt: Floats) -> Bools:
    """Whether the ground would be there without what is in doubt; of what rests on the course of use: nothing is."""
    if rule.about is About.FACT:
        return rule.ground(replace(a, used=a.used - doubt), t, p)
    return np.asarray(doubt == 0)


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
