"""How faults that somebody records change the registry: rows of installations.csv that are entered at once or late."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from simulators.emission import RegistryChange
from simulators.registry_rows import InstallationRow
from simulators.scenario.draw import Fault
from simulators.scenario.gateway_run import other_gateway

_SECOND_US = 1_000_000
#: to_us is the time of reading at or after the entry: at most an interval later than it.
_NEXT_US = 3_600_000_000


class Installed:
    """The rows that are true now, whether the registry knows them or not; zone: of the times in new rows.

    Of a row that it does not know, because nobody entered what was before, nothing is entered.
    """

    def __init__(self, rows: Iterable[InstallationRow], zone: str) -> None:
        self._open = list(rows)
        self._known = {_key(r) for r in self._open}
        self._zone = ZoneInfo(zone)

    def new_register(
        self, fault: Fault, point_code: str, register: str, happened: Mapping[str, Any]
    ) -> RegistryChange | None:
        """What is entered where a meter or its transformers were changed; `register`: the one that counts."""
        at = self._moment(fault.from_us)
        ended, begun = [], []
        for row in [r for r in self._open if r.point_code == point_code]:
            counts = row.register == register
            end = _decimal(happened["end_value"]) if counts else None
            start = _decimal(happened["start_value"]) if counts else None
            ended.append(replace(row, removed_at=at, end_value=end))
            begun.append(
                replace(
                    row, meter=str(happened["meter"]), ratio=Decimal(happened["ratio"]), installed_at=at,
                    start_value=start,
                )
            )  # fmt: skip
        return self._entered(fault, ended, begun)

    def new_gateway(
        self, fault: Fault, registers: Mapping[str, str], values: Mapping[str, float]
    ) -> RegistryChange | None:
        """What is entered where a gateway was changed; registers, values: of each point, the one that counts and what
        it showed then.
        """
        at = self._moment(fault.from_us)
        ended, begun = [], []
        for row in [r for r in self._open if r.point_code in values]:
            counts = registers[row.point_code] == row.register
            shown = _decimal(values[row.point_code]) if counts else None
            ended.append(replace(row, removed_at=at, end_value=shown))
            begun.append(replace(row, gateway=other_gateway(row.gateway), installed_at=at, start_value=shown))
        return self._entered(fault, ended, begun)

    def _entered(
        self, fault: Fault, ended: list[InstallationRow], begun: list[InstallationRow]
    ) -> RegistryChange | None:
        gone = {_key(r) for r in ended}
        self._open = [r for r in self._open if _key(r) not in gone] + begun
        pairs = [(old, new) for old, new in zip(ended, begun, strict=True) if _key(old) in self._known]
        if fault.values.get("record") not in ("announced", "late") or not pairs:
            return None
        late_us = fault.us("late_by") if fault.values["record"] == "late" else 0
        due_us = -(-(fault.from_us + late_us) // _SECOND_US) * _SECOND_US
        if late_us and due_us > fault.to_us + _NEXT_US:
            return None  # the run is over before anybody enters it
        self._known |= {_key(new) for _, new in pairs}
        return RegistryChange(due_us, tuple(row for pair in pairs for row in pair))

    def _moment(self, us: int) -> datetime:
        return datetime.fromtimestamp(us / 1e6, UTC).astimezone(self._zone)


def _key(row: InstallationRow) -> tuple[str, str, datetime]:
    return row.meter, row.register, row.installed_at


def _decimal(value: float) -> Decimal:
    return Decimal(repr(value))
