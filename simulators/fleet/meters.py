"""The meters of a fleet: numbers, registers and faces. What they show is on the secondary side of transformers."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

import numpy as np

from metering.items import item_unit
from simulators.fleet.tables import meter_ratios
from simulators.registers import RegisterFace

#: Instant registers of an electricity meter at the head of a site, and of a heat meter.
ELECTRIC_INSTANTS = ("16.7.0", "32.7.0", "52.7.0", "72.7.0", "31.7.0", "51.7.0", "71.7.0")
HEAT_INSTANTS = ("6:8.0.0", "6:9.0.0", "6:10.0.0", "6:11.0.0")

#: Item -> cumulative register, first digits of the meter's number (kind of CJ/T 188; none for electricity: DL/T 645
#: addresses have 12 digits), digits, decimals.
_REGISTERS = {
    "01": ("1.8.0", "", 6, 2),
    "02": ("8:1.0.0", "10", 7, 2),
    "03": ("7:3.0.0", "30", 7, 2),
    "04": ("6:1.0.0", "20", 6, 3),
    "05": ("5:1.0.0", "21", 6, 3),
}
_NUMBERS_A_SEED = 61_007
#: Share of its capacity up to which a register may have counted before the run.
_MOST_COUNTED = 0.75


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter of a point: its number, cumulative register, display unit, face, and instants that it sends."""

    number: str
    register: str
    unit: str
    face: RegisterFace
    instants: tuple[str, ...]


@dataclass(slots=True)
class MeterMaker:
    """Makes meters, each with a number of its own: fleets of neighbouring seeds share none."""

    seed: int
    made: int = field(default=0)

    def make(
        self,
        district_code: str,
        item_code: str,
        rated_per_hour: float,
        *,
        is_root: bool,
        chance: np.random.Generator,
    ) -> Meter:
        """A meter for a load of up to `rated_per_hour`."""
        self.made += 1
        item = item_code[:2]
        register, prefix, digits, decimals = _REGISTERS[item]
        ratio = Decimal(1)
        if item == "01":
            size = next(r for r in meter_ratios() if rated_per_hour <= r.most_kw)
            ratio, digits, decimals = size.ratio, size.digits, size.decimals
        counted = int(chance.random() * _MOST_COUNTED * 10 ** (digits + decimals))
        face = RegisterFace(digits, decimals, ratio, Decimal(counted).scaleb(-decimals))
        instants = ELECTRIC_INSTANTS if item == "01" and is_root else HEAT_INSTANTS if item == "04" else ()
        number = (self.seed * _NUMBERS_A_SEED + self.made) % 10**6
        return Meter(f"{prefix}{district_code}{number:06d}", register, item_unit(item), face, instants)
