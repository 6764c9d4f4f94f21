"""The parameters of the rules that judge registers and the steps between them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rules:
    """Parameters of validation, set for an item, a meter model or a point, else these (docs/decisions/validation.md).

    rated_margin: energy of a step may exceed what the rated power allows by this factor (MOHURD guidelines 2008, from
    memory). rate_margin: where no rated power is known, the mean rate of the steps before. still_days: for so long a
    point must never have stood still for standing still to be doubtful.
    """

    rated_margin: float = 2.0
    rate_margin: float = 10.0
    still_days: float = 28.0
