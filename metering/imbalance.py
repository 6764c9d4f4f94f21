"""Days on which a total and its sub-meters do not balance. Pure.

What sub-meters do not show is losses and what none of them measures, and is no wonder; that they show more than their
total is one, as is a loss beyond what a person says is usual. See docs/decisions/levels.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from metering.rules import Rules

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

#: Displays count in steps: so many of all meters together are no difference.
DISPLAY_STEPS = 2


@dataclass(frozen=True, slots=True)
class FamilyDays:
    """Days that a total and all of its sub-meters measured wholly: energy of both, shape (days,), in the item's unit;
    step: what the displays of all these meters count in, added up.
    """

    total: Floats
    children: Floats
    step: float


def out_of_balance(days: FamilyDays, rules: Rules) -> Bools:
    """Days on which the sub-meters show more than the total by over rules.balance_over of it, or less by over
    rules.balance_loss, beyond what displays cannot tell; shape (days,).
    """
    more = days.children - days.total
    beyond = DISPLAY_STEPS * days.step
    found: Bools = (more > rules.balance_over * days.total + beyond) | (
        -more > rules.balance_loss * days.total + beyond
    )
    return found
