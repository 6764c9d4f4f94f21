"""What a simulated run gives away, in order of time: messages of gateways, and changes of the registry between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from simulators.registry_rows import InstallationRow


@dataclass(frozen=True, slots=True)
class Emission:
    """One message that a gateway publishes.

    due_us: when, in simulated time; seq: its number in its outbox; payload: or what makes it when it is sent; readings:
    how many values it carries (0 of one that is damaged); awaited: whether an outbox keeps it until it is
    acknowledged. A repeat is an emission of its own.
    """

    due_us: int
    gateway: str
    outbox: str
    seq: int
    payload: bytes | Callable[[], bytes]
    readings: int
    awaited: bool = True


@dataclass(frozen=True, slots=True)
class RegistryChange:
    """Rows of installations.csv that somebody enters at `due_us`, simulated time."""

    due_us: int
    installations: Sequence[InstallationRow]
