"""What a lasting or passing change of a meter's scale is called, and how sure that is. Pure; docs/decisions/levels.md.

Current transformers come in standard ratings, so the ratio that was entered is off by a plain factor. A phase that is
lost takes about a third of the energy and comes back one day. Where a third is missing for good it may be either.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import log

CT_CHANGED = "ct_changed"
PHASE_LOST = "phase_lost"

#: Quotients of neighbouring standard ratings (GB/T 20840.2: 10, 12.5, 15, 20, 25, 30, 40, 50, 60, 75 A and decades).
PLAIN_FACTORS = tuple(
    sorted(
        f
        for q in ("6/5", "5/4", "4/3", "3/2", "8/5", "5/3", "2", "5/2", "3", "4", "5")
        for f in (Fraction(q), 1 / Fraction(q))
    )
)


@dataclass(frozen=True, slots=True)
class KindRule:
    """Parameters: tolerance: of a plain factor, relative; third: share of the energy that a lost phase may take;
    ct_least_h, odd_least_h: hours before a lasting plain, or other, factor is told; phase_most_h: hours after which
    a plain 2/3 is rather a ratio than a phase; sure: confidence from which a finding has its kind's full severity;
    rival: where another point explains it more nearly as well than this, nobody can say whose it is: nothing is told.
    """

    tolerance: float = 0.02
    third: tuple[float, float] = (0.25, 0.42)
    ct_least_h: int = 24
    odd_least_h: int = 168
    phase_most_h: int = 21 * 24
    sure: float = 0.7
    rival: float = 0.97


@dataclass(frozen=True, slots=True)
class Named:
    """kind: of metering/finding_kinds.csv; confidence 0..1; factor: the plain one that fits, as text; instead: the
    other kind that fits as well, for a person to decide.
    """

    kind: str
    confidence: float
    factor: str | None = None
    instead: str | None = None


def plain_factor(scale: float, tolerance: float) -> Fraction | None:
    """The plain factor nearest to `scale`, None where none is within the tolerance."""
    nearest = min(PLAIN_FACTORS, key=lambda f: abs(log(scale / f)))
    return nearest if abs(scale / nearest - 1) <= tolerance else None


def name_scale(
    scale: float,
    hours: int,
    *,
    lasting: bool,
    rival: float,
    phases_alive: bool | None,
    rule: KindRule = KindRule(),
) -> Named | None:
    """What a change of scale is, None where it is nothing that can be told from clocks, gaps and noise.

    rival: see metering.levels.Shift; phases_alive: whether the meter shows all voltages and currents in that time,
    None where it sends none.
    """
    factor = plain_factor(scale, rule.tolerance)
    third = rule.third[0] <= 1 - scale <= rule.third[1] and phases_alive is not True
    text = None if factor is None else str(factor)
    if rival > rule.rival:
        return None
    unsure = 0.75 if rival > 0.8 else 0.9 if rival > 0.5 else 1.0
    if third:
        if lasting and factor == Fraction(2, 3) and hours > rule.phase_most_h:
            return Named(CT_CHANGED, 0.6 * unsure, text, PHASE_LOST)
        if not lasting:
            return Named(PHASE_LOST, 0.95 * unsure)
        return Named(PHASE_LOST, (0.6 if factor is not None else 0.8) * unsure, text, CT_CHANGED)
    if not lasting or hours < (rule.ct_least_h if factor is not None else rule.odd_least_h):
        return None
    return Named(CT_CHANGED, (0.95 if factor is not None else 0.4) * unsure, text)
