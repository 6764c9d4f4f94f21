"""What a vendor's name stands for: a register of ours, times a scale, of a meter where the name says that, too."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from collectors.decoders.base import name_problem
from collectors.decoders.json_text import OddNumber
from metering.registers import register_table


@dataclass(frozen=True, slots=True)
class Target:
    """What a name stands for: a register, its value times `scale`; of `meter`, where the name says that, too."""

    register: str
    scale: Decimal
    meter: str | None = None

    def scaled(self, value: Any) -> Any:
        """A number times `scale`, rounded once; anything else as it is."""
        if isinstance(value, bool) or not isinstance(value, int | float) or self.scale == 1:
            return value
        number = float(Decimal(str(value)) * self.scale)
        return number if math.isfinite(number) else OddNumber("1e999")


def target(name: str, register: str, scale: Any = 1, meter: str | None = None) -> Target:
    """The target that a file declares for `name`. Raises ValueError, saying which and why."""
    if register not in register_table():
        raise ValueError(f"{name}: register {register!r} is not in the table of registers")
    if isinstance(scale, bool) or not isinstance(scale, int | Decimal):
        raise ValueError(f"{name}: scale {scale!r} is not a number")
    number = Decimal(scale)
    if not number.is_finite() or not Decimal("1e-12") <= abs(number) <= Decimal("1e12"):
        raise ValueError(f"{name}: scale {scale} is not between 1e-12 and 1e12")
    if meter is not None and (problem := name_problem(meter, f"meter of {name}")):
        raise ValueError(problem)
    return Target(register, number, meter)
