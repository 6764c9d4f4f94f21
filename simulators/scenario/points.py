"""What a scenario knows of a metering point and its meter: enough to strike it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from simulators.registers import RegisterFace


@dataclass(frozen=True, slots=True)
class MeteredPoint:
    """A point and the meter that measures it when a run begins. rated, typical: in the item's unit an hour."""

    point_code: str
    site_code: str
    item_code: str
    parent: int | None
    gateway: str
    meter: str
    register: str
    unit: str
    face: RegisterFace
    rated_per_hour: float
    typical_per_hour: float
