"""The backtest of warnings counts what the rule would have done."""

from __future__ import annotations

import numpy as np
import pandas as pd

from alerts.backtest_alerts import summary, warned_years
from alerts.parameter_file import shipped_parameters
from alerts.parameters import RuleParameters

LEVELS = shipped_parameters().levels


def year(building, p50, total, width=5.0):
    """A building-year whose use grows evenly to `total`; p50 by day."""
    n = len(p50)
    return pd.DataFrame(
        {
            "building": building,
            "year": 2014,
            "as_of": pd.date_range("2014-01-01", periods=n),
            "used": np.linspace(0.0, total, n),
            "p10": np.asarray(p50) - width,
            "p50": p50,
            "p90": np.asarray(p50) + width,
            "total": total,
        }
    )


def test_true_and_false_warnings_their_lead_and_their_days_are_counted():
    feared = [104.0] * 20 + [90.0] * 80
    daily = pd.concat([year("over", [110.0] * 100, 110.0), year("kept", feared, 90.0)])
    years = warned_years(
        daily, {"over": 100.0, "kept": 100.0}, RuleParameters("", 3, 0.5, calm_days=7), LEVELS
    )
    over, kept = sorted(years, key=lambda y: y.building, reverse=True)
    assert over.spells == ((2, 2, None),)
    assert over.lead_days == over.passed - 2
    assert kept.spells == ((2, 2, 26),)
    found = summary(years)
    assert (found["over"], found["warned"], found["false"], found["false_days"]) == (1, 1, 1, 24)


def test_a_warning_is_confirmed_when_all_of_the_lower_band_is_over_the_limit():
    feared = [104.0] * 20 + [90.0] * 80
    sure = [104.0] * 30 + [110.0] * 70
    daily = pd.concat([year("over", sure, 110.0), year("kept", feared, 90.0)])
    rule = RuleParameters("", 3, 0.5, 1.0, calm_days=7)
    years = warned_years(daily, {"over": 100.0, "kept": 100.0}, rule, LEVELS)
    over, kept = sorted(years, key=lambda y: y.building, reverse=True)
    assert (over.spells, over.confirmed_days) == (((2, 32, None),), over.passed - 32)
    assert kept.spells == ((2, None, 26),)
    found = summary(years)
    assert (found["false"], found["confirmed_false"], found["confirmed_precision"]) == (1, 0, 1.0)
