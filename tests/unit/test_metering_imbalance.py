"""Days on which a total and its sub-meters do not balance."""

from __future__ import annotations

import numpy as np
import pytest

from metering.imbalance import FamilyDays, out_of_balance
from metering.rules import Rules


@pytest.mark.parametrize(
    ("total", "children", "step", "rules", "wrong"),
    [
        (100.0, 104.0, 0.01, Rules(), False),
        (100.0, 106.0, 0.01, Rules(), True),
        (100.0, 106.0, 1.0, Rules(), False),
        (0.0, 30.0, 0.01, Rules(), True),
        (100.0, 10.0, 0.01, Rules(), False),
        (100.0, 0.0, 0.0, Rules(), False),
        (100.0, 78.0, 0.01, Rules(balance_loss=0.2), True),
        (100.0, 81.0, 0.01, Rules(balance_loss=0.2), False),
        (100.0, 106.0, 0.01, Rules(balance_over=0.1), False),
    ],
    ids=[
        "within the tolerance", "more than the total", "displays count too coarsely to say", "the total shows nothing",
        "what no sub-meter measures", "sub-meters that stand still", "more is lost than usual", "as much as usual",
        "a point's own tolerance",
    ],
)  # fmt: skip
def test_which_days_are_out_of_balance(total, children, step, rules, wrong):
    days = FamilyDays(np.array([total]), np.array([children]), step)
    assert out_of_balance(days, rules).tolist() == [wrong]
