"""What a score says, and its JSON. The keys are stable: docs/truth.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np

from metering.findings import finding_kinds
from simulators.score.faults import TouchedBy
from simulators.score.findings import FaultFound, Findings, Precision, Verdict
from simulators.score.hours import Bools, JudgedHours, Tally, Tolerance, UnitTallies
from simulators.truth import TrueFault, TruePoint


@dataclass(frozen=True, slots=True)
class PointScore:
    """A point over the run. outside_*: hours and energy that the platform has of it before and after the run."""

    no: int
    point: TruePoint
    tally: Tally
    labels: tuple[str, ...]
    outside_hours: int
    outside_energy: float

    def as_json(self) -> dict[str, Any]:
        """As the JSON has it."""
        p = self.point
        return {
            "point_code": p.point_code,
            "site_code": p.site_code,
            "item_code": p.item_code,
            "unit": p.unit,
            "meter": p.meter,
            "gateway": p.gateway,
            "labels": list(self.labels),
            **self.tally.as_json(),
            "outside_hours": self.outside_hours,
            "outside_energy": self.outside_energy,
        }


@dataclass(slots=True)
class Group:
    """The faults of a kind or of a label. window: the points that they touch, while they do; whole: over the whole run,
    the points that no other fault touches. faults: by their number.
    """

    name: str
    faults: dict[int, TouchedBy] = field(default_factory=dict)
    window: UnitTallies = field(default_factory=UnitTallies)
    whole: UnitTallies = field(default_factory=UnitTallies)

    @property
    def is_fault(self) -> bool:
        """Whether they are faults, not real changes; a label without any is of points that have none."""
        return any(t.fault.is_fault for t in self.faults.values())


@dataclass(frozen=True, slots=True)
class Recall:
    """How the faults of a group fared; ratio: found of those that expect a finding which something finds."""

    faults: int
    expecting: int
    judged: int
    found: int
    called_fault: int

    @property
    def ratio(self) -> float | None:
        """0..1, None where nothing is judged."""
        return self.found / self.judged if self.judged else None


@dataclass(frozen=True, slots=True, eq=False)
class Strip:
    """The hours of one of the worst points, to be drawn. in_fault: bool[n]."""

    score: PointScore
    hours: JudgedHours
    in_fault: Bools


@dataclass(slots=True)
class Score:
    """All figures of a run."""

    facts: dict[str, str]
    first_hour: int
    hours: int
    starts: datetime
    ends: datetime
    tolerance: Tolerance
    points: list[PointScore] = field(default_factory=list)
    unknown_points: int = 0
    behind_points: int = 0
    totals: UnitTallies = field(default_factory=UnitTallies)
    items: dict[str, UnitTallies] = field(default_factory=dict)
    years: dict[int, UnitTallies] = field(default_factory=dict)
    undisturbed: UnitTallies = field(default_factory=UnitTallies)
    elsewhere: UnitTallies = field(default_factory=UnitTallies)
    kinds: dict[str, Group] = field(default_factory=dict)
    labels: dict[str, Group] = field(default_factory=dict)
    faults: list[TouchedBy] = field(default_factory=list)
    fault_windows: list[UnitTallies] = field(default_factory=list)
    fault_found: list[FaultFound] = field(default_factory=list)
    strips: list[Strip] = field(default_factory=list)
    _findings: Findings | None = None

    def judge_findings(self, findings: Findings) -> None:
        """Say what became of each fault."""
        self._findings = findings
        self.fault_found = [findings.of(n) for n in range(len(self.faults))]

    @property
    def findings(self) -> Findings:
        """The platform's findings, judged."""
        assert self._findings is not None, "judge_findings comes first"
        return self._findings

    @property
    def is_empty(self) -> bool:
        """Whether the platform has nothing of the run."""
        return self.unknown_points == len(self.points)

    def worst(self, count: int) -> list[PointScore]:
        """The points whose hours are off most, in share of their energy, those without error left out."""
        off = [p for p in self.points if p.tally.hourly_error > 1e-9]
        return sorted(off, key=badness, reverse=True)[:count]

    def recall(self, group: Group) -> Recall:
        """How the faults of a group fared."""
        verdicts = [self.fault_found[n].verdict for n in group.faults]
        found, missed = verdicts.count(Verdict.FOUND), verdicts.count(Verdict.MISSED)
        return Recall(
            faults=len(verdicts),
            expecting=found + missed + verdicts.count(Verdict.NOT_JUDGED),
            judged=found + missed,
            found=found,
            called_fault=verdicts.count(Verdict.CALLED_FAULT),
        )

    def precision(self, group: Group) -> Precision:
        """Of findings of the kinds that should name the group's faults."""
        return self.findings.precision({k for t in group.faults.values() for k in t.fault.found_by})

    def as_json(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {
            "run": {
                "facts": self.facts,
                "from": self.starts.isoformat(),
                "to": self.ends.isoformat(),
                "hours": self.hours,
                "points": len(self.points),
                "points_without_energy": self.unknown_points,
                "points_behind": self.behind_points,
                "faults": sum(t.fault.is_fault for t in self.faults),
                "real_changes": sum(not t.fault.is_fault for t in self.faults),
            },
            "tolerance": {
                "display_steps": self.tolerance.display_steps,
                "percent": self.tolerance.percent,
            },
            "totals": self.totals.as_json(),
            "undisturbed": self.undisturbed.as_json(),
            "outside_windows": self.elsewhere.as_json(),
            "items": {item: tallies.as_json() for item, tallies in sorted(self.items.items())},
            "years": {str(year): tallies.as_json() for year, tallies in sorted(self.years.items())},
            "kinds": [self._group_json(g) for g in self.kinds.values()],
            "labels": [self._group_json(g) for g in self.labels.values()],
            "faults": [self._fault_json(n) for n in range(len(self.faults))],
            "findings": self._findings_json(),
            "points": [p.as_json() for p in self.points],
        }

    def _group_json(self, group: Group) -> dict[str, Any]:
        recall, precision = self.recall(group), self.precision(group)
        return {
            "name": group.name,
            "is_fault": group.is_fault,
            "faults": recall.faults,
            "faults_expecting_finding": recall.expecting,
            "faults_judged": recall.judged,
            "faults_found": recall.found,
            "recall": recall.ratio,
            "findings": precision.findings,
            "findings_explained": precision.explained,
            "precision": precision.ratio,
            "real_changes_called_fault": recall.called_fault,
            "window": group.window.as_json(),
            "whole_run": group.whole.as_json(),
        }

    def _fault_json(self, n: int) -> dict[str, Any]:
        fault, found = self.faults[n].fault, self.fault_found[n]
        return {
            "kind": fault.kind,
            "label": fault.label,
            "is_fault": fault.is_fault,
            **_place_json(fault),
            "starts": fault.starts.isoformat(),
            "ends": fault.ends.isoformat(),
            "size": fault.size,
            "size_unit": fault.size_unit,
            "points": len(self.faults[n].points),
            "verdict": found.verdict,
            "named_by": list(found.by),
            "window": self.fault_windows[n].as_json(),
        }

    def _findings_json(self) -> dict[str, Any]:
        found = self.findings
        seen = {f.kind for f in found.findings}
        kinds = [k for k in finding_kinds() if found.judged([k])] + sorted(seen - finding_kinds().keys())
        return {
            "kinds": {kind: _precision_json(found.precision([kind])) for kind in kinds},
            "not_judged": [k for k in finding_kinds() if not found.judged([k])],
            "outside_run": found.outside,
            "false_alarms": [f.as_json() for f in found.false_alarms],
            "rejects": _rejects_json(found),
        }


def badness(point: PointScore) -> tuple[float, float]:
    """How far the hours of a point are off: in share of its energy, then in its unit."""
    t = point.tally
    return (t.hourly_error / t.true if t.true else np.inf, t.hourly_error)


def _place_json(fault: TrueFault) -> dict[str, Any]:
    return {
        "site_code": fault.site_code,
        "point_code": fault.point_code,
        "meter": fault.meter,
        "gateway": fault.gateway,
    }


def _precision_json(precision: Precision) -> dict[str, Any]:
    return {
        "findings": precision.findings,
        "explained": precision.explained,
        "false_alarms": precision.findings - precision.explained,
        "precision": precision.ratio,
    }


def _rejects_json(found: Findings) -> dict[str, int]:
    counts: dict[str, int] = {}
    for r in found.rejects:
        counts[r.reason] = counts.get(r.reason, 0) + r.count
    return counts


def names(faults: Sequence[TouchedBy]) -> tuple[str, ...]:
    """The labels of faults, each once, in order."""
    return tuple(dict.fromkeys(t.fault.label for t in faults))
