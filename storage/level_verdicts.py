"""What evidence of a change of level says, as a row of nengliu.finding, with what a person reads of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from metering.findings import finding_kinds

HOUR_S = 3600
#: Hours since 1970, from, up to not included.
Hours = tuple[int, int]


def moment(hour: int) -> datetime:
    """The start of an hour since 1970."""
    return datetime.fromtimestamp(hour * HOUR_S, UTC)


@dataclass(frozen=True, slots=True)
class Verdict:
    """A change of level at a point. sure: it has its kind's severity, else the lowest; detail: the evidence; goes_on:
    it began before the time that was looked at, and `starts` is no more than the begin of that.
    """

    point_id: int
    meter: str | None
    kind: str
    starts: datetime
    ends: datetime | None
    sure: bool
    detail: dict[str, Any] = field(default_factory=dict)
    goes_on: bool = False

    def row(self, site_id: int, source: str) -> dict[str, Any]:
        """As level_put.sql takes it."""
        return {
            "rule_key": f"{source}:{self.point_id}:{self.starts.isoformat()}",
            "kind": self.kind,
            "severity": finding_kinds()[self.kind].severity if self.sure else "warning",
            "meter": self.meter,
            "point_id": self.point_id,
            "site_id": site_id,
            "starts": self.starts.isoformat(),
            "ends": None if self.ends is None else self.ends.isoformat(),
            "detail": {"suspected": True, "evidence": source, **self.detail},
        }


def said(zh: str, en: str) -> dict[str, str]:
    """What a person reads, in both languages."""
    return {"text_zh": zh, "text_en": en}
