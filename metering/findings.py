"""Findings: what a person should know of the data. Their kinds, and when silence is one. Pure; no I/O.

The kinds are data (finding_kinds.csv beside this file), shared with the simulators' scenario files; found_by names
the rule that finds a kind, and is empty where none does yet. For the rules of silence see docs/decisions/findings.md.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files

SILENT_METER = "silent_meter"
SILENT_GATEWAY = "silent_gateway"
NOTHING_RECEIVED = "nothing_received"
SEQUENCE_GAP = "sequence_gap"


class FindingState(StrEnum):
    """open: nobody judged it; accepted, refused: a person did; withdrawn: it turned out not to be so."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A kind of finding. severity as alerts have it: warning, major, critical; found_by: a rule, empty for none;
    about: what is wrong: delivery (something did not come), clock, values (readings, and the energy made of them),
    balance (of a total and its sub-meters, whichever of them is wrong).
    """

    kind: str
    severity: str
    found_by: str
    about: str
    name_en: str
    name_zh: str
    meaning: str


@cache
def finding_kinds() -> dict[str, FindingKind]:
    """All kinds by code."""
    with files("metering").joinpath("finding_kinds.csv").open(encoding="utf-8") as f:
        return {row["kind"]: FindingKind(**row) for row in csv.DictReader(f)}


@dataclass(frozen=True, slots=True)
class SilenceRule:
    """How long something may be silent, from the interval_s at which it should be heard.

    A meter: the greater of meter_intervals x interval_s and meter_floor_s. A gateway: two intervals of its most
    frequent meter, at least gateway_floor_s; that is sooner than its meters, so that they are not found one by one.
    Raises ValueError where it would not be sooner.
    """

    meter_intervals: float = 4.0
    meter_floor_s: float = 3600.0
    gateway_floor_s: float = 900.0

    def __post_init__(self) -> None:
        """Refuse what would find meters before their gateway."""
        if self.meter_intervals < 3 or self.gateway_floor_s > self.meter_floor_s:
            raise ValueError(
                "want meter_intervals of at least 3 and gateway_floor_s of at most meter_floor_s"
            )

    def meter(self, interval_s: float) -> timedelta:
        """How long a meter may be silent."""
        return timedelta(seconds=max(self.meter_intervals * interval_s, self.meter_floor_s))

    def gateway(self, interval_s: float) -> timedelta:
        """How long a gateway may be silent; interval_s: the smallest of its meters."""
        return timedelta(seconds=max(2 * interval_s, self.gateway_floor_s))


def is_silent(
    last: datetime | None, since: datetime, watched_from: datetime | None, patience: timedelta, now: datetime
) -> bool:
    """Whether it has been silent for longer than it may.

    last: when it was heard last (None: never); since: from when on it should be heard; watched_from: silence before
    that is held against nobody (a registry just imported, the platform's own outage).
    """
    return now - max(m for m in (last, since, watched_from) if m is not None) > patience


def begin_of_silence(last: datetime | None, since: datetime, interval_s: float) -> datetime:
    """When a silence began: an interval after what was heard last, `since` where nothing ever was."""
    return since if last is None or last < since else last + timedelta(seconds=interval_s)
