"""The monthly plan of a yearly limit: twelve values that sum to it exactly. Pure.

A plan is given as twelve weights; where the limit is given too, they are values in the item's unit that sum to it but
for rounding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

MONTHS = 12
#: Months are kept to a millionth of the item's unit, as computed limits are.
QUANTUM = Decimal("0.000001")


def plan_problem(plan: Sequence[float], limit_value: float | None) -> str | None:
    """Why these cannot be the months of a limit (None: a limit yet to be computed); None where they can."""
    if not plan:
        return None
    if len(plan) != MONTHS:
        return f"monthly_plan has {len(plan)} values, expected 12 (January to December, separated by ;)"
    wrong = next((v for v in plan if not (math.isfinite(v) and v >= 0)), None)
    if wrong is not None:
        return f"monthly_plan: {wrong:g} must be a number of zero or more"
    total = math.fsum(plan)
    if limit_value is None:
        return None if total > 0 else "monthly_plan: the twelve shares are all zero"
    if abs(total - limit_value) > rounding_of(plan) or (total == 0 and limit_value > 0):
        return f"monthly_plan sums to {total:.15g}, not to the limit_value {limit_value:.15g}"
    return None


def rounding_of(plan: Sequence[float]) -> float:
    """How far twelve values may be off their sum, each rounded to the finest decimal among them, and the sum too."""
    finest = min(_exponent(v) for v in plan)
    return float((len(plan) + 1) * Decimal(1).scaleb(finest) / 2)


def monthly_plan(limit_value: float, weights: Sequence[float]) -> tuple[Decimal, ...]:
    """Twelve months in proportion to the weights whose sum is the limit as it is written, exactly.

    What rounding to QUANTUM leaves over goes to the months that lost most by it, a quantum each. Raises ValueError
    where all weights are zero and the limit is not.
    """
    total = Decimal(repr(limit_value))
    exact = [Fraction(Decimal(repr(w))) for w in weights]
    whole = sum(exact)
    if whole == total:
        return tuple(Decimal(repr(w)) for w in weights)
    if whole == 0:
        raise ValueError("twelve weights of zero divide nothing")
    shares = [Fraction(total) * w / whole for w in exact]
    months = [_floor(share) for share in shares]
    left = total - sum(months)
    lost = sorted(range(len(shares)), key=lambda n: (Fraction(months[n]) - shares[n], n))
    for n in lost[: int(left / QUANTUM)]:
        months[n] += QUANTUM
        left -= QUANTUM
    months[lost[0]] += left  # what a limit has beyond a millionth
    return tuple(months)


def _floor(share: Fraction) -> Decimal:
    steps = share / Fraction(QUANTUM)
    return Decimal(steps.numerator // steps.denominator) * QUANTUM


def _exponent(value: float) -> int:
    """The power of ten of the last decimal that is written, 0 for whole numbers."""
    exponent = Decimal(repr(value)).normalize().as_tuple().exponent
    assert isinstance(exponent, int)  # finite
    return min(exponent, 0)
